"""A real discord.py client on the sandbox sees what it would see on Discord."""

import discord
import pytest
from discord import app_commands

from data.discord_api import use
from sandbox import community
from sandbox.interactions import Interaction
from sandbox.server import Sandbox
from sandbox.world import Place, Post, World, populate
from tests.sandbox.conftest import ALICE, Client, online


@pytest.fixture(scope="module")
def pyscript() -> community.Community:
    return community.load("pyscript-discord")


def _text(client: Client, place_id: int) -> discord.TextChannel:
    channel = client.get_channel(place_id)
    assert isinstance(channel, discord.TextChannel)
    return channel


def _ids(posts: list[Post]) -> list[int]:
    return [post.id for post in posts]


async def test_the_community_arrives_complete(pyscript: community.Community) -> None:
    world = populate(pyscript)
    async with Sandbox(world, has_rate_limits=False) as sandbox:
        use(sandbox.api)
        async with online(sandbox) as client:
            (guild,) = client.guilds
            places = world.places.values()
            assert (guild.id, guild.name, guild.owner_id) == (
                world.guild_id,
                "pyscript-discord",
                world.owner_id,
            )
            assert {c.id for c in guild.channels} == {p.id for p in places if not p.is_thread}
            assert {t.id for t in guild.threads} == {
                p.id for p in places if p.is_thread and not p.is_archived
            }
            await guild.chunk()
            assert {m.id for m in guild.members} == set(world.people)
            assert client.user and guild.me.id == world.bot_id
            assert isinstance(_named(guild, "hangout"), discord.VoiceChannel)
            assert isinstance(_named(guild, "i-made-this"), discord.ForumChannel)
            await _history_is_the_communitys(client, world)


def _named(guild: discord.Guild, name: str) -> discord.abc.GuildChannel:
    return next(channel for channel in guild.channels if channel.name == name)


async def _history_is_the_communitys(client: Client, world: World) -> None:
    place = max(world.places.values(), key=lambda place: len(place.posts))
    posts, channel = place.posts, _text(client, place.id)
    assert len(posts) > 250
    seen = [message async for message in channel.history(limit=None, oldest_first=True)]
    assert [(m.id, m.content, m.author.id, m.type.value) for m in seen] == [
        (p.id, p.content, p.author_id, p.type) for p in posts
    ]
    assert [
        (m.reference.message_id, m.reference.resolved is not None) for m in seen if m.reference
    ] == [(p.reply_to, True) for p in posts if p.reply_to]
    assert [{str(r.emoji): r.count for r in m.reactions} for m in seen] == [
        {emoji: len(who) for emoji, who in p.reactions.items()} for p in posts
    ]
    assert [len(m.attachments) for m in seen] == [len(p.attachments) for p in posts]


@pytest.fixture
def full(world: World, place_id: int) -> Place:
    """The small world's channel, with 250 messages in it."""
    for number in range(250):
        world.add_post(place_id, ALICE, f"line {number}")
    return world.places[place_id]


async def test_pages_of_history_meet_at_the_given_message(sandbox: Sandbox, full: Place) -> None:
    posts = full.posts
    async with online(sandbox) as client:
        channel, middle = _text(client, full.id), discord.Object(posts[120].id)
        newest = [m.id async for m in channel.history(limit=150)]
        assert newest == _ids(posts[:99:-1])
        before = [m.id async for m in channel.history(limit=110, before=middle)]
        assert before == _ids(posts[10:120][::-1])
        after = [m.id async for m in channel.history(limit=110, after=middle)]
        assert after == _ids(posts[121:231])
        between = channel.history(limit=None, after=discord.Object(posts[9].id), before=middle)
        assert [m.id async for m in between] == _ids(posts[10:120])
        around = [m.id async for m in channel.history(limit=11, around=middle)]
        assert sorted(around) == _ids(posts[115:126])
        assert (await channel.fetch_message(posts[0].id)).content == "line 0"


async def test_channels_without_history_permission_look_empty(
    sandbox: Sandbox, full: Place
) -> None:
    full.may_read_history = False
    async with online(sandbox) as client:
        channel = _text(client, full.id)
        assert not channel.permissions_for(channel.guild.me).read_message_history
        with pytest.raises(discord.Forbidden):
            full.is_hidden = True
            await client.fetch_channel(full.id)
        full.is_hidden = False
        assert [m async for m in channel.history()] == []


