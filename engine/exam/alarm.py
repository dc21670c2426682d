"""The alarm for "any anomaly": slow to come, slow to go."""

from typing import Any

from neurosono.engine.contracts.calibration import Alarm


class AlarmLatch:
    """Follows one exam's chance of an anomaly; `rule` None never sounds.

    `on` is whether it sounds now.
    """

    def __init__(self, rule: Alarm | None) -> None:
        self._rule = rule
        self._above = 0
        self.on = False

    def follow(self, score: float, worth: float) -> None:
        """Hear the running exam's score after a used frame, 0 to 1.

        `worth` is how many independent frames a frame of this exam is worth: the dwell is counted
        in those, so that it lasts as long at 25 Hz as at 5.
        """
        rule = self._rule
        if rule is None:
            return
        self._above = self._above + 1 if score >= rule.on else 0
        if self._above and self._above * worth >= rule.dwell_frames:
            self.on = True
        elif score < rule.off:
            self.on = False

    def to_json(self) -> dict[str, Any]:
        """Return all that `restore` needs."""
        return {"above": self._above, "on": self.on}

    def restore(self, found: Any) -> None:
        """Take up what `to_json` gave; None, of an older record, is silence."""
        if found is not None:
            self._above, self.on = int(found["above"]), bool(found["on"])
