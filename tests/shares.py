"""How the tests are shared out among the processes that run them side by side.

A file is one process's, so that what its tests share is made once; and all of `tests/gui` is, for
there is one screen, one focus and one Tk.
"""

from xdist.scheduler import LoadFileScheduling

WINDOW = "tests/gui"
# Begun first, or one process would still be at them when there is nothing left for the others.
LONGEST = (
    WINDOW,
    "tests/model/test_scripts.py",
    "tests/model/test_trainer.py",
    "tests/test_style.py",
    "tests/model/test_evaluate_script.py",
)


def share(nodeid: str) -> str:
    """What a test is run together with: its file, or `WINDOW`."""
    return WINDOW if nodeid.startswith(f"{WINDOW}/") else nodeid.partition("::")[0]


def turn(nodeid: str) -> int:
    """The smaller, the earlier."""
    return LONGEST.index(share(nodeid)) if share(nodeid) in LONGEST else len(LONGEST)


class Shares(LoadFileScheduling):  # type: ignore[misc]
    """Hands out the shares in the order in which their tests were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return share(nodeid)
