"""Rate limits: so many in so long, honest headers, and clients that heed them are never refused."""

import json

import aiohttp
import discord
import pytest

from data.discord_api import use
from sandbox.limits import RateLimiter
from sandbox.server import Sandbox
from sandbox.world import World
from tests.sandbox.conftest import ALICE, Caller, online

ROOM, OTHER_ROOM = "/channels/111111/messages", "/channels/222222/messages"


class Clock:
    """A time that passes when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> RateLimiter:
    return RateLimiter(clock=clock)


def _passes(limiter: RateLimiter, method: str, path: str, times: int = 1) -> list[bool]:
    return [limiter.check(method, path)[1] is None for _ in range(times)]


def test_five_pages_in_five_seconds_and_not_one_more(limiter: RateLimiter, clock: Clock) -> None:
    assert _passes(limiter, "GET", ROOM, 7) == [True] * 5 + [False] * 2
    clock.now += 4.9
    assert _passes(limiter, "GET", ROOM) == [False]
    clock.now += 0.1
    assert _passes(limiter, "GET", ROOM, 6) == [True] * 5 + [False]


def test_the_wait_is_until_the_window_ends(limiter: RateLimiter, clock: Clock) -> None:
    _passes(limiter, "GET", ROOM, 5)
    clock.now += 1.5
    _, wait, is_global = limiter.check("GET", ROOM)
    assert wait == pytest.approx(3.5) and not is_global


def test_headers_count_down_and_say_when(limiter: RateLimiter, clock: Clock) -> None:
    counts, waits = [], []
    for _ in range(6):
        headers, _, _ = limiter.check("GET", ROOM)
        counts.append((headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]))
        waits.append(headers["X-RateLimit-Reset-After"])
        clock.now += 0.5
    assert counts == [("5", n) for n in "432100"]
    assert waits == ["5.000", "4.500", "4.000", "3.500", "3.000", "2.500"]
    assert headers["X-RateLimit-Scope"] == "user"


def test_channels_and_routes_do_not_share_their_limits(limiter: RateLimiter) -> None:
    assert not all(_passes(limiter, "GET", ROOM, 6))
    assert all(_passes(limiter, "GET", OTHER_ROOM, 5))
    assert all(_passes(limiter, "POST", ROOM, 5))
    assert all(_passes(limiter, "GET", "/channels/111111/messages/333333", 5))


def test_the_bucket_names_the_route_and_not_the_channel(limiter: RateLimiter) -> None:
    def bucket(method: str, path: str) -> str:
        return limiter.check(method, path)[0]["X-RateLimit-Bucket"]

    assert bucket("GET", ROOM) == bucket("GET", OTHER_ROOM)
    assert bucket("GET", ROOM) != bucket("POST", ROOM)


def test_all_emoji_of_a_channel_share_one_limit(limiter: RateLimiter) -> None:
    first, second = (f"{ROOM}/333333/reactions/{emoji}/@me" for emoji in ("x:111111", "\u2764"))
    assert _passes(limiter, "PUT", first) == [True]
    assert _passes(limiter, "PUT", second) == [False]


def test_fifty_a_second_for_everything(limiter: RateLimiter, clock: Clock) -> None:
    paths = [f"/channels/{111111 + n}/messages" for n in range(60)]
    answers = [limiter.check("GET", path) for path in paths]
    assert [wait is None for _, wait, _ in answers] == [True] * 50 + [False] * 10
    headers, wait, is_global = answers[-1]
    assert is_global and headers["X-RateLimit-Global"] == "true" and wait == pytest.approx(1.0)
    clock.now += 1.0
    assert _passes(limiter, "GET", paths[-1]) == [True]


def test_answers_to_commands_do_not_count_globally(limiter: RateLimiter) -> None:
    for number in range(50):
        limiter.check("GET", f"/channels/{111111 + number}/messages")
    assert all(_passes(limiter, "POST", "/interactions/111111/token/callback", 100))
    assert all(_passes(limiter, "POST", "/webhooks/111111/token", 5))
    assert _passes(limiter, "GET", "/users/@me") == [False]


def test_lying_headers_promise_what_is_not_there(limiter: RateLimiter) -> None:
    limiter.is_lying = True
    answers = [limiter.check("GET", ROOM) for _ in range(6)]
    assert [headers["X-RateLimit-Remaining"] for headers, _, _ in answers] == ["999"] * 5 + ["0"]
    assert [wait is None for _, wait, _ in answers] == [True] * 5 + [False]


def test_no_limits_where_they_are_switched_off() -> None:
    limiter = RateLimiter(is_on=False)
    assert all(_passes(limiter, "GET", ROOM, 200))
    assert limiter.check("GET", ROOM)[0] == {}


async def test_a_refusal_over_http_is_discords(world: World, place_id: int, clock: Clock) -> None:
    room = f"/channels/{place_id}/messages"
    async with (
        Sandbox(world, limiter=RateLimiter(clock=clock)) as sandbox,
        aiohttp.ClientSession() as session,
    ):
        call = Caller(session, sandbox)
        for _ in range(5):
            assert (await call("GET", room))[0] == 200
        clock.now += 1.0
        async with call.raw("GET", room) as response:
            assert response.status == 429
            assert response.content_type == "application/json"
            assert response.headers["Via"] and response.headers["Retry-After"] == "4"
            assert response.headers["X-RateLimit-Remaining"] == "0"
            body = json.loads(await response.text())
        assert body["retry_after"] == pytest.approx(4.0) and body["global"] is False
        assert sandbox.rest.requests["429"] == 1
        for _ in range(60):
            status, body = await call("GET", "/gateway")
        assert (status, body["global"]) == (429, True)


async def test_errors_carry_the_headers_too(world: World, clock: Clock) -> None:
    async with (
        Sandbox(world, limiter=RateLimiter(clock=clock)) as sandbox,
        aiohttp.ClientSession() as session,
        Caller(session, sandbox).raw("GET", "/channels/111111/messages") as response,
    ):
        assert response.status == 404 and response.headers["X-RateLimit-Limit"] == "5"


QUICK = [(r"GET /channels/:id/messages", (5, 0.5)), (r".*", (50, 1.0))]


async def _read_eight_pages(sandbox: Sandbox, place_id: int) -> list[int]:
    use(sandbox.api)
    async with online(sandbox) as client:
        channel = client.get_channel(place_id)
        assert isinstance(channel, discord.TextChannel)
        return [message.id async for message in channel.history(limit=800, oldest_first=True)]


@pytest.mark.parametrize("is_lying", [False, True])
async def test_a_client_that_reads_the_headers_is_only_refused_if_they_lie(
    world: World, place_id: int, is_lying: bool
) -> None:
    for number in range(800):
        world.add_post(place_id, ALICE, f"line {number}")
    limiter = RateLimiter(limits=QUICK)
    limiter.is_lying = is_lying
    async with Sandbox(world, limiter=limiter) as sandbox:
        assert await _read_eight_pages(sandbox, place_id) == [
            post.id for post in world.places[place_id].posts
        ]
        assert (sandbox.rest.requests.get("429", 0) > 0) is is_lying
