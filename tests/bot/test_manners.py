"""When the bot holds its tongue."""

import datetime
from collections.abc import Sequence
from zoneinfo import ZoneInfo

import pytest

from bot import manners
from bot.bursts import Trigger
from bot.manners import SHARE_OF, Silence
from storage.database import Settings
from storage.messages import Message
from tests.bot.channel_talk import AMY, BEN, CAT, OWN, START, said

UTC = datetime.timezone.utc


def silence(
    recent: Sequence[Message], is_addressed: bool = False, after: float = 0.0, **settings: float
) -> Silence | None:
    now = recent[-1].sent_at + after
    chosen = Settings(**settings)  # type: ignore[arg-type]
    return manners.silence(recent[-1], is_addressed, recent, chosen, now, UTC)


def trigger(message: Message, is_addressed: bool = False) -> Trigger:
    return Trigger(message, is_addressed, 0.0, 0.0)


@pytest.mark.parametrize("kind", ["bot", "webhook", "self"])
@pytest.mark.parametrize("is_addressed", [True, False])
def test_only_members_are_answered(kind: str, is_addressed: bool) -> None:
    assert silence([said(AMY, kind=kind)], is_addressed) is Silence.NO_MEMBER


def test_two_bots_cannot_go_on() -> None:
    """Each hears the other as a bot, or at worst as a webhook."""
    talk = [said(AMY, at=0)]
    for at in range(1, 20):
        talk.append(said(BEN, at=at, kind="bot", mentions=(OWN,)))
        assert silence(talk, is_addressed=True) is Silence.NO_MEMBER


def test_the_own_share_of_the_talk_stays_below_the_cap() -> None:
    for cap in (0.0, 0.1, 0.25, 0.5):
        talk: list[Message] = []
        for at in range(200):
            talk.append(said(AMY, at=2 * at))
            if silence(talk[-40:], share_cap=cap) is None:
                talk.append(said(OWN, at=2 * at + 1))
            own = sum(m.author_kind == "self" for m in talk[-SHARE_OF:])
            assert own <= cap * SHARE_OF
        assert any(m.author_kind == "self" for m in talk) is (cap > 0)


def test_who_asks_is_answered_however_much_it_spoke() -> None:
    talk = [said(OWN, at=at) for at in range(29)]
    assert silence([*talk, said(AMY, at=30)], share_cap=0.25) is Silence.SPOKE_ENOUGH
    assert silence([*talk, said(AMY, at=30)], is_addressed=True, share_cap=0.0) is None


def test_its_own_message_is_not_followed_by_its_own() -> None:
    message = said(AMY)
    recent = [message, said(OWN, at=1)]
    arguments = (recent, Settings(), recent[-1].sent_at, UTC)
    assert manners.silence(message, False, *arguments) is Silence.SPOKE_LAST
    assert manners.silence(message, True, *arguments) is None


def test_it_does_not_speak_up_in_an_empty_room() -> None:
    assert silence([said(AMY)], after=3_000) is None
    assert silence([said(AMY)], after=3_700) is Silence.EMPTY_ROOM
    assert silence([said(AMY)], is_addressed=True, after=3_700) is None


@pytest.mark.parametrize(
    ("begin", "end", "quiet", "loud"),
    [
        (22, 7, [22, 23.5, 0, 6.99], [7, 12, 21.99]),
        (1, 5.5, [1, 5.4], [0, 5.5, 23]),
        (0, 24, [0, 12, 23.99], []),
        (0, 0, [], [0, 12, 23.99]),
        (9, 9, [], [8, 9, 10]),
        (24, 6, [0, 5.99], [6, 23.99]),
    ],
)
def test_quiet_hours_may_go_over_midnight(
    begin: float, end: float, quiet: list[float], loud: list[float]
) -> None:
    midnight = datetime.datetime(2026, 3, 10, tzinfo=UTC).timestamp()
    hours = {h: manners.is_quiet_hour(begin, end, midnight + 3_600 * h, UTC) for h in quiet + loud}
    assert hours == {**dict.fromkeys(quiet, True), **dict.fromkeys(loud, False)}


def test_quiet_hours_are_of_the_zone_that_is_named() -> None:
    noon = datetime.datetime(2026, 7, 10, 12, tzinfo=UTC).timestamp()
    tokyo = datetime.timezone(datetime.timedelta(hours=9))
    assert manners.is_quiet_hour(21, 22, noon, tokyo)
    assert not manners.is_quiet_hour(21, 22, noon, UTC)


def test_quiet_hours_follow_summer_time() -> None:
    try:
        zone = ZoneInfo("Europe/Berlin")
    except KeyError:
        pytest.skip("this computer has no time zones")
    for month, hour in ((1, 21.5), (7, 20.5)):
        day = datetime.datetime(2026, month, 10, tzinfo=UTC).timestamp()
        assert manners.is_quiet_hour(22, 7, day + 3_600 * hour, zone)
        assert not manners.is_quiet_hour(22, 7, day + 3_600 * (hour - 1), zone)


def test_quiet_hours_hold_back_only_what_nobody_asked_for() -> None:
    hour = datetime.datetime.fromtimestamp(START, UTC).hour
    until = (hour + 1) % 24
    assert silence([said(AMY)], quiet_from=hour, quiet_until=until) is Silence.QUIET_HOURS
    assert silence([said(AMY)], True, quiet_from=hour, quiet_until=until) is None


ASKED = said(AMY)


@pytest.mark.parametrize("is_addressed", [True, False])
def test_a_deleted_message_is_not_answered(is_addressed: bool) -> None:
    assert manners.is_stale(trigger(ASKED, is_addressed), [], 1)
    assert manners.is_stale(trigger(ASKED, is_addressed), [said(BEN, at=1)], 1)


def test_a_late_remark_is_dropped_and_a_late_answer_is_not() -> None:
    assert not manners.is_stale(trigger(ASKED), [ASKED], 19)
    assert manners.is_stale(trigger(ASKED), [ASKED], 21)
    assert not manners.is_stale(trigger(ASKED, is_addressed=True), [ASKED], 10_000)


@pytest.mark.parametrize(
    ("newer", "is_stale"),
    [
        ([said(BEN, at=1)], False),
        ([said(BEN, at=1, reply_to=ASKED.id)], False),
        ([said(BEN, at=1, reply_to=ASKED.id), said(CAT, at=2)], True),
        ([said(BEN, at=1, mentions=(AMY,)), said(AMY, at=2)], True),
        ([said(BEN, at=1), said(CAT, at=2, mentions=(AMY,))], False),
        ([said(AMY, at=1, reply_to=ASKED.id), said(AMY, at=2)], False),
        ([said(BEN, at=at) for at in range(1, 5)], True),
        ([said(OWN, at=1)], True),
        ([said(OWN, at=1), said(BEN, at=2)], False),
    ],
)
def test_a_remark_is_dropped_when_the_talk_went_on(newer: list[Message], is_stale: bool) -> None:
    since = [ASKED, *newer]
    assert manners.is_stale(trigger(ASKED), since, 5) is is_stale
    assert not manners.is_stale(trigger(ASKED, is_addressed=True), since, 5)


def test_an_answer_is_linked_when_messages_came_between() -> None:
    assert not manners.needs_link(trigger(ASKED), [ASKED])
    assert manners.needs_link(trigger(ASKED), [ASKED, said(BEN, at=1)])
    assert manners.needs_link(trigger(ASKED), [ASKED, said(OWN, at=1)])
