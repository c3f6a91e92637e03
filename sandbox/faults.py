"""Faults as data: what goes wrong, where, and how often."""

import dataclasses
import re
from typing import Any


@dataclasses.dataclass
class Fault:
    """The next `times` requests whose "METHOD /path" matches `route` go wrong.

    `kind`: "status" answers `status` at once; "after_commit" does the work and then answers
    `status`; "slow" waits `seconds` first; "drop" cuts the connection before the work, and
    "drop_after_commit" after it; "rate_limit" answers 429 with `seconds` to wait; "banned" is a
    429 in HTML, as Cloudflare sends it.
    """

    kind: str
    route: str = ".*"
    times: int = 1
    status: int = 500
    seconds: float = 1.0


KINDS = ("status", "after_commit", "slow", "drop", "drop_after_commit", "rate_limit", "banned")


class Faults:
    """The faults still to come."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Let something go wrong. Raises `ValueError` for a fault that makes no sense."""
        if fault.kind not in KINDS:
            raise ValueError(f"there is no fault {fault.kind!r}; known are {', '.join(KINDS)}")
        if not 400 <= fault.status <= 599 or fault.times < 1 or not 0 <= fault.seconds <= 600:
            raise ValueError("a fault has status 400 to 599, 1 or more times, 0 to 600 seconds")
        try:
            re.compile(fault.route)
        except re.error as error:
            raise ValueError(f"the route {fault.route!r} is no pattern: {error}") from None
        self._waiting.append(fault)

    def next(self, method: str, path: str) -> Fault | None:
        """The fault that hits this request, used up once."""
        for fault in self._waiting:
            if re.search(fault.route, f"{method} {path}"):
                fault.times -= 1
                if fault.times <= 0:
                    self._waiting.remove(fault)
                return fault
        return None


def parse(fields: dict[str, Any]) -> Fault:
    """A fault from JSON. Raises `ValueError` for anything else."""
    try:
        return Fault(**fields)
    except TypeError as error:
        raise ValueError(str(error)) from None
