"""How tests are dealt to pytest-xdist's workers: sessions in one lane, all else by file."""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

SESSION_ROOMS = frozenset(
    ("archive", "browser", "door", "end_to_end", "examples", "node", "operations", "reliability")
)
"""Where tests start whole sessions, which have deadlines."""


class Lanes(LoadScopeScheduling):
    """Gives sessions one lane, so that none runs beside another; and outlives dead workers.

    When one dies, xdist 3.8 deals all its files anew: also those that are done, so that the next
    worker is given nothing and, with nothing to tell, never more, and all wait for ever; and the
    test that killed it, for the next one. When two die, it deals to one that has collected nothing.
    """

    def remove_node(self, node: Any) -> str | None:
        """Return the test that `node` ran when it died; the others that it had are dealt anew."""
        files = self.assigned_work.pop(node)
        left = [test for tests in files.values() for test, is_done in tests.items() if not is_done]
        if not left:
            return None
        for file, tests in files.items():
            if kept := {test: False for test in tests if test in left[1:]}:
                self.workqueue[file] = kept
        for other in self.nodes:
            self._reschedule(other)
        return left[0]

    def _reschedule(self, node: Any) -> None:
        if node not in self.registered_collections:
            return
        super()._reschedule(node)
        # a worker keeps its last test until it has another one, or is to end
        while self.workqueue and not node.shutting_down:
            if self._pending_of(self.assigned_work[node]) > 1:
                return
            self._assign_work_unit(node)

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        rooms = file.removeprefix("tests/").split("/")
        return "sessions" if rooms[0] in SESSION_ROOMS else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Lanes:
    """Deal as `Lanes` does."""
    return Lanes(config, log)
