"""The playground's process, as the window sees it: a real one, with real models and a database."""

import asyncio
import dataclasses
import itertools
import json
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest

from bot.config import ROOT
from bot.playground import conversation
from bot.recall import Recall
from bot.writing import Writer
from model import catalog, embeddings
from model.inference import Engine, Sampling
from model.prompts import Prompt
from storage import database, messages, vectordb
from storage.embeddings import Embedder
from storage.messages import Message
from tests.model import chat_servers, tiny
from tests.model.chat_servers import KEY

SECRET = "xylophones at midnight"
OWN_ID = 0  # without a token
NOW = 1_790_000_000.0

Answer = dict[str, Any]


class Process:
    """The process, a call at a time."""

    def __init__(self, env: Path) -> None:
        command = [sys.executable, "-m", "bot.playground", "--env", str(env)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._last = 0

    @property
    def workers(self) -> list[psutil.Process]:
        children = psutil.Process(self._process.pid).children(recursive=True)
        return [child for child in children if "model.worker" in child.cmdline()]

    def write(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def read(self) -> Answer:
        assert self._process.stdout
        answer = json.loads(self._process.stdout.readline())
        assert isinstance(answer, dict)
        return answer

    def send(self, call: str, **fields: Any) -> int:
        self._last += 1
        self.write(json.dumps({"id": self._last, "call": call, **fields}))
        return self._last

    def ask(
        self, call: str, then: Callable[[Answer], object] = lambda answer: None, **fields: Any
    ) -> list[Answer]:
        """All answers to a call; `then` is handed each when it comes."""
        number = self.send(call, **fields)
        answers: list[Answer] = []
        while not answers or not {"done", "error"} & answers[-1].keys():
            answer = self.read()
            if answer.get("id") == number:
                answers.append(answer)
                then(answer)
        return answers

    def leave(self) -> int:
        assert self._process.stdin
        self._process.stdin.close()
        return self._process.wait(10)


@pytest.fixture
def model(small_model: Path) -> Path:
    return small_model


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, small_model: Path) -> Path:
    return tiny.write(tmp_path_factory.mktemp("models") / "tiny.f16.gguf", small_model)


@pytest.fixture
def connection(tmp_path: Path) -> Any:
    made = database.connect(tmp_path / "data" / "database" / "bot.sqlite3")
    database.change_setting(made, "max_tokens", 12)
    return made


@pytest.fixture
def env(tmp_path: Path, model: Path, connection: Any) -> Path:
    path = tmp_path / ".env"
    path.write_text(
        f"DATA_DIR={tmp_path / 'data'}\nMODELS_DIR={tmp_path / 'models'}\n"
        f"MODEL_PATH={model}\nCONTEXT_LENGTH=512\n"
    )
    return path


@pytest.fixture
def open_one(env: Path) -> Iterator[Callable[[], Process]]:
    made: list[Process] = []

    def make() -> Process:
        made.append(Process(env))
        return made[-1]

    yield make
    for process in made:
        process.leave()


@pytest.fixture
def playground(open_one: Callable[[], Process]) -> Process:
    return open_one()


def reply(model: Path | str, *said: str | None, **changes: Any) -> dict[str, Any]:
    """A call for a reply to what amber said; the second, the fourth ... was the persona's."""
    lines = [
        {"name": None if place % 2 else "amber", "text": text, "at": NOW + 20 * place}
        for place, text in enumerate(said)
    ]
    call = {"model": str(model), "kept": [str(model)], "said": lines, "seed": 1, "recalls": False}
    return {**call, **changes}


def given(answers: list[Answer]) -> Any:
    return next(answer["given"] for answer in answers if "given" in answer)


def test_the_bots_own_model_comes_first(playground: Process, model: Path, tmp_path: Path) -> None:
    base = tmp_path / "models" / "base"
    base.mkdir(parents=True)
    (base / "another.gguf").touch()
    (base / f"{catalog.EMBEDDER}.gguf").touch()
    (answer,) = playground.ask("models")
    assert [one["name"] for one in answer["models"]] == [model.stem, "another"]
    assert [one["is_bots"] for one in answer["models"]] == [True, False]
    assert answer["models"][0]["bytes"] > model.stat().st_size
    assert answer["can_recall"] is False


def test_a_model_the_bot_has_in_memory_is_marked(
    playground: Process, connection: Any, model: Path
) -> None:
    now = time.time()
    database.beat(connection, "bot", database.Heartbeat(1, now, now, 1.0, model.stem))
    (answer,) = playground.ask("models")
    assert answer["models"][0]["is_running"]


def test_a_reply_comes_piece_by_piece_with_its_figures(playground: Process, model: Path) -> None:
    *before, last = playground.ask("reply", **reply(model, "what a day"))
    texts = [answer["text"] for answer in before if "text" in answer]
    assert "is_loading" in before[0]
    assert len(texts) > 1
    assert all(later.startswith(text) for text, later in itertools.pairwise(texts))
    assert "\n".join(last["messages"]) == texts[-1]
    assert last["tokens"] <= 12
    assert last["seconds"] > 0


def test_the_prompt_is_the_one_that_the_bot_would_make(
    playground: Process, connection: Any, model: Path, tmp_path: Path
) -> None:
    class Scripted(Engine):
        prompts: ClassVar[list[Prompt]] = []

        async def reply(
            self, prompt: Prompt, sampling: Sampling, channel_id: int
        ) -> AsyncGenerator[str, None]:
            self.prompts.append(prompt)
            yield "fine"

    said = ["seen the new map?", "yes\nit is huge", "the castle on that map?", "burned it", "why?"]
    call = reply(model, *said)  # the first answer was a burst of two
    call["said"][1:2] = [{**call["said"][1], "text": text} for text in said[1].splitlines()]
    shown = given(playground.ask("reply", **call))["prompt"]

    made = conversation(call["said"], OWN_ID)
    with database.transaction(connection):
        messages.save(connection, made)
    engine = Scripted(model)
    path = tmp_path / "data" / "database" / "bot.sqlite3"
    writer = Writer(connection, engine, Recall(engine, path, tmp_path), OWN_ID)
    asyncio.run(writer.write(made[-1], {}))
    assert shown == json.loads(json.dumps(dataclasses.asdict(engine.prompts[0])))
    assert shown["turns"][0] == {"name": "amber", "text": said[0]}


def test_the_prompt_can_be_read_to_the_letter(playground: Process, model: Path) -> None:
    answers = playground.ask("reply", **reply(model, "what a day"))
    (answer,) = playground.ask("prompt", model=str(model), given=given(answers))
    assert answer["text"].startswith("<|im_start|>system\nYou're a regular")
    assert answer["text"].endswith(
        "<|im_start|>user amber\nwhat a day<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_stopped_reply_keeps_what_was_said(
    playground: Process, connection: Any, model: Path
) -> None:
    database.change_setting(connection, "max_tokens", 400)

    def stop(answer: Answer) -> None:
        if "text" in answer:
            playground.write(json.dumps({"id": answer["id"], "call": "cancel"}))

    last = playground.ask("reply", stop, **reply(model, "tell me all of it"))[-1]
    assert last["is_stopped"]
    assert 0 < last["tokens"] < 400
    assert playground.ask("reply", **reply(model, "and now?"))[-1]["done"]


def test_a_reply_that_waits_can_be_stopped(
    playground: Process, connection: Any, model: Path
) -> None:
    database.change_setting(connection, "max_tokens", 100)
    playground.send("reply", **reply(model, "the first"))
    waiting = playground.send("reply", **reply(model, "the second"))
    playground.write(json.dumps({"id": waiting, "call": "cancel"}))
    while (answer := playground.read()).get("id") != waiting:
        pass
    assert answer["is_stopped"]
    assert "tokens" not in answer


def test_a_dead_worker_is_told_of_and_replaced(
    playground: Process, connection: Any, model: Path
) -> None:
    database.change_setting(connection, "max_tokens", 400)

    def kill(answer: Answer) -> None:
        if "given" in answer:
            playground.workers[0].kill()

    last = playground.ask("reply", kill, **reply(model, "still there?"))[-1]
    assert "the worker" in last["error"]
    database.change_setting(connection, "max_tokens", 10)
    assert playground.ask("reply", **reply(model, "and now?"))[-1]["done"]


def test_a_model_that_nobody_needs_leaves_the_memory(
    playground: Process, model: Path, other: Path
) -> None:
    both = [str(model), str(other)]
    for one in (model, other):
        playground.ask("reply", **reply(one, "hello", kept=both))
    assert len(playground.workers) == 2
    playground.ask("reply", **reply(other, "hello"))
    assert len(playground.workers) == 1


def test_a_file_that_is_no_model_is_told_of(playground: Process, tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"nothing")
    assert "not a GGUF" in playground.ask("reply", **reply(path, "hello"))[-1]["error"]


def test_the_model_on_a_server_is_the_bots_and_no_other_is_loaded(
    open_one: Callable[[], Process], env: Path, model: Path
) -> None:
    with chat_servers.llama_server(model) as address:
        env.write_text(f"{env.read_text()}ENGINE_URL={address}\nENGINE_KEY={KEY}\n")
        playground = open_one()
        own = playground.ask("models")[-1]["models"][0]
        assert own["is_bots"] and own["name"].endswith(" at 127.0.0.1") and not own["bytes"]
        call = reply(own["path"], "what a day")
        answers = playground.ask("reply", **call)
        assert answers[-1]["tokens"] and not playground.workers
        (answer,) = playground.ask("prompt", model=own["path"], given=given(answers))
        assert json.loads(answer["text"])[-1]["content"].endswith("what a day")
    assert "cannot be reached" in playground.ask("reply", **call)[-1]["error"]


def test_nothing_that_is_said_is_stored(
    open_one: Callable[[], Process], model: Path, tmp_path: Path
) -> None:
    playground = open_one()
    answers = playground.ask("reply", **reply(model, SECRET))
    playground.ask("prompt", model=str(model), given=given(answers))
    playground.ask("tally", models=["a", "b"], winner="a")
    playground.leave()
    texts = [SECRET, *answers[-1]["messages"]]
    for path in (tmp_path / "data").rglob("*"):
        if path.is_file():
            assert not [text for text in texts if text.encode() in path.read_bytes()], path


def test_a_pick_is_counted_in_a_file_of_its_own(playground: Process, tmp_path: Path) -> None:
    playground.ask("tally", models=["b", "a"], winner="a")
    (answer,) = playground.ask("tally", models=["a", "b"])
    assert answer["picks"] == 1
    assert answer["sentence"].startswith("a won 1 of 1 against b")
    kept = tmp_path / "data" / "reports" / "playground.json"
    assert json.loads(kept.read_text()) == {"a / b": [1, 0, 0]}


def test_garbage_is_survived(playground: Process) -> None:
    for line in ("", "x", "[]", "{}", '{"id": "1"}', "[" * 100_000, '{"call": "reply"}'):
        playground.write(line)
    assert "stumbled" in playground.ask("nonsense")[-1]["error"]
    assert "stumbled" in playground.ask("reply", model=3)[-1]["error"]
    assert playground.ask("models")[-1]["done"]


def test_settings_that_are_wrong_are_told_of(env: Path) -> None:
    env.write_text("CONTEXT_LENGTH=many\n")
    process = Process(env)
    assert "CONTEXT_LENGTH" in process.read()["problem"]
    assert process.leave() == 78


def test_closing_stdin_ends_all_of_it(open_one: Callable[[], Process], model: Path) -> None:
    playground = open_one()
    playground.ask("reply", **reply(model, "hello"))
    workers = playground.workers
    assert workers
    assert playground.leave() == 0
    _, alive = psutil.wait_procs(workers, 5)
    assert not alive


def test_older_messages_are_recalled_and_the_index_is_left_alone(
    env: Path, connection: Any, model: Path, tmp_path: Path
) -> None:
    models_dir = ROOT / "models"
    text = "my cat sleeps on the keyboard all day"
    said = [
        Message(messages.snowflake_at(NOW - 90_000), 5, 77, "kim", text),
        Message(messages.snowflake_at(NOW - 80_000), 5, 78, "lee", "the train was late again"),
    ]
    with database.transaction(connection):
        messages.save(connection, said)
    folder = tmp_path / "data" / "embeddings"
    embed = embeddings.Embedder(embeddings.minilm(models_dir))
    store = vectordb.VectorStore(folder, Embedder(**embed.facts))
    store.add(connection, [m.id for m in said], embed([m.content for m in said]))
    forgotten = (said[1].id,)  # the bot would mend the index
    connection.execute("DELETE FROM embeddings WHERE message_id = ?", forgotten)
    before = sorted(path.name for path in folder.rglob("*"))
    env.write_text(env.read_text().replace(str(tmp_path / "models"), str(models_dir)))

    process = Process(env)
    assert process.ask("models")[-1]["can_recall"]
    call = reply(model, "do cats like to sleep on a keyboard?", recalls=True)
    recalled = given(process.ask("reply", **call))["prompt"]["recalled"]
    assert recalled == [{"name": "kim", "text": text}]
    assert not given(process.ask("reply", **{**call, "recalls": False}))["prompt"]["recalled"]
    process.leave()
    assert sorted(path.name for path in folder.rglob("*")) == before
