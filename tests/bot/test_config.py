"""`.env` in every shape a person can leave it in."""

import base64
import os
import sys
from pathlib import Path

import pytest

from bot import addresses, config
from bot.config import UserError

ID = 123456789012345678


def token(bot_id: int = ID) -> str:
    head = base64.urlsafe_b64encode(str(bot_id).encode()).decode().rstrip("=")
    return f"{head}.{'x' * 6}.{'y' * 30}"


def write(tmp_path: Path, **changes: str) -> Path:
    values = {"DISCORD_TOKEN": token(), "SERVER_ID": str(ID), "ADMIN_USERS": str(ID), **changes}
    path = tmp_path / ".env"
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    return path


def test_a_complete_file_is_read(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path, CHANNELS="11111, 22222", MODEL_PATH="m.gguf"))
    assert loaded.application_id == ID
    assert loaded.channel_ids == {11111, 22222}
    assert loaded.model_path == tmp_path / "m.gguf"
    assert loaded.api_base == config.DISCORD_API


def test_a_machine_that_only_trains_needs_no_token(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text("DATA_DIR=somewhere\n")
    assert config.load(env, needs_discord=False).data_dir == tmp_path / "somewhere"


def test_quotes_and_spaces_around_a_token_are_forgiven(tmp_path: Path) -> None:
    assert config.load(write(tmp_path, DISCORD_TOKEN=f"' Bot {token()} '")).token == token()


def test_the_token_does_not_show_in_a_repr(tmp_path: Path) -> None:
    assert token() not in repr(config.load(write(tmp_path)))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"DISCORD_TOKEN": ""}, "DISCORD_TOKEN is missing"),
        ({"DISCORD_TOKEN": "hello"}, "not a bot token"),
        ({"DISCORD_TOKEN": "a" * 24 + ".bbbbbb." + "c" * 30}, "not a bot token"),
        ({"SERVER_ID": ""}, "SERVER_ID"),
        ({"SERVER_ID": "my server"}, "'my'"),
        ({"SERVER_ID": f"{ID},{ID + 1}"}, "SERVER_ID"),
        ({"ADMIN_USERS": ""}, "ADMIN_USERS"),
        ({"ADMIN_USERS": "@alice"}, "'@alice'"),
        ({"CHANNELS": "#general"}, "'#general'"),
        ({"CONTEXT_LENGTH": "lots"}, "CONTEXT_LENGTH"),
        ({"THREADS": "-2"}, "THREADS"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL"),
        ({"ENGINE_URL": "127.0.0.1:8080"}, "ENGINE_URL"),
        ({"ENGINE_URL": "ftp://127.0.0.1/v1"}, "ENGINE_URL"),
        ({"ENGINE_URL": "http://me:secret@127.0.0.1/v1"}, "ENGINE_URL"),
        ({"ENGINE_URL": "http://127.0.0.1/v1?key=secret"}, "ENGINE_URL"),
        ({"ENGINE_URL": "http://127.0.0.1:99999/v1"}, "ENGINE_URL"),
        ({"ENGINE_URL": "http://[::1/v1"}, "ENGINE_URL"),
        ({"ENGINE_URL": "http://93.184.215.14/v1"}, "Use https"),
        ({"ENGINE_URL": "http://[::ffff:93.184.215.14]/v1"}, "Use https"),
        ({"ENGINE_URL": "http://134744072/v1"}, "Use https"),
        ({"ENGINE_URL": "http://010.8.8.8/v1"}, "Use https"),
        ({"ENGINE_KEY": "two words"}, "ENGINE_KEY"),
        ({"ENGINE_KEY": "sk-\u00e9"}, "ENGINE_KEY"),
        ({"EMBEDDER": "../../etc"}, "EMBEDDER"),
        ({"DISCORD_API_BASE": "https://evil.example/api/v10"}, "DISCORD_API_BASE"),
        ({"DISCORD_API_BASE": "http://127.0.0.1@evil.example/"}, "DISCORD_API_BASE"),
    ],
)
def test_a_wrong_value_is_named_in_a_sentence(
    tmp_path: Path, changes: dict[str, str], named: str
) -> None:
    with pytest.raises(UserError, match=named):
        config.load(write(tmp_path, **changes))


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://localhost:8080/v1/", True),
        ("http://[::1]:8080", True),
        ("http://192.168.1.20:8080", False),
        ("http://127.evil.example:8080", False),
        ("http://gpu-box:8000/v1", False),
        ("https://api.example.com/v1", False),
    ],
)
def test_a_server_is_named_with_or_without_v1(tmp_path: Path, url: str, is_here: bool) -> None:
    found = config.load(write(tmp_path, ENGINE_URL=url))
    assert found.engine_url == url.rstrip("/").removesuffix("/v1") + "/v1"
    assert addresses.is_here(found.engine_url) is is_here


def test_secrets_are_not_in_what_is_printed_of_the_settings(tmp_path: Path) -> None:
    found = config.load(write(tmp_path, ENGINE_KEY="sk-secret"))
    assert found.engine_key == "sk-secret"
    assert "sk-secret" not in repr(found) and found.token not in repr(found)


@pytest.mark.parametrize("name", ["ENGINE_URL", "ENGINE_KEY"])
def test_an_error_repeats_no_secret_of_a_server(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError) as raised:
        config.load(write(tmp_path, **{name: "http://me:pass word@host/"}))
    assert "pass word" not in str(raised.value)


def test_an_error_never_repeats_the_token(tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        config.load(write(tmp_path, DISCORD_TOKEN="secret.not-a-token"))
    assert "secret" not in str(raised.value)


def test_a_binary_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00garbage\xff")
    with pytest.raises(UserError, match="Cannot read"):
        config.load(tmp_path / ".env")


def test_a_folder_in_place_of_the_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    with pytest.raises(UserError, match="Cannot read"):
        config.load(tmp_path / ".env")


@pytest.mark.skipif(
    sys.platform == "win32" or getattr(os, "geteuid", lambda: 0)() == 0,
    reason="root and Windows read every file",
)
def test_a_file_we_may_not_read_is_a_sentence(tmp_path: Path) -> None:
    write(tmp_path).chmod(0)
    with pytest.raises(UserError, match="Cannot read"):
        config.load(tmp_path / ".env")
