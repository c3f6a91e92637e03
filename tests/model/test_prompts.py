"""The chat format: training and talking see the same tokens, and chat is never markup."""

import random
import re
from pathlib import Path

import pytest

from model import prompts, resident, templates
from model.prompts import Encoder, Turn
from storage.messages import Message
from tests.model import chat_templates

WORDS = [
    "lol",
    "<|im_start|>",
    "<|im_end|>",
    "system\n",
    "🎉",
    "é́",
    "\u200d",
    "</s>",
    "<|endoftext|>",
]


@pytest.fixture(scope="module")
def small(small_model: Path) -> Encoder:
    return resident.encoder(resident.load(small_model, 512))


@pytest.fixture(params=["the model's own", "plain", *chat_templates.ALL])
def encoder(request: pytest.FixtureRequest, small: Encoder) -> Encoder:
    """The small model's tokens in every chat format."""
    if request.param == "plain":
        return Encoder(templates.plain("<|im_end|>"), small.token_ids)
    if source := chat_templates.ALL.get(request.param):
        return Encoder(templates.from_jinja(source, "<s>", "</s>"), small.token_ids)
    return small


def chat(dice: random.Random, length: int) -> list[Turn]:
    return [
        Turn(
            dice.choice([None, "amber fox", "bob: admin"]),
            "".join(dice.choice(WORDS) for _ in range(dice.randrange(1, 6))),
        )
        for _ in range(length)
    ]


def test_training_text_and_live_prompt_are_equal_token_by_token(encoder: Encoder) -> None:
    dice = random.Random(3)
    stop = encoder.token_ids(encoder.template.stop, True)
    for _ in range(100):
        turns = chat(dice, dice.randrange(1, 8))
        reply = dice.choice(WORDS)
        example = prompts.encode_example(turns, reply, encoder, 10_000)
        assert example
        tokens, answer = example
        assert tokens[:-answer] == prompts.encode(prompts.build(turns), encoder, 10_000)
        assert tokens[-answer:] == [*encoder.token_ids(reply, False), *stop]


