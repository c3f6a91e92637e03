"""The top of the window: how the bot is, and the buttons that start and stop it."""

from collections.abc import Callable
from typing import Any

from gui import theme
from gui.components import controls
from gui.presenter import Presenter
from gui.snapshot import Snapshot


class StatusBar:
    """A dot, the state's word, a reason where there is one, four facts and five buttons."""

    def __init__(
        self,
        parent: Any,
        presenter: Presenter,
        view_logs: Callable[[], None],
        chat: Callable[[], None],
        mend: Callable[[str], None],
    ) -> None:
        self.frame = controls.card(parent)
        self._build(presenter, view_logs, chat)
        self._step = ""
        self.mend = controls.button(self.frame, "Mend this", lambda: mend(self._step), "main")
        self._place()

    def _build(
        self, presenter: Presenter, view_logs: Callable[[], None], chat: Callable[[], None]
    ) -> None:
        self.dot = controls.label(self.frame, "●", 22)
        self.word = controls.label(self.frame, size=22, weight="bold")
        self.reason = controls.label(self.frame, color=theme.MUTED)
        self.reason.configure(justify="left")
        self.buttons = controls.group(self.frame)
        self.start = controls.button(self.buttons, "Start", presenter.start, "main")
        self.stop = controls.button(self.buttons, "Stop", presenter.stop)
        self.restart = controls.button(self.buttons, "Restart", presenter.restart)
        self.force = controls.button(self.buttons, "Force stop", presenter.force_stop, "danger")
        self.logs = controls.button(self.buttons, "View logs", view_logs)
        self.bottom = controls.group(self.frame)
        self.facts = controls.group(self.bottom)
        self._fact_labels: dict[str, Any] = {}
        self.chat = controls.button(self.bottom, "", chat, "main")

    def _place(self) -> None:
        self.frame.grid_columnconfigure(1, weight=1)
        self.dot.grid(row=0, column=0, padx=(theme.PAD, 6), pady=(theme.PAD, 4))
        self.word.grid(row=0, column=1, sticky="w", pady=(theme.PAD, 4))
        self.buttons.grid(row=0, column=2, padx=(0, theme.PAD), pady=(theme.PAD, 4), sticky="e")
        for column, button in enumerate(
            (self.start, self.stop, self.restart, self.force, self.logs)
        ):
            button.grid(row=0, column=column, padx=(8 if column else 0, 0))
        self.bottom.grid(row=2, column=0, columnspan=3, sticky="ew", padx=theme.PAD, pady=(4, 12))
        self.bottom.grid_columnconfigure(0, weight=1)
        self.facts.grid(row=0, column=0, sticky="w")
        self.frame.bind("<Configure>", self._wrap)

    def show(self, snapshot: Snapshot) -> None:
        """Fill in what the snapshot says."""
        tone = theme.TONES[snapshot.tone]
        controls.set_text(self.dot, "●", tone)
        controls.set_text(self.word, snapshot.word)
        self._show_reason(snapshot.reason, tone if snapshot.tone == "bad" else theme.MUTED)
        self._show_mend(snapshot.mend)
        for name, value in snapshot.facts:
            self._show_fact(name, value)
        controls.set_text(self.start, snapshot.start_text)
        controls.enable(self.start, snapshot.can_start)
        controls.enable(self.stop, snapshot.can_stop)
        controls.enable(self.restart, snapshot.can_restart)
        controls.enable(self.force, snapshot.can_force_stop)
        self._show_chat(snapshot.chat_url)

    def _show_reason(self, reason: str, color: theme.Pair) -> None:
        controls.set_text(self.reason, reason, color)
        if reason:
            self.reason.grid(row=1, column=0, columnspan=2, sticky="w", padx=theme.PAD, pady=2)
        else:
            self.reason.grid_remove()

    def _show_mend(self, step: str) -> None:
        if step == self._step:
            return
        self._step = step
        if step:
            self.mend.grid(row=1, column=2, sticky="e", padx=theme.PAD)
        else:
            self.mend.grid_remove()

    def _show_fact(self, name: str, value: str) -> None:
        if name not in self._fact_labels:
            column = 2 * len(self._fact_labels)
            caption = controls.label(self.facts, name, 12, theme.MUTED)
            caption.grid(row=0, column=column, padx=(20 if column else 0, 6))
            self._fact_labels[name] = controls.label(self.facts)
            self._fact_labels[name].grid(row=0, column=column + 1)
        controls.set_text(self._fact_labels[name], _short(value))

    def _show_chat(self, url: str | None) -> None:
        if url:
            controls.set_text(self.chat, f"Talk to it: {url}")
            self.chat.grid(row=0, column=1, sticky="e")
        else:
            self.chat.grid_remove()

    def _wrap(self, event: Any) -> None:
        scale = self.reason._get_widget_scaling()
        room = int(event.width / scale) - 2 * theme.PAD - (120 if self._step else 0)
        self.reason.configure(wraplength=max(200, room))


def _short(value: str, length: int = 32) -> str:
    return value if len(value) <= length else value[: length - 1] + "…"
