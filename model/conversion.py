"""Original weights to GGUF, by llama.cpp's own converter of the version that runs the bot.

The converter is not in llama-cpp-python's wheel but beside the source that the wheel is made of. It
is fetched from there once, into models/tools/, and runs in a process of its own.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from bot import logs, tether
from bot.config import UserError
from model import catalog

VERSION = "0.3.36"  # as in requirements.txt
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"  # of its source
CONVERTER = "convert_hf_to_gguf.py"

_WANTED = re.compile(
    r"[^/]+/vendor/llama\.cpp/(convert_hf_to_gguf\.py|conversion/.+|gguf-py/gguf/.+)"
)


def base_gguf(weights: str, models_dir: Path) -> Path:
    """The float16 GGUF of a base, made the first time.

    `weights` is a Hugging Face folder, or the name of a repository there. Raises `UserError` for
    weights that llama.cpp does not know, or that would have to be unpickled.
    """
    folder, (owner, _, name) = Path(weights), weights.rpartition("/")
    if folder.is_dir():  # folders of the same name may differ, and their files change
        owner, name = _mark(folder), folder.resolve().name
    target = models_dir / "base" / owner / f"{name}.F16.gguf"
    if not target.exists():
        convert(_folder(weights), target, models_dir)
    return target


def _mark(folder: Path) -> str:
    """Eight letters that change with the folder's files."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    facts = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:8]


def convert(weights: Path, target: Path, models_dir: Path) -> None:
    """Write a Hugging Face folder's model, with its tokeniser and template, as a float16 GGUF."""
    _check(weights)
    size = sum(path.stat().st_size for path in weights.glob("*.safetensors"))
    target.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(target.parent).free < size:
        raise UserError(f"Converting {weights} needs {size / 1e9:.1f} GB of disk space. Make room.")
    converter = _tools(models_dir) / CONVERTER
    partial = target.with_name(f"{target.name}.partial")
    logs.report(logs.Progress("convert", 0, 0, None, weights.name))
    try:
        command = [sys.executable, str(converter), str(weights.resolve()), "--outtype", "f16"]
        done = subprocess.run(
            tether.command([*command, "--outfile", str(partial.resolve())]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
        if done.returncode or not partial.exists():
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            reason = last.removeprefix("ERROR:hf-to-gguf:").rstrip(".")
            raise UserError(
                f"llama.cpp cannot convert {weights}: {reason}. Choose a model of a family that it "
                "knows, or one whose GGUF exists, and name both: --base-gguf and --base-weights."
            )
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _folder(weights: str) -> Path:
    """The weights' folder, downloaded from Hugging Face if it is not here."""
    if Path(weights).exists():
        return Path(weights)
    import huggingface_hub  # network: only here

    try:
        return Path(
            huggingface_hub.snapshot_download(
                weights, allow_patterns=["*.json", "*.safetensors", "tokenizer.model", "*.jinja"]
            )
        )
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"There is no folder {weights}, and no such model could be fetched: {reason}. "
            "Check --base-weights and the network."
        ) from None


def _check(weights: Path) -> None:
    if not (weights / "config.json").is_file():
        raise UserError(f"{weights} is no Hugging Face model: it has no config.json.")
    if not any(weights.glob("*.safetensors")):
        raise UserError(
            f"{weights} has no *.safetensors. Older formats can run code when they are read, so "
            "they are not: take a model that is published as safetensors."
        )


def _tools(models_dir: Path) -> Path:
    """The converter's folder, fetched and checked the first time."""
    folder = models_dir / "tools" / f"llama.cpp-{VERSION}"
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    logs.report(logs.Progress("convert", 0, 0, None, "fetching llama.cpp's converter (77 MB)"))
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        made = Path(name) / "made"
        archive = catalog.download(
            f"llama-cpp-python=={VERSION}",
            Path(name),
            "llama.cpp's converter",
            "--no-binary=llama-cpp-python",
        )
        if catalog.sha256(archive) != SHA256:
            raise UserError(
                f"The source of llama-cpp-python {VERSION} is not the one that this release "
                "knows. Do not use it; report this to the project."
            )
        with tarfile.open(archive) as source:
            for member in source:
                if member.isfile() and (known := _WANTED.fullmatch(member.name)):
                    _unpack(source, member, made / known[1])
        os.replace(made, folder)  # last: a folder that is there is whole
    return folder


def _unpack(source: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    content = source.extractfile(member)
    assert content
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content.read())
