"""What members of the sample communities wrote, for thresholds that are set by their habits."""

import functools

from sandbox import community
from sandbox.community import DEFAULT, REPLY, Line

COMMUNITIES = community.names()


@functools.cache
def lines(name: str) -> list[Line]:
    """The texts of people, oldest first."""
    loaded = community.load(name)
    bots = {person.id for person in loaded.people if person.is_bot}
    said = [line for line in loaded.lines if line.content and line.type in (DEFAULT, REPLY)]
    return [line for line in said if line.author_id not in bots]
