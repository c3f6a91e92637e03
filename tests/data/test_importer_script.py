"""Step 1 with `--import`: no token, but permission; and every count is told."""

import subprocess
import sys
from pathlib import Path

import pytest

from bot import config
from bot.config import ROOT
from storage import database, messages
from tests.data import exports
from tests.data.exports import TEXTS


@pytest.fixture
def env(tmp_path: Path) -> Path:
    path = tmp_path / ".env"
    path.write_text(f"DATA_DIR={tmp_path / 'data'}\n")
    return path


def run(env: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    script = ROOT / "scripts" / "1_fetch_all_history.py"
    command = [sys.executable, script, "--env", env, *arguments]
    return subprocess.run(
        list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True
    )


def test_an_import_needs_no_token_and_tells_its_counts(env: Path, tmp_path: Path) -> None:
    raw = [exports.line(n, text) for n, text in enumerate(TEXTS)]
    files = {"chat.jsonl": exports.lines(raw) + "nonsense\n", "a.png": "picture"}
    path = exports.write(tmp_path / "exports", files)
    done = run(env, "--import", path, "--i-have-permission")
    assert done.returncode == 0, done.stderr
    assert "Imported 5 new messages; 0 were known already." in done.stdout
    assert "Left out 1: not valid JSON in UTF-8 (first at chat.jsonl, line 6)." in done.stdout
    assert "No export, 1 file: a.png" in done.stdout
    hint = f'Next: python scripts/2_prepare_training_data.py --env "{env}"\n'
    assert done.stdout.endswith(hint)
    assert '@progress {"step": "import"' in done.stdout
    again = run(env, "--import", path)
    assert "Imported 0 new messages; 5 were known already." in again.stdout
    stored = database.connect(tmp_path / "data" / "database" / "bot.sqlite3")
    assert messages.count(stored) == 5
    assert not any(text in done.stdout for text in TEXTS)


def test_without_permission_nothing_is_imported(env: Path, tmp_path: Path) -> None:
    path = exports.write(tmp_path / "exports", {"x.json": exports.chat_exporter_texts(TEXTS)})
    done = run(env, "--import", path)
    assert done.returncode == config.NEEDS_A_PERSON
    assert "--i-have-permission" in done.stderr


def test_a_path_without_an_export_is_a_sentence(env: Path, tmp_path: Path) -> None:
    done = run(env, "--import", tmp_path / "missing", "--i-have-permission")
    assert done.returncode == config.NEEDS_A_PERSON
    assert done.stderr.startswith("error: There is nothing at ")
    assert "Traceback" not in done.stderr
