"""A model as one file, to be carried to the machine that runs the bot.

A bundle is a zip, stored and not compressed, of NAME.QUANT.gguf, manifest.json, data.json and
LICENCE.txt. The manifest tells the size and sha256 of all others. A bundle may come from anywhere:
nothing of it is believed before it is checked.
"""

import errno
import hashlib
import json
import math
import os
import shutil
import stat
import struct
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO

from bot import logs
from bot.config import UserError
from model import catalog, export, registry, runs
from model.export import Exported
from model.provenance import DATA
from model.registry import MANIFEST, File, Manifest

LICENCE = "LICENCE.txt"
MEMBERS = "bundle"  # in a bundle's manifest: the members that the manifest does not tell of anyway

_BLOCK = 1 << 20
_MB = 1_000_000
_SPARE = 50 * _MB  # of disk space, for what else happens meanwhile
_LARGEST = {MANIFEST: 1 * _MB, LICENCE: 1 * _MB, DATA: 500 * _MB}  # these are read whole
_MADE = (1980, 1, 1, 0, 0, 0)  # a zip's earliest time: the same model makes the same bundle
_GARBAGE = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, struct.error, EOFError),
    *(ValueError, RuntimeError, OverflowError),  # NotImplementedError among them: compressed
)


def write(exported: Exported, target: Path) -> Path:
    """Write a model's bundle to `target`, or under its own name into that folder; its path.

    Raises `UserError` when the model is damaged or nobody knows whom it learned from, and when the
    disk is full. `target` is then as it was.
    """
    if exported.quant == catalog.ADAPTER:
        raise UserError("An adapter is of no use without its base. Bundle a --quant instead.")
    data = exported.path.parent / DATA
    if not data.exists():
        raise UserError(
            f"{exported.name} has no {DATA}: nobody could tell whom it learned from. Train anew "
            "with scripts/3_train_model.py to have one that may be carried elsewhere."
        )
    if target.is_dir():
        target = target / f"{exported.name}-{exported.quant}.zip"
    texts = {DATA: data.read_bytes(), LICENCE: _licence(exported).encode()}
    _check_space(exported.path.stat().st_size + len(texts[DATA]), target.parent)
    partial = target.with_name(f"{target.name}.partial")
    try:
        with (
            open(partial, "wb", opener=_private) as file,
            zipfile.ZipFile(file, "w") as archive,
        ):
            archive.writestr(zipfile.ZipInfo(MANIFEST, _MADE), _manifest(exported, texts))
            for name, content in texts.items():
                archive.writestr(zipfile.ZipInfo(name, _MADE), content)
            _add(archive, exported)
        os.replace(partial, target)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"Cannot write {target}: {reason}. Name another place.") from None
    finally:
        partial.unlink(missing_ok=True)
    return target


def install(path: Path, models_dir: Path, barred: Collection[int]) -> Exported:
    """Put a bundle's model in its place in models/finetuned.

    A model that is there already stays as it is. `barred` are the ids of people and messages that
    may not be learned from. Raises `UserError`, and leaves nothing, for a bundle that is damaged,
    is none, learned from them, or has the name of another model.
    """
    partial = models_dir / "finetuned" / ".installing"  # one at a time: the caller holds the lock
    try:
        with zipfile.ZipFile(path) as archive:
            known, quant, members = _check(archive)
            shutil.rmtree(partial, ignore_errors=True)  # what a kill has left
            partial.mkdir(parents=True, mode=0o700)
            _unpack(archive, DATA, members[DATA], partial)
            _check_people(partial, known.name, barred)
            if not _is_installed(models_dir, known, quant, barred):
                _unpack_rest(archive, members, partial)
                _put_in_place(partial, known, quant, export.folder(models_dir, known.name))
    except (*_GARBAGE, OSError) as error:
        raise _refusal(path, error) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return export.find(models_dir, known.name, quant)


def _refusal(path: Path, error: Exception) -> UserError:
    if isinstance(error, OSError) and error.errno != errno.EINVAL:  # a seek to before the start
        return UserError(
            f"Cannot install {path}: {error.strerror or error}. Check the file and the disk, and "
            "run the same command again."
        )
    reason = str(error).rstrip(".") or type(error).__name__
    return UserError(
        f"{path} is no whole bundle of a model: {reason}. Make it again with "
        "scripts/5_deploy_bot.py --bundle, and copy it again."
    )


def _licence(exported: Exported) -> str:
    facts = exported.facts
    return (
        f"{exported.name} is {facts['base']}, fine-tuned; the licence of {facts['base']}: "
        f"{facts['licence']}.\n"
        "It learned from the messages of a Discord server. Give it only to those who may read them."
        "\n"
    )


def _manifest(exported: Exported, texts: Mapping[str, bytes]) -> str:
    """The model's manifest without its other files, and with the bundle's other members."""
    members = {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in texts.items()
    }
    this = {exported.quant: exported.facts["files"][exported.quant]}
    return json.dumps({**exported.facts, "files": this, MEMBERS: members}, indent=1)


def _add(archive: zipfile.ZipFile, exported: Exported) -> None:
    """Write the model's file into the archive, unless it is not the one in the manifest."""
    digest = hashlib.sha256()
    member = zipfile.ZipInfo(exported.path.name, _MADE)
    with exported.path.open("rb") as source, archive.open(member, "w", force_zip64=True) as target:
        for block in _tracked(source, exported.path.stat().st_size, "bundle"):
            digest.update(block)
            target.write(block)
    if digest.hexdigest() != exported.facts["files"][exported.quant]["sha256"]:
        raise registry.damaged(exported)


