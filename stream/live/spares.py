"""Processes that wait until one of their role is needed."""

from collections import defaultdict
from collections.abc import Mapping

from neurosono.stream.processes.heap import give_back
from neurosono.stream.processes.supervisor import Supervisor
from neurosono.stream.processes.watch import NS, Absences


class Spares:
    """Keeps them, and replaces those that die: ever more rarely, as want of memory ends each."""

    def __init__(self) -> None:
        self._absences: defaultdict[str, Absences] = defaultdict(Absences)
        self._due_ns: dict[str, int] = {}

    def keep(self, children: Supervisor, wanted: Mapping[str, object], now_ns: int) -> None:
        """Prepare the first that is missing, for what it is expected to be told, if that is known.

        The others come in their turn.
        """
        for role, options in wanted.items():
            if children.lost_spare(role):
                self._rest(role, now_ns)
            if children.has_spare(role) or now_ns < self._due_ns.get(role, 0):
                continue
            children.prepare(role, options)
            if not children.has_spare(role):  # the system refused to start it
                self._rest(role, now_ns)
            give_back()
            return

    def _rest(self, role: str, now_ns: int) -> None:
        self._due_ns[role] = now_ns + int(self._absences[role].note(now_ns) * NS)
