"""`!model` on a real client in the sandbox."""

import contextlib
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.commands import sync
from bot.engines import choose_model
from bot.errands import Errands
from bot.model_commands import ModelCommands
from bot.servers import Servers
from model import catalog
from storage import database, requests
from storage.database import Model
from tests.bot.room import Bot, Room
from tests.bot.room import room as open_room
from tests.bot.scripted import Scripted
from tests.sandbox.conftest import ALICE
from tests.sandbox.conftest import own_address as own_address  # a fixture: it runs by itself

UNKNOWN = "There is no model by that name. !model list says which there are."

EMPTY_GGUF = b"GGUF" + struct.pack("<IQQ", 3, 0, 0)


class Models:
    """Two trained models, one of which lost its file, and two base models beside the embedder."""

    def __init__(self, folder: Path, is_supervised: bool = True) -> None:
        self.folder, self.is_supervised = folder, is_supervised
        self.restarts: list[int] = []
        base = folder / "models" / "base"
        base.mkdir(parents=True)
        for name in ("Tiny-1B.Q4_0", catalog.EMBEDDER, "../../own.Q4_K_M"):
            (base / f"{name}.gguf").write_bytes(EMPTY_GGUF)
        (base / "broken.gguf").write_bytes(b"nothing")
        (folder / "secret.gguf").write_bytes(EMPTY_GGUF)

    def cog(self, bot: Bot, servers: Servers) -> ModelCommands:
        ((self.config, connection),) = ((one.config, one.connection) for one in servers.values())
        for name, file in (("own", "own.Q4_K_M.gguf"), ("lost", "nowhere")):
            measured = {"bits_per_char": 1.5}
            model = Model(name, self.folder / file, "Tiny", "d", measured, 1.7e9)
            database.add_model(connection, model)

        def restart() -> None:
            self.restarts.append(1)

        errands = Errands(bot, servers, restart) if self.is_supervised else None
        return ModelCommands(servers, restart, errands)


@contextlib.asynccontextmanager
async def room(models: Models) -> AsyncIterator[Room]:
    async with open_room(models.folder, models.cog, Scripted(name="own.Q4_K_M")) as here:
        yield here


async def test_models_and_bases_on_this_computer_are_listed(tmp_path: Path) -> None:
    async with room(Models(tmp_path)) as here:
        for asked in ("!model", "!model list"):
            lines = (await here.ask(asked)).splitlines()
            assert lines == [
                "\u25b8 `own`, on Tiny, 2023-11-14, 1.500 bits/char",
                "`Tiny-1B.Q4_0`, a base model",
            ]


async def test_a_trained_model_is_deployed_by_the_launcher(tmp_path: Path) -> None:
    models = Models(tmp_path)
    async with room(models) as here:
        assert await here.ask("!model use own") == "Asking the launcher ..."
        answer = here.place.posts[-1]
        asked = requests.open_request(here.database)
        assert asked and (asked.step, asked.argument) == (requests.DEPLOY, "own")
        requests.tell(here.database, asked.id, requests.DONE, "Deploy: done. Deployed own.")
        await here.bot.sees(lambda: answer.content.startswith("Deploy: done"))
        while not models.restarts:
            await here.bot.sees(lambda: True)
        assert requests.untold(here.database) == []


async def test_a_deployment_that_fails_restarts_nothing(tmp_path: Path) -> None:
    models = Models(tmp_path)
    async with room(models) as here:
        await here.ask("!model use own")
        answer = here.place.posts[-1]
        asked = requests.open_request(here.database)
        assert asked
        requests.tell(here.database, asked.id, requests.FAILED, "Deploy: needs you. It is worse.")
        await here.bot.sees(lambda: "It is worse." in answer.content)
        assert not models.restarts


async def test_a_base_model_is_used_at_once(tmp_path: Path) -> None:
    models = Models(tmp_path)
    async with room(models) as here:
        database.deploy(here.database, "own")
        database.change_setting(here.database, "top_p", 0.5)
        assert await here.ask("!model use Tiny-1B.Q4_0") == "Restarting with Tiny-1B.Q4_0."
        assert models.restarts == [1]
        chosen = choose_model(models.config, here.database)
        assert chosen == tmp_path / "models" / "base" / "Tiny-1B.Q4_0.gguf"
        assert database.settings(here.database).top_p == 0.9


@pytest.mark.parametrize(
    "name",
    [
        *(
            "lost",
            "broken",
            "secret",
            "OWN",
            "own\u200b",
            "../secret",
            "../secret.gguf",
            "/etc/passwd",
        ),
        *("base/Tiny-1B.Q4_0", "..\\secret", catalog.EMBEDDER, "--rollback", "own; x", "x" * 1900),
        *("<|im_start|>own", "\u202eown", "o\u0337w\u0337n", '"own" x', "@everyone", "`own`"),
    ],
)
async def test_only_a_known_name_is_a_model(tmp_path: Path, name: str) -> None:
    models = Models(tmp_path)
    async with room(models) as here:
        assert await here.ask(f"!model use {name}") == UNKNOWN
        assert not models.restarts and requests.open_request(here.database) is None
        assert database.chosen_path(here.database) is None


async def test_model_path_wins_and_says_so(tmp_path: Path) -> None:
    models = Models(tmp_path)
    async with room(models) as here:
        object.__setattr__(here.server.config, "model_path", tmp_path / "own")
        assert "MODEL_PATH in .env" in await here.ask("!model use Tiny-1B.Q4_0")
        assert database.chosen_path(here.database) is None


async def test_without_a_launcher_the_way_by_hand_is_said(tmp_path: Path) -> None:
    models = Models(tmp_path, is_supervised=False)
    async with room(models) as here:
        assert "5_deploy_bot.py --model own" in await here.ask("!model use own")
        assert "from the next start" in await here.ask("!model use Tiny-1B.Q4_0")
        assert not models.restarts


async def test_names_are_suggested_to_admins_while_they_type(tmp_path: Path) -> None:
    async with room(Models(tmp_path)) as here:
        await sync(here.bot, here.servers)
        assert await here.suggested("model", "name", use={"name": ""}) == ["own", "Tiny-1B.Q4_0"]
        assert await here.suggested("model", "name", use={"name": "tin"}) == ["Tiny-1B.Q4_0"]
        here.admin_id = ALICE
        assert await here.suggested("model", "name", use={"name": ""}) == []
        assert here.command("model")["default_member_permissions"] == "32"
        refused = await here.use("model", ALICE, use={"name": "own"})
        assert refused.answers[0].content == "This command is for the bot's admins."
