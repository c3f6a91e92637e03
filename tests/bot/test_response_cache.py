"""The response cache: off by default, and never across channels or for long."""

from dataclasses import replace

from bot.config import Config
from bot.response_cache import MOST, ResponseCache
from bot.writing import Draft
from model.inference import Sampling
from tests.data.history import message

DRAFT = Draft(["lol"], 3, 0, Sampling())
ASKED = message(1, 7, "What  is UP?")
AGAIN = message(60, 8, "what is up?")


def test_it_is_off_by_default() -> None:
    assert Config.response_cache_seconds == 0
    cache = ResponseCache(0)
    cache.keep(ASKED, DRAFT, 0)
    assert cache.find(AGAIN, 0) is None


def test_the_same_words_are_answered_alike_for_a_while() -> None:
    cache = ResponseCache(300)
    assert cache.find(ASKED, 0) is None
    cache.keep(ASKED, DRAFT, 0)
    assert cache.find(AGAIN, 299) is DRAFT
    assert cache.find(AGAIN, 300) is None
    assert cache.find(replace(AGAIN, channel_id=9), 1) is None
    assert cache.find(message(60, 8, "what is up, then?"), 1) is None


def test_it_does_not_grow_without_end() -> None:
    cache = ResponseCache(300)
    for number in range(MOST + 1):
        cache.keep(message(number, 7, f"hm {number}"), DRAFT, number / 1000)
    assert cache.find(message(0, 7, "hm 0"), 1) is None
    assert cache.find(message(0, 7, f"hm {MOST}"), 1) is DRAFT
