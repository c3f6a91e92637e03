"""How the tests are shared out among the processes that run them side by side.

A file is one process's, so that what its tests share is made once; and all of `tests/gui` is, for
there is one screen, one focus and one Tk.
"""

from typing import Any

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
    """Hands out the shares in the order in which their tests were collected.

    The class it is made from tries a test at which a process died again, for ever, and waits for
    ever for a process that has one test left.
    """

    def _split_scope(self, nodeid: str) -> str:
        return share(nodeid)

    def _reschedule(self, node: Any) -> None:
        super()._reschedule(node)
        if not self.workqueue and not node.shutting_down:
            node.shutdown()  # once it has done what it was given

    def remove_node(self, node: Any) -> str | None:
        """Leave what a process had still to do to the others; the test at which it died, if any."""
        given = self.assigned_work.pop(node)
        left = [(tests, name) for tests in given.values() for name in tests if not tests[name]]
        if not left:
            return None
        tests, died_at = left[0]
        tests[died_at] = True
        self.workqueue.update({name: t for name, t in given.items() if not all(t.values())})
        for other in self.assigned_work:
            self._reschedule(other)
        return str(died_at)
