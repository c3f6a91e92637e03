"""Step 5: make a trained model the bot's.

    python scripts/5_deploy_bot.py [--env PATH] [--model NAME] [--quant Q4_K_M | --adapter]
        [--force] [--although-erased]
    python scripts/5_deploy_bot.py --list
    python scripts/5_deploy_bot.py --rollback [--although-erased]
    python scripts/5_deploy_bot.py --bundle [PATH] [--model NAME] [--quant Q4_K_M]
    python scripts/5_deploy_bot.py --install PATH

A model needs a report (step 4), and must not be worse than the one in use; --force deploys it all
the same, which --list shows. Loads the model and has it answer before anything changes. The bot
takes it at its next start.
--bundle writes a model into one file instead, to carry to another machine, where --install takes it
in and deploys it.
"""

import argparse
import asyncio
import contextlib
import sqlite3
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bot import config, logs, more_servers
from bot.config import Config, UserError
from data import privacy
from model import bundle, catalog, export, prompts, registry, report, runs
from model.export import Exported
from model.inference import Engine, EngineError, Sampling
from model.prompts import Turn
from model.registry import Entry
from storage import database

QUESTIONS = (
    [Turn("sam", "hey, how is everybody doing today?")],
    [Turn("kim", "anyone around?"), Turn("sam", "what are you all up to this weekend")],
    [Turn(None, "just got home"), Turn("kim", "nice, what's for dinner?")],
)


def main() -> int:
    arguments = _arguments()
    try:
        settings = config.load(arguments.env, needs_discord=False)
        connection = database.connect(settings.database_path)
        if arguments.list:
            _list(settings, connection)
        else:
            with registry.lock(settings.models_dir):
                _change(arguments, settings, connection)
    except UserError as error:
        return config.exit_with(error)
    except KeyboardInterrupt:
        print("\nStopped. The bot keeps the model it had.")
        return 130
    return 0


def _change(
    arguments: argparse.Namespace, settings: Config, connection: sqlite3.Connection
) -> None:
    if arguments.rollback:
        _rollback(settings, connection, arguments.although_erased)
    elif arguments.install:
        people = privacy.barred(connection)
        exported = bundle.install(arguments.install, settings.models_dir, people)
        _deploy(settings, connection, exported)
    else:
        name = arguments.model or registry.newest(settings.models_dir)
        if not arguments.although_erased:
            _check_people(settings, connection, name, "" if arguments.bundle else _ALTHOUGH)
        exported = _exported(settings, name, arguments.quant)
        if arguments.bundle:
            _bundle(exported, arguments.bundle)
        else:
            reason = _concern(connection, exported)
            if reason and not arguments.force:
                raise UserError(f"{name} is not deployed. {reason} --force deploys it anyway.")
            _deploy(settings, connection, exported, reason)


def _exported(settings: Config, name: str, quant: str) -> Exported:
    """The model's file, made if it is not there yet."""
    with contextlib.suppress(UserError):
        return export.find(settings.models_dir, name, quant)
    return export.export(runs.find(settings.models_dir, name), settings.models_dir, quant)


def _deploy(
    settings: Config, connection: sqlite3.Connection, exported: Exported, forced: str = ""
) -> None:
    registry.check_file(exported)
    asyncio.run(_try_out(settings, exported.path))
    with database.transaction(connection):
        before = database.deployed_model(connection)
        database.add_model(connection, export.row(exported))
        if before is None or before.name != exported.name:
            database.deploy(connection, exported.name)
        _adopt(connection, exported.metrics)
    if exported.metrics.get("forced", "") != forced:
        export.keep_metrics(exported, {**exported.metrics, "forced": forced})
    print(f"Deployed {exported.name} ({exported.quant}). The bot takes it at its next start.")
    _warn_of_model_path(settings)


def _adopt(connection: sqlite3.Connection, metrics: Mapping[str, Any]) -> None:
    """Have the bot draw as the model was tuned to; a temperature that was not stays the owner's."""
    usual, tuned = Sampling(), registry.sampling(metrics)
    for name in registry.SAMPLED:
        if name in tuned or name != "temperature":
            database.change_setting(connection, name, tuned.get(name, getattr(usual, name)))


def _concern(connection: sqlite3.Connection, exported: Exported) -> str:
    """What the report has against deploying a model; "" for nothing."""
    in_use = database.deployed_model(connection)
    rival = None
    if in_use and in_use.path != exported.path and in_use.path.exists():
        rival = catalog.sha256(in_use.path)
    known = exported.facts["files"][exported.quant]
    facts = report.read(exported.path.parent, exported.quant)
    return report.refusal(facts, known["sha256"], exported.facts["data_hash"], rival)


def _bundle(exported: Exported, target: Path) -> None:
    path = bundle.write(exported, target)
    print(f"Wrote {path}, {path.stat().st_size / 1e6:,.0f} MB. On the other machine run:")
    print(f"python scripts/5_deploy_bot.py --install {path.name}")


def _check_people(
    settings: Config, connection: sqlite3.Connection, name: str, otherwise: str
) -> None:
    """Raise `UserError` if a model learned from somebody who was erased or is excluded."""
    barred = privacy.barred(connection)
    for folder in (runs.root(settings.models_dir) / name, export.folder(settings.models_dir, name)):
        registry.check_people(name, folder, barred, otherwise)


