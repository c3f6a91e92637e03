"""The chat format: training and talking see the same tokens, and chat is never markup."""

import random
from pathlib import Path

import pytest

from model import prompts, worker
from model.prompts import Turn
from storage.messages import Message

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
def encode(small_model: Path) -> prompts.Encode:
    return worker.encoder(worker.load(small_model, 512))


def chat(dice: random.Random, length: int) -> list[Turn]:
    return [
        Turn(
            dice.choice([None, "amber fox", "bob: admin"]),
            "".join(dice.choice(WORDS) for _ in range(dice.randrange(1, 6))),
        )
        for _ in range(length)
    ]


def test_training_text_and_live_prompt_are_equal_token_by_token(encode: prompts.Encode) -> None:
    dice = random.Random(3)
    for _ in range(200):
        turns = chat(dice, dice.randrange(1, 8))
        reply = dice.choice(WORDS)
        example = prompts.encode_example(turns, reply, encode, 10_000)
        assert example
        tokens, answer = example
        assert tokens[:-answer] == prompts.encode(prompts.build(turns), encode, 10_000)
        assert tokens[-answer:] == [*encode(reply, False), *encode(prompts.STOP, True)]


def test_chat_never_becomes_a_control_token(encode: prompts.Encode) -> None:
    control = {encode(text, True)[0] for text in ("<|im_start|>", "<|im_end|>", "<|endoftext|>")}
    dice = random.Random(4)
    for _ in range(500):
        text = "".join(dice.choice(WORDS) for _ in range(8))
        assert not control & set(encode(text, False))


def test_the_oldest_turns_are_dropped_first() -> None:
    def letters(text: str, is_markup: bool) -> list[int]:
        return [0] if is_markup else [ord(letter) for letter in text]

    turns = [Turn("a", "x" * 10), Turn("b", "y" * 10), Turn("c", "z" * 10)]
    whole = prompts.encode(prompts.build(turns), letters, 1000)
    cut = prompts.encode(prompts.build(turns), letters, len(whole) - 1)
    assert cut == prompts.encode(prompts.build(turns[1:]), letters, 1000)


def test_a_prompt_never_exceeds_its_limit(encode: prompts.Encode) -> None:
    prompt = prompts.build([Turn("a", "word " * 300)], [Turn("b", "old " * 300)])
    for limit in (10, 64, 300):
        assert len(prompts.encode(prompt, encode, limit)) <= limit


def test_a_reply_is_never_cut(encode: prompts.Encode) -> None:
    assert prompts.encode_example([Turn("a", "hi")], "word " * 100, encode, 90) is None


def test_a_growing_conversation_keeps_its_prefix(encode: prompts.Encode) -> None:
    turns = [Turn("a", "hi"), Turn("b", "yo"), Turn(None, "sup"), Turn("a", "nm")]
    shorter = prompts.encode(prompts.build(turns[:2]), encode, 1000)
    longer = prompts.encode(prompts.build(turns), encode, 1000)
    header = len(encode("<|im_start|>assistant\n", True))
    assert longer[: len(shorter) - header] == shorter[:-header]


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
    ("raw", "cleaned"),
    [
        ("  lol  ", "lol"),
        ("yes<|im_end|>\n<|im_start|>user", "yes"),
        ("<|im_end|>", ""),
        ("a" * 3000, "a" * 2000),
        ("LOOOL!!! 😂😂 <3", "LOOOL!!! 😂😂 <3"),
    ],
)
def test_a_reply_is_cleaned_of_artefacts_only(raw: str, cleaned: str) -> None:
    assert prompts.clean(raw) == cleaned