async def test_a_hidden_channel_is_known_and_silent(
    sandbox: Sandbox, world: World, place_id: int
) -> None:
    secret = world.add_place("secret")
    secret.is_hidden = True
    aside = world.add_place("aside", 11, secret.id)
    async with online(sandbox) as client:
        channel = _text(client, secret.id)
        assert not channel.permissions_for(channel.guild.me).view_channel
        assert channel.guild.get_thread(aside.id) is None
        for hidden_id in (secret.id, aside.id):
            post = await sandbox.say(hidden_id, ALICE, "for members only")
            await sandbox.actions.react(post, ALICE, "\N{ROCKET}")
            with pytest.raises(discord.Forbidden):
                await client.fetch_channel(hidden_id)
        await sandbox.say(place_id, ALICE, "for all")
        await client.until("message")
        assert [message.content for message in client.of("message")] == ["for all"]
        assert client.count("raw_reaction_add") == 0


async def test_a_direct_message_is_private_and_readable_without_the_intent(
    sandbox: Sandbox, world: World
) -> None:
    intents = discord.Intents.all()
    intents.message_content = False
    async with online(sandbox, Client(intents=intents)) as client:
        post = await sandbox.say(world.direct(ALICE).id, ALICE, "psst")
        await sandbox.actions.react(post, ALICE, "\N{ROCKET}")
        await sandbox.actions.type(post.place_id, ALICE)
        await client.until("typing")
        (message,) = client.of("message")
        assert message.guild is None and message.author.id == ALICE and message.content == "psst"
        assert client.of("raw_reaction_add")[0].guild_id is None
        answer = await message.reply("what?")
        assert (answer.guild, answer.reference.message_id) == (None, post.id)
        channel = await (await client.fetch_user(ALICE)).create_dm()
        assert channel.id == post.place_id
        assert [m.content async for m in channel.history()] == ["what?", "psst"]
        await sandbox.actions.delete(post.place_id, [post.id])
        await client.until("raw_message_delete")
        assert client.of("raw_message_delete")[0].guild_id is None
        assert post.place_id not in {c.id for c in await client.guilds[0].fetch_channels()}


async def test_archived_threads_are_listed_page_by_page(
    sandbox: Sandbox, world: World, place_id: int
) -> None:
    made = []
    for number in range(120):
        thread = world.add_place(f"thread {number}", 11, place_id)
        thread.posts.append(
            Post(world.new_id(when_ms=1_600_000_000_000 + number), thread.id, 1, "")
        )
        thread.is_archived = True
        made.append(thread.id)
    empty = world.add_place("empty", 11, place_id)
    empty.is_archived = True
    world.add_place("open", 11, place_id)
    async with online(sandbox) as client:
        channel = _text(client, place_id)
        some = [thread.id async for thread in channel.archived_threads(limit=7)]
        assert some == [empty.id, *made[:-7:-1]]
        threads = [thread async for thread in channel.archived_threads(limit=None)]
        assert [thread.id for thread in threads] == [empty.id, *made[::-1]]
        assert all(thread.archived for thread in threads)
        assert [thread async for thread in channel.archived_threads(private=True)] == []


async def test_a_message_is_sent_answered_edited_and_deleted(
    sandbox: Sandbox, world: World, place_id: int
) -> None:
    asked = await sandbox.say(place_id, ALICE, "who is there?")
    async with online(sandbox) as client:
        channel = _text(client, place_id)
        sent = await channel.send("me")
        message = await channel.fetch_message(asked.id)
        reply = await message.reply("me too", mention_author=False)
        assert reply.reference and reply.reference.message_id == asked.id
        assert isinstance(reply.reference.resolved, discord.Message)
        await sent.edit(content="me!")
        async with channel.typing():
            pass
        await reply.delete()
        await client.until("message_delete")
        await client.until("typing")
        posts = world.places[place_id].posts
        assert [(p.author_id, p.content) for p in posts] == [
            (ALICE, "who is there?"),
            (world.bot_id, "me!"),
        ]
        with pytest.raises(discord.Forbidden):
            await message.edit(content="changed by the bot")
        with pytest.raises(discord.NotFound):
            await channel.fetch_message(reply.id)
        with pytest.raises(discord.HTTPException, match="2000"):
            await channel.send("x" * 2001)
        assert "unknown message" in str(await _refused_reply(channel, reply)).lower()


async def _refused_reply(
    channel: discord.TextChannel, gone: discord.Message
) -> discord.HTTPException:
    with pytest.raises(discord.HTTPException) as caught:
        await channel.send("hello?", reference=gone)
    return caught.value


