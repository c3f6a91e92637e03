"""The first run, or one step of it, over the whole window."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gui.components.first_run_window import FirstRunWindow
    from gui.first_run.first_run import FirstRun
    from gui.first_run.state import Outcome


class Guidance:
    """Call `tick` with every beat. `env_path` is the settings file, None: `.env`."""

    def __init__(self, root: Any, env_path: Path | None) -> None:
        self._root, self._env_path = root, env_path
        self._run: FirstRun | None = None
        self.page: FirstRunWindow | None = None

    def show(self, finished: "Callable[[Outcome], None]", mend: str = "") -> None:
        """Lead through it, or through the step that mends something, unless that is going on."""
        from gui.components.first_run_window import FirstRunWindow  # the network, pictures: slow
        from gui.first_run.first_run import FirstRun

        def finish(outcome: "Outcome") -> None:
            self.close()
            finished(outcome)

        if self.page is None:
            self._run = FirstRun(self._env_path, mend=mend)
            self.page = FirstRunWindow(self._root, self._run, finish)
            self.page.frame.grid(row=0, column=0, rowspan=3, sticky="nsew")

    def tick(self) -> None:
        """Move on."""
        if self.page:
            self.page.tick()

    def close(self) -> None:
        """Take it away, in the middle or at its end."""
        if self._run and self.page:
            self._run.close()
            self.page.frame.destroy()
        self._run = self.page = None
