"""Being asked to stop: by Ctrl-C, by the system, or by a launcher that goes away."""

import asyncio
import contextlib
import os
import signal
import threading
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
