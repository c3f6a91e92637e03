"""One instance: the first start holds a lock, every later one asks it to show itself.

The lock is the operating system's, so it ends with the process, however that ends. Beside it lies
a file with the holder's address and a key, which only the owner of the folder can read. Whatever is
stale there is replaced, and whoever has not got the key is ignored.
"""

import contextlib
import dataclasses
import hmac
import json
import logging
import os
import secrets
import sys
import threading
import time
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path

from bot.config import UserError
from storage import lock_file

log = logging.getLogger(__name__)

ANSWER_SECONDS = 2.0
LONGEST_CALL = 1024  # bytes


class AlreadyRunning(Exception):
    """Somebody else is the one instance, and was asked to show itself; the text says who."""


@dataclasses.dataclass(frozen=True)
class _Card:
    """Where the instance can be called."""

    pid: int
    what: str
    address: str
    key: str


class Instance:
    """The right to be the only one, until `close` or the end of the process."""

    def __init__(self, folder: Path, what: str, holding: contextlib.ExitStack) -> None:
        self._holding = holding
        self._called, self._is_closed = threading.Event(), threading.Event()
        listener = _listen(folder)
        if listener is None:
            return  # then nobody can call us, which is no reason not to start
        holding.callback(listener.close)
        card = _Card(os.getpid(), what, str(listener.address), secrets.token_hex(32))
        try:
            _write(folder / "address.json", card)
        except OSError as error:
            log.warning("another start cannot raise this one: %s", error)
        threading.Thread(target=self._answer, args=(listener, card), daemon=True).start()

    def was_called(self) -> bool:
        """Whether another start asked for us since the last time; to be polled."""
        is_called = self._called.is_set()
        self._called.clear()
        return is_called

    def close(self) -> None:
        """Let another be the one."""
        self._is_closed.set()
        self._holding.close()

    def _answer(self, listener: Listener, card: _Card) -> None:
        while True:
            try:
                caller = listener.accept()
            except OSError:  # somebody who hung up at once, or our own end
                if self._is_closed.wait(0.1):
                    return
                continue
            # a thread for each, as one that says nothing must not keep the others waiting
            threading.Thread(target=self._hear, args=(caller, card), daemon=True).start()

    def _hear(self, caller: Connection, card: _Card) -> None:
        with caller, contextlib.suppress(OSError, EOFError):
            if hmac.compare_digest(caller.recv_bytes(LONGEST_CALL), card.key.encode()):
                self._called.set()
                caller.send_bytes(b"heard")


def acquire(folder: Path, what: str) -> Instance:
    """Become the one instance that works with `folder`; `what` it is, such as "the window".

    Raises `AlreadyRunning` where there is one, which then finds that it `was_called`, and
    `UserError` where nothing can be written.
    """
    folder = folder / "instance"
    holding = contextlib.ExitStack()
    try:
        holding.enter_context(lock_file.held(folder / "lock", ""))
    except UserError:
        raise AlreadyRunning(_call(folder)) from None
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"Cannot use {folder}: {reason}. Check that it is writable.") from None
    return Instance(folder, what, holding)


def _call(folder: Path) -> str:
    """Have the holder of the lock show itself; a sentence about it."""
    give_up_at = time.monotonic() + ANSWER_SECONDS
    card = _read(folder / "address.json")
    while not (card and _is_heard(card)) and time.monotonic() < give_up_at:
        time.sleep(0.1)  # it may only just have started
        card = _read(folder / "address.json")
    who = f"{card.what}, process {card.pid}" if card else "its process is not known"
    return f"Discord Personality Bot is already running ({who})."


def _is_heard(card: _Card) -> bool:
    try:
        with Client(card.address) as connection:
            connection.send_bytes(card.key.encode())
            return connection.poll(ANSWER_SECONDS) and connection.recv_bytes(16) == b"heard"
    except (OSError, EOFError, ValueError):
        return False


def _listen(folder: Path) -> Listener | None:
    """In the folder where that is possible, else (a long path, Windows) where the system likes."""
    socket = folder / "socket"
    with contextlib.suppress(OSError):
        socket.unlink()  # whose it was is over: we hold the lock
    for address in (None,) if sys.platform == "win32" else (str(socket), None):
        try:
            return Listener(address)
        except OSError as error:
            log.info("cannot listen: %s", error)
    return None


def _read(path: Path) -> _Card | None:
    try:
        fields = json.loads(path.read_text("utf-8"))
        return _Card(
            int(fields["pid"]), str(fields["what"]), str(fields["address"]), str(fields["key"])
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _write(path: Path, card: _Card) -> None:
    partial = path.with_name(path.name + ".partial")
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(dataclasses.asdict(card), file)
    os.replace(partial, path)
