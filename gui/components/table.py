"""A list with marks: pick one row, or any number of them, by mouse or keyboard."""

import tkinter
from collections.abc import Callable, Sequence
from functools import partial
from tkinter import ttk
from typing import Any

import customtkinter as ctk
from PIL import Image, ImageDraw, ImageTk

from gui import theme
from gui.components import controls
from gui.emoji_probe import shown
from gui.words import translate

_STYLE = "Marked.Treeview"
_ROW, _MARK = 30, 18  # pixels at 100 %
_MOST = 9  # rows to see at once
_FINE = 4  # how much larger marks are drawn, to be smooth

Row = tuple[str, tuple[str, ...]]  # its key, and its cells


class Table:
    """Call `show` with the rows; `chosen` are the keys of those that are marked, in order.

    `width` is in pixels at 100 %.
    """

    def __init__(self, parent: Any, went_on: Callable[[], object], width: int) -> None:
        self._width = width
        self.frame = controls.group(parent)  # CustomTkinter's, whose distances follow the scale
        self._box = tkinter.Frame(self.frame, borderwidth=0, highlightthickness=1)
        self.tree = ttk.Treeview(self._box, style=_STYLE, selectmode="browse")
        self._bar = controls.scroll_bar(self._box, self.tree.yview)
        self._rows: list[Row] = []
        self._widths: Sequence[int] = ()
        self._marked: set[str] = set()
        self._takes_many = False
        self._look: tuple[Any, ...] = ()
        self._marks: dict[bool, Any] = {}
        self.tree.configure(yscrollcommand=partial(controls.show_where_needed, self._bar))
        self._place()
        self._bind(went_on)

    def _place(self) -> None:
        self._box.grid(row=0, column=0)
        self._box.grid_propagate(False)  # a tree asks for a width that is not its columns'
        self._box.grid_columnconfigure(0, weight=1)
        self._box.grid_rowconfigure(0, weight=1)
        self.tree.grid(row=0, column=0, sticky="nsew")
        self._bar.grid(row=0, column=1, sticky="ns")

    def _bind(self, went_on: Callable[[], object]) -> None:
        self.tree.bind("<ButtonRelease-1>", self._clicked)
        self.tree.bind("<space>", lambda _: self._turn(self.tree.focus()))
        self.tree.bind("<Control-a>", lambda _: self._turn_all())
        self.tree.bind("<<TreeviewSelect>>", lambda _: self._selected())
        for key in ("<Return>", "<KP_Enter>"):
            self.tree.bind(key, lambda _: self._finish(went_on))

    @property
    def chosen(self) -> tuple[str, ...]:
        return tuple(key for key, _ in self._rows if key in self._marked)

    def show(
        self,
        columns: Sequence[str],
        widths: Sequence[int],
        rows: Sequence[Row],
        chosen: Sequence[str],
        takes_many: bool,
    ) -> None:
        """Fill it anew. `widths` are the columns', in pixels at 100 %; the last takes the rest."""
        self._rows, self._widths, self._takes_many = list(rows), widths, takes_many
        self._marked = set(chosen)
        self._look = ()
        self.tree.delete(*self.tree.get_children())
        names = [str(place) for place in range(1, len(rows[0][1] if rows else columns) or 1)]
        self.tree.configure(columns=names, show="tree headings" if columns else "tree")
        for place, title in enumerate(columns):
            self.tree.heading(f"#{place}", text=translate(title), anchor="w")
        for key, cells in rows:
            first, *others = map(shown, cells)
            self.tree.insert("", "end", iid=key, text=f"  {first}", values=others)
        self.refresh()
        current = next(iter(self.chosen), rows[0][0] if rows else "")
        if current:
            self.tree.focus(current)
            self.tree.selection_set(current)
            self.tree.see(current)

    def refresh(self) -> None:
        """Draw it in the colours and the size that are in force, where they changed."""
        scale = ctk.ScalingTracker.get_widget_scaling(self.frame)
        look = (theme.now(theme.CARD), scale, self._takes_many)
        if look == self._look:
            return
        self._look = look
        _dress(self.tree, scale)
        card, border, accent = map(theme.now, (theme.CARD, theme.BORDER, theme.ACCENT))
        self._box.configure(background=card, highlightbackground=border, highlightcolor=accent)
        self._marks = {is_on: _mark(self._takes_many, is_on, scale) for is_on in (True, False)}
        self._draw()
        lines = min(_MOST, len(self._rows)) + bool(self.tree.cget("columns"))
        height = 4 + round(_ROW * scale) * max(2, lines)
        self._box.configure(width=round(self._width * scale), height=height)
        for place, width in enumerate(self._widths):
            is_last = place == len(self._widths) - 1
            self.tree.column(f"#{place}", width=round(width * scale), stretch=is_last)

    def focus(self) -> None:
        """Give it the keyboard."""
        self.tree.focus_set()

    def _draw(self) -> None:
        for key, _ in self._rows:
            self.tree.item(key, image=self._marks[key in self._marked])

    def _clicked(self, event: Any) -> None:
        key = self.tree.identify_row(event.y)
        if key and self.tree.identify_region(event.x, event.y) != "heading":
            self._turn(key)

    def _selected(self) -> None:
        """With one to pick, the arrows pick it."""
        if not self._takes_many and (key := next(iter(self.tree.selection()), "")):
            self._marked = {key}
            self._draw()

    def _turn(self, key: str) -> str:
        if key:
            self._marked = self._marked ^ {key} if self._takes_many else {key}
            self._draw()
        return "break"

    def _turn_all(self) -> str:
        keys = {key for key, _ in self._rows}
        if self._takes_many:
            self._marked = set() if self._marked == keys else keys
            self._draw()
        return "break"

    def _finish(self, went_on: Callable[[], object]) -> str:
        went_on()
        return "break"


