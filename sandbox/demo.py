"""The whole product on a sample community: a root that needs no token and no Discord.

Everything is made anew in `data_storage/demo/`; only the default models are kept between runs. The
parts are the real ones, started the way the window and a person start them.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from bot.config import ROOT, UserError
from bot.logs import LogLine, Progress
from child_process import run_step
from gui.session import Report, Session, session
from storage import database

FOLDER = ROOT / "data_storage" / "demo"
HELD_OUT = 200  # the newest messages, which the sandbox keeps back for a replay
WINDOW_RATE = 0.3  # a demo that answers one message in twenty looks broken

SETTING_UP = (
    "Getting the models",
    "Starting the sandbox",
    "Fetching the history",
    "Preparing training data",
)
TRAINING = ("Training", "Evaluating", "Deploying the new model")


class Demo:
    """A sandbox filled with a sample community, and a bot that has read its history."""

    def __init__(
        self, *, folder: Path = FOLDER, max_steps: int = 0, response_rate: float = WINDOW_RATE
    ) -> None:
        """`max_steps` 0: talk with the base model; else train that many steps first."""
        self.sandbox: dict[str, Any] = {}
        self.steps = SETTING_UP + (TRAINING if max_steps else ())
        self._folder, self._max_steps, self._response_rate = folder, max_steps, response_rate
        self._process: subprocess.Popen[str] | None = None
        self._env_path = folder / ".env"

    def prepare(self, report: Report) -> Session:
        """Do every step and hand over a bot that is ready to start. Raises `UserError`."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, mode=0o700)
        step = iter(self.steps)

        def run(*command: str) -> None:
            self._run(next(step), report, command)

        run("-m", "model.catalog", "--models-dir", str(ROOT / "models"))
        _share(ROOT / "models" / "base", self._folder / "models" / "base")
        report(Progress(next(step), 0, 0))
        self._start_sandbox()
        env = ("--env", str(self._env_path))
        run("scripts/1_fetch_all_history.py", *env, "--i-have-permission")
        run("scripts/2_prepare_training_data.py", *env)
        if self._max_steps:
            run("scripts/3_train_model.py", *env, "--max-steps", str(self._max_steps))
            run("scripts/4_evaluate_personality.py", "--quick", *env, "--limit", "100")
            run("scripts/5_deploy_bot.py", "--force", *env)
        return self._session()

    def close(self) -> None:
        """Stop the sandbox."""
        if self._process:
            assert self._process.stdin
            self._process.stdin.close()
            self._process.wait(10)

    def _run(self, title: str, report: Report, command: tuple[str, ...]) -> None:
        """One step, its progress shown under `title`."""
        last = ""

        def on_event(event: LogLine | Progress) -> None:
            nonlocal last
            if isinstance(event, LogLine):
                last = event.text
                report(event)
            else:
                note = event.note or f"{event.done:,}" * bool(event.done)
                report(Progress(title, event.done, event.total, event.seconds_left, note))

        report(Progress(title, 0, 0))
        code = run_step([sys.executable, *command], on_event)
        if code:
            raise UserError(last.removeprefix("error: ") or f"{title} failed, exit code {code}.")

    def _start_sandbox(self) -> None:
        options = ["--port", "0", "--hold-out", str(HELD_OUT), "--no-rate-limits"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sandbox", "--community", "gitter-casual", *options],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise UserError("The sandbox did not start; its reason is above.")
        self.sandbox = json.loads(line)
        _write_env(self._env_path, self.sandbox)

    def _session(self) -> Session:
        prepared = session(self._env_path)
        connection = database.connect(prepared.database_path)
        database.change_setting(connection, "response_rate", self._response_rate)
        connection.close()
        return dataclasses.replace(
            prepared, chat_url=self.sandbox["url"], starts_at_once=True, close=self.close
        )


def _share(source: Path, target: Path) -> None:
    """Have the model files in another folder too, without a second copy where that is possible."""
    target.mkdir(parents=True)
    for file in source.glob("*.gguf"):
        try:
            os.link(file, target / file.name)
        except OSError:
            shutil.copyfile(file, target / file.name)


def _write_env(path: Path, sandbox: dict[str, Any]) -> None:
    lines = {
        "DISCORD_TOKEN": sandbox["token"],
        "DISCORD_API_BASE": sandbox["api"],
        "SERVER_ID": sandbox["guild_id"],
        "ADMIN_USERS": sandbox["owner_id"],
        "DATA_DIR": ".",
        "MODELS_DIR": "models",
    }
    text = "".join(f"{name}={value}\n" for name, value in lines.items())
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