async def test_reactions_are_added_counted_and_taken_back(sandbox: Sandbox, place_id: int) -> None:
    post = await sandbox.say(place_id, ALICE, "nice")
    await sandbox.actions.react(post, ALICE, "\N{THUMBS UP SIGN}")
    async with online(sandbox) as client:
        message = await _text(client, place_id).fetch_message(post.id)
        await message.add_reaction("\N{THUMBS UP SIGN}")
        await message.add_reaction("<:python:123456789012345678>")
        fresh = await message.fetch()
        assert {str(r.emoji): (r.count, r.me) for r in fresh.reactions} == {
            "\N{THUMBS UP SIGN}": (2, True),
            "<:python:123456789012345678>": (1, True),
        }
        who = [user.id async for user in fresh.reactions[0].users(limit=10)]
        assert sorted(who) == sorted([ALICE, sandbox.world.bot_id])
        assert client.user
        await message.remove_reaction("\N{THUMBS UP SIGN}", client.user)
        await message.remove_reaction("\N{ROCKET}", client.user)
        await client.until("raw_reaction_remove")
        assert [(str(r.emoji), r.count) for r in (await message.fetch()).reactions] == [
            ("\N{THUMBS UP SIGN}", 1),
            ("<:python:123456789012345678>", 1),
        ]


async def test_what_members_do_arrives_as_events(
    sandbox: Sandbox, world: World, place_id: int
) -> None:
    async with online(sandbox) as client:
        posts = [await sandbox.say(place_id, ALICE, f"line {number}") for number in range(4)]
        await client.until("message", 4)
        first = client.of("message")[0]
        assert isinstance(first.author, discord.Member) and first.author.name == "alice"
        await sandbox.actions.edit(posts[0], "changed")
        await client.until("raw_message_edit")
        assert client.of("raw_message_edit")[0].data["content"] == "changed"
        await sandbox.actions.react(posts[0], ALICE, "\N{ROCKET}")
        await sandbox.actions.react(posts[0], ALICE, "\N{ROCKET}")
        await sandbox.actions.react(posts[0], ALICE, "\N{ROCKET}", is_added=False)
        await client.until("raw_reaction_remove")
        assert client.of("raw_reaction_add")[0].member.id == ALICE
        assert client.count("raw_reaction_add") == 1
        await sandbox.actions.delete(place_id, [posts[0].id])
        await client.until("raw_message_delete")
        await sandbox.actions.delete(place_id, [posts[1].id, posts[2].id, 5])
        await client.until("raw_bulk_message_delete")
        assert client.of("raw_bulk_message_delete")[0].message_ids == {posts[1].id, posts[2].id}
        thread = await sandbox.actions.open_thread(place_id, "aside")
        await client.until("thread_create")
        await sandbox.say(thread.id, ALICE, "in here")
        await client.until("message", 5)
        assert isinstance(client.of("message")[-1].channel, discord.Thread)
        await sandbox.actions.remove_place(place_id)
        await client.until("guild_channel_delete")
        assert world.places == {}


async def test_replies_by_members_carry_the_message_they_answer(
    sandbox: Sandbox, place_id: int
) -> None:
    async with online(sandbox) as client:
        mine = await _text(client, place_id).send("question?")
        await sandbox.say(place_id, ALICE, "answer", reply_to=mine.id)
        await client.sees(lambda: any(m.content == "answer" for m in client.of("message")))
        answer = client.of("message")[-1]
        assert answer.reference.resolved.id == mine.id
        assert client.user in answer.mentions


class Commanding(Client):
    """A client with commands that answer at once, later, to the asker and to everybody."""

    def __init__(self) -> None:
        super().__init__()
        self.tree = app_commands.CommandTree(self)
        self.tree.add_command(app_commands.Command(name="aloud", description="x", callback=aloud))
        self.tree.add_command(app_commands.Command(name="quiet", description="x", callback=quiet))
        self.tree.add_command(app_commands.Command(name="later", description="x", callback=later))

    async def setup_hook(self) -> None:
        await self.tree.sync()


async def aloud(interaction: discord.Interaction, rate: float) -> None:
    await interaction.response.send_message(f"at {rate}")
    await interaction.edit_original_response(content=f"now at {rate}")
    await interaction.followup.send("and more", ephemeral=True)


async def quiet(interaction: discord.Interaction) -> None:
    await interaction.response.send_message("between us", ephemeral=True)
    original = await interaction.original_response()
    assert original.flags.ephemeral
    last = await interaction.followup.send("the end", ephemeral=True, wait=True)
    await last.edit(content="the very end")