def _dress(widget: tkinter.Misc, scale: float) -> None:
    style = ttk.Style(widget)
    if style.theme_use() != "clam":
        style.theme_use("clam")  # the systems' own themes draw in colours of their own
    family = str(theme.font().actual("family"))
    card, text, muted = map(theme.now, (theme.CARD, theme.TEXT, theme.MUTED))
    style.configure(
        _STYLE,
        background=card,
        fieldbackground=card,
        foreground=text,
        font=(family, -round(13 * scale)),
        rowheight=round(_ROW * scale),
        indent=0,
        borderwidth=0,
        relief="flat",
    )
    style.configure(
        f"{_STYLE}.Heading",
        background=theme.now(theme.INSET),
        foreground=muted,
        font=(family, -round(12 * scale)),
        relief="flat",
        padding=round(5 * scale),
    )
    style.map(f"{_STYLE}.Heading", background=[("active", theme.now(theme.INSET))])
    chosen = [("selected", theme.now(theme.CHOSEN))]
    style.map(_STYLE, background=chosen, foreground=[("selected", text)])
    style.layout(_STYLE, [("Treeview.treearea", {"sticky": "nswe"})])
    style.layout(
        f"{_STYLE}.Item",
        [
            (
                "Treeitem.padding",
                {
                    "sticky": "nswe",
                    "children": [
                        ("Treeitem.image", {"side": "left", "sticky": ""}),
                        ("Treeitem.text", {"side": "left", "sticky": ""}),
                    ],
                },
            )
        ],
    )
    style.configure(f"{_STYLE}.Item", padding=(round(10 * scale), 0, 0, 0))


def _mark(is_box: bool, is_on: bool, scale: float) -> Any:
    """A round mark for one of several, a square one for any number, drawn large and shrunk."""
    size = round(_MARK * scale)
    image = Image.new("RGBA", (size * _FINE, size * _FINE))
    draw, edge = ImageDraw.Draw(image), size * _FINE
    pen = max(1, round(1.5 * scale * _FINE))
    box = (pen, pen, edge - pen, edge - pen)
    line, fill, dot = map(theme.now, (theme.MUTED, theme.ACCENT, theme.FOCUS))
    if is_box:
        draw.rounded_rectangle(
            box, edge // 5, fill if is_on else None, fill if is_on else line, pen
        )
        tick = [(edge * x, edge * y) for x, y in ((0.25, 0.52), (0.43, 0.70), (0.76, 0.32))]
        if is_on:
            draw.line(tick, "#FFFFFF", pen * 2, "curve")
    else:
        draw.ellipse(box, None, dot if is_on else line, pen)
        if is_on:
            inner = edge * 0.28
            draw.ellipse((inner, inner, edge - inner, edge - inner), dot)
    return ImageTk.PhotoImage(image.resize((size, size), Image.Resampling.LANCZOS))
