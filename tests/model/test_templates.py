"""A model's own chat template: read once, followed exactly, and never trusted."""

import datetime
from collections.abc import Sequence
from pathlib import Path

import jinja2
import pytest

from bot.config import UserError
from model import prompts, resident, templates
from model.drawing import Spelling
from model.prompts import CHATML, SYSTEM, Prompt, Template, Turn
from tests.model import chat_templates, tiny

BOS, EOS = "<s>", "</s>"
FOLDED = {"gemma", "mistral"}
TALK = [
    *(Turn("amber", "hi"), Turn("bob", "yo\nwhat's up"), Turn(None, "nm")),
    *(Turn("bob", "ok"), Turn(None, "lol\nno way"), Turn("amber", "so?")),
]


def template_of(family: str) -> Template:
    return templates.from_jinja(chat_templates.ALL[family], BOS, EOS)


def shown(family: str, turns: Sequence[Turn]) -> str:
    return text_of(prompts.build(turns), template_of(family))


def text_of(prompt: Prompt, template: Template) -> str:
    return "".join(piece.text for piece in prompts.layout(prompt, template))


def rendered(family: str, messages: list[tuple[str, str]]) -> str:
    """What the family's own template makes of a conversation."""

    def refuse(reason: str) -> None:
        raise AssertionError(reason)

    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(chat_templates.ALL[family]).render(
        messages=[{"role": role, "content": content} for role, content in messages],
        add_generation_prompt=True,
        enable_thinking=False,
        bos_token=BOS,
        eos_token=EOS,
        raise_exception=refuse,
        strftime_now=datetime.datetime(2024, 7, 26).strftime,
    )


def messages_of(family: str, turns: Sequence[Turn]) -> list[tuple[str, str]]:
    """The turns as roles: names in ChatML's headers, elsewhere in lines of one user's turn."""
    messages = [("user" if family in FOLDED else "system", SYSTEM)]
    for turn in turns:
        if turn.name is None:
            messages.append(("assistant", turn.text))
        elif "chatml" in family:
            messages.append((f"user {turn.name}", turn.text))
        elif messages[-1][0] == "user":
            between = "\n\n" if messages[-1][1] == SYSTEM else "\n"
            messages[-1] = ("user", f"{messages[-1][1]}{between}{turn.name}: {turn.text}")
        else:
            messages.append(("user", f"{turn.name}: {turn.text}"))
    return messages


@pytest.mark.parametrize("family", chat_templates.ALL)
def test_a_conversation_reads_as_the_models_template_writes_it(family: str) -> None:
    own = rendered(family, messages_of(family, TALK))
    if family == "deepseek":  # its thoughts are begun for it; ours are over
        own = own.replace("<think>\n", "<think>\n\n</think>\n\n")
    assert shown(family, TALK) == own


@pytest.mark.parametrize(
    ("family", "stop"),
    [
        ("chatml", "<|im_end|>"),
        ("llama", "<|eot_id|>"),
        ("gemma", "<end_of_turn>"),
        ("mistral", EOS),
        ("phi", "<|im_end|>"),
        ("phi mini", "<|end|>"),
        ("deepseek", EOS),
    ],
)
def test_a_reply_ends_with_what_the_template_writes_after_one(family: str, stop: str) -> None:
    assert template_of(family).stop == stop


def test_only_chatml_puts_names_into_headers() -> None:
    assert template_of("chatml") == CHATML
    assert template_of("thinking chatml").is_chatml
    for family in ("llama", "gemma", "mistral", "phi", "phi mini", "deepseek"):
        assert not template_of(family).is_chatml
        assert "amber: hi\nbob: yo" in shown(family, TALK)


def test_a_talk_that_the_persona_began_still_begins_with_a_user() -> None:
    said = shown("gemma", TALK[2:])
    assert said.startswith(f"<s><start_of_turn>user\n{SYSTEM}")
    assert "<end_of_turn>\n<start_of_turn>model\nnm<end_of_turn>\n<start_of_turn>user\nbob" in said


def test_what_is_recalled_stands_before_the_last_turn() -> None:
    prompt = prompts.build([Turn("a", "hi"), Turn("b", "yo")], [Turn("c", "old"), Turn(None, "!")])
    for family, expected in {
        "chatml": "hi<|im_end|>\n<|im_start|>system\nSaid here before:\nc: old\nyou: !<|im_end|>\n"
        "<|im_start|>user b\nyo<|im_end|>\n<|im_start|>assistant\n",
        "gemma": "a: hi\nSaid here before:\nc: old\nyou: !\n\nb: yo<end_of_turn>\n"
        "<start_of_turn>model\n",
    }.items():
        assert text_of(prompt, template_of(family)).endswith(expected)


def test_members_never_see_a_reasoning_model_think() -> None:
    assert template_of("deepseek").to_reply.endswith("<think>\n\n</think>\n\n")
    assert template_of("thinking chatml").to_reply.endswith("<think>\n\n</think>\n\n")


@pytest.mark.parametrize(
    "source",
    [
        "",
        "just words",
        "{% for %}",
        "{{ messages[0].content }}",
        "{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}",
        "{% for m in messages | reverse %}{{ m.content }}{% endfor %}",
        "{{ raise_exception('no') }}",
        "{{ 1 / 0 }}",
        "{{ nobody.knows.this }}",
        "{{ 'x' * 99999999999 }}",
        "{% for i in range(99999999999) %}{{ i }}{% endfor %}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{% include 'secrets' %}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
        "{#" + "x" * templates.LONGEST_TEMPLATE + "#}",
        "((((" * 20_000,
    ],
)
def test_a_template_that_cannot_be_used_is_a_sentence(source: str) -> None:
    with pytest.raises(UserError, match=r"chat template cannot be used: .+ another model"):
        templates.from_jinja(source, BOS, EOS)


def test_a_model_is_talked_to_in_its_own_template(tmp_path: Path, small_model: Path) -> None:
    assert resident.encoder(resident.load(small_model, 64)).template == CHATML
    path = tiny.write(tmp_path / "g.gguf", small_model, chat_template=chat_templates.GEMMA)
    template = resident.encoder(resident.load(path, 64)).template
    assert template.before == "<|im_start|><start_of_turn>user\n"  # its bos is called so
    assert template.stop == "<end_of_turn>"


def test_a_base_model_is_shown_plain_lines(
    tmp_path: Path, small_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tiny.write(tmp_path / "base.gguf", small_model, chat_template="")
    template = resident.encoder(resident.load(path, 64)).template
    assert "no chat template" in caplog.text
    assert text_of(prompts.build(TALK[:4]), template) == (
        f"{SYSTEM}\n\namber: hi\nbob: yo\nwhat's up\nyou: nm\nbob: ok\nyou: "
    )
    assert template.stop == "<|im_end|>"


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        (["so ", "what"], "so what"),
        (["so<", "|e", "nd|>", "more"], "so"),
        (["so<|", "x|>"], "so<|x|>"),
        (["so<|"], "so<|"),
        (["<<|end|>"], "<"),
        (["so\n", "\nUs", "er: and you?"], "so"),
        (["so\n", "\nUsers", " say"], "so\n\nUsers say"),
        (["<|\n\n", "user:<|end|>"], "<|"),
        ([], ""),
    ],
)
def test_a_stop_that_is_spelt_in_pieces_ends_the_reply(pieces: list[str], said: str) -> None:
    spelling = Spelling(lambda token: pieces[token].encode(), ("<|end|>", *prompts.FOR_OTHERS))
    text = ""
    for token in range(len(pieces)):
        text += "" if spelling.is_over else spelling.add(token)
    assert text + spelling.rest() == said
