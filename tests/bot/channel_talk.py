"""A channel's messages, written by hand: who said what at which second."""

from storage.messages import Message, snowflake_at

OWN, AMY, BEN, CAT = 1, 11, 12, 13
START = 1_764_000_000.0
CHANNEL = 7


def said(
    author: int,
    text: str = "hi",
    at: float = 0.0,
    *,
    kind: str = "",
    reply_to: int | None = None,
    mentions: tuple[int, ...] = (),
    attachments: tuple[tuple[str, str], ...] = (),
) -> Message:
    """A message `at` seconds after the start; the author tells two of one moment apart."""
    return Message(
        snowflake_at(START + at) + author,
        CHANNEL,
        author,
        f"person {author}",
        text,
        author_kind=kind or ("self" if author == OWN else "member"),
        reply_to=reply_to,
        mentions=mentions,
        attachments=attachments,
    )
