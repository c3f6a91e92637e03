"""A first run, and a hand that answers its questions."""

import time
from collections.abc import Callable
from pathlib import Path

from gui.first_run.first_run import FirstRun, all_steps
from gui.first_run.last_steps import PickModel
from gui.first_run.state import Folders, View
from model.base_models import Machine

BIG = Machine(16 * 10**9, 12 * 10**9, 100 * 10**9)


def first_run(folder: Path, api: str, machine: Machine, mend: str = "") -> FirstRun:
    """A first run whose files are all in one folder, on a machine of any size."""
    here = Folders(folder / ".env", folder / "data", folder / "models", api)
    steps = [
        PickModel(here, lambda _: machine) if isinstance(step, PickModel) else step
        for step in all_steps(here)
    ]
    return FirstRun(here=here, steps=steps, mend=mend)


class Guide:
    """A first run and a hand that answers."""

    def __init__(self, folder: Path, api: str, machine: Machine = BIG, mend: str = "") -> None:
        self.run = first_run(folder, api, machine, mend)
        self.inputs, self._clock = 0, 0.0
        self.wait()

    @property
    def view(self) -> View:
        return self.run.view

    def wait(self) -> View:
        """Tick until nothing runs."""
        self.until(lambda: not self.view.is_busy)
        return self.view

    def until(self, is_so: Callable[[], object]) -> View:
        give_up_at = time.monotonic() + 20
        while not is_so():
            assert time.monotonic() < give_up_at, self.view
            self._clock += 1.0  # as if a second went by: polls come soon
            self.run.tick(self._clock)
            time.sleep(0.005)
        return self.view

    def go(self, field: str | None = None, chosen: tuple[str, ...] | None = None) -> View:
        """Press Next, with what the page proposes unless told otherwise."""
        view = self.view
        proposed = view.field.value if view.field else ""
        self.inputs += 1
        self.run.answer(
            proposed if field is None else field, view.chosen if chosen is None else chosen
        )
        return self.wait()

    def at(self, step: str, token: str) -> "Guide":
        """Press Next until a step is there."""
        for _ in range(12):
            if self.view.step == step:
                return self
            self.go(token if self.view.step == "token" else None)
        raise AssertionError(self.view)
