"""The playground: talk to the bot, or to two models at once, without Discord."""

from functools import partial
from typing import Any

from gui import theme
from gui.components import controls
from gui.components.confirm import Confirm
from gui.components.dropdown import Dropdown
from gui.components.prompt_window import PromptWindow
from gui.components.transcript import Transcript
from gui.playground.exchange import Model
from gui.playground.talk import Playground, seed_of
from gui.snapshot import NONE

NOBODY = "no other model"
BLIND_NOTE = "The order is by lot. Switch Blind off to see which model is ahead."
NOT_STORED = "Nothing that is said here is stored."
NO_RECALL = "There are no older messages to use yet: the bot learns to find them while it runs."
JUDGMENTS = (("Left is better", 0), ("Alike", None), ("Right is better", 1))


class PlaygroundPage:
    """Call `show` with every beat while it is in front; `playground.tick` is somebody else's."""

    def __init__(self, parent: Any, playground: Playground) -> None:
        self.frame = controls.group(parent)
        self._playground = playground
        self._shown = -1
        self._seed_problem = ""
        self.confirm: Confirm | None = None
        self.prompt: PromptWindow | None = None
        self._build_bar()
        self._build_talk()
        self._place_bar()
        self._place_talk()
        self.frame.bind("<Map>", lambda _: playground.refresh())
        self.frame.bind("<Configure>", self._wrap)

    def _build_bar(self) -> None:
        self.bar = controls.card(self.frame)
        self.model = Dropdown(self.bar, self._choose)
        self.against = Dropdown(self.bar, self._choose_other)
        self.name = controls.entry(self.bar, "you")
        self.seed = controls.entry(self.bar, "any")
        for field, width in ((self.name, 140), (self.seed, 110)):
            field.configure(width=width)
        self.blind = controls.switch(self.bar, "Blind", self._turn_blind)
        self.recall = controls.switch(self.bar, "Use older messages", self._turn_recall)
        self.recall.select()
        self.note = controls.label(self.bar, size=12, color=theme.MUTED)
        self.note.configure(justify="left")

    def _build_talk(self) -> None:
        self.transcripts = [Transcript(self.frame, column) for column in (0, 1)]
        self.judging = controls.group(self.frame)
        self.judges = [
            controls.button(self.judging, text, partial(self._playground.pick, place))
            for text, place in JUDGMENTS
        ]
        self.tally = controls.label(self.frame, size=12, color=theme.MUTED)
        self.tally.configure(justify="left")
        self.foot = controls.group(self.frame)
        self.message = controls.entry(self.foot, "Write a message, and press Return")
        self.message.bind("<Return>", lambda _: self.send())
        self.message.bind("<KP_Enter>", lambda _: self.send())
        self.message.bind("<Escape>", lambda _: self._playground.stop())
        self.send_button = controls.button(self.foot, "Send", self.send, "main", 80)
        self.stop = controls.button(self.foot, "Stop", self._playground.stop, width=70)
        self.again = controls.button(self.foot, "Again", self._again, width=70)
        self.clear = controls.button(self.foot, "Clear", self._playground.clear, width=70)
        self.show_prompt = controls.button(self.foot, "Show prompt", self._view_prompt, width=110)

    def _place_bar(self) -> None:
        self.bar.grid(row=0, column=0, columnspan=2, sticky="ew")
        self.bar.grid_columnconfigure(4, weight=1)
        rows = (
            (("Model", self.model.button), ("Against", self.against.button), self.blind),
            (("Speak as", self.name), ("Seed", self.seed), self.recall),
        )
        for row, (*fields, switch) in enumerate(rows):
            top = (12, 4) if row == 0 else 4
            for place, (text, widget) in enumerate(fields):
                caption = controls.label(self.bar, text)
                left = theme.PAD if place == 0 else 20
                caption.grid(row=row, column=2 * place, sticky="w", padx=(left, 10), pady=top)
                widget.grid(row=row, column=2 * place + 1, sticky="w", pady=top)
            switch.grid(row=row, column=4, sticky="w", padx=20, pady=top)
        self.note.grid(row=2, column=0, columnspan=5, sticky="w", padx=theme.PAD, pady=(0, 10))

    def _place_talk(self) -> None:
        gap = theme.GAP
        self.frame.grid_columnconfigure(0, weight=1, uniform="column")
        self.frame.grid_rowconfigure(1, weight=1)
        self.tally.grid(row=3, column=0, columnspan=2, sticky="w", padx=4)
        self.foot.grid(row=4, column=0, columnspan=2, sticky="ew", pady=(8, 0))
        self.foot.grid_columnconfigure(0, weight=1)
        self.message.grid(row=0, column=0, sticky="ew")
        buttons = (self.send_button, self.stop, self.again, self.clear, self.show_prompt)
        for column, button in enumerate(buttons, 1):
            button.grid(row=0, column=column, padx=(8, 0))
        for column, button in enumerate(self.judges):
            self.judging.grid_columnconfigure(column, weight=1)
            button.grid(row=0, column=column)
        self.transcripts[0].frame.grid(row=1, column=0, sticky="nsew", pady=gap)

    def show(self, _: object = None) -> None:
        """Show what was said, where anything changed."""
        playground = self._playground
        if playground.version == self._shown:
            return
        self._shown = playground.version
        self._show_bar()
        self._show_columns()
        last = playground.exchanges[-1] if playground.exchanges else None
        can_talk = playground.is_ready and not playground.is_busy
        controls.enable(self.send_button, can_talk)
        controls.enable(self.stop, playground.is_busy)
        controls.enable(self.again, can_talk and last is not None)
        controls.enable(self.clear, last is not None)
        has_prompt = last is not None and any(reply.given for reply in last.replies)
        controls.enable(self.show_prompt, has_prompt and not playground.is_blind)
        for button in self.judges:
            controls.enable(button, last is not None and last.can_be_judged)
        if self.prompt:
            self.prompt.show(playground.prompt)

    def close(self) -> None:
        """Take it away, with the windows that belong to it."""
        if self.confirm:
            self.confirm.close()
        if self.prompt:
            self.prompt.window.destroy()
        self.frame.destroy()

    def send(self) -> None:
        """Say what was written, after a question where the memory gets tight."""
        try:
            self._playground.seed = seed_of(self.seed.get())
        except ValueError as error:
            self._seed_problem = str(error)
            self._show_bar()
            return
        self._seed_problem = ""
        self._playground.name = self.name.get()
        if self.message.get().strip() and self._playground.is_tight:
            self.confirm = Confirm(
                self.frame.winfo_toplevel(),
                "Is there room for it?",
                f"{self._playground.room} Other programs may become slow.",
                "Load it",
                self._say,
            )
        else:
            self._say()

    def _say(self) -> None:
        if self._playground.say(self.message.get()):
            self.message.delete(0, "end")
        self._show_bar()

    def _show_bar(self) -> None:
        playground = self._playground
        titles = [_title(model) for model in playground.models]
        names = [model.name for model in playground.chosen]
        self.model.show(names[0] if names else NONE, titles)
        self.against.show(names[1] if len(names) > 1 else NOBODY, [NOBODY, *titles])
        for switch, is_possible, is_on in (
            (self.blind, len(names) > 1, playground.is_blind),
            (self.recall, playground.can_recall, playground.recalls and playground.can_recall),
        ):
            _turn(switch, is_possible, is_on)
        text, color = self._note()
        controls.set_text(self.note, text, color)

    def _note(self) -> tuple[str, theme.Pair]:
        """What is worth knowing before the next message."""
        playground = self._playground
        if problem := self._seed_problem or playground.problem:
            return problem, theme.DANGER
        if not playground.is_ready:
            return "Looking for models\u2026", theme.MUTED
        remarks = [f"{m.name} {m.remark}." for m in playground.chosen if m.remark]
        text = " ".join([*remarks, playground.room])
        quiet = NOT_STORED if playground.can_recall else f"{NOT_STORED} {NO_RECALL}"
        is_bad = bool(remarks) or (bool(playground.room) and playground.is_tight)
        return text.strip() or quiet, theme.TONES["busy"] if is_bad else theme.MUTED

    def _show_columns(self) -> None:
        playground = self._playground
        is_pair = len(playground.chosen) > 1
        self.transcripts[0].show(playground.exchanges, playground.is_blind)
        if is_pair:
            self.transcripts[1].show(playground.exchanges, playground.is_blind)
        right, gap = self.transcripts[1].frame, theme.GAP
        if is_pair != bool(right.grid_info()):
            weight, uniform = (1, "column") if is_pair else (0, "")
            self.frame.grid_columnconfigure(1, weight=weight, uniform=uniform)
            self.transcripts[0].frame.grid_configure(padx=(0, gap // 2) if is_pair else 0)
            if is_pair:
                right.grid(row=1, column=1, sticky="nsew", pady=gap, padx=(gap // 2, 0))
            else:
                right.grid_remove()
        if playground.is_blind:
            self.judging.grid(row=2, column=0, columnspan=2, sticky="ew", pady=(0, 8))
        else:
            self.judging.grid_remove()
        picks = f"{playground.picks} picked so far. {BLIND_NOTE}"
        controls.set_text(self.tally, picks if playground.is_blind else playground.tally)

    def _wrap(self, event: Any) -> None:
        """Break the long lines where the page ends."""
        width = int(event.width / self.frame._get_widget_scaling()) - 40
        for line in (self.note, self.tally):
            if line.cget("wraplength") != width:
                line.configure(wraplength=width)

    def _choose(self, place: int) -> None:
        """Take another first model; if it was the second, they change places."""
        playground = self._playground
        name, names = playground.models[place].name, [model.name for model in playground.chosen]
        others = [names[0] if name == names[1] else names[1]] if len(names) > 1 else []
        playground.choose(name, *others)

    def _choose_other(self, place: int) -> None:
        playground = self._playground
        others = [playground.models[place - 1].name] if place else []
        playground.choose(*[model.name for model in playground.chosen[:1]], *others)

    def _turn_blind(self) -> None:
        self._playground.set_blind(bool(self.blind.get()))

    def _turn_recall(self) -> None:
        self._playground.recalls = bool(self.recall.get())

    def _again(self) -> None:
        self._playground.again()

    def _view_prompt(self) -> None:
        if self.prompt is None:
            self.prompt = PromptWindow(self.frame.winfo_toplevel(), self._playground)
        self.prompt.raise_()


def _title(model: Model) -> str:
    """A model in the menus."""
    return f"{model.name}, the bot's" if model.is_bots else model.name


def _turn(switch: Any, is_possible: bool, is_on: bool) -> None:
    state = "normal" if is_possible else "disabled"
    if switch.cget("state") != state:
        switch.configure(state=state)
        switch._canvas.configure(takefocus=int(is_possible))
    if bool(switch.get()) != is_on:
        switch.select() if is_on else switch.deselect()
