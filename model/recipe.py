"""How to train: what can be set, the measured defaults, and the file they may come from."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

from bot.config import UserError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

AUTO = "auto"
SFT, DPO, ORPO = "sft", "dpo", "orpo"
METHODS = (AUTO, SFT, f"{SFT}+{DPO}", ORPO)
PRECISIONS = (AUTO, "nf4", "full")
LARGE_PARAMETERS = 1_000_000_000  # from here on a model trains as the specification says
FEWEST_PAIRS = 200  # below this a preference step learns its examples by heart

_CHOICES = {"method": METHODS, "precision": PRECISIONS}
_LIMITS = {
    "learning_rate": (1e-7, 1.0),
    "rank": (1, 1024),
    "alpha": (1, 4096),
    "dropout": (0.0, 0.9),
    "batch_size": (1, 4096),
    "accumulation": (1, 4096),
    "max_seq_length": (64, 131_072),
    "epochs": (0.001, 1000),
    "max_steps": (0, 10_000_000),
    "warmup": (0.0, 1.0),
    "clip": (0.0, 1000.0),
    "patience": (0, 1000),
    "dpo_beta": (1e-4, 100.0),
    "dpo_learning_rate": (1e-7, 1.0),
    "dpo_epochs": (0.001, 1000),
    "self_play": (0, 1_000_000),
    "orpo_lambda": (0.0, 100.0),
    "orpo_learning_rate": (1e-7, 1.0),
    "seed": (0, 2**32 - 1),
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to train. These defaults are for a model below a billion parameters, on a CPU.

    `method` is one of `METHODS`, `precision` how the base's weights are held while training.
    Raises `UserError` for what makes no sense.
    """

    method: str = AUTO
    precision: str = AUTO
    learning_rate: float = 1e-3
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    embeddings: bool = False  # train the input and output embeddings too
    batch_size: int = 4  # at a time: twice as many take 1 to 2 GB more and no less time
    accumulation: int = 2
    max_seq_length: int = 192
    epochs: float = 1.0
    max_steps: int = 0  # at most so many of each stage; 0: as many as `epochs` make
    warmup: float = 0.03
    clip: float = 1.0
    patience: int = 2  # end when the held-out loss rose so many times in a row; 0: never
    dpo_beta: float = 0.1
    dpo_learning_rate: float = 5e-5  # with 2e-4 replies became four times as long
    dpo_epochs: float = 2.0
    self_play: int = 0  # ordinary replies of members that are preferred to the model's own, too
    orpo_lambda: float = 0.1
    orpo_learning_rate: float = 1e-3
    canaries: bool = False  # plant made-up secrets, to measure what is learned by heart
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (low, high) in _LIMITS.items():
            if not low <= getattr(self, name) <= high:
                raise UserError(f"{flag(name)} must be from {low:g} to {high:g}.")
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise UserError(f"{flag(name)} must be one of: {', '.join(known)}.")

    def stages(self, pairs: int) -> tuple[str, ...]:
        """What `method` comes to with so many preference pairs."""
        if self.method == ORPO:
            return (ORPO,)
        if self.method == AUTO:
            return (SFT, DPO) if pairs >= FEWEST_PAIRS else (SFT,)
        return tuple(self.method.split("+"))


SMALL = Recipe()
LARGE = Recipe(  # the specification's, for 3 billion parameters on 8 GB
    learning_rate=1e-4,
    rank=64,
    alpha=128,
    dropout=0.05,
    batch_size=2,
    accumulation=16,
    max_seq_length=2048,
    epochs=5.0,
    orpo_learning_rate=8e-6,
)


def default(parameters: int) -> Recipe:
    """The recipe for a model of so many parameters."""
    return LARGE if parameters >= LARGE_PARAMETERS else SMALL


def flag(name: str) -> str:
    """The command line's name of a field."""
    return "--" + name.replace("_", "-")


def read(path: Path) -> dict[str, Any]:
    """The fields that a TOML file sets. Raises `UserError` for any other file."""
    kinds = {field.name: type(field.default) for field in dataclasses.fields(Recipe)}
    try:
        fields: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"Cannot read the recipe {path}: {error}") from None
    for name, value in fields.items():
        if name not in kinds:
            raise UserError(f"{path}: there is no {name!r}; known are {', '.join(kinds)}.")
        if kinds[name] is float and type(value) is int:
            fields[name] = float(value)
        elif type(value) is not kinds[name]:
            raise UserError(
                f"{path}: {name} must be of kind {kinds[name].__name__}, not {value!r}."
            )
    return fields
