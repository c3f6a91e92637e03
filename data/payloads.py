"""Discord's own JSON, as its REST interface sends it, turned into our messages.

Shared by the fetcher and the importer, so that a page reads the same whichever way it came.
"""

from collections.abc import Container, Mapping
from datetime import datetime
from typing import Any

from storage.messages import Message

FORWARD = 1  # type of a message_reference that is no answer


def message(raw: Mapping[str, Any], own_id: int = 0) -> Message:
    """A message object as ours; `own_id` is the bot's own user id.

    Raises `KeyError`, `TypeError` or `ValueError` for what is no message of Discord's.
    """
    author = raw["author"]
    reference = raw.get("message_reference") or {}
    edited = raw.get("edited_timestamp")
    is_answer = reference.get("type", 0) != FORWARD
    reply_to = reference.get("message_id") if is_answer else None
    return Message(
        id=int(raw["id"]),
        channel_id=int(raw["channel_id"]),
        author_id=int(author["id"]),
        author_name=str(author.get("global_name") or author["username"]),
        content=str(raw["content"]),
        author_kind=_author_kind(raw, own_id),
        kind=int(raw.get("type", 0)),
        reply_to=int(reply_to) if reply_to else None,
        mentions=tuple(int(person["id"]) for person in raw.get("mentions") or ()),
        attachments=tuple(
            (str(file["filename"]), str(file.get("content_type") or ""))
            for file in raw.get("attachments") or ()
        ),
        reactions={
            emoji(reaction["emoji"]): int(reaction.get("count", 1))
            for reaction in raw.get("reactions") or ()
        },
        edited_at=datetime.fromisoformat(edited).timestamp() if edited else None,
    )


def without(raw: Mapping[str, Any], people: Container[int]) -> dict[str, Any] | None:
    """A message object without these people: None for their own, else without them as mentioned
    or answered ones.
    """
    if _is_by(raw, people):
        return None
    kept = dict(raw)
    if raw.get("mentions"):
        kept["mentions"] = [user for user in raw["mentions"] if int(user["id"]) not in people]
    answered = raw.get("referenced_message")
    if answered and _is_by(answered, people):
        del kept["referenced_message"]
    return kept


def _is_by(raw: Mapping[str, Any], people: Container[int]) -> bool:
    author = raw.get("author") or {}
    return int(author.get("id", 0)) in people


def emoji(raw: Mapping[str, Any]) -> str:
    """An emoji as people write it: itself, or `<:name:id>` for a server's own."""
    name = raw.get("name") or ""
    if not raw.get("id"):
        return str(name)
    return f"<{'a' if raw.get('animated') else ''}:{name}:{raw['id']}>"


def _author_kind(raw: Mapping[str, Any], own_id: int) -> str:
    if int(raw["author"]["id"]) == own_id:
        return "self"
    if raw.get("webhook_id") and not raw.get("application_id"):
        return "webhook"
    return "bot" if raw["author"].get("bot") else "member"