def test_names_stand_in_chatml_headers(small: Encoder) -> None:
    turns = [Turn("amber fox", "hi"), Turn(None, "yo"), Turn("bob", "sup")]
    whole = (
        f"<|im_start|>system\n{prompts.SYSTEM}<|im_end|>\n<|im_start|>user amber fox\n"
        "hi<|im_end|>\n<|im_start|>assistant\nyo<|im_end|>\n<|im_start|>user bob\nsup<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert prompts.encode(prompts.build(turns), small, 1000) == small.token_ids(whole, True)


def test_chat_never_becomes_a_control_token(small: Encoder) -> None:
    markup = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
    control = {small.token_ids(text, True)[0] for text in markup}
    dice = random.Random(4)
    for _ in range(500):
        text = "".join(dice.choice(WORDS) for _ in range(8))
        assert not control & set(small.token_ids(text, False))


def test_the_oldest_turns_are_dropped_first(encoder: Encoder) -> None:
    turns = [Turn("a", "x" * 10), Turn(None, "y" * 10), Turn("b", "z" * 10), Turn("c", "hm")]
    for first in range(3):
        whole = prompts.encode(prompts.build(turns[first:]), encoder, 1000)
        cut = prompts.encode(prompts.build(turns), encoder, len(whole))
        assert cut == whole


def test_a_prompt_never_exceeds_its_limit(encoder: Encoder) -> None:
    prompt = prompts.build([Turn("a", "word " * 300)], [Turn("b", "old " * 300)])
    for limit in (10, 64, 300):
        assert len(prompts.encode(prompt, encoder, limit)) <= limit


def test_an_example_never_exceeds_its_limit_and_its_reply_is_never_cut(encoder: Encoder) -> None:
    assert prompts.encode_example([Turn("a", "hi")], "word " * 100, encoder, 90) is None
    turns = [Turn("a", "hi " * 9), Turn(None, "yo " * 9), Turn("b", "so " * 9), Turn("c", "hm")]
    for limit in range(60, 200, 7):
        if example := prompts.encode_example(turns, "nope", encoder, limit):
            assert len(example[0]) <= limit


def test_a_growing_conversation_keeps_its_prefix(encoder: Encoder) -> None:
    turns = [Turn("a", "hi!"), Turn("b", "yo"), Turn(None, "sup"), Turn("a", "nm"), Turn("b", "?")]
    header = len(encoder.token_ids(encoder.template.to_reply, True))
    longest = prompts.encode(prompts.build(turns), encoder, 1000)
    for length in range(1, len(turns)):
        if turns[length - 1].name is not None:
            shorter = prompts.encode(prompts.build(turns[:length]), encoder, 1000)
            assert longest[: len(shorter) - header] == shorter[:-header]


def roles(said: list[dict[str, str]]) -> list[str]:
    return [one["role"] for one in said]


def test_an_api_is_told_who_speaks_in_roles_that_alternate() -> None:
    turns = [Turn("amy", "hi"), Turn("bo", "yo"), Turn(None, "sup"), Turn("amy", "nm\nyou?")]
    said = prompts.api_messages(prompts.build(turns, [Turn(None, "I like tea")]), 1000)
    assert said == [
        {"role": "system", "content": prompts.SYSTEM},
        {"role": "user", "content": "amy: hi\nbo: yo"},
        {"role": "assistant", "content": "sup"},
        {"role": "user", "content": "Said here before:\nyou: I like tea\n\namy: nm\nyou?"},
    ]
    assert prompts.api_stops(prompts.build(turns)) == ["\namy:", "\nbo:"]


def test_an_api_is_shown_a_user_first_and_last_and_no_empty_text() -> None:
    dice = random.Random(4)
    for _ in range(300):
        turns = chat(dice, dice.randrange(1, 9))
        said = prompts.api_messages(prompts.build(turns), dice.randrange(20, 400))
        assert all(one["content"] for one in said)
        assert roles(said) == ["system", *(["user", "assistant"] * len(said))[: len(said) - 1]]
        assert said[-1]["role"] == "user"


def test_an_api_is_shown_the_newest_that_fits(small: Encoder) -> None:
    turns = [Turn("a", f"{n} " + "word " * 20) for n in range(50)]
    for limit in (100, 200, 900):
        said = prompts.api_messages(prompts.build(turns), limit)
        text = "".join(one["content"] for one in said)
        assert "49 word" in text and len(small.token_ids(text, False)) <= limit
    long = prompts.api_messages(prompts.build([Turn("a", "\u00e9\U0001f389" * 900 + "?")]), 100)
    assert long[-1]["content"].endswith("?")
    assert len(long[-1]["content"].encode()) < 300


@pytest.mark.parametrize("source", chat_templates.ALL.values(), ids=chat_templates.ALL)
def test_no_familys_markup_survives_on_its_way_to_an_api(source: str) -> None:
    template = templates.from_jinja(source, "<s>", "</s>")
    tags = re.findall(r"<[^<>\s]+>|\[/?[A-Z_]+\]", "".join(vars(template).values()))
    assert tags
    said = prompts.api_messages(prompts.build([Turn(tags[0], "".join(tags))]), 1000)
    assert not [tag for tag in tags if tag in said[-1]["content"]]


def test_what_only_resembles_markup_stays() -> None:
    for text in ("i <3 u", "a < b > c", "x[0]: [ok?] [a b]", "->", "<>", "[]"):
        assert prompts.unlike_tokens(text).replace("[ 0]", "[0]") == text


def test_discord_markup_is_readable() -> None:
    shown = prompts.readable("<@5> <@!6> look <a:pog:77> <#9>", {5: "al"})
    assert shown == "@al @someone look :pog: <#9>"


def test_the_persona_has_no_name() -> None:
    message = Message(1, 2, 3, "we", "hey")
    assert prompts.turns([message], {}, persona_id=3) == [Turn(None, "hey")]
    assert prompts.turns([message], {}, persona_id=4) == [Turn("we", "hey")]


def test_a_burst_is_one_turn() -> None:
    said = [(3, "hey"), (3, "you"), (4, "yo"), (3, "sup <@4>")]
    stored = [Message(n, 2, who, "amy", text) for n, (who, text) in enumerate(said, 1)]
    assert prompts.turns(stored, {4: "bo"}, persona_id=4) == [
        Turn("amy", "hey\nyou"),
        Turn(None, "yo"),
        Turn("amy", "sup @bo"),
    ]


def test_a_long_message_is_cut_as_context_and_never_as_a_reply() -> None:
    paste = "x" * 5000
    assert len(prompts.context_text(paste, {})) == prompts.LONGEST_MESSAGE
    assert prompts.readable(paste, {}) == paste


@pytest.mark.parametrize(
    ("reply", "burst"),
    [
        ("lol", ["lol"]),
        ("lol\n\n  \nno way\r\nok", ["lol", "no way", "ok"]),
        ("1\n2\n3\n4\n5\n6", ["1", "2", "3", "4\n5\n6"]),
        ("try\n```py\na = 1\n\nb\n```\nok?", ["try", "```py\na = 1\n\nb\n```", "ok?"]),
        ("a ```b``` c\nd", ["a ```b``` c", "d"]),
        ("```\nnever\nclosed", ["```\nnever\nclosed"]),
        ("\n \n", []),
        ("", []),
    ],
)
def test_each_line_of_a_reply_is_a_message(reply: str, burst: list[str]) -> None:
    assert prompts.split(reply) == burst


def test_what_is_split_joins_to_the_same() -> None:
    dice = random.Random(5)
    for _ in range(300):
        lines = [dice.choice(["lol", "```", "```py\nx", " hm"]) for _ in range(dice.randrange(9))]
        assert prompts.join(prompts.split(prompts.join(lines))) == prompts.join(lines)
        assert len(prompts.split(prompts.join(lines))) <= prompts.LONGEST_BURST


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("  lol  ", "lol"),
        ("yes<|im_end|>\n<|im_start|>user", "yes"),
        ("<|im_end|>", ""),
        ("sure<end_of_turn>\n", "sure"),
        ("[INST] hm [/INST]", ""),
        ("<think>\nthey ask\n</think>\n\nlol", "lol"),
        ("<think>\nthey ask", ""),
        ("a <think> b", "a <think> b"),
        ("a" * 3000, "a" * 2000),
        ("LOOOL!!! 😂😂 <3", "LOOOL!!! 😂😂 <3"),
    ],
)
def test_a_reply_is_cleaned_of_artefacts_only(raw: str, cleaned: str) -> None:
    assert prompts.clean(raw) == cleaned
