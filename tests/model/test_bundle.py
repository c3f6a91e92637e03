"""A bundle brings a model whole to another machine, and nothing else."""

import dataclasses
import hashlib
import json
import random
import shutil
import stat
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bot import logs
from bot.config import UserError
from model import bundle, catalog, export, provenance, registry
from tests.model import finetuned

KIM = 123456789012345678
Members = dict[str, bytes]


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    """Something that begins like a model."""
    path = tmp_path / "some.gguf"
    path.write_bytes(b"GGUF" + random.Random(0).randbytes(3_000_000))
    return path


@pytest.fixture
def bundled(tmp_path: Path, gguf: Path) -> Path:
    (tmp_path / "carried").mkdir()
    return bundle.write(finetuned.exported(tmp_path / "there", gguf), tmp_path / "carried")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The models folder of the machine that it is brought to."""
    return tmp_path / "here"


def unzipped(path: Path) -> Members:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(path: Path, members: Members, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def is_empty(models_dir: Path) -> bool:
    return not [path for path in models_dir.rglob("*") if path.is_file()]


def test_a_model_arrives_as_it_was(bundled: Path, here: Path, gguf: Path) -> None:
    assert bundled.name == "amber-Q4_K_M.zip"
    model = bundle.install(bundled, here, [])
    assert model.path == here / "finetuned" / "amber" / "amber.Q4_K_M.gguf"
    assert model.path.read_bytes() == gguf.read_bytes()
    assert model.metrics == {"bits_per_char": 1.5}
    known = registry.manifest(here, "amber")
    assert known and known.stages == ("sft", "dpo") and known.licence == "apache-2.0"
    assert bundle.MEMBERS not in known.facts
    assert provenance.learned_from(here, [finetuned.FIRST]) == [model.path.parent]
    assert "apache-2.0" in (model.path.parent / bundle.LICENCE).read_text()
    assert [path.name for path in (here / "finetuned").iterdir()] == ["amber"]


def test_a_bundle_is_stored_private_and_the_same_each_time(bundled: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundled) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    if sys.platform != "win32":
        assert stat.S_IMODE(bundled.stat().st_mode) == 0o600
    first = bundled.read_bytes()
    model = export.find(tmp_path / "there", "amber")
    assert bundle.write(model, tmp_path / "other.zip").read_bytes() == first


def test_other_quantisations_stay_behind(tmp_path: Path, gguf: Path, here: Path) -> None:
    model = finetuned.exported(tmp_path / "there", gguf)
    files = {**model.facts["files"], "Q8_0": model.facts["files"]["Q4_K_M"]}
    both = dataclasses.replace(model, facts={**model.facts, "files": files})
    model = bundle.install(bundle.write(both, tmp_path), here, [])
    assert list(model.facts["files"]) == ["Q4_K_M"]


def test_a_model_that_is_here_stays_as_it_is(bundled: Path, here: Path, gguf: Path) -> None:
    path = bundle.install(bundled, here, []).path
    provenance.mark_erased(path.parent, 7)
    before = path.stat().st_mtime_ns
    with pytest.raises(UserError, match="was erased since"):
        bundle.install(bundled, here, [])
    assert provenance.erased_people(path.parent) == 1
    (path.parent / "data.json").write_text("{}")
    assert bundle.install(bundled, here, []).path.stat().st_mtime_ns == before
    path.unlink()
    with pytest.raises(UserError, match="has lost its file"):
        bundle.install(bundled, here, [])


def test_another_model_of_that_name_is_refused(bundled: Path, here: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGUF of another")
    path = finetuned.exported(here, other).path
    with pytest.raises(UserError, match="Another model named amber"):
        bundle.install(bundled, here, [])
    assert path.read_bytes() == b"GGUF of another"
    shutil.rmtree(path.parent)
    path.parent.mkdir()  # as an interrupted export leaves it
    assert bundle.install(bundled, here, []).path.exists()


def test_a_model_that_learned_from_somebody_barred_is_refused(bundled: Path, here: Path) -> None:
    with pytest.raises(UserError, match="somebody who is excluded"):
        bundle.install(bundled, here, [KIM, finetuned.FIRST + 5])
    assert is_empty(here)
    assert bundle.install(bundled, here, [KIM, finetuned.FIRST + 50])


def test_an_erased_persons_mark_travels_along(tmp_path: Path, gguf: Path, here: Path) -> None:
    model = finetuned.exported(tmp_path / "there", gguf)
    provenance.mark_erased(model.path.parent, KIM)
    with pytest.raises(UserError, match="learned from 1 who was erased since"):
        bundle.install(bundle.write(model, tmp_path), here, [])
    assert is_empty(here)


def test_a_model_without_provenance_is_not_carried(tmp_path: Path, gguf: Path) -> None:
    model = finetuned.exported(tmp_path / "there", gguf)
    (model.path.parent / provenance.DATA).unlink()
    with pytest.raises(UserError, match="whom it learned from"):
        bundle.write(model, tmp_path)


def test_a_changed_model_is_not_carried(bundled: Path, tmp_path: Path) -> None:
    model, before = export.find(tmp_path / "there", "amber"), bundled.read_bytes()
    with model.path.open("rb+") as file:
        file.write(b"gguf")
    with pytest.raises(UserError, match="sha256"):
        bundle.write(model, bundled)
    assert bundled.read_bytes() == before
    assert [path.name for path in bundled.parent.iterdir()] == [bundled.name]


def test_a_full_disk_is_told_before_anything_is_written(
    bundled: Path, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(UserError, match="Make room"):
        bundle.install(bundled, here, [])
    with pytest.raises(UserError, match="Make room"):
        bundle.write(export.find(tmp_path / "there", "amber"), tmp_path)
    with pytest.raises(UserError, match="There is no folder"):
        bundle.write(export.find(tmp_path / "there", "amber"), tmp_path / "no" / "x.zip")
    assert is_empty(here) and not list(tmp_path.glob("*.zip*"))


def test_an_interrupted_installation_leaves_nothing(
    bundled: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(logs, "track", interrupt)
        with pytest.raises(KeyboardInterrupt):
            bundle.install(bundled, here, [])
    assert is_empty(here)
    killed = here / "finetuned" / ".installing"
    killed.mkdir()
    (killed / "amber.Q4_K_M.gguf").write_bytes(b"half")
    bundle.install(bundled, here, [])
    assert not killed.exists()


def _manifest(change: Callable[[dict[str, Any]], object]) -> Callable[[Members], Members]:
    def changed(members: Members) -> Members:
        facts = json.loads(members["manifest.json"])
        change(facts)
        return {**members, "manifest.json": json.dumps(facts).encode()}

    return changed


def _set(key: str, value: Any) -> Callable[[Members], Members]:
    return _manifest(lambda facts: facts.update({key: value}))


def _set_file(key: str, value: Any) -> Callable[[Members], Members]:
    return _manifest(lambda facts: facts["files"]["Q4_K_M"].update({key: value}))


def _data(content: bytes) -> Callable[[Members], Members]:
    """Another data.json, which the manifest describes rightly."""

    def changed(members: Members) -> Members:
        members["data.json"] = content
        known = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        return _manifest(lambda facts: facts["bundle"].update({"data.json": known}))(members)

    return changed


WRONG: dict[str, tuple[Callable[[Members], Members], str]] = {
    "more": (lambda m: {**m, "x.txt": b""}, "other files"),
    "a path": (lambda m: {**m, "../x.txt": b""}, "other files"),
    "an absolute path": (lambda m: {**m, "/tmp/x.txt": b""}, "other files"),
    "a folder": (lambda m: {**m, "x/": b""}, "other files"),
    "less": (lambda m: {k: v for k, v in m.items() if k != "LICENCE.txt"}, "other files"),
    "no manifest": (lambda m: {k: v for k, v in m.items() if k[0] != "m"}, "no manifest"),
    "nothing": (lambda m: {}, "no manifest"),
    "garbage": (lambda m: {**m, "manifest.json": b"\xff{"}, "no JSON"),
    "deep": (lambda m: {**m, "manifest.json": b"[" * 100_000}, "no JSON"),
    "a list": (lambda m: {**m, "manifest.json": b"[]"}, "no object"),
    "name": (_set("name", "../../amber"), "a name in the manifest"),
    "hidden name": (_set("name", ".installing"), "a name in the manifest"),
    "no name": (_set("name", None), "name is no plain text"),
    "control characters": (_set("licence", "mit\x1b[2J"), "licence is no plain text"),
    "date": (_set("trained_at", float("nan")), "trained_at"),
    "endless date": (_set("trained_at", 1e300), "trained_at"),
    "stages": (_set("stages", 3), "stages"),
    "stage": (_set("stages", [3]), "stage is no plain text"),
    "files": (_set("files", [1]), "does not tell of files"),
    "two files": (_manifest(lambda f: f["files"].update(F16=f["files"]["Q4_K_M"])), "one model"),
    "no file": (_set("files", {}), "one model file"),
    "quantisation": (_manifest(lambda f: f.update(files={"Q": f["files"]["Q4_K_M"]})), "one model"),
    "no members": (_set("bundle", None), "does not tell of files"),
    "other members": (_set("bundle", {}), "its members"),
    "no size": (_set_file("size", "1"), "size is no number"),
    "size": (_set_file("size", 3_000_005), "not of the size"),
    "sha256": (_set_file("sha256", "0" * 64), "sha256 of amber.Q4_K_M.gguf"),
    "no sha256": (_set_file("sha256", "0" * 63), "a file has no sha256"),
    "metrics": (_set_file("metrics", {"bits_per_char": "x"}), "bits_per_char"),
    "no metrics": (_set_file("metrics", []), "metrics"),
    "model": (lambda m: {**m, "amber.Q4_K_M.gguf": b"x" * 3_000_004}, "sha256 of amber"),
    "licence": (lambda m: {**m, "LICENCE.txt": m["LICENCE.txt"].upper()}, "sha256 of LICENCE"),
    "data": (lambda m: {**m, "data.json": m["data.json"].upper()}, "sha256 of data.json"),
    "data garbage": (_data(b"[]"), "data.json is garbage"),
    "data hashes": (_data(b'{"message_hashes": [[]]}'), "data.json is garbage"),
    "data no JSON": (_data(b"{"), "no whole bundle"),
    "data deep": (_data(b"[" * 100_000), "no whole bundle"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_a_sentence_and_leaves_nothing(
    bundled: Path, here: Path, what: str
) -> None:
    change, sentence = WRONG[what]
    zipped(bundled, change(unzipped(bundled)))
    with pytest.raises(UserError, match=sentence):
        bundle.install(bundled, here, [])
    assert is_empty(here)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path, here: Path) -> None:
    text = tmp_path / "some.txt"
    text.write_bytes(b"not a model")
    path = bundle.write(finetuned.exported(tmp_path / "there", text), tmp_path)
    with pytest.raises(UserError, match="is no GGUF model file"):
        bundle.install(path, here, [])
    assert is_empty(here)


def test_compressed_doubled_and_linked_members_are_refused(bundled: Path, here: Path) -> None:
    members = unzipped(bundled)
    with pytest.raises(UserError, match="compressed"):
        bundle.install(zipped(bundled, members, zipfile.ZIP_DEFLATED), here, [])
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(bundled, "w") as archive:
        for name in [*members, "data.json"]:
            archive.writestr(name, members[name])
    with pytest.raises(UserError, match="twice"):
        bundle.install(bundled, here, [])
    with zipfile.ZipFile(bundled, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, content)
    with pytest.raises(UserError, match="is a link"):
        bundle.install(bundled, here, [])
    assert is_empty(here)


def test_what_is_no_zip_is_a_sentence(tmp_path: Path, bundled: Path, here: Path) -> None:
    whole = bundled.read_bytes()
    for content in (b"", b"GGUF", whole[:-1], whole[: len(whole) // 2], whole[1:]):
        bundled.write_bytes(content)
        with pytest.raises(UserError, match="no whole bundle"):
            bundle.install(bundled, here, [])
    for path in (tmp_path, tmp_path / "nowhere.zip"):
        with pytest.raises(UserError, match="Cannot install"):
            bundle.install(path, here, [])
    assert is_empty(here)


def test_no_damage_gets_through(tmp_path: Path, here: Path) -> None:
    small = tmp_path / "small.gguf"
    small.write_bytes(b"GGUF" + bytes(2000))
    path = bundle.write(finetuned.exported(tmp_path / "there", small), tmp_path)
    whole, dice = path.read_bytes(), random.Random(1)
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(dice.choice((1, 1, 3))):
            content[dice.randrange(len(content))] = dice.randrange(256)
        path.write_bytes(content)
        try:
            model = bundle.install(path, here, [])
        except UserError:
            assert is_empty(here)
        else:  # nothing that counts was hit
            assert catalog.sha256(model.path) == catalog.sha256(small)
            shutil.rmtree(here)