def _check(archive: zipfile.ZipFile) -> tuple[Manifest, str, dict[str, File]]:
    """A bundle's manifest, its quantisation, and what each other member must be.

    Raises `ValueError` unless the archive holds these and nothing else, each of the size it should
    have; their contents are not read yet.
    """
    infos = {info.filename: info for info in archive.infolist()}
    if len(infos) != len(archive.infolist()):
        raise ValueError("it holds a file twice")
    if MANIFEST not in infos:
        raise ValueError(f"it holds no {MANIFEST}")
    _check_member(infos[MANIFEST], infos[MANIFEST].file_size)
    known = registry.parse(archive.read(MANIFEST))
    if len(known.files) != 1 or not set(known.files) <= set(export.QUANTS):
        raise ValueError("its manifest does not tell of one model file")
    ((quant, file),) = known.files.items()
    others = registry.files(known.facts.get(MEMBERS))
    if set(others) != {DATA, LICENCE}:
        raise ValueError("its manifest does not tell of its members")
    members = {DATA: others[DATA], LICENCE: others[LICENCE], f"{known.name}.{quant}.gguf": file}
    if set(infos) != {MANIFEST, *members}:
        raise ValueError("it holds other files than its manifest says")
    for name, file in members.items():
        _check_member(infos[name], file.size)
    return known, quant, members


def _check_member(info: zipfile.ZipInfo, size: int) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG) or info.is_dir():
        raise ValueError(f"{info.filename} is a link or a folder")
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        raise ValueError(f"{info.filename} is compressed or encrypted")
    if not info.file_size == info.compress_size == size:
        raise ValueError(f"{info.filename} is not of the size that the manifest says")
    if size > _LARGEST.get(info.filename, size):
        raise ValueError(f"{info.filename} is too large")


def _check_people(folder: Path, name: str, barred: Collection[int]) -> None:
    """Raise `UserError` if the data.json in `folder` tells of people who are barred."""
    facts = json.loads((folder / DATA).read_bytes())
    if not isinstance(facts, dict):
        raise ValueError(f"its {DATA} is garbage")
    for key in ("message_hashes", "people_hashes", "erased"):
        hashes = facts.get(key, [])
        if not isinstance(hashes, list) or not all(isinstance(one, str) for one in hashes):
            raise ValueError(f"its {DATA} is garbage")
    registry.check_people(name, folder, barred)


def _is_installed(models_dir: Path, known: Manifest, quant: str, barred: Collection[int]) -> bool:
    """Whether this very model is here. Raises `UserError` where another one has its name."""
    folder = export.folder(models_dir, known.name)
    here = registry.manifest(models_dir, known.name)
    if here and quant in here.files and here.files[quant].sha256 == known.files[quant].sha256:
        if not (folder / f"{known.name}.{quant}.gguf").exists():
            raise UserError(f"{folder} has lost its file. Delete that folder and install again.")
        registry.check_people(known.name, folder, barred)
        return True
    if folder.exists() and any(folder.iterdir()):
        raise UserError(
            f"Another model named {known.name} is here. If you do not need it, delete {folder} and "
            "run the same command again; else give the new one another name when you train it."
        )
    return False


def _unpack_rest(archive: zipfile.ZipFile, members: Mapping[str, File], folder: Path) -> None:
    _check_space(sum(file.size for file in members.values()), folder)
    for name, file in members.items():
        if name != DATA:
            _unpack(archive, name, file, folder)


def _unpack(archive: zipfile.ZipFile, name: str, known: File, folder: Path) -> None:
    """Write a member into the folder. Raises `ValueError` unless it is the one that is known."""
    digest = hashlib.sha256()
    with (
        archive.open(name) as source,
        open(folder / name, "xb", opener=_private) as target,
    ):
        is_small = name in _LARGEST
        for block in _blocks(source) if is_small else _tracked(source, known.size, "install"):
            digest.update(block)
            target.write(block)
    if digest.hexdigest() != known.sha256:
        raise ValueError(f"the sha256 of {name} is not the manifest's")


def _put_in_place(partial: Path, known: Manifest, quant: str, folder: Path) -> None:
    name = f"{known.name}.{quant}.gguf"
    with (partial / name).open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ValueError(f"{name} is no GGUF model file")
    facts = {key: value for key, value in known.facts.items() if key != MEMBERS}
    runs.write_json(partial / MANIFEST, facts)
    if folder.exists():  # and is empty
        folder.rmdir()
    os.replace(partial, folder)


def _tracked(file: IO[bytes], size: int, step: str) -> Iterator[bytes]:
    return logs.track(step, _blocks(file), math.ceil(size / _BLOCK))


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block


def _check_space(needed: int, folder: Path) -> None:
    """Raise `UserError` unless so many bytes fit into a folder."""
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}. Make it, or name another place.")
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE:
        raise UserError(
            f"{(needed + _SPARE) / 1e9:.1f} GB of disk space are needed and {folder} has "
            f"{free / 1e9:.1f} GB. Make room and run the same command again."
        )


def _private(path: str, flags: int) -> int:
    """Opens a file for its owner only: a model can repeat what it read."""
    return os.open(path, flags, 0o600)