_ALTHOUGH = ", or add --although-erased"
_TITLES = ("name", "file", "base", "licence", "method", "bits/char", "size", "trained", "")


async def _try_out(settings: Config, path: Path) -> None:
    """Raise `UserError` unless the model loads and answers, in a worker like the bot's."""
    engine = Engine(
        path,
        context_length=settings.context_length,
        threads=settings.threads,
        gpu_layers=settings.gpu_layers,
    )
    try:
        await engine.start()
        for done, turns in enumerate(logs.track("try out", QUESTIONS, len(QUESTIONS))):
            if not await _answer(engine, turns, seed=done):
                raise UserError(
                    f"The model {path.name} has nothing to say to {turns[-1].text!r}, so it is "
                    "not deployed. Train it longer, or on more data, with scripts/3_train_model.py."
                )
    except EngineError as error:
        raise UserError(f"The model {path.name} fails: {error}. It is not deployed.") from None
    finally:
        await engine.close()


async def _answer(engine: Engine, turns: list[Turn], seed: int, attempts: int = 5) -> str:
    """A reply; an empty one is drawn again, since chat models sometimes choose silence."""
    for attempt in range(attempts):
        sampling = Sampling(max_tokens=60, seed=seed + 100 * attempt)
        pieces = [piece async for piece in engine.reply(prompts.build(turns), sampling, 0)]
        if text := prompts.clean("".join(pieces)):
            return text
    return ""


def _list(settings: Config, connection: sqlite3.Connection) -> None:
    known = database.models(connection)
    entries = registry.entries(settings.models_dir, known, privacy.barred(connection))
    if not entries:
        option = more_servers.option(settings.env_path)
        print(f"No model yet. Run scripts/3_train_model.py{option},")
        print(f"then scripts/5_deploy_bot.py{option}.")
        return
    deployed = database.deployed_model(connection)
    rows = [_TITLES, *map(_line, entries)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row, path in zip(rows, [None, *(entry.path for entry in entries)], strict=True):
        mark = "*" if deployed and path == deployed.path else " "
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(f"{mark} {'  '.join(cells)}".rstrip())
    print("* deployed" if deployed else "None is deployed: the bot runs its base model.")
    _warn_of_model_path(settings)


def _line(entry: Entry) -> tuple[str, ...]:
    """A model as `--list` shows it, under `_TITLES`."""
    bits, size = entry.bits_per_char, entry.size
    return (
        entry.name,
        entry.quant or "-",
        entry.base,
        entry.licence or "-",
        "+".join(entry.stages) or "-",
        "-" if bits is None else f"{bits:.3f}",
        "-" if size is None else f"{size / 1e6:,.0f} MB",
        time.strftime("%Y-%m-%d", time.localtime(entry.trained_at)),
        entry.remark,
    )


def _rollback(settings: Config, connection: sqlite3.Connection, although_erased: bool) -> None:
    before = database.deployed_model(connection)
    if before is None:
        raise UserError("Nothing is deployed, so there is nothing to take back.")
    with database.transaction(connection):
        database.rollback(connection)
        now = database.deployed_model(connection)
        _adopt(connection, now.metrics if now else {})
        if now and not now.path.exists():
            raise UserError(
                f"The model before, {now.name}, has lost its file {now.path}. {before.name} stays. "
                "--list shows what there is, and --model NAME deploys it."
            )
        if now and not although_erased:
            registry.check_people(now.name, now.path.parent, privacy.barred(connection), _ALTHOUGH)
    name = now.name if now else "its base model"
    print(f"Took {before.name} back. The bot runs {name} from its next start.")
    _warn_of_model_path(settings)


def _warn_of_model_path(settings: Config) -> None:
    if settings.model_path:
        print(
            f"Note: MODEL_PATH in {settings.env_path} names another model, and it wins. "
            "Remove that line to run the deployed one."
        )
    elif settings.engine_url:
        print(
            f"Note: ENGINE_URL in {settings.env_path} names a server, and its model replies. "
            "Empty that line to run the deployed one."
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", type=Path, help="the settings file (default: .env)")
    parser.add_argument("--model", help="which trained model (default: the newest)")
    parser.add_argument("--quant", choices=export.QUANTS, default="Q4_K_M")
    parser.add_argument(
        "--although-erased",
        action="store_true",
        help="deploy it although it learned from somebody who was erased or is excluded",
    )
    parser.add_argument("--force", action="store_true", help="deploy it against its report")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="show every model")
    what.add_argument("--rollback", action="store_true", help="go back to the model before")
    what.add_argument(
        "--bundle",
        type=Path,
        nargs="?",
        const=Path(),
        metavar="PATH",
        help="write the model into one file (default: NAME-QUANT.zip in this folder)",
    )
    what.add_argument("--install", type=Path, metavar="PATH", help="take in such a file")
    what.add_argument(
        "--adapter",
        dest="quant",
        action="store_const",
        const=catalog.ADAPTER,
        help="the LoRA alone, added to its base while it runs; small, and a little slower",
    )
    arguments = parser.parse_args()
    if arguments.although_erased and (arguments.bundle or arguments.install):
        parser.error("--although-erased is for this machine: not for --bundle and --install")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
