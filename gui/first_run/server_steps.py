"""The steps in the middle: where the bot lives, what it reads, whom it obeys, and permission."""

import dataclasses
import re
from collections.abc import Sequence

from bot.config import UserError
from data import discord_setup, privacy
from data.discord_setup import Channel, Named, Server
from gui.first_run.state import Choice, Field, Known, View
from gui.first_run.step import Job, Step, application_of

NOW, LATER = "now", "later"


class Invite(Step):
    name, stage = "invite", "Server"
    poll_seconds = 3.0

    def settle(self, known: Known) -> Known | None:
        return self.poll(known)

    def view(self, known: Known) -> View:
        bot = application_of(known)
        return View(
            self.name,
            self.stage,
            "Invite it to your server",
            f"{bot.name} is on no server yet. Open the link, pick your server and authorise. It "
            "asks to see channels, read their history, write and react, and for nothing else.",
            notes=("Waiting until it is on a server: this page then goes on by itself.",),
            link=bot.invite,
            link_text="Open the invitation",
            next_text="Check again",
        )

    def work(self, known: Known, job: Job) -> Known:
        found = known if known.servers else self.poll(known)
        if found is None:
            raise UserError(
                f"{application_of(known).name} is on no server yet. Open the link, choose a server "
                "that you may manage, and authorise."
            )
        return found

    def poll(self, known: Known) -> Known | None:
        found = discord_setup.servers(self.here.api_base, known.token)
        return dataclasses.replace(known, servers=found) if found else None


class PickServer(Step):
    name, stage = "server", "Server"

    def settle(self, known: Known) -> Known | None:
        if len(known.servers) != 1:
            return None
        return self.take(known, "", [str(known.servers[0].id)])

    def view(self, known: Known) -> View:
        picked = known.server_id or (known.servers[0].id if known.servers else 0)
        return View(
            self.name,
            self.stage,
            "Which server?",
            "The bot lives on one server and learns from it.",
            columns=("Server",),
            choices=tuple(Choice(str(one.id), (one.name,)) for one in known.servers),
            chosen=tuple(str(one.id) for one in known.servers if one.id == picked),
            link=application_of(known).invite,
            link_text="Invite it to another one",
        )

    def take(self, known: Known, field: str, chosen: Sequence[str]) -> Known:
        picked = next((one for one in known.servers if str(one.id) in chosen), None)
        if picked is None:
            raise UserError("Choose the server that the bot is to live on.")
        if picked.id == known.server_id:
            return known
        if known.server_id:  # what was chosen there says nothing here
            known = dataclasses.replace(known, server=None, channel_ids=(), admin_ids=())
        return dataclasses.replace(known, server_id=picked.id)

    def work(self, known: Known, job: Job) -> Known:
        bot = application_of(known)
        found = discord_setup.server(self.here.api_base, known.token, known.server_id, bot.id)
        if not found.readable:
            raise UserError(
                f"{bot.name} may read no channel of {found.name}. On Discord give its role View "
                "Channel and Read Message History, in the server or in a channel; then try again."
            )
        return dataclasses.replace(known, server=found)


class PickChannels(Step):
    name, stage = "channels", "Server"

    def view(self, known: Known) -> View:
        server = _server(known)
        keys = tuple(str(channel.id) for channel in server.readable)
        chosen = tuple(key for key in keys if int(key) in known.channel_ids)
        hidden = len(server.channels) - len(keys)
        return View(
            self.name,
            self.stage,
            f"Which channels of {server.name}?",
            "In these the bot reads, learns and answers. With all of them chosen, channels that "
            "are made later count too.",
            notes=(f"{hidden} more may be seen, but not their history.",) if hidden else (),
            columns=("Channel", "Kind", "The bot may"),
            choices=tuple(_row(channel) for channel in server.readable),
            chosen=chosen if known.channel_ids else keys,
            takes_many=True,
        )

    def take(self, known: Known, field: str, chosen: Sequence[str]) -> Known:
        readable = [channel.id for channel in _server(known).readable]
        ids = tuple(number for number in readable if str(number) in chosen)
        if not ids:
            raise UserError("Choose at least one channel.")
        return dataclasses.replace(known, channel_ids=() if len(ids) == len(readable) else ids)


class PickAdmin(Step):
    name, stage = "admin", "Server"

    def settle(self, known: Known) -> Known | None:
        people = _candidates(known)
        if len(people) != 1 or known.admin_ids not in ((), (people[0].id,)):
            return None
        return dataclasses.replace(known, admin_ids=(people[0].id,))

    def view(self, known: Known) -> View:
        people = _candidates(known)
        listed = {one.id for one in people}
        others = ", ".join(str(one) for one in known.admin_ids if one not in listed)
        chosen = tuple(str(one.id) for one in people if one.id in known.admin_ids)
        return View(
            self.name,
            self.stage,
            "Who commands it?",
            "Choose yourself. Who is chosen can change the bot's settings from Discord.",
            columns=("Name", "Is"),
            choices=tuple(
                Choice(str(p.id), (p.name or str(p.id), _role(known, p))) for p in people
            ),
            chosen=chosen or (() if others else (str(people[0].id),)),
            takes_many=True,
            field=Field("Others", "user ids, separated by commas", others),
        )

    def take(self, known: Known, field: str, chosen: Sequence[str]) -> Known:
        listed = [one.id for one in _candidates(known) if str(one.id) in chosen]
        parts = field.replace(",", " ").replace(";", " ").split()
        if wrong := next((part for part in parts if not _is_id(part)), ""):
            raise UserError(
                f"{wrong[:40]!r} is no user id. In Discord switch on Settings > Advanced > "
                "Developer Mode, right-click the person, Copy User ID."
            )
        ids = tuple(dict.fromkeys([*listed, *map(int, parts)]))
        if not ids:
            raise UserError("Choose at least one person, or nobody could command the bot.")
        return dataclasses.replace(known, admin_ids=ids)


class Permission(Step):
    name, stage = "permission", "Permission"

    def view(self, known: Known) -> View:
        return View(
            self.name,
            self.stage,
            "May these messages be used?",
            f"“{privacy.STATEMENT}”",
            notes=(
                "Your answer is kept with its date. Without it the bot runs, learning nothing.",
            ),
            choices=(
                Choice(NOW, ("I confirm this",)),
                Choice(LATER, ("Not now: ask me before the first message is copied",)),
            ),
            chosen=(NOW if known.is_permitted else LATER,),
        )

    def take(self, known: Known, field: str, chosen: Sequence[str]) -> Known:
        return dataclasses.replace(known, is_permitted=NOW in chosen)


def _server(known: Known) -> Server:
    if known.server is None:
        raise UserError("Choose the server first.")
    return known.server


def _candidates(known: Known) -> list[Named]:
    """Who may well be the person at the keyboard: the bot's owners, then the server's."""
    people = {one.id: one for one in (_server(known).owner, *application_of(known).owners)}
    first = [people.pop(one.id) for one in application_of(known).owners if one.id in people]
    return [*first, *people.values()]


def _role(known: Known, person: Named) -> str:
    is_owner = person.id == _server(known).owner.id
    has_bot = any(person.id == one.id for one in application_of(known).owners)
    parts = ["owns the bot"] * has_bot + ["owns the server"] * is_owner
    return ", ".join(parts)


def _row(channel: Channel) -> Choice:
    may = "read and write" if channel.may_write else "read"
    return Choice(str(channel.id), (f"#{channel.name}", channel.kind, may))


def _is_id(text: str) -> bool:
    return re.fullmatch("[0-9]{5,20}", text) is not None
