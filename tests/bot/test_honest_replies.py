"""Who asks in earnest is told that it is a bot, whatever the model would say; on a real client."""

import time
from pathlib import Path

import pytest

from bot import honesty
from storage import database, explanations, messages, quiet
from tests.bot.test_handlers import talking
from tests.sandbox.conftest import own_address as own_address  # a fixture: it runs by itself


async def test_the_question_is_answered_without_the_model(tmp_path: Path) -> None:
    async with talking(tmp_path, "no im human lol") as talk:
        (said,) = await talk.say("wait are you a bot lol")
        assert said.content in honesty.ANSWERS and said.reply_to
        assert not talk.engine.prompts
        found = explanations.find(talk.database, said.id)
        assert found and found.why and found.why.reason == honesty.REASON
        assert found.model == "a fixed sentence"


async def test_after_it_spoke_the_next_question_is_meant_for_it(tmp_path: Path) -> None:
    async with talking(tmp_path, "sup", "sup") as talk:
        database.change_setting(talk.database, "response_rate", 0)
        assert await talk.say_to_all("are you a bot?") == []  # somebody else is asked
        await talk.say("hello")
        (said,) = await talk.say_to_all("are you a bot?")
        assert said.content in honesty.ANSWERS
        owner = talk.sandbox.world.owner_id
        assert await talk.say_to_all(f"<@{owner}> are you a bot?") == []


@pytest.mark.parametrize(
    "words", ["im not a bot", "i'm human", "lol no\ni'm a real person", "do i look like a bot"]
)
async def test_a_denial_is_not_sent(tmp_path: Path, words: str) -> None:
    async with talking(tmp_path, words) as talk:
        (said,) = await talk.say("kim says one of you is an ai")
        assert said.content in honesty.ANSWERS
        assert talk.engine.prompts


async def test_what_denies_nothing_is_sent_as_it_is(tmp_path: Path) -> None:
    async with talking(tmp_path, "i'm not sure", "nah") as talk:
        for question in ("which bot is down?", "did you restart the bot?"):
            (said,) = await talk.say(question)
            assert said.content in ("i'm not sure", "nah")


async def test_why_it_spoke_is_kept(tmp_path: Path) -> None:
    async with talking(tmp_path, "sup", "yo") as talk:
        database.change_setting(talk.database, "response_rate", 1)
        database.change_setting(talk.database, "temperature", 1.1)
        (said,) = await talk.say_to_all("good morning")
        found = explanations.find(talk.database, said.id)
        assert found and found.why
        why = found.why
        assert (why.reason, why.probability, why.context_count) == ("chance", 1.0, 1)
        assert why.sampling["temperature"] == 1.1
        (said,) = await talk.say("and you?")
        found = explanations.find(talk.database, said.id)
        assert found and found.why and found.why.reason == "mentioned"
        assert found.why.context_count == 3


async def test_while_it_is_quiet_it_says_nothing_and_remembers_all(tmp_path: Path) -> None:
    async with talking(tmp_path, "sup") as talk:
        quiet.begin(talk.database, talk.place.id, time.time() + 60)
        assert await talk.say("hello?") == []
        assert await talk.say("are you a bot?") == []
        assert len(messages.recent(talk.database, talk.place.id, 10)) == 2
        quiet.end(talk.database)
        assert [post.content for post in await talk.say("hello?")] == ["sup"]