async def later(interaction: discord.Interaction) -> None:
    await interaction.response.defer(ephemeral=True)
    await interaction.followup.send("here it is")


async def _use(sandbox: Sandbox, place_id: int, name: str, **options: object) -> Interaction:
    command = next(c for c in sandbox.world.commands if c["name"] == name)
    return await sandbox.actions.invoke(place_id, ALICE, command, options)


async def test_slash_commands_are_answered(sandbox: Sandbox, world: World, place_id: int) -> None:
    async with online(sandbox, client := Commanding()):
        assert [c["name"] for c in world.commands] == ["aloud", "quiet", "later"]
        for number, (name, options) in enumerate(
            (("aloud", {"rate": 0.5}), ("quiet", {}), ("later", {})), start=1
        ):
            used = await _use(sandbox, place_id, name, **options)
            await client.until("app_command_completion", number)
            answers = [(p.content, p.is_private) for p in used.answers]
            assert (
                answers
                == {
                    "aloud": [("now at 0.5", False), ("and more", True)],
                    "quiet": [("between us", True), ("the very end", True)],
                    "later": [("here it is", True)],
                }[name]
            )
        assert [p.content for p in world.places[place_id].posts] == ["now at 0.5"]
        (seen,) = client.of("message")
        assert seen.type is discord.MessageType.chat_input_command and seen.application_id
        (changed,) = client.of("raw_message_edit")
        assert changed.data["content"] == "now at 0.5"


async def test_a_slash_command_works_in_a_direct_message(sandbox: Sandbox, world: World) -> None:
    async with online(sandbox, client := Commanding()):
        used = await _use(sandbox, world.direct(ALICE).id, "quiet")
        await client.until("app_command_completion")
        (interaction,) = client.of("interaction")
        assert interaction.guild_id is None and interaction.user.id == ALICE
        assert [post.content for post in used.answers] == ["between us", "the very end"]


async def test_without_message_content_only_what_concerns_the_bot_is_readable(
    world: World, place_id: int
) -> None:
    intents = discord.Intents.all()
    intents.message_content = False
    async with Sandbox(
        world, has_rate_limits=False, denied_intents=("message_content",)
    ) as sandbox:
        use(sandbox.api)
        async with online(sandbox, Client(intents=intents)) as client:
            await sandbox.say(place_id, ALICE, "a secret")
            await sandbox.say(place_id, ALICE, f"<@{world.bot_id}> hello")
            await _text(client, place_id).send("mine")
            await client.until("message", 3)
            readable = ["", f"<@{world.bot_id}> hello", "mine"]
            assert [m.content for m in client.of("message")] == readable
            channel = _text(client, place_id)
            assert [m.content async for m in channel.history(oldest_first=True)] == readable


async def test_a_denied_intent_ends_the_start(world: World) -> None:
    async with Sandbox(world, has_rate_limits=False, denied_intents=("members",)) as sandbox:
        use(sandbox.api)
        with pytest.raises(discord.PrivilegedIntentsRequired):
            async with online(sandbox):
                pass


async def test_a_wrong_token_ends_the_start(sandbox: Sandbox) -> None:
    async with Client() as client:
        with pytest.raises(discord.LoginFailure):
            await client.start("not.the.token")


async def test_only_the_events_asked_for_arrive(sandbox: Sandbox, place_id: int) -> None:
    intents = discord.Intents(guilds=True, guild_messages=True, message_content=True)
    async with online(sandbox, Client(intents=intents)) as client:
        post = await sandbox.say(place_id, ALICE, "hello")
        await sandbox.actions.react(post, ALICE, "\N{ROCKET}")
        await sandbox.actions.type(place_id, ALICE)
        await sandbox.say(place_id, ALICE, "the end")
        await client.until("message", 2)
        assert not client.count("raw_reaction_add") and not client.count("typing")


async def test_members_arrive_when_asked_for(sandbox: Sandbox, world: World) -> None:
    intents = discord.Intents.all()
    async with online(sandbox, Client(intents=intents, chunk_guilds_at_startup=False)) as client:
        (guild,) = client.guilds
        assert len(guild.members) == 1
        await guild.chunk()
        assert {member.id for member in guild.members} == set(world.people)
        assert (await guild.fetch_member(ALICE)).name == "alice"
        (alice,) = await guild.query_members("ali", limit=5)
        assert alice.id == ALICE
        assert [m.id for m in await guild.query_members(user_ids=[ALICE, 5])] == [ALICE]
