"""The playground in a terminal: talk to the bot, or to two models at once, without Discord.

    python -m gui.playground [--env PATH] [--model NAME] [--against NAME] [--blind] [--as NAME]
                             [--seed N] [--no-recall]

Nothing that is said is stored. Lines that begin with a slash are commands: /again /clear /prompt
/tally /models /help; Ctrl+C stops a reply, and leaves where there is none.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bot.config import NEEDS_A_PERSON
from gui.playground.exchange import FAILED, STOPPED, Exchange, Reply
from gui.playground.talk import Playground, seed_of

BEAT_SECONDS = 0.05
START_SECONDS = 600.0  # the small model may have to be fetched
_PICKS = {"1": 0, "2": 1, "": None}


def main() -> int:
    arguments = _arguments()
    playground = Playground(arguments.env)
    playground.seed, playground.recalls = arguments.seed, arguments.recall
    playground.name = arguments.name
    try:
        problem = _open(playground, arguments.model, arguments.against)
        if problem:
            print(f"error: {problem}", file=sys.stderr)
            return NEEDS_A_PERSON
        playground.set_blind(arguments.blind)
        _talk(playground)
    except (EOFError, KeyboardInterrupt):
        print()
    finally:
        playground.close()
    return 0


def _open(playground: Playground, model: str | None, against: str | None) -> str:
    """Find the models; gives back what is wrong."""
    playground.refresh()
    deadline = time.monotonic() + START_SECONDS
    while not playground.models and not playground.problem and time.monotonic() < deadline:
        _beat(playground)
    known = [one.name for one in playground.models]
    if missing := [name for name in (model, against) if name and name not in known]:
        return (
            playground.problem or f"There is no model {missing[0]}. These are: {', '.join(known)}."
        )
    if known:
        playground.choose(model or known[0], *filter(None, [against]))
    return playground.problem


def _talk(playground: Playground) -> None:
    print(" against ".join(_names(playground)), "- /help says what else there is.")
    commands: dict[str, Callable[[], object]] = {
        "/again": lambda: _again(playground),
        "/clear": playground.clear,
        "/prompt": lambda: _prompt(playground),
        "/tally": lambda: print(playground.tally or "There is nothing to compare."),
        "/models": lambda: print("\n".join(model.name for model in playground.models)),
        "/help": lambda: print(__doc__),
    }
    while True:
        text = input(f"{playground.name}> ").strip()
        if text in commands:
            commands[text]()
            continue
        if playground.is_tight and not _is_sure(playground):
            continue
        if playground.say(text):
            _answer(playground)
        elif playground.problem:
            print(f"({playground.problem})")


def _again(playground: Playground) -> None:
    if playground.again():
        _answer(playground)


def _names(playground: Playground) -> list[str]:
    return [model.name for model in playground.chosen]


def _is_sure(playground: Playground) -> bool:
    return input(f"{playground.room} Load it? [y/N] ").strip().lower() in ("y", "yes")


def _answer(playground: Playground) -> None:
    """Show the replies as they come, and ask for a pick where they are blind."""
    exchange = playground.exchanges[-1]
    for number, place in enumerate(exchange.order, 1):
        reply = exchange.replies[place]
        title = f"reply {number}" if exchange.is_blind else reply.model.name
        print(f"{title}> ", end="", flush=True)
        if exchange.is_blind:
            _wait(playground, lambda: exchange.is_over)  # the pace would tell
            print("\n".join(reply.messages) or f"({reply.problem or 'nothing'})")
        else:
            _write(playground, reply)
    if exchange.can_be_judged:
        _judge(playground, exchange)


def _write(playground: Playground, reply: Reply) -> None:
    shown = 0

    def write() -> bool:
        nonlocal shown
        print(reply.text[shown:], end="", flush=True)
        shown = len(reply.text)
        return reply.is_over

    _wait(playground, write)
    print()
    if reply.state == FAILED:
        print(f"({reply.problem})")
    else:
        print(f"({'stopped, ' if reply.state == STOPPED else ''}{reply.figures()})")


def _wait(playground: Playground, is_so: Callable[[], bool]) -> None:
    """Until it is so; Ctrl+C stops the replies."""
    while not is_so():
        try:
            _beat(playground)
        except KeyboardInterrupt:
            playground.stop()


def _judge(playground: Playground, exchange: Exchange) -> None:
    answer = input("Which is better, 1 or 2? Return alone if they are alike. ").strip()
    if answer not in _PICKS:
        print("(not counted)")
        return
    before = playground.picks
    playground.pick(_PICKS[answer])
    while playground.picks == before and not playground.problem:
        _beat(playground)
    told = f"{playground.picks} picked so far; /tally says which model is ahead"
    print(f"({playground.problem or told})")


def _prompt(playground: Playground) -> None:
    """Print what each model was given for its last reply."""
    for reply in playground.exchanges[-1].replies if playground.exchanges else []:
        if reply.given:
            playground.ask_prompt(reply)
            while not playground.prompt:
                _beat(playground)
            print(f"{reply.model.name}:\n{playground.prompt}")


def _beat(playground: Playground) -> None:
    time.sleep(BEAT_SECONDS)
    playground.tick(time.time())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Talk to the bot in a terminal.")
    parser.add_argument("--env", type=Path, help="the settings file (default: .env)")
    parser.add_argument("--model", help="the model to talk to (default: the bot's)")
    parser.add_argument("--against", help="a second one, for the same messages")
    parser.add_argument("--blind", action="store_true", help="hide which is which, and count picks")
    parser.add_argument("--as", dest="name", default="you", help="who speaks")
    parser.add_argument("--seed", type=seed_of, help="for the same reply again")
    parser.add_argument("--no-recall", dest="recall", action="store_false")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
