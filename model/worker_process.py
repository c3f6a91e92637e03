"""The worker's process: how it is started and ended, and the lines that it says."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from bot import tether
from bot.config import ROOT

LOAD_SECONDS = 600.0  # a large model from a slow disk, and measured
_FLAGS = getattr(subprocess, "CREATE_NO_WINDOW", 0)


async def start(arguments: Sequence[str]) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
    """A new worker, and the first it says: that it is "ready", or else it is gone."""
    process = await asyncio.create_subprocess_exec(
        *tether.command([sys.executable, "-m", "model.worker", *arguments]),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
        creationflags=_FLAGS,
    )
    tether.bind(process.pid)
    assert process.stdout
    word: dict[str, Any] = {}
    try:
        word = message(await asyncio.wait_for(process.stdout.readline(), LOAD_SECONDS))
    except asyncio.TimeoutError:
        word = {"error": f"The model was not loaded within {LOAD_SECONDS:.0f} s."}
    finally:
        if "ready" not in word and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return process, word


async def end(process: asyncio.subprocess.Process) -> None:
    """Close the worker's stdin, which is enough and works on every system."""
    assert process.stdin
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), 2)
    except asyncio.TimeoutError:
        process.kill()
        await process.wait()


def message(line: bytes) -> dict[str, Any]:
    """What a line says; nothing, where it is none of ours."""
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
