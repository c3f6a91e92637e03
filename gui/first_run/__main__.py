"""The first run in a terminal, with plain questions.

    python -m gui.first_run [--env FILE] [--mend STEP]

An empty answer takes what is marked; "back" goes back; Ctrl+C gives up and writes nothing.
"""

import argparse
import getpass
import sys
import time
from pathlib import Path

from bot.config import UserError, exit_with
from gui.first_run.first_run import FirstRun
from gui.first_run.state import DEMO, Download, View

TICK_SECONDS = 0.1
BACK = "back"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", type=Path, help="the settings file (default: .env)")
    parser.add_argument("--mend", default="", metavar="STEP", help="ask only this, keep the rest")
    arguments = parser.parse_args()
    run = FirstRun(arguments.env, mend=arguments.mend)
    try:
        return _go_through(run)
    except UserError as error:
        return exit_with(error)
    except (KeyboardInterrupt, EOFError):
        run.close()
        print("\nNothing was written. A model that was being fetched goes on next time.")
        return 130


def _go_through(run: FirstRun) -> int:
    shown = ""
    while True:
        _wait(run)
        if run.outcome:
            break
        view = run.view
        if view.step != shown:
            _print_page(view)
        if view.error:
            print(f"\n! {view.error}")
        shown = view.step
        _ask(run, view)
    if run.outcome.kind == DEMO:
        print("Look around with: python3 launcher.py --demo")
    else:
        print(f"{run.outcome.env_path} is written. Start with: python3 launcher.py")
    return 0


def _wait(run: FirstRun) -> None:
    while True:
        run.tick(time.monotonic())
        view = run.view
        if not view.is_busy:
            return
        if view.download:
            _print_download(view.download)
        time.sleep(TICK_SECONDS)


def _print_page(view: View) -> None:
    print(f"\n== {view.title}" + (f" ({view.name})" if view.name else ""))
    for line in (view.sentence, *view.notes, view.link):
        if line:
            print(line)
    for number, choice in enumerate(view.choices, start=1):
        mark = "*" if choice.key in view.chosen else " "
        print(f" {mark}{number}. {'  '.join(cell for cell in choice.cells if cell)}")


def _print_download(download: Download) -> None:
    if sys.stdout.isatty():
        done, total = download.done / 1e6, download.total / 1e6
        print(f"\r{done:,.0f} of {total:,.0f} MB ", end="", flush=True)


def _ask(run: FirstRun, view: View) -> None:
    """Ask what the page asks, and hand it over."""
    field, chosen = view.field.value if view.field else "", view.chosen
    if view.choices:
        many = "numbers, or empty for those with *" if view.takes_many else "a number, or empty"
        if (answer := _read(f"[{many}] > ")) == BACK:
            return run.back()
        if answer:
            numbers = {int(part) for part in answer.replace(",", " ").split() if part.isdecimal()}
            chosen = tuple(one.key for n, one in enumerate(view.choices, 1) if n in numbers)
    if view.field:
        answer = _read(f"{view.field.label} [{view.field.hint}] > ", view.field.is_secret)
        if answer == BACK:
            return run.back()
        field = answer or field
    if not view.choices and not view.field:
        yes = f", or yes to: {view.action}" if view.action else ""
        answer = _read(f"[Return: {view.next_text}{yes}] > ")
        if answer == BACK:
            return run.back()
        if answer.lower() in ("y", "yes") and view.action:
            return run.act()
    return run.answer(field, chosen)


def _read(question: str, is_secret: bool = False) -> str:
    if is_secret and sys.stdin.isatty():
        return getpass.getpass(question).strip()
    return input(question).strip()


if __name__ == "__main__":
    sys.exit(main())
