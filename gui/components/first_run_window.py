"""The first run as a page that fills the window: one question at a time."""

import contextlib
import io
import time
import tkinter
from collections.abc import Callable
from typing import Any

import customtkinter as ctk
from PIL import Image, ImageDraw

from bot.config import UserError
from gui import desktop, theme
from gui.components import controls
from gui.components.progress import ProgressPanel
from gui.components.table import Table
from gui.emoji_probe import shown
from gui.first_run.first_run import FirstRun
from gui.first_run.state import STAGES, Download, Outcome, View

_WIDTH, _EDGE = 860, 28
_PICTURE = 44
_WIDTHS = {  # of a step's columns
    "model": (222, 72, 60, 56, 68, 134, 192),
    "channels": (400, 160, 200),
    "admin": (400, 300),
}
_MARKS = ("●", "○")  # is or was on, comes later


class FirstRunWindow:
    """Put `frame` where it is to be seen, and call `tick` with every beat.

    `finished` is called once, with how it ended.
    """

    def __init__(self, parent: Any, run: FirstRun, finished: Callable[[Outcome], None]) -> None:
        self._run, self._finished = run, finished
        self._view: View | None = None
        self._picture: bytes | None = None
        self._is_over = False
        self.frame = ctk.CTkFrame(parent, fg_color=theme.WINDOW, corner_radius=0)
        self._build()
        self._place()
        self._bind()

    def _build(self) -> None:
        self.stages = controls.group(self.frame)
        self.dots = [controls.label(self.stages, size=12) for _ in STAGES]
        self.card = controls.card(self.frame)
        self.picture = controls.label(self.card)
        self.name = controls.label(self.card, weight="bold")
        self.title = controls.label(self.card, size=22, weight="bold")
        self.sentence = self._paragraph(14)
        self.field_label = controls.label(self.card, size=12, color=theme.MUTED)
        self.field = controls.entry(self.card, "")
        self.paste = controls.button(self.card, "Paste", self._paste)
        self.table = Table(self.card, self.go_on, _WIDTH - 2 * _EDGE)
        self.download = ProgressPanel(self.card)
        self.notes = self._paragraph(12, theme.MUTED)
        self.error = self._paragraph(13, theme.DANGER)
        self.mend = controls.button(self.card, "Take me there", self._go_and_mend)
        self.bar = controls.group(self.frame)
        self.back = controls.button(self.bar, "Back", self._run.back)
        self.link = controls.button(self.bar, "", self._open)
        self.action = controls.button(self.bar, "", self._run.act, "main")
        self.next = controls.button(self.bar, "Next", self.go_on, "main", width=130)

    def _paragraph(self, size: int, color: theme.Pair = theme.TEXT) -> Any:
        made = controls.label(self.card, size=size, color=color)
        made.configure(wraplength=_WIDTH - 2 * _EDGE, justify="left")
        return made

    def _place(self) -> None:
        self.frame.grid_columnconfigure((0, 2), weight=1)
        spacer = controls.group(self.frame)  # a column's minsize would not follow the scale
        spacer.configure(width=_WIDTH, height=1)
        spacer.grid(row=3, column=1)
        self.frame.grid_rowconfigure(1, weight=1)
        self.stages.grid(row=0, column=1, pady=(22, 14))
        for place, dot in enumerate(self.dots):
            dot.grid(row=0, column=place, padx=14)
        self.card.grid(row=1, column=1, sticky="nsew")
        self.bar.grid(row=2, column=1, sticky="ew", pady=(14, 22))
        self.bar.grid_columnconfigure(1, weight=1)
        self.back.grid(row=0, column=0, sticky="w")
        self.next.grid(row=0, column=4, padx=(8, 0))
        self.card.grid_columnconfigure(0, weight=1)
        self.card.grid_rowconfigure(10, weight=1)  # what is left of the height
        self.title.grid(row=0, column=0, sticky="w", padx=_EDGE, pady=(24, 10))
        self.sentence.grid(row=1, column=0, columnspan=3, sticky="w", padx=_EDGE, pady=(0, 14))

    def _bind(self) -> None:
        window = self.frame.winfo_toplevel()
        for key, command in (("<Return>", self.go_on), ("<Escape>", self._run.back)):
            window.bind(key, lambda _, command=command: self._when_shown(command), add="+")

    def _when_shown(self, command: Callable[[], None]) -> None:
        if not self._is_over and self.frame.winfo_exists() and self.frame.winfo_viewable():
            command()

    def tick(self) -> None:
        """Move it on, show what changed, and say when it is over."""
        if self._is_over:
            return
        self._run.tick(time.monotonic())
        self.show(self._run.view)
        if self._run.outcome:
            self._is_over = True
            self._finished(self._run.outcome)

    def go_on(self) -> None:
        """Hand over the answer that the page holds."""
        if self._view and self._view.can_go_on:
            chosen = self.table.chosen if self._view.choices else ()
            self._run.answer(self.field.get() if self._view.field else "", chosen)
            self.show(self._run.view)

    def show(self, view: View) -> None:
        """Fill the page, where anything changed."""
        self.table.refresh()
        if view == self._view:
            return
        before, self._view = self._view, view
        is_new = before is None or before.step != view.step
        self._show_stage(view)
        self._show_bot(view)
        controls.set_text(self.title, shown(view.title))
        controls.set_text(self.sentence, shown(view.sentence))
        if is_new:
            self._show_field(view)
        if is_new or before is None or before.choices != view.choices:
            self._show_choices(view, is_new)
        self._show_download(view, view.download)
        self._show_words(view)
        self._show_buttons(view)
        if not view.is_busy and (before is None or before.is_busy or before.step != view.step):
            self._focus(view)

    def _show_stage(self, view: View) -> None:
        now = STAGES.index(view.stage)
        for place, (dot, stage) in enumerate(zip(self.dots, STAGES, strict=True)):
            color = theme.TEXT if place == now else theme.MUTED
            controls.set_text(dot, f"{_MARKS[place > now]}  {stage}", color)

    def _show_bot(self, view: View) -> None:
        if not view.name:
            self.picture.grid_remove()
            self.name.grid_remove()
            return
        controls.set_text(self.name, shown(view.name))
        if self._picture is None or self._picture != (view.picture or b""):
            self._picture = view.picture or b""
            drawn = _round(self._picture, view.name)
            image = ctk.CTkImage(drawn, size=(_PICTURE, _PICTURE))
            self.picture.configure(image=image)
        self.picture.grid(row=0, column=1, padx=(0, 10), pady=(18, 6))
        self.name.grid(row=0, column=2, padx=(0, _EDGE), pady=(18, 6))

    def _show_field(self, view: View) -> None:
        widgets = (self.field_label, self.field, self.paste)
        if view.field is None:
            for widget in widgets:
                widget.grid_remove()
            return
        controls.set_text(self.field_label, view.field.label)
        self.field.delete(0, "end")
        self.field.configure(
            placeholder_text=view.field.hint, show="•" if view.field.is_secret else ""
        )
        if view.field.value:
            self.field.insert(0, view.field.value)
        row = 5 if view.choices else 2
        self.field_label.grid(row=row, column=0, sticky="w", padx=_EDGE, pady=(4, 0))
        side: dict[str, Any] = {"row": row + 1, "pady": (0, 10)}
        is_secret = view.field.is_secret
        gap = (_EDGE, 8 if is_secret else _EDGE)
        self.field.grid(column=0, columnspan=2 if is_secret else 3, sticky="ew", padx=gap, **side)
        if is_secret:
            self.paste.grid(column=2, sticky="e", padx=(0, _EDGE), **side)
        else:
            self.paste.grid_remove()

    def _show_choices(self, view: View, is_new: bool) -> None:
        if not view.choices:
            self.table.frame.grid_remove()
            return
        chosen = view.chosen if is_new else self.table.chosen
        rows = [(choice.key, choice.cells) for choice in view.choices]
        widths = _WIDTHS.get(view.step, (600,))
        self.table.show(view.columns, widths, rows, chosen, view.takes_many)
        self.table.frame.grid(row=4, column=0, columnspan=3, sticky="new", padx=_EDGE, pady=(0, 10))

    def _show_download(self, view: View, download: Download | None) -> None:
        if view.step != "download":
            self.download.frame.grid_remove()
            return
        done, total = (download.done, download.total) if download else (0, 0)
        fraction = done / total if total else None if view.is_busy else 0.0
        note = f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB" if total else ""
        title = "On its way" if view.is_busy else "Paused"
        if view.is_busy and total and done >= total:
            title, note = "Checking that it came whole", ""
        left = download.seconds_left if download and view.is_busy else None
        self.download.show(title, fraction, left, note)
        self.download.frame.grid(row=2, column=0, columnspan=3, sticky="ew", padx=_EDGE, pady=10)

    def _show_words(self, view: View) -> None:
        for widget, text, row in (
            (self.notes, "\n".join(view.notes), 7),
            (self.error, view.error, 8),
        ):
            controls.set_text(widget, shown(text))
            if text:
                widget.grid(row=row, column=0, columnspan=3, sticky="w", padx=_EDGE, pady=(0, 12))
            else:
                widget.grid_remove()
        if view.mend:
            self.mend.grid(row=9, column=0, sticky="w", padx=_EDGE, pady=(0, 16))
        else:
            self.mend.grid_remove()

    def _show_buttons(self, view: View) -> None:
        controls.set_text(self.next, "Please wait…" if view.is_busy else view.next_text)
        controls.enable(self.next, view.can_go_on)
        if view.is_busy and view.action:
            self.next.grid_remove()
        else:
            self.next.grid()
        controls.enable(self.back, view.can_go_back)
        for button, text, column in ((self.link, view.link_text, 2), (self.action, view.action, 3)):
            controls.set_text(button, text)
            if text:
                button.grid(row=0, column=column, padx=(8, 0))
            else:
                button.grid_remove()

    def _focus(self, view: View) -> None:
        if view.field and not view.choices:
            self.field.focus_set()
        elif view.choices:
            self.table.focus()
        else:
            self.next._canvas.focus_set()

    def _paste(self) -> None:
        with contextlib.suppress(tkinter.TclError):  # there is nothing to paste
            text = self.frame.clipboard_get()
            self.field.delete(0, "end")
            self.field.insert(0, text.strip())

    def _open(self) -> None:
        """Open the page in a browser; it is on the clipboard, too, for another browser."""
        if not self._view or not self._view.link:
            return
        self.frame.clipboard_clear()
        self.frame.clipboard_append(self._view.link)
        try:
            desktop.open_page(self._view.link)
        except UserError as error:
            controls.set_text(self.error, str(error))
            self.error.grid(row=8, column=0, columnspan=3, sticky="w", padx=_EDGE, pady=(0, 12))

    def _go_and_mend(self) -> None:
        if self._view:
            self._run.go_to(self._view.mend)


def _round(picture: bytes, name: str) -> Image.Image:
    """The bot's picture in a circle; without one, its first letter."""
    size = 4 * _PICTURE
    image = Image.new("RGB", (size, size), theme.ACCENT[0])
    try:
        image = Image.open(io.BytesIO(picture)).convert("RGB").resize((size, size))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        letter = next((c for c in name.upper() if c.isalnum()), "?")
        ImageDraw.Draw(image).text(
            (size / 2, size / 2), letter, "#FFFFFF", anchor="mm", font_size=90
        )
    mask = Image.new("L", (size, size))
    ImageDraw.Draw(mask).ellipse((0, 0, size, size), 255)
    image.putalpha(mask)
    return image
