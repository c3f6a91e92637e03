"""A bot that does what a test tells it, and a controller over it whose clock is handed in."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from bot_controller import BotController, State, heartbeats, logins
from memory_watch import MemoryWatch

BOT = """
import os, subprocess, sys, threading, time
from pathlib import Path
from storage import database

folder = Path(sys.argv[1])
with (folder / "spawned").open("a") as file:
    file.write("x")
spawns = len((folder / "spawned").read_text())
connection = database.connect(folder / "bot.sqlite3")
started = time.time()

def beat():
    memory = folder / "memory_mb"
    memory_mb = float(memory.read_text()) if memory.exists() else 1.0
    life = database.Heartbeat(os.getpid(), started, time.time(), memory_mb, "tiny")
    database.beat(connection, "bot", life)

def serve():
    leave = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), leave.set()), daemon=True).start()
    beat()
    while not leave.wait(0.05):
        beat()
"""


class Bench:
    """A controller over a scripted bot, with a clock that moves only when told."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, 1_700_000_000.0
        self.spawns_path = folder / "spawns.json"
        self.controllers: list[BotController] = []

    def controller(self, program: str, limit_mb: float = 1e9) -> BotController:
        made = BotController(
            [sys.executable, "-c", BOT + program, str(self.folder)],
            read_heartbeat=heartbeats(self.folder / "bot.sqlite3"),
            count_logins=logins(self.folder / "bot.sqlite3"),
            spawns_path=self.spawns_path,
            memory=MemoryWatch(lambda: limit_mb),
        )
        self.controllers.append(made)
        return made

    def run(
        self, program: str, state: State = State.RUNNING, limit_mb: float = 1e9
    ) -> BotController:
        controller = self.controller(program, limit_mb)
        controller.start()
        self.until(controller, lambda: controller.state is state)
        return controller

    def until(self, controller: BotController, is_so: Callable[[], bool]) -> None:
        """Tick with a clock that all but stands still."""
        give_up_at = time.monotonic() + 20
        while not is_so():
            assert time.monotonic() < give_up_at, (controller.state, controller.reason)
            self.now += 0.001
            controller.tick(self.now)
            time.sleep(0.01)

    def pass_seconds(self, controller: BotController, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            controller.tick(self.now)

    def close(self) -> None:
        """End what still runs."""
        for controller in self.controllers:
            controller.force_stop()
            if controller.child:
                controller.child.clear_up()

    @property
    def spawned(self) -> int:
        return len((self.folder / "spawned").read_text())


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
