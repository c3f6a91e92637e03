"""The quick actions and chores: what runs as a process of its own, one at a time."""

import dataclasses
from collections.abc import Sequence

from bot.config import NEEDS_A_PERSON
from bot.logs import LogLine, Progress
from child_process import Step
from gui.session import Session


@dataclasses.dataclass(frozen=True)
class Action:
    """What to run, the button's text and what is said while it runs.

    `program` is a file of the scripts, or a module.
    """

    program: str
    text: str
    doing: str
    arguments: tuple[str, ...] = ()


FETCH = Action("1_fetch_all_history.py", "Fetch new messages", "Fetching messages")
DEPLOY = Action("5_deploy_bot.py", "Deploy", "Deploying")
TRAINING = (
    Action("2_prepare_training_data.py", "Prepare data", "Preparing data"),
    Action("3_train_model.py", "Retrain model", "Training"),
    Action("4_evaluate_personality.py", "Evaluate", "Evaluating"),
    DEPLOY,
)
ACTIONS = (FETCH, *TRAINING)
_NEXT = "Next: "  # a script's hint for who types commands


@dataclasses.dataclass(frozen=True)
class StepView:
    """The step that runs or ran last; `fraction` None: nobody knows how far it is."""

    title: str = "Nothing is running"
    is_running: bool = False
    is_done: bool = False
    is_failed: bool = False
    fraction: float | None = 0.0
    seconds_left: float | None = None
    note: str = ""
    last_line: str = ""


class Pipeline:
    """Runs the scripts. `session` is what the step that runs or ran last is about."""

    def __init__(self) -> None:
        self.view = StepView()
        self.session: Session | None = None
        self._action: Action | None = None
        self._step: Step | None = None

    @property
    def is_running(self) -> bool:
        return self._step is not None

    def start(self, action: Action, session: Session, arguments: Sequence[str] = ()) -> None:
        """Run a script for one of the servers, unless one is running."""
        if self._step:
            return
        is_file = action.program.endswith(".py")
        program = [str(session.scripts / action.program)] if is_file else ["-m", action.program]
        environment = ["--env", str(session.env_path)] if session.env_path else []
        given = [*environment, *action.arguments, *arguments]
        self.session = session
        try:
            self._step = Step([session.python, *program, *given])
        except OSError as error:
            self.view = StepView(
                f"{action.text}: cannot start", is_failed=True, last_line=str(error)
            )
            return
        self._action = action
        self.view = StepView(action.doing, True, fraction=None)

    def cancel(self) -> None:
        """Have the running script stop; it keeps what it has done so far."""
        if self._step:
            self._step.cancel()
            self.view = dataclasses.replace(self.view, title="Cancelling", seconds_left=None)

    def kill(self) -> None:
        """End the running script at once."""
        if self._step:
            self._step.child.kill_tree()

    def tick(self, now: float) -> list[LogLine]:
        """Move on, and give back the lines that came."""
        if not self._step or not self._action:
            return []
        code = self._step.tick(now)
        lines = []
        for event in self._step.output.take():
            if isinstance(event, Progress):
                self._show(event)
            else:
                lines.append(event)
        if telling := [line.text for line in lines if not line.text.startswith(_NEXT)]:
            self.view = dataclasses.replace(self.view, last_line=telling[-1])
        if code is not None and not lines:  # the last of its lines was taken
            self._conclude(self._step, self._action, code)
        return lines

    def _show(self, progress: Progress) -> None:
        self.view = dataclasses.replace(
            self.view,
            fraction=min(1.0, progress.done / progress.total) if progress.total else None,
            seconds_left=progress.seconds_left,
            note=progress.note or _count(progress),
        )

    def _conclude(self, step: Step, action: Action, code: int) -> None:
        self._step = None
        said = step.child.last_error or self.view.last_line
        if step.is_cancelled:
            self.view = StepView(f"{action.text}: cancelled", last_line=said)
        elif code == 0:
            self.view = StepView(f"{action.text}: done", is_done=True, fraction=1.0, last_line=said)
        else:
            word = "needs you" if code == NEEDS_A_PERSON else f"failed (exit code {code})"
            self.view = StepView(f"{action.text}: {word}", is_failed=True, last_line=said)


def _count(progress: Progress) -> str:
    if progress.total:
        return f"{progress.done:,} of {progress.total:,}"
    return f"{progress.done:,}" if progress.done else ""
