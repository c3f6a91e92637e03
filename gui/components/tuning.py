"""Three sliders that change how the bot speaks while it runs."""

import dataclasses
from collections.abc import Callable
from typing import Any

import customtkinter as ctk

from gui import keyboard, theme
from gui.components import controls
from gui.snapshot import NONE, Snapshot
from storage.database import Settings


@dataclasses.dataclass(frozen=True)
class Knob:
    """One slider. `factor` times the stored value is what the slider and the label show."""

    name: str
    text: str
    low: float
    high: float
    step: float
    factor: float
    format: str

    def written(self, stored: float) -> str:
        return self.format.format(stored * self.factor)


KNOBS = (
    Knob("response_rate", "Response rate", 1, 100, 1, 100, "{:.0f} %"),
    Knob("temperature", "Temperature", 0.5, 1.5, 0.01, 1, "{:.2f}"),
    Knob("max_tokens", "Max tokens", 50, 500, 10, 1, "{:.0f}"),
)


class Tuning:
    """`change(name, stored value)` is called with every move of a slider."""

    def __init__(self, parent: Any, change: Callable[[str, float], None]) -> None:
        self.frame = controls.card(parent)
        self._change = change
        self.sliders: dict[str, Any] = {}
        self.values: dict[str, Any] = {}
        self._shown: dict[str, float] = {}
        self._captions = {knob.name: controls.label(self.frame, knob.text) for knob in KNOBS}
        for knob in KNOBS:
            self._build(knob)
        self._place()

    def _build(self, knob: Knob) -> None:
        slider = ctk.CTkSlider(
            self.frame,
            from_=knob.low,
            to=knob.high,
            number_of_steps=round((knob.high - knob.low) / knob.step),
            command=lambda value: self._moved(knob, value),
            state="disabled",
            fg_color=theme.TRACK,
            progress_color=theme.ACCENT,
            button_color=theme.ACCENT,
            button_hover_color=theme.ACCENT_HOVER,
        )
        keyboard.reach_slider(slider, knob.step, lambda value: self._moved(knob, value))
        slider.set(getattr(Settings(), knob.name) * knob.factor)
        self.sliders[knob.name] = slider
        self.values[knob.name] = controls.label(self.frame, NONE, weight="bold")

    def _place(self) -> None:
        self.frame.grid_columnconfigure(0, weight=1)
        title = controls.heading(self.frame, "How it speaks")
        title.grid(row=0, column=0, columnspan=2, sticky="w", padx=theme.PAD, pady=(12, 4))
        for place, knob in enumerate(KNOBS):
            row, last = 1 + 2 * place, knob is KNOBS[-1]
            self._captions[knob.name].grid(row=row, column=0, sticky="w", padx=theme.PAD)
            self.values[knob.name].grid(row=row, column=1, sticky="e", padx=theme.PAD)
            self.sliders[knob.name].grid(
                row=row + 1,
                column=0,
                columnspan=2,
                sticky="ew",
                padx=theme.PAD - 4,
                pady=(2, 14 if last else 8),
            )

    def show(self, snapshot: Snapshot) -> None:
        """Follow the settings in force, whoever changed them."""
        if snapshot.settings is None:
            return
        for knob in KNOBS:
            stored = float(getattr(snapshot.settings, knob.name))
            slider = self.sliders[knob.name]
            if slider.cget("state") == "disabled":
                slider.configure(state="normal")
            if self._shown.get(knob.name) != stored:
                self._shown[knob.name] = stored
                slider.set(stored * knob.factor)
                controls.set_text(self.values[knob.name], knob.written(stored))

    def _moved(self, knob: Knob, value: float) -> None:
        stored = round(value / knob.step) * knob.step / knob.factor
        stored = int(stored) if knob.name == "max_tokens" else round(stored, 4)
        self._shown[knob.name] = stored
        controls.set_text(self.values[knob.name], knob.written(stored))
        self._change(knob.name, stored)
