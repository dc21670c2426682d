"""Doing what waits in an outbox: one try, whose failure is written down."""

import time
from collections.abc import Callable, Sequence

from pydicom.dataset import Dataset

from neurosono.engine.contracts.errors import InputError, NeurosonoError
from neurosono.stream.hospital.entry import Entry
from neurosono.stream.hospital.mpps import tell_end, tell_start
from neurosono.stream.hospital.outbox import ErrandStanding, Outbox, Outcome, Row, Step


def do_errand(outbox: Outbox, row: Row, do: Callable[[Row], None]) -> None:
    """Try it once; `do` notes how far it is, and what it raises is said of it."""
    outbox.try_now(row)
    try:
        do(row)
    except NeurosonoError as error:
        outbox.note(row, ErrandStanding.WAITING, str(error))
    except Exception as error:  # noqa: BLE001 (its words could quote a patient, its class cannot)
        outbox.note(row, ErrandStanding.WAITING, f"it could not be done: {type(error).__name__}")


def tell_step(
    outbox: Outbox,
    row: Row,
    whose: Callable[[], Entry | None],
    made: Callable[[], Sequence[Dataset]],
) -> None:
    """Tell the hospital what it has not heard of a step: that it began, or how it ended, or both.

    `whose` it is and what was `made` are asked for only where they are told. A step that began and
    was not ended in time is abandoned. Raises `NeurosonoError`.
    """
    assert isinstance(row.what, Step)
    step = row.what
    if row.standing is ErrandStanding.BEGUN:
        step = step.end(Outcome.ABANDONED, time.time_ns())
        outbox.put(row.exam_id, row.number, step)
        return  # it has its turn now
    if not row.begun:
        if step.outcome in (Outcome.WRONG_ENTRY, Outcome.ABANDONED) and not row.tries:
            outbox.drop(row.exam_id, row.number)  # nobody has heard of it
            return
        entry = whose()
        if entry is None:
            raise InputError("whose it was is gone")
        tell_start(step, f"{row.exam_id[-6:]}-{row.number}", entry)
        begun = ErrandStanding.BEGUN if step.outcome is None else ErrandStanding.WAITING
        outbox.note(row, begun, heard=True)
    if step.outcome is not None:
        tell_end(step, made() if step.outcome is Outcome.COMPLETED else [])
        outbox.note(row, ErrandStanding.STORED)
