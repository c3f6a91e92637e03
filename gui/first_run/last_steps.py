"""The last steps: which model, fetching it, and writing down all that was chosen."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from bot.config import UserError
from gui.first_run import finish
from gui.first_run.state import Choice, Folders, Known, View
from gui.first_run.step import Job, Step
from model import base_models, downloads, estimate
from model.base_models import BaseModel, Machine
from model.estimate import Estimate

KEEP = "keep"


class PickModel(Step):
    name, stage = "model", "Model"

    def __init__(
        self, here: Folders, machine: Callable[[Path], Machine] = base_models.this_machine
    ) -> None:
        super().__init__(here)
        self._look = machine
        self._machine: Machine | None = None  # looked at once: a page holds still
        self._speed: Estimate | None = None

    def prepare(self) -> None:
        self._speed = estimate.look(self.here.models_dir)

    def view(self, known: Known) -> View:
        machine = self._machine = self._machine or self._look(self.here.models_dir)
        speed = self._speed = self._speed or estimate.look(self.here.models_dir)
        best = base_models.recommended(machine)
        folder = self.here.models_dir
        rows = tuple(_row(model, best, machine, speed, folder) for model in _ordered(best))
        kept = _kept(known)
        proposed = KEEP if kept else "" if known.is_seeded else best.key
        return View(
            self.name,
            self.stage,
            "Which model?",
            "The model is what talks; training teaches it your server's voice later. "
            f"This computer has {_gb(machine.memory)} of memory ({_gb(machine.free_memory)} free) "
            f"and {_gb(machine.free_disk)} of free disk.",
            notes=(
                _licence_note(best),
                f"Reply: a short one in a conversation that the bot follows. {speed.basis}",
            ),
            columns=("Model", "Download", "Memory", "Here", "Reply", "Licence", "Remark"),
            choices=(*kept, *rows),
            chosen=(known.model or proposed,),
            next_text="Fetch and start",
        )

    def take(self, known: Known, field: str, chosen: Sequence[str]) -> Known:
        if KEEP in chosen and _kept(known):
            return dataclasses.replace(known, model=KEEP)
        model = base_models.by_key(chosen[0]) if chosen else None
        if model is None:
            raise UserError("Choose a model. The one marked “recommended” is a good start.")
        machine = self._machine = self._look(self.here.models_dir)
        if base_models.verdict(model, machine) == base_models.TOO_BIG:
            raise UserError(
                f"{model.title} takes {_gb(model.memory_bytes())} of memory and this computer has "
                f"{_gb(machine.memory)}. Choose a smaller one."
            )
        is_here = downloads.path_of(model, self.here.models_dir).exists()
        if not is_here and not base_models.has_room(model, machine):
            raise UserError(
                f"{model.title} takes {_gb(model.size_bytes)} and the disk has "
                f"{_gb(machine.free_disk)} left. Make room, or choose a smaller one."
            )
        return dataclasses.replace(known, model=model.key)


class Fetch(Step):
    name, stage = "download", "Model"

    def settle(self, known: Known) -> Known | None:
        return known

    def view(self, known: Known) -> View:
        model = base_models.by_key(known.model)
        title = model.title if model else "the model"
        return View(
            self.name,
            self.stage,
            f"Fetching {title}",
            "It is kept on this computer and can be paused at any time; the bot starts by itself "
            "when it is here.",
            next_text="Go on",
        )

    def work(self, known: Known, job: Job) -> Known:
        model = base_models.by_key(known.model)
        if known.model == KEEP or model is None:
            return known
        path = downloads.fetch(model, self.here.models_dir, job.report, lambda: job.is_cancelled)
        # empty lets a model that is deployed later take over from the small one
        chosen = str(path.resolve()) if model.repo else ""
        return dataclasses.replace(known, base_model=chosen)


class Start(Step):
    name, stage = "start", "Start"

    def settle(self, known: Known) -> Known | None:
        return known

    def view(self, known: Known) -> View:
        return View(
            self.name,
            self.stage,
            "Ready",
            "Everything is set. Your choices are being written down, and the bot starts.",
            next_text="Start",
        )

    def work(self, known: Known, job: Job) -> Known:
        finish.write(self.here, known)
        return known


def _ordered(best: BaseModel) -> list[BaseModel]:
    return [best, *(model for model in base_models.BASE_MODELS if model is not best)]


def _row(
    model: BaseModel, best: BaseModel, machine: Machine, speed: Estimate, models_dir: Path
) -> Choice:
    is_here = downloads.path_of(model, models_dir).exists()
    title = f"{model.title} (recommended)" if model is best else model.title
    here = base_models.verdict(model, machine)
    reply = estimate.shown(speed.reply_seconds(model.file, model.size_bytes))
    reply = "" if here == base_models.TOO_BIG else reply
    if not is_here and not base_models.has_room(model, machine):
        here = "disk full"
    size = "is here" if is_here else _gb(model.size_bytes)
    cells = (title, size, _gb(model.memory_bytes()), here, reply, model.licence, model.remark)
    return Choice(model.key, cells)


def _kept(known: Known) -> tuple[Choice, ...]:
    """The model that is in use already, where there is one."""
    if not known.is_seeded or (known.base_model and not Path(known.base_model).exists()):
        return ()
    title = Path(known.base_model).stem if known.base_model else "the one in use"
    return (Choice(KEEP, (title, "is here", "", "", "", "", "What the bot runs now.")),)


def _licence_note(best: BaseModel) -> str:
    if best.is_free_for_business:
        return f"{best.title}: {best.licence}, {best.licence_page}"
    return f"{best.title} is not free for business use: {best.licence_page}"


def _gb(number: float) -> str:
    return f"{number / 1e9:.1f} GB"
