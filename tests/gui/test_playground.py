"""The playground without a window: what it asks, remembers and says; the process is scripted."""

import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gui.playground.exchange import DONE, FAILED, STOPPED, WRITING
from gui.playground.talk import IDLE_SECONDS, LONGEST, SEEDS, Playground, seed_of

GIGABYTE = 10**9
SCRIPT = """
import json, os, sys, time
def say(call, **fields):
    print(json.dumps({"id": call["id"], **fields}), flush=True)
models = [dict(name=n, path=f"/{n}", bytes=2 * 10**9, is_bots=n == "ours", is_running=n == "ours",
               remark="") for n in ("ours", "base", "third")]
tally, held = 0, []
for line in sys.stdin:
    call = json.loads(line)
    what = call["call"]
    if what == "models":
        say(call, models=models, can_recall=True, done=True)
    elif what == "tally":
        tally += "winner" in call
        sentence = f"{tally} picks, the last for {call.get('winner')}"
        say(call, picks=tally, sentence=sentence, done=True)
    elif what == "prompt":
        say(call, text="given: " + json.dumps(call["given"]), done=True)
    elif what == "cancel":
        for one in [c for c in held if c["id"] == call["id"]]:
            figures = dict(seconds=1.0, tokens=2, rate=None)
            say(one, done=True, is_stopped=True, messages=["half"], **figures)
    elif what == "reply":
        text = call["said"][-1]["text"]
        if text == "die":
            os._exit(3)
        if text == "garbage":
            print("x\\n[]\\n" + "[" * 9999, flush=True)
        say(call, is_loading=True)
        say(call, given={"said": call["said"], "recalls": call["recalls"], "kept": call["kept"]})
        if text == "fail":
            say(call, error="It failed. Try again.")
        elif text == "hold":
            say(call, text="half")
            held.append(call)
        else:
            say(call, text="so")
            answer = f"{call['model'][1:]} heard {text}"
            say(call, text=answer)
            say(call, done=True, messages=[answer], seconds=2.0, tokens=20, rate=9.5)
"""


class Scripted(Playground):
    """One that can be waited for."""

    def until(self, is_so: Callable[[], object]) -> None:
        give_up_at = time.monotonic() + 20
        while not is_so():
            assert time.monotonic() < give_up_at, (self.problem, self.exchanges)
            self.tick(time.time())
            time.sleep(0.002)

    def hear(self, text: str) -> list[str]:
        """Say something, and wait for what it is answered."""
        assert self.say(text)
        self.until(lambda: not self.is_busy)
        return [" ".join(reply.messages) for reply in self.exchanges[-1].replies]


@pytest.fixture
def make() -> Iterator[Callable[..., Scripted]]:
    made: list[Scripted] = []

    def open_one(script: str = SCRIPT, free: int = 16 * GIGABYTE) -> Scripted:
        command = [sys.executable, "-c", script]
        made.append(Scripted(None, command, free_bytes=lambda: free))
        made[-1].refresh()
        return made[-1]

    yield open_one
    for playground in made:
        playground.close()


@pytest.fixture
def playground(make: Callable[..., Scripted]) -> Scripted:
    opened = make()
    opened.until(lambda: opened.models)
    return opened


def test_the_bots_model_is_the_first_to_talk_to(playground: Scripted) -> None:
    assert [model.name for model in playground.chosen] == ["ours"]
    assert playground.hear("hello") == ["ours heard hello"]
    reply = playground.exchanges[0].replies[0]
    assert reply.state == DONE
    assert reply.figures() == f"2.0 s · 20 tokens · 9.5 tokens/s · seed {reply.seed}"


def test_a_model_on_a_server_takes_no_room_here(make: Callable[..., Scripted]) -> None:
    playground = make(SCRIPT.replace("bytes=2 * 10**9", "bytes=0"), free=0)
    playground.until(lambda: playground.models)
    assert playground.room == "" and not playground.is_tight


