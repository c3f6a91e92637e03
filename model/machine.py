"""Where a training would run, and how much memory there is; also before torch is installed."""

import dataclasses
import importlib

import psutil


@dataclasses.dataclass(frozen=True)
class Machine:
    """`backend` and `precision` as in `model/loading.py`; `why` and `name` are for people."""

    backend: str
    precision: str
    why: str
    name: str
    memory_bytes: int


def find(weights: str, precision: str) -> Machine:
    """As `model/loading.py` chooses; the processor while the packages for training are missing.

    Raises `UserError` where the precision cannot be had.
    """
    memory = psutil.virtual_memory().total
    try:
        loading, torch = (importlib.import_module(name) for name in ("model.loading", "torch"))
    except ImportError:
        why = "on the CPU, as long as the packages for training are not installed"
        return Machine("cpu", "full", why, "this machine", memory)
    place = loading.choose(weights, precision)
    if place.device != "cuda":
        return Machine(place.backend, place.precision, place.why, "this machine", memory)
    memory = torch.cuda.mem_get_info()[1]
    return Machine(place.backend, place.precision, place.why, "the graphics card", memory)
