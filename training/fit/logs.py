"""TensorBoard logs of a run: loss, learning rate and validation accuracy of each member and epoch.

`tensorboard --logdir OUT.part/report/tensorboard` while it trains, `OUT/report/tensorboard` after.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Self

from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.files import writing
from neurosono.training.fit.member import Step

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

LOGS_NAME = "tensorboard"


class TensorBoardLogs:
    """Hears the steps of a run and writes one TensorBoard run for each member.

    Only numbers are written, and the notice: no patient, no file, no host's name.
    """

    def __init__(self, root: Path) -> None:
        """Write below `root`, which is made with the first epoch's numbers."""
        self._root = root
        self._writers: dict[int, SummaryWriter] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            writer.close()
        _rename(self._root)

    def hear(self, step: Step) -> None:
        """Write an epoch's numbers at its end; raises `OutputError` where the disk is full."""
        if step.validation is None:
            return
        numbers = {
            "loss": step.loss,
            "learning_rate": step.rate,
            "validation_accuracy": step.validation,
        }
        with writing(self._root, "free some space, then give the same command again"):
            writer = self._writers.get(step.member) or self._open(step.member)
            for name, value in numbers.items():
                writer.add_scalar(name, value, step.epoch + 1)
            writer.flush()

    def _open(self, member: int) -> "SummaryWriter":
        from torch.utils.tensorboard.writer import SummaryWriter

        writer = SummaryWriter(self._root / f"member-{member:02d}")
        writer.add_text("notice", NOTICE)
        self._writers[member] = writer
        return writer


def _rename(root: Path) -> None:
    """Name event files by number: TensorBoard names them by the host, which is nobody's concern."""
    for folder in root.glob("member-*"):
        for path in sorted(folder.glob("events.out.tfevents.*")):
            if not path.name.endswith(".neurosono"):
                count = len(list(folder.glob("*.neurosono")))
                path.replace(folder / f"events.out.tfevents.{count}.neurosono")