def test_the_conversation_goes_along(playground: Scripted) -> None:
    playground.name, playground.recalls = " amber ", False
    playground.hear("one")
    playground.hear("two")
    given = playground.exchanges[-1].replies[0].given
    assert given is not None
    told = [(line["name"], line["text"]) for line in given["said"]]
    assert told == [("amber", "one"), (None, "ours heard one"), ("amber", "two")]
    assert given["recalls"] is False


def test_two_models_answer_the_same_message(playground: Scripted) -> None:
    playground.choose("ours", "base")
    assert playground.hear("one") == ["ours heard one", "base heard one"]
    playground.hear("two")
    first, second = playground.exchanges[-1].replies
    assert first.seed == second.seed
    assert first.given and second.given
    assert first.given["said"][1]["text"] == "ours heard one"
    assert second.given["said"][1]["text"] == "base heard one"
    assert first.given["kept"] == ["/ours", "/base"]


def test_a_model_is_not_compared_with_itself(playground: Scripted) -> None:
    playground.choose("ours", "ours")
    assert len(playground.chosen) == 1
    playground.set_blind(True)
    assert not playground.is_blind
    playground.choose("gone")
    assert [model.name for model in playground.chosen] == ["ours"]


def test_again_draws_another_seed(playground: Scripted) -> None:
    assert not playground.again()
    playground.seed = 7
    playground.hear("one")
    assert playground.exchanges[0].replies[0].seed == 7
    assert playground.again()
    playground.until(lambda: not playground.is_busy)
    assert len(playground.exchanges) == 1
    assert playground.exchanges[0].replies[0].seed != 7


def test_blind_replies_come_in_either_order_and_a_pick_is_counted(playground: Scripted) -> None:
    playground.choose("ours", "base")
    playground.set_blind(True)
    orders, picked = set(), []
    for _ in range(12):
        playground.hear("one")
        exchange = playground.exchanges[-1]
        orders.add(exchange.order)
        assert exchange.can_be_judged
        playground.pick(0)
        playground.pick(1)  # once is enough
        picked.append(exchange.replies[exchange.order[0]].model.name)
        playground.until(lambda: playground.picks == len(picked))
        assert playground.tally.endswith(f"the last for {picked[-1]}")
    assert orders == {(0, 1), (1, 0)}


def test_both_models_go_on_with_the_reply_that_was_picked(playground: Scripted) -> None:
    playground.choose("ours", "base")
    playground.set_blind(True)
    playground.hear("one")
    exchange = playground.exchanges[-1]
    playground.pick(1)
    better = exchange.replies[exchange.order[1]].messages[0]
    playground.hear("two")
    for reply in playground.exchanges[-1].replies:
        assert reply.given
        assert reply.given["said"][1]["text"] == better


def test_alike_is_counted_for_neither(playground: Scripted) -> None:
    playground.choose("ours", "base")
    playground.set_blind(True)
    playground.hear("one")
    playground.pick(None)
    playground.until(lambda: playground.picks == 1)
    assert playground.exchanges[-1].is_alike
    assert playground.tally.endswith("for None")


def test_a_reply_that_failed_cannot_be_judged(playground: Scripted) -> None:
    playground.choose("ours", "base")
    playground.set_blind(True)
    playground.hear("fail")
    assert not playground.exchanges[-1].can_be_judged
    playground.pick(0)
    assert playground.exchanges[-1].picked is None


def test_stop_keeps_what_was_said(playground: Scripted) -> None:
    playground.say("hold")
    reply = playground.exchanges[0].replies[0]
    playground.until(lambda: reply.text)
    assert reply.state == WRITING
    assert not playground.say("more")
    playground.stop()
    playground.until(lambda: not playground.is_busy)
    assert (reply.state, reply.messages) == (STOPPED, ("half",))


def test_clear_forgets_and_goes_on(playground: Scripted) -> None:
    playground.say("hold")
    playground.clear()
    assert not playground.is_busy
    playground.hear("anew")
    given = playground.exchanges[0].replies[0].given
    assert given and len(given["said"]) == 1


def test_a_failure_is_told_and_is_no_part_of_the_past(playground: Scripted) -> None:
    playground.hear("fail")
    reply = playground.exchanges[0].replies[0]
    assert (reply.state, reply.problem) == (FAILED, "It failed. Try again.")
    playground.hear("one")
    given = playground.exchanges[1].replies[0].given
    assert given and [line["name"] for line in given["said"]] == ["you", "you"]


