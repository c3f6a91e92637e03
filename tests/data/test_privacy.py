"""Consent modes decide who may be learned from, and mistakes let nobody in."""

import sqlite3
from pathlib import Path

import pytest

from bot.config import UserError
from data import privacy
from storage import database, people

EXCLUDED, YES, NO, SILENT, EXCLUDED_YES = range(1, 6)


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    connection = database.connect(tmp_path / "bot.sqlite3")
    database.exclude_user(connection, EXCLUDED)
    database.exclude_user(connection, EXCLUDED_YES)
    people.decide(connection, YES, True)
    people.decide(connection, EXCLUDED_YES, True)
    people.decide(connection, NO, False)
    return connection


def allowed(connection: sqlite3.Connection) -> set[int]:
    audience = privacy.audience(connection)
    return {person for person in range(1, 6) if audience.allows(person)}


def test_admin_mode_is_the_default_and_knows_the_exclusion_list_only(
    connection: sqlite3.Connection,
) -> None:
    assert privacy.consent_mode(connection) == "admin"
    assert allowed(connection) == {YES, NO, SILENT}


@pytest.mark.parametrize(("mode", "expected"), [("opt-out", {YES, SILENT}), ("opt-in", {YES})])
def test_consent_counts_but_never_against_the_exclusion_list(
    connection: sqlite3.Connection, mode: str, expected: set[int]
) -> None:
    privacy.set_consent_mode(connection, mode)
    assert allowed(connection) == expected


def test_the_last_decision_counts(connection: sqlite3.Connection) -> None:
    privacy.set_consent_mode(connection, "opt-in")
    people.decide(connection, YES, False)
    people.decide(connection, NO, True)
    assert allowed(connection) == {NO}


def test_unknown_modes_are_refused_with_the_choices(connection: sqlite3.Connection) -> None:
    with pytest.raises(UserError, match="admin, opt-out, opt-in"):
        privacy.set_consent_mode(connection, "everybody")


def test_a_garbled_mode_lets_nobody_in_by_mistake(connection: sqlite3.Connection) -> None:
    database.remember(connection, "consent_mode", "opt-1n")
    assert allowed(connection) == {YES}


def test_an_audience_keeps_what_it_was_built_with(connection: sqlite3.Connection) -> None:
    audience = privacy.audience(connection)
    database.exclude_user(connection, SILENT)
    assert audience.allows(SILENT)
    assert not privacy.audience(connection).allows(SILENT)
