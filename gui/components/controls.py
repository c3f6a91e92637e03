"""The window's building blocks: cards, labels and buttons in our colours."""

from collections.abc import Callable
from functools import partial
from typing import Any

import customtkinter as ctk

from gui import keyboard, theme
from gui.theme import Pair
from gui.words import translate

_LOOKS: dict[str, tuple[Pair, Pair, Pair]] = {
    "main": (theme.ACCENT, theme.ACCENT_HOVER, theme.ON_ACCENT),
    "plain": (theme.PLAIN, theme.PLAIN_HOVER, theme.TEXT),
    "danger": (theme.PLAIN, theme.PLAIN_HOVER, theme.DANGER),
}


def card(parent: Any) -> Any:
    """A panel with rounded corners and a thin border."""
    return ctk.CTkFrame(
        parent,
        corner_radius=theme.RADIUS,
        fg_color=theme.CARD,
        border_width=1,
        border_color=theme.BORDER,
    )


def group(parent: Any) -> Any:
    """An invisible frame that holds widgets together."""
    return ctk.CTkFrame(parent, fg_color="transparent", corner_radius=0)


def label(
    parent: Any, text: str = "", size: int = 13, color: Pair = theme.TEXT, weight: str = "normal"
) -> Any:
    """A line of text."""
    font = theme.font(size, weight)
    words, height = translate(text), size + 7
    return ctk.CTkLabel(parent, text=words, font=font, text_color=color, anchor="w", height=height)


def heading(parent: Any, text: str) -> Any:
    """The title of a card."""
    return label(parent, text, 14, weight="bold")


def button(
    parent: Any, text: str, command: Callable[[], object], look: str = "plain", width: int = 90
) -> Any:
    """A button that the keyboard can reach. `look` is "main", "plain" or "danger"."""
    color, hover, text_color = _LOOKS[look]
    made = ctk.CTkButton(
        parent,
        text=translate(text),
        command=command,
        width=width,
        height=32,
        corner_radius=8,
        border_width=2,  # always there, so that the focus ring moves nothing
        border_color=color,
        fg_color=color,
        hover_color=hover,
        text_color=text_color,
        text_color_disabled=theme.DISABLED,
        font=theme.font(13),
    )
    keyboard.reach_button(made)
    made.look = look
    return made


def entry(parent: Any, hint: str) -> Any:
    """A field for a line of text, with a hint while it is empty."""
    return ctk.CTkEntry(
        parent,
        placeholder_text=translate(hint),
        width=220,
        height=32,
        border_width=1,
        border_color=theme.TRACK,
        fg_color=theme.INSET,
        text_color=theme.TEXT,
        placeholder_text_color=theme.MUTED,
        font=theme.font(),
    )


def choice(parent: Any, values: list[str], chosen: Callable[[str], object]) -> Any:
    """One of a few values, all of them on show; starts with the first."""
    made = ctk.CTkSegmentedButton(
        parent,
        values=values,
        command=chosen,
        height=32,
        corner_radius=8,
        fg_color=theme.PLAIN,
        unselected_color=theme.PLAIN,
        unselected_hover_color=theme.PLAIN_HOVER,
        selected_color=theme.CHOSEN,
        selected_hover_color=theme.CHOSEN,
        text_color=theme.TEXT,
        font=theme.font(),
    )
    made.set(values[0])
    for one in made._buttons_dict.values():
        keyboard.reach_button(one)
    return made


def switch(parent: Any, text: str, turned: Callable[[], object]) -> Any:
    """An on-off switch that the keyboard can reach."""
    made = ctk.CTkSwitch(
        parent,
        text=translate(text),
        command=turned,
        font=theme.font(),
        fg_color=theme.TRACK,
        progress_color=theme.ACCENT,
        button_color=theme.KNOB,
        button_hover_color=theme.KNOB,
        text_color=theme.TEXT,
    )
    keyboard.reach_switch(made)
    return made


def enable(widget: Any, is_enabled: bool) -> None:
    """Switch a button on or off; one that is off is no stop for Tab and looks flat."""
    state = "normal" if is_enabled else "disabled"
    if widget.cget("state") == state:
        return
    color = _LOOKS[widget.look][0] if is_enabled else theme.PLAIN
    widget.configure(state=state, fg_color=color, border_color=color)
    widget._canvas.configure(takefocus=int(is_enabled))


def set_text(widget: Any, text: str, color: Pair | None = None) -> None:
    """Change a text (and its colour) where it differs: redrawing is what costs."""
    words = translate(text)
    if widget.cget("text") != words:
        widget.configure(text=words)
    if color and widget.cget("text_color") != color:
        widget.configure(text_color=color)


def scroll_bar(parent: Any, command: Callable[..., object], orientation: str = "vertical") -> Any:
    """A thin scroll bar that may be set, shown and hidden by the widget it scrolls."""
    made = ctk.CTkScrollbar(
        parent,
        command=command,
        orientation=orientation,
        width=12,
        height=12,
        border_spacing=2,
        button_color=theme.TRACK,
        button_hover_color=theme.MUTED,
    )
    # It would run Tk's other work while it draws, which draws it again, without an end
    made._canvas.update_idletasks = lambda: None
    return made


def scroll_frame(parent: Any) -> Any:
    """A card that scrolls when it is too small for what it holds."""
    made = ctk.CTkScrollableFrame(
        parent,
        corner_radius=theme.RADIUS,
        fg_color=theme.CARD,
        scrollbar_button_color=theme.TRACK,
        scrollbar_button_hover_color=theme.MUTED,
    )
    made._scrollbar._canvas.update_idletasks = lambda: None
    scrolled = partial(show_where_needed, made._scrollbar)
    made._parent_canvas.configure(yscrollcommand=scrolled)
    return made


def show_where_needed(bar: Any, first: float, last: float) -> None:
    """Set a scroll bar that has been put on a grid, and hide it where everything is in sight."""
    bar.set(float(first), float(last))  # Tk hands them over as text
    if float(first) <= 0 and float(last) >= 1:
        bar.grid_remove()  # its row or column keeps its size, so nothing flickers
    else:
        bar.grid_configure()  # `grid` would forget its scaled distances
