"""A small chart on a plain canvas: a few lines, three labels, and the present value."""

import tkinter
from typing import Any

import customtkinter as ctk

from gui import theme
from gui.components import controls
from gui.live import Chart

COLOURS = (theme.ACCENT, theme.SECOND)
_LEFT, _TOP, _BOTTOM, _RIGHT = 40, 8, 18, 10  # room around the lines, in pixels at 100 %
_HEIGHT = 110


class ChartCard:
    """Draws only what changed. Where there are two lines, their names are in their colours."""

    def __init__(self, parent: Any) -> None:
        self.frame = controls.card(parent)
        self.title = controls.label(self.frame, size=13, weight="bold")
        self.now = controls.label(self.frame, size=12, color=theme.MUTED)
        self.canvas = tkinter.Canvas(self.frame, highlightthickness=0, width=120)
        self._chart: Chart | None = None
        self.frame.grid_columnconfigure(0, weight=1)
        self.frame.grid_rowconfigure(2, weight=1)
        self.title.grid(row=0, column=0, sticky="w", padx=12, pady=(8, 0))
        self.now.grid(row=1, column=0, sticky="w", padx=12)
        self.canvas.grid(row=2, column=0, sticky="nsew", padx=6, pady=(0, 8))
        self.canvas.bind("<Configure>", lambda _: self._draw())
        theme.follow(self.canvas, self._dress)

    def show(self, chart: Chart) -> None:
        """Draw a chart, where it is another."""
        if chart == self._chart:
            return
        self._chart = chart
        controls.set_text(self.title, chart.title)
        controls.set_text(self.now, chart.now)
        self._draw()

    def _dress(self) -> None:
        height = round(_HEIGHT * ctk.ScalingTracker.get_widget_scaling(self.frame))
        self.canvas.configure(bg=theme.now(theme.CARD), height=height)
        self._draw()

    def _draw(self) -> None:
        canvas, chart = self.canvas, self._chart
        canvas.delete("all")
        if chart is None:
            return
        scale = ctk.ScalingTracker.get_widget_scaling(self.frame)
        width, height = canvas.winfo_width(), canvas.winfo_height()
        font = (theme.font().actual("family"), -round(11 * scale))
        muted = theme.now(theme.MUTED)
        if not chart.lines:
            canvas.create_text(width / 2, height / 2, text=chart.empty, fill=muted, font=font)
            return
        left, right = _LEFT * scale, width - _RIGHT * scale
        top, bottom = _TOP * scale, height - _BOTTOM * scale
        for share in (0.0, 0.5, 1.0):
            y = bottom - share * (bottom - top)
            canvas.create_line(left, y, right, y, fill=theme.now(theme.BORDER))
            words = f"{share * chart.top:,.6g}"
            canvas.create_text(left - 6, y, text=words, anchor="e", fill=muted, font=font)
        canvas.create_text(left, height, text=chart.ends[0], anchor="sw", fill=muted, font=font)
        canvas.create_text(right, height, text=chart.ends[1], anchor="se", fill=muted, font=font)
        first, last = chart.span
        wide, tall = (right - left) / (last - first or 1), (bottom - top) / chart.top
        for place, (name, points) in enumerate(chart.lines.items()):
            color = theme.now(COLOURS[place % len(COLOURS)])
            spots = [(left + (x - first) * wide, bottom - y * tall) for x, y in points]
            self._line(spots, color, scale)
            if len(chart.lines) > 1:
                x = left + (8 + 60 * place) * scale
                canvas.create_text(x, top, text=name, anchor="nw", fill=color, font=font)

    def _line(self, spots: list[tuple[float, float]], color: str, scale: float) -> None:
        if len(spots) > 1:
            self.canvas.create_line(*spots, fill=color, width=2 * scale)
        x, y = spots[-1]
        size = 2.5 * scale
        self.canvas.create_oval(x - size, y - size, x + size, y + size, fill=color, outline="")
