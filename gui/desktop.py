"""Handing a folder or a page to the desktop's own programs."""

import os
import subprocess
import sys
import webbrowser
from pathlib import Path

from bot.config import UserError


def open_folder(path: Path) -> None:
    """Show a folder in the file manager. Raises `UserError` where there is none."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if sys.platform == "win32":
            os.startfile(path)
        else:
            program = "open" if sys.platform == "darwin" else "xdg-open"
            subprocess.Popen([program, str(path)], start_new_session=True)
    except OSError as error:
        raise UserError(f"Cannot open {path}: {error.strerror}. Open it by hand.") from None


def open_page(url: str) -> None:
    """Show a page in the browser. Raises `UserError` where there is none."""
    if not webbrowser.open(url):
        raise UserError(f"No browser was found. Open {url} by hand.")
