"""Being asked to stop: by Ctrl-C, by the system, or by a launcher that goes away."""

import asyncio
import contextlib
import os
import signal
import stat
import threading
import time
from collections.abc import Callable


def on_stop_request(stop: Callable[[], None], *, watch_stdin: bool) -> None:
    """Call `stop` in the running event loop on SIGINT, SIGTERM and, if asked, when stdin closes.

    Closing a child's stdin works on every system, also when its parent was killed.
    """
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: closing stdin does it there
            loop.add_signal_handler(name, stop)

    def wait_for_parent() -> None:
        while os.read(0, 4096):  # not sys.stdin: its lock, held here, aborts a Python that ends
            pass
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(stop)

    if watch_stdin:
        threading.Thread(target=wait_for_parent, daemon=True).start()


def set_when_asked_to_stop(stop: threading.Event) -> None:
    """Set `stop` on Ctrl+C, SIGTERM, and when the window that holds our stdin goes away.

    For a script without an event loop; asked twice, it is interrupted at once.
    """
    signals: list[int] = []

    def handle(number: int, frame: object) -> None:
        signals.append(number)
        if len(signals) > 1:
            raise KeyboardInterrupt
        stop.set()
        print("\nStopping after this step ...", flush=True)

    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), handle)

    def wait_for_parent() -> None:
        started = time.monotonic()
        os.read(0, 1)
        if time.monotonic() - started > 1:  # closed from the start: nobody was ever there
            stop.set()

    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=wait_for_parent, daemon=True).start()
