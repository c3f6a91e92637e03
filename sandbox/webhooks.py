"""The bot's answers to slash commands: the callback and the messages that follow it."""

from sandbox import payloads
from sandbox.actions import Interaction
from sandbox.payloads import Json
from sandbox.rest import ApiError, Call, Rest, unknown
from sandbox.world import Post

MESSAGE, DEFERRED = 4, 5
EPHEMERAL = 1 << 6


def register(rest: Rest) -> None:
    """Tell the REST server about the routes of interactions."""
    token = "{token:interaction-[0-9]+}"
    rest.add("POST", f"/interactions/{{interaction}}/{token}/callback", callback)
    rest.add("POST", f"/webhooks/{{app}}/{token}", follow_up)
    rest.add("GET", f"/webhooks/{{app}}/{token}/messages/@original", original)
    rest.add("PATCH", f"/webhooks/{{app}}/{token}/messages/@original", edit_original)
    rest.add("DELETE", f"/webhooks/{{app}}/{token}/messages/@original", delete_original)


async def callback(call: Call) -> Json | None:
    """The first answer, or the promise of one."""
    interaction, body = _interaction(call), call.object()
    if interaction.answers or interaction.is_deferred:
        raise ApiError(400, 40060, "Interaction has already been acknowledged.")
    kind = body.get("type")
    resource: Json = {"type": kind}
    if kind == MESSAGE:
        resource["message"] = _message(call, interaction.answer(body.get("data") or {}))
    else:
        interaction.is_deferred = True
    if "with_response" not in call.request.query:
        return None
    state = {"id": str(interaction.id), "type": 2, "response_message_loading": kind == DEFERRED}
    state["response_message_ephemeral"] = True
    return {"interaction": state, "resource": resource}


async def follow_up(call: Call) -> Json:
    return _message(call, _interaction(call).answer(call.object()))


async def original(call: Call) -> Json:
    return _message(call, _original(call))


async def edit_original(call: Call) -> Json:
    """Change the first answer, or give the one that was promised."""
    interaction = _interaction(call)
    if not interaction.answers and interaction.is_deferred:
        return _message(call, interaction.answer(call.object()))
    post = _original(call)
    post.content = call.object().get("content") or ""
    return _message(call, post)


async def delete_original(call: Call) -> None:
    _interaction(call).answers.remove(_original(call))


def _interaction(call: Call) -> Interaction:
    interaction = call.actions.interactions.get(call.match["token"])
    if interaction is None:
        raise unknown("Webhook", 10015)
    return interaction


def _original(call: Call) -> Post:
    answers = _interaction(call).answers
    if not answers:
        raise unknown("Message", 10008)
    return answers[0]


def _message(call: Call, post: Post) -> Json:
    return {**payloads.message(call.world, post), "flags": EPHEMERAL}
