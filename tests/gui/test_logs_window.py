"""The log view and its window: colours, filters, following, export."""

from pathlib import Path

from bot.logs import LogLine
from gui.components.logs_window import LogsWindow
from gui.log_store import KEEP
from tests.gui.conftest import Desk, texts

STAMP = "2026-11-23T14:32:15.123Z"
LINES = [
    LogLine(STAMP, "DEBUG", "bot.a", "one"),
    LogLine(STAMP, "INFO", "bot.main", "connected"),
    LogLine(STAMP, "WARNING", "bot.main", "memory is HIGH"),
    LogLine(STAMP, "ERROR", "bot.main", "fell over\nand stayed there"),
]


def open_logs(desk: Desk, lines: list[LogLine]) -> LogsWindow:
    desk.presenter.log.add(lines, 0.0)
    desk.click(desk.window.status.logs)
    logs = desk.window.logs
    assert logs
    desk.until(lambda: logs.window.winfo_viewable() and logs.log.count)
    return logs


def test_a_line_is_coloured_by_its_level(desk: Desk) -> None:
    log = desk.window.overview.log
    log.append(LINES)
    for number, line in enumerate(LINES, 1):
        assert line.level in log.text.tag_names(f"{number}.10")
    assert log.text.tag_cget("ERROR", "foreground") != log.text.tag_cget("INFO", "foreground")


def test_a_level_hides_what_is_less(desk: Desk) -> None:
    logs = open_logs(desk, LINES)
    logs.level.set("Warnings", from_button_callback=False)
    logs.refresh()
    shown = texts(logs.log.text)
    assert "connected" not in shown
    assert "memory is HIGH" in shown
    assert "and stayed there" in shown


def test_a_search_shows_and_marks_what_matches(desk: Desk) -> None:
    logs = open_logs(desk, LINES)
    logs.search.insert(0, "high")
    desk.press(logs.search._entry, "<KeyRelease-h>")
    desk.until(lambda: logs.log.count == 1)
    assert "memory is HIGH" in texts(logs.log.text)
    start, end = logs.log.text.tag_ranges("match")
    assert logs.log.text.get(start, end) == "HIGH"
    assert logs.status.cget("text") == f"1 of {len(desk.presenter.log.lines)} lines"


def test_new_lines_appear_where_they_pass_the_filter(desk: Desk) -> None:
    logs = open_logs(desk, LINES)
    logs.search.insert(0, "late")
    logs.refresh()
    desk.presenter.say("INFO", "late news")
    desk.presenter.say("INFO", "other")
    desk.until(lambda: "late news" in texts(logs.log.text))
    assert "other" not in texts(logs.log.text)


def test_the_view_follows_only_from_its_end(desk: Desk) -> None:
    log = desk.window.overview.log
    log.append(many(200))
    desk.root.update()
    assert log.is_at_end
    log.text.yview_moveto(0.0)
    log.append(many(10))
    desk.root.update()
    assert log.text.yview()[0] == 0.0


def test_the_end_stays_in_sight_when_the_window_shrinks(desk: Desk) -> None:
    log = desk.window.overview.log
    log.append(many(200))
    desk.root.update()
    before = log.text.winfo_height()
    desk.root.geometry("900x640")
    desk.until(lambda: log.text.winfo_height() < before)
    desk.root.update()
    assert log.is_at_end


def test_follow_switched_off_stays_where_it_is(desk: Desk) -> None:
    logs = open_logs(desk, many(200))
    desk.until(lambda: logs.log.is_at_end)
    desk.press(logs.follow, "<space>")
    before = logs.log.text.index("@0,0")
    logs.append(many(50))
    desk.root.update()
    assert logs.log.text.index("@0,0") == before != "1.0"
    desk.press(logs.follow, "<space>")
    assert logs.log.is_at_end


def test_the_view_keeps_the_newest_lines(desk: Desk) -> None:
    log = desk.window.overview.log
    log.append(LINES)
    log.append(many(KEEP - 1))
    log.append([LogLine(STAMP, "INFO", "", "the last")])
    shown = texts(log.text).split("\n")
    assert len(shown) == log.count == KEEP
    assert shown[0].endswith("line 0")
    assert shown[-1].endswith("the last")


def test_the_lines_on_show_are_exported(desk: Desk, tmp_path: Path) -> None:
    logs = open_logs(desk, LINES)
    logs.level.set("Errors", from_button_callback=False)
    logs.export_to(tmp_path / "a.log")
    written = (tmp_path / "a.log").read_text("utf-8")
    assert written.endswith("[ERROR] bot.main: fell over\nand stayed there\n")
    assert "1 lines written" in logs.status.cget("text")


def test_an_export_that_fails_says_so(desk: Desk, tmp_path: Path) -> None:
    logs = open_logs(desk, LINES)
    logs.export_to(tmp_path / "none" / "a.log")
    assert logs.status.cget("text").startswith("Cannot write")


def test_clear_forgets_the_lines(desk: Desk) -> None:
    logs = open_logs(desk, LINES)
    desk.click(logs.clear)
    assert texts(logs.log.text) == ""
    assert not desk.presenter.log.lines


def test_closing_only_hides_it(desk: Desk) -> None:
    logs = open_logs(desk, LINES)
    desk.press(logs.window, "<Escape>")
    assert not logs.window.winfo_viewable()
    desk.click(desk.window.status.logs)
    desk.until(logs.window.winfo_viewable)
    assert desk.window.logs is logs


def many(count: int) -> list[LogLine]:
    return [LogLine(STAMP, "INFO", "", f"line {number}") for number in range(count)]
