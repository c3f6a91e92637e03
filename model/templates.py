"""A model's own chat template, read into the markup that stands around the texts.

    python -m model.templates PATH [--accept] [--models-dir DIR]

The template is a jinja program inside a downloaded file. It is run on a short conversation of
unguessable texts, in a sandbox, and its result is cut at those texts: what is left is markup. The
real chat never passes through jinja, so it can be neither trimmed nor mistaken for markup.

As a command it shows a file's template, and what it is read as. `--accept` has the bot use one that
has changed.
"""

import argparse
import dataclasses
import datetime
import re
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bot.config import ROOT, UserError, exit_with
from model import pins
from model.prompts import Template

LONGEST_TEMPLATE = 100_000  # characters; the longest in use are around 20,000

_ERRORS = (
    *(jinja2.TemplateError, ArithmeticError, AttributeError, LookupError),
    *(RecursionError, TypeError, ValueError),
)
_TAG = re.compile(r"<[^<>\s]+>|\[[^\[\]\s]+\]")
_A_DAY = datetime.datetime(2024, 7, 26)  # never today's: a reply would see what training did not

_Message = tuple[str, str]
_Render = Callable[[Sequence[_Message], bool], str]


def from_jinja(source: str, bos: str = "", eos: str = "") -> Template:
    """The markup of a chat template; `bos` and `eos` are the texts of these two tokens.

    A template without a system role gets the system text in front of the first user's. Raises
    `UserError` for a template that fails, or that leaves out what is said.
    """
    system, first, said, last, reply = texts = [f"x{secrets.token_hex(8)}" for _ in range(5)]
    reason = "it does not show every message once and in order"
    try:
        render = _compile(source, bos, eos)
    except _ERRORS as error:
        raise _unusable(error) from None
    for start in (
        [("system", system), ("user", first)],
        [("user", f"{system}\n\n{first}")],
    ):
        talk = [*start, ("assistant", said), ("user", last)]
        try:
            asked = _cut(render(talk, True), texts[:-1])
            answered = _cut(render([*talk, ("assistant", reply)], False), texts)
        except _ERRORS as error:
            reason = str(error)  # many templates refuse a system role in this way
            continue
        if asked and answered:
            before, after_system, to_assistant, to_user, to_reply = asked
            stop = _stop(answered[-1]) or eos or "\n"
            to_reply = _without_thinking(to_reply)
            return Template(before, after_system, to_assistant, to_user, to_reply, stop)
    raise _unusable(reason)


def plain(eos: str = "") -> Template:
    """For a base model that was never taught a chat format: lines of `NAME: text`."""
    return Template("", "\n\n", "\nyou: ", "\n", "\nyou: ", eos or "\n")


class _Sandbox(ImmutableSandboxedEnvironment):
    """jinja's own sandbox, without the `"x" * 10**12` that it still allows."""

    intercepted_binops = frozenset(("*", "**"))

    def call_binop(
        self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any
    ) -> Any:
        raise jinja2.TemplateRuntimeError(f"{operator} is not allowed in a chat template")


def _compile(source: str, bos: str, eos: str) -> _Render:
    """The template as a function of (messages, whether a reply shall follow)."""
    if len(source) > LONGEST_TEMPLATE:
        raise ValueError(f"it is {len(source):,} characters long")
    # the two trims and loop controls are what transformers, whose templates these are, runs with
    sandbox = _Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    sandbox.globals.update(raise_exception=_refuse, strftime_now=_A_DAY.strftime)
    template = sandbox.from_string(source)

    def render(messages: Sequence[_Message], is_reply_next: bool) -> str:
        return template.render(
            messages=[{"role": role, "content": content} for role, content in messages],
            add_generation_prompt=is_reply_next,
            enable_thinking=False,
            tools=None,
            bos_token=bos,
            eos_token=eos,
        )

    return render


def _refuse(reason: str) -> None:
    raise jinja2.TemplateError(reason)


def _cut(text: str, texts: Sequence[str]) -> list[str] | None:
    """What is before, between and after the texts; None unless each is there once, in order."""
    parts = []
    for said in texts:
        part, found, text = text.partition(said)
        if not found or said in text:
            return None
        parts.append(part)
    return [*parts, text]


def _stop(after_reply: str) -> str:
    """What ends a reply: the first tag after it, since some templates close the whole text too."""
    after_reply = after_reply.strip()
    tag = _TAG.match(after_reply)
    return tag[0] if tag else after_reply


def _without_thinking(to_reply: str) -> str:
    """Close the thoughts that a reasoning model's template begins: members chat at once."""
    opened = to_reply.rstrip()
    return f"{opened}\n\n</think>\n\n" if opened.endswith("<think>") else to_reply


def _unusable(reason: object) -> UserError:
    return UserError(
        f"The model's chat template cannot be used: {reason}. Get the model's file again from "
        "where it is published, or choose another model."
    )


def main() -> int:
    """Show a model's template, and accept it if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, help="a model's GGUF file")
    parser.add_argument("--accept", action="store_true", help="have the bot use it as it is now")
    parser.add_argument("--models-dir", type=Path, default=ROOT / "models")
    arguments = parser.parse_args()
    try:
        name, source = pins.template(arguments.path)
        if not source:
            print(f"{name} has no chat template; the model is shown plain lines of NAME: text.")
            return 0
        print(f"{_visible(source)}\n\n{name}, SHA-256 {pins.digest(source)}")
        print(f"It is {pins.compare(name, source, arguments.models_dir)}, and read as:")
        for part, text in dataclasses.asdict(from_jinja(source, "<bos>", "<eos>")).items():
            print(f"  {part.replace('_', ' '):14} {text!a}")
        if arguments.accept:
            pins.accept(name, source, arguments.models_dir)
            print("It is accepted.")
    except UserError as error:
        return exit_with(error)
    return 0


def _visible(source: str) -> str:
    """As a terminal may show it: nothing that steers it, nothing that hides."""
    shown = (c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in source)
    return "".join(shown)


if __name__ == "__main__":
    sys.exit(main())