def test_a_process_that_dies_is_told_of_and_started_again(playground: Scripted) -> None:
    playground.hear("die")
    assert "exit code 3" in playground.exchanges[0].replies[0].problem
    assert playground.hear("back?") == ["ours heard back?"]
    assert not playground.problem


def test_a_process_that_cannot_be_started_is_told_of(make: Callable[..., Scripted]) -> None:
    playground = make("raise SystemExit(9)")
    playground.until(lambda: playground.problem)
    assert "exit code 9" in playground.problem
    assert not playground.is_ready
    assert not playground.say("hello")


def test_settings_that_are_wrong_say_so(make: Callable[..., Scripted]) -> None:
    playground = make("""print('{"problem": "THREADS is wrong."}'); raise SystemExit(78)""")
    playground.until(lambda: playground.problem)
    playground.until(lambda: not playground._pending)
    assert playground.problem == "THREADS is wrong."


def test_garbage_from_the_process_is_survived(playground: Scripted) -> None:
    assert playground.hear("garbage") == ["ours heard garbage"]


def test_the_prompt_is_asked_for(playground: Scripted) -> None:
    playground.hear("one")
    playground.ask_prompt(playground.exchanges[0].replies[0])
    assert playground.prompt == ""
    playground.until(lambda: playground.prompt)
    assert playground.prompt.startswith("given: ")


def test_memory_is_told_before_it_is_taken(make: Callable[..., Scripted]) -> None:
    playground = make(free=3 * GIGABYTE)
    playground.until(lambda: playground.models)
    assert "2.0 GB, 67 % of the 3.0 GB" in playground.room
    assert "The bot has the same file in memory" in playground.room
    assert not playground.is_tight
    playground.choose("ours", "base")
    assert playground.is_tight
    assert "ours and base" in playground.room
    playground.hear("one")
    assert not playground.room
    assert not playground.is_tight
    playground.choose("ours", "third")
    assert "Loading third takes" in playground.room


def test_a_model_that_is_not_in_use_is_loaded_anew(playground: Scripted) -> None:
    playground.choose("ours", "base")
    playground.hear("one")
    playground.choose("base")
    playground.hear("two")
    playground.choose("ours")
    assert "Loading ours" in playground.room


def test_models_leave_the_memory_when_nobody_talks(playground: Scripted) -> None:
    playground.hear("one")
    process = playground._helper._process
    assert process and not playground.room
    playground.tick(time.time() + IDLE_SECONDS + 1)
    assert process.wait(5) is not None
    assert playground.room
    assert not playground.problem
    assert playground.hear("two") == ["ours heard two"]


def test_unloading_ends_a_reply(playground: Scripted) -> None:
    playground.say("hold")
    playground.unload()
    assert playground.exchanges[0].replies[0].state == FAILED
    assert playground.hear("two") == ["ours heard two"]


def test_closing_ends_the_process(playground: Scripted) -> None:
    playground.say("hold")
    process = playground._helper._process
    playground.close()
    assert process and process.wait(5) is not None
    playground.close()


def test_a_message_is_as_long_as_discord_allows(playground: Scripted) -> None:
    assert not playground.say("  \n ")
    playground.hear("a" * 5000)
    assert len(playground.exchanges[0].text) == LONGEST


def test_a_seed_is_a_number_or_a_sentence() -> None:
    assert seed_of(" 42 ") == 42
    assert seed_of("") is None
    dice = random.Random(0)
    signs = "0123456789-+.eE_ ²٣x\x00\u202e"
    for _ in range(10_000):
        text = "".join(dice.choices(signs, k=dice.randrange(1, 14)))
        try:
            seed = seed_of(text)
        except ValueError as error:
            assert "whole number" in str(error)
        else:
            assert seed is None or 0 <= seed < SEEDS


def test_the_helpers_command_names_the_settings() -> None:
    from gui.playground import helper

    assert helper.command(Path("a b/.env"))[-2:] == ["--env", str(Path("a b/.env"))]
