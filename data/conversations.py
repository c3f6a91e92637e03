"""Who is talking with whom: a channel's messages, cut into conversations."""

from collections.abc import Iterable, Iterator, Sequence

from storage.messages import Message

SILENCE_SECONDS = 30 * 60


def split(
    messages: Iterable[Message], silence_seconds: float = SILENCE_SECONDS
) -> Iterator[list[Message]]:
    """Cut messages, ordered by channel and time, where the channel changes or falls silent."""
    conversation: list[Message] = []
    for message in messages:
        if conversation and _is_break(conversation[-1], message, silence_seconds):
            yield conversation
            conversation = []
        conversation.append(message)
    if conversation:
        yield conversation


def context(conversation: Sequence[Message], position: int, size: int) -> list[Message]:
    """Up to `size` messages before `position`; the one it replies to is always among them."""
    start = max(0, position - size)
    before = list(conversation[start:position])
    target = conversation[position].reply_to
    if target is None or any(message.id == target for message in before):
        return before
    answered = [message for message in conversation[:start] if message.id == target]
    return answered + before[len(answered) :]


def _is_break(before: Message, after: Message, silence_seconds: float) -> bool:
    if before.channel_id != after.channel_id:
        return True
    return after.sent_at - before.sent_at > silence_seconds and after.reply_to != before.id
