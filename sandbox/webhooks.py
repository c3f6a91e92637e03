"""The bot's answers to slash commands and buttons: the callback and the messages after it."""

from typing import Any

from sandbox import payloads
from sandbox.interactions import COMPLETION, Interaction
from sandbox.payloads import EPHEMERAL, Json
from sandbox.rest import ApiError, Call, Rest, invalid, unknown
from sandbox.routes import allowed_mentions, content_of
from sandbox.world import Post

MESSAGE, DEFERRED, SUGGESTIONS = 4, 5, 8
MOST_CHOICES = 25


def register(rest: Rest) -> None:
    """Tell the REST server about the routes of interactions."""
    hook = "/webhooks/{app}/{token:[^/]+}"
    rest.add("POST", "/interactions/{interaction}/{token:[^/]+}/callback", callback)
    rest.add("POST", hook, follow_up)
    rest.add("GET", f"{hook}/messages/{{answer:[^/]+}}", get_answer)
    rest.add("PATCH", f"{hook}/messages/{{answer:[^/]+}}", edit_answer)
    rest.add("DELETE", f"{hook}/messages/{{answer:[^/]+}}", delete_answer)


async def callback(call: Call) -> Json | None:
    """The first answer, or the promise of one."""
    interaction, body = call.actions.interactions.get(call.match["token"]), call.object()
    if interaction is None or call.id("interaction") != interaction.id:
        raise unknown("interaction", 10062)
    if interaction.is_acknowledged:
        raise ApiError(400, 40060, "Interaction has already been acknowledged.")
    kind, data = body.get("type"), body.get("data") or {}
    kinds = (SUGGESTIONS,) if interaction.kind == COMPLETION else (MESSAGE, DEFERRED)
    if kind not in kinds:
        raise invalid("type", "It is answered with 4 or 5 here, and what is typed with 8.")
    if not isinstance(data, dict):
        raise invalid("data", "Only dictionaries may be used in a DictType")
    if kind == SUGGESTIONS:
        _suggest(interaction, data)
        return None
    created: Json = {}
    if kind == MESSAGE:
        post = await _answer(call, interaction, data, _is_private(data))
        created["resource"] = {"type": kind, "message": payloads.message(call.world, post)}
    else:
        interaction.is_acknowledged = interaction.is_promised = True
        interaction.is_private = _is_private(data)
    if call.request.query.get("with_response", "0").lower() not in ("1", "true"):
        return None
    state = {
        "id": str(interaction.id),
        "type": interaction.kind,
        "response_message_loading": kind == DEFERRED,
    }
    state["response_message_ephemeral"] = _is_private(data)
    return {"interaction": state, **created}


def _suggest(interaction: Interaction, data: Json) -> None:
    choices = data.get("choices")
    if not isinstance(choices, list) or len(choices) > MOST_CHOICES:
        raise invalid("choices", "Must be 25 or fewer in length.")
    interaction.choices, interaction.is_acknowledged = choices, True
    interaction.answered.set()


async def follow_up(call: Call) -> Json:
    """One more answer. The first after a promise is the promised one."""
    interaction, body = _interaction(call), call.object()
    is_private = interaction.is_private if interaction.is_promised else _is_private(body)
    post = await _answer(call, interaction, body, is_private)
    return payloads.message(call.world, post)


async def get_answer(call: Call) -> Json:
    return payloads.message(call.world, _found(call))


async def edit_answer(call: Call) -> Json:
    """Change an answer, or give the one that was promised."""
    interaction, body = _interaction(call), call.object()
    if _is_original(call) and interaction.is_promised:
        post = await _answer(call, interaction, body, interaction.is_private)
    else:
        post = _found(call)
        await call.actions.edit(post, content_of(body), allowed_mentions(body))
    return payloads.message(call.world, post)


async def delete_answer(call: Call) -> None:
    post = _found(call)
    _interaction(call).answers.remove(post)
    await call.actions.delete(post.place_id, [post.id])


async def _answer(call: Call, interaction: Interaction, body: Json, is_private: bool) -> Post:
    if interaction.place_id not in call.world.places:
        raise unknown("Channel", 10003)
    content, allowed = content_of(body), allowed_mentions(body)
    components = body.get("components") or []
    if not isinstance(components, list):
        raise invalid("components", "Only lists may be used in a ListType")
    return await call.actions.answer(interaction, content, allowed, is_private, components)


def _interaction(call: Call) -> Interaction:
    interaction = call.actions.interactions.get(call.match["token"])
    if interaction is None:
        raise unknown("Webhook", 10015)
    return interaction


def _is_original(call: Call) -> bool:
    return call.match["answer"] == "@original"


def _found(call: Call) -> Post:
    answers = _interaction(call).answers
    wanted = (
        answers[:1] if _is_original(call) else [p for p in answers if p.id == call.id("answer")]
    )
    if not wanted:
        raise unknown("Message", 10008)
    return wanted[0]


def _is_private(body: dict[str, Any]) -> bool:
    flags = body.get("flags") or 0
    if not isinstance(flags, int):
        raise invalid("flags", "Must be a whole number.")
    return bool(flags & EPHEMERAL)
