"""The log line: what is written is what is read, and nothing can forge it."""

import json
import logging
import random
from collections.abc import Iterator

import pytest

from bot import logs
from bot.logs import LogLine, Progress


@pytest.fixture(autouse=True)
def _own_handlers() -> Iterator[None]:
    """`logs.setup` takes the root logger over: give it back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level


def logged(capsys: pytest.CaptureFixture[str], text: str) -> LogLine:
    logs.setup()
    logging.getLogger("bot.test").warning("%s", text)
    (line,) = capsys.readouterr().out.splitlines()
    parsed = logs.parse(line)
    assert isinstance(parsed, LogLine)
    return parsed


def test_a_written_line_is_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    line = logged(capsys, "replied in 2.1s")
    assert (line.level, line.source, line.text) == ("WARNING", "bot.test", "replied in 2.1s")
    assert line.time.endswith("Z")


def test_a_newline_cannot_forge_a_second_entry(capsys: pytest.CaptureFixture[str]) -> None:
    forged = "2026-01-01T00:00:00.000Z ERROR bot.main stolen"
    assert logged(capsys, f"hi\n{forged}\x1b[31m").text == f"hi\n{forged}\\x1b[31m"


def test_a_token_never_reaches_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    token = "M" * 24 + "." + "a" * 6 + "." + "b" * 30
    assert token not in logged(capsys, f"login with {token} failed").text


def test_progress_is_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    logs.report(Progress("fetch", 3, 10, 4.5, "note"))
    assert logs.parse(capsys.readouterr().out) == Progress("fetch", 3, 10, 4.5, "note")


@pytest.mark.parametrize("junk", ['{"step": 1}', "[]", "null", "{", '{"step":"x","done":"y"}'])
def test_broken_progress_is_an_ordinary_line(junk: str) -> None:
    assert isinstance(logs.parse(f"@progress {junk}"), LogLine)


def test_any_garbage_is_a_bounded_line() -> None:
    dice = random.Random(1)
    for _ in range(2000):
        text = "".join(chr(dice.randrange(1, 0x2FFF)) for _ in range(dice.randrange(60)))
        parsed = logs.parse(text)
        assert isinstance(parsed, LogLine)
    parsed = logs.parse("x" * 10_000_000)
    assert isinstance(parsed, LogLine)
    assert len(parsed.text) <= logs.LINE_LIMIT + 1


def test_track_reports_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(logs.track("count", range(5), 5)) == list(range(5))
    last = capsys.readouterr().out.splitlines()[-1]
    assert json.loads(last.removeprefix("@progress "))["done"] == 5
