"""Chat templates are remembered by their file's name, and a changed one is not used unseen."""

import hashlib
import json
import logging
import shutil
import sys
from pathlib import Path

import pytest

from bot.config import UserError
from model import pins, templates
from model.inference import Engine
from tests.model import chat_templates, tiny


def write(path: Path, vocabulary_of: Path, template: str, seed: int = 0) -> Path:
    path.parent.mkdir(exist_ok=True)
    return tiny.write(path, vocabulary_of, seed=seed, chat_template=template)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> dict[str, Path]:
    """The same tiny model with other templates."""
    folder = tmp_path_factory.mktemp("made")
    texts = {"chatml": chat_templates.CHATML, "gemma": chat_templates.GEMMA, "none": ""}
    made = {name: write(folder / f"{name}.gguf", tiny_model, text) for name, text in texts.items()}
    made["again"] = write(folder / "again.gguf", tiny_model, chat_templates.CHATML, seed=1)
    return made


def remembered(folder: Path) -> dict[str, str]:
    known: dict[str, str] = json.loads((folder / pins.REMEMBERED).read_text())
    return known


def put(source: Path, folder: Path, name: str = "m.gguf") -> Path:
    path = folder / name
    shutil.copyfile(source, path)
    return path


def shown(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["templates", *map(str, arguments)])
    return templates.main()


def test_a_new_template_is_remembered_and_the_log_says_how_to_see_it(
    models: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = put(models["chatml"], tmp_path)
    pins.check(path, tmp_path)
    (digest,) = remembered(tmp_path).values()
    assert digest == hashlib.sha256(chat_templates.CHATML.encode()).hexdigest()
    assert f'python -m model.templates "{path}" --models-dir' in caplog.text
    caplog.clear()
    pins.check(path, tmp_path)
    assert not caplog.text


def test_a_model_trained_anew_under_its_name_is_no_change(
    models: dict[str, Path], tmp_path: Path
) -> None:
    for name in ("chatml", "again"):
        pins.check(put(models[name], tmp_path), tmp_path)


def test_a_changed_template_is_refused_until_it_is_accepted(
    models: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pins.check(put(models["chatml"], tmp_path), tmp_path)
    path = put(models["gemma"], tmp_path)
    for _ in range(2):
        with pytest.raises(UserError, match=r"not the one .+ --accept"):
            pins.check(path, tmp_path)
    assert shown(monkeypatch, path, "--models-dir", tmp_path) == 0
    said = capsys.readouterr().out
    assert "not the one that was known" in said and "accepted" not in said
    with pytest.raises(UserError):
        pins.check(path, tmp_path)
    assert shown(monkeypatch, path, "--accept", "--models-dir", tmp_path) == 0
    pins.check(path, tmp_path)


async def test_the_worker_does_not_load_a_model_whose_template_changed(
    models: dict[str, Path], tmp_path: Path
) -> None:
    pins.check(put(models["chatml"], tmp_path), tmp_path)
    with pytest.raises(UserError, match=r"chat template in m\.gguf is not the one"):
        await Engine(put(models["gemma"], tmp_path), embedder_dir=tmp_path).start()


def test_a_fine_tuned_model_has_its_bases_template_and_then_a_memory_of_its_own(
    models: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pins.check(put(models["chatml"], tmp_path, "base.gguf"), tmp_path)
    caplog.set_level(logging.INFO)
    pins.check(put(models["again"], tmp_path, "amber.gguf"), tmp_path)
    assert not caplog.text
    with pytest.raises(UserError, match="not the one"):
        pins.check(put(models["gemma"], tmp_path, "amber.gguf"), tmp_path)


def test_an_adapter_has_the_template_of_its_base(models: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "finetuned" / "amber"
    folder.mkdir(parents=True)
    put(models["chatml"], tmp_path, "base.gguf")
    (folder / "manifest.json").write_text('{"base_gguf": "base.gguf"}')
    adapter = folder / "amber.adapter.gguf"
    adapter.touch()
    pins.check(adapter, tmp_path)
    assert list(remembered(tmp_path)) == ["base.gguf"]


def test_without_a_template_there_is_nothing_to_remember(
    models: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pins.check(models["none"], tmp_path)
    assert not list(tmp_path.iterdir())
    assert shown(monkeypatch, models["none"]) == 0
    assert "no chat template" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "[]", "{", "\0", '{"m.gguf": 3}', "[" * 100_000])
def test_a_damaged_memory_is_a_new_one_or_asks(
    models: dict[str, Path], tmp_path: Path, text: str
) -> None:
    path = put(models["chatml"], tmp_path)
    (tmp_path / pins.REMEMBERED).write_text(text)
    if "m.gguf" in text:
        with pytest.raises(UserError, match="not the one"):
            pins.check(path, tmp_path)
    else:
        pins.check(path, tmp_path)
        assert list(remembered(tmp_path)) == ["m.gguf"]


def test_the_command_shows_the_program_its_hash_and_its_markup(
    models: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert shown(monkeypatch, models["gemma"], "--models-dir", tmp_path) == 0
    said = capsys.readouterr().out
    assert chat_templates.GEMMA in said and "new here" in said
    assert hashlib.sha256(chat_templates.GEMMA.encode()).hexdigest() in said
    assert "before         '<bos><start_of_turn>user\\n'" in said
    assert not (tmp_path / pins.REMEMBERED).exists()


def test_a_template_cannot_steer_the_terminal_that_shows_it(
    tmp_path: Path,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hostile = chat_templates.CHATML + "{# \x1b[2J \u202e \r #}"
    path = write(tmp_path / "hostile.gguf", tiny_model, hostile)
    assert shown(monkeypatch, path, "--models-dir", tmp_path) == 0
    assert all(line.isprintable() for line in capsys.readouterr().out.splitlines())


def test_one_that_cannot_be_used_is_shown_and_not_accepted(
    tmp_path: Path,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write(tmp_path / "broken.gguf", tiny_model, "{{ raise_exception('no') }}")
    assert shown(monkeypatch, path, "--accept", "--models-dir", tmp_path) == 78
    assert "raise_exception" in capsys.readouterr().out
    assert not (tmp_path / pins.REMEMBERED).exists()
    assert shown(monkeypatch, tmp_path / "nowhere.gguf") == 78
