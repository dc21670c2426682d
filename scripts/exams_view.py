"""Recorded exams as the terminal shows them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.table import Table

from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.kinds import tell_recorded

if TYPE_CHECKING:
    from neurosono.stream.journal.rebuild import Proof


def tabulate(exams: list[dict[str, Any]]) -> Table:
    """Return a line an exam; dates in the local time.

    `state` is the exam's own where it ended, otherwise why it has not. No lines between columns:
    eighty characters hold it.
    """
    table = Table(caption=NOTICE, box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for column in ("exam", "begun", "leading class", "state"):
        table.add_column(column, no_wrap=True)
    table.add_column("used of", justify="right", no_wrap=True)
    for exam in exams:
        frames, ended = exam["frames"], exam["condition"] == "ended"
        table.add_row(
            exam["exam"],
            _name_local(exam["begun"])[:-3],
            exam["label"] or "-",
            (exam["state"] or "-") if ended else exam["condition"],
            f"{frames['used']}/{frames['sampled']}",
        )
    return table


def tabulate_record(record: dict[str, Any]) -> Table:
    """Return what a record knows beside the result: times, bundle, events, key frames."""
    table = Table(show_header=False, min_width=60)
    table.add_row("begun", _name_local(record["begun"]))
    table.add_row("ended", _name_local(record["ended"]) if record["ended"] else "-")
    for role in ("bundle", "student"):
        if (model := record.get(role)) is not None:
            table.add_row(role, f"{model['name'] or '-'} {model['sha256'][:12]}")
    for name, reading in record.get("readings", {}).items():
        frames = reading["frames"]
        told = tell_recorded(reading["kind"], reading).lines
        lines = [f"{frames['used']} of {frames['sampled']} frames read", *told]
        table.add_row(name, "\n".join(lines))
    events = ", ".join(f"{count} {name}" for name, count in record["events"].items())
    table.add_row("events", events or "none")
    for key in record["key_frames"]:
        said = f"frame {key['seq']}, {key['label'] or 'no label'}, {key['status']}, {key['reason']}"
        table.add_row(f"kept {key['key_frame']}", said)
    return table


def tabulate_verdict(verdict: Proof) -> Table:
    """Return whether an exam came out as it was recorded."""
    equal = "the same, bit for bit" if verdict.equal else "NOT the same"
    table = Table(
        title=f"exam {verdict.exam_id}: {equal}",
        title_justify="left",
        show_header=False,
        min_width=60,
        caption=NOTICE,
    )
    table.add_row("frames compared", str(verdict.frames))
    table.add_row("differing", str(verdict.differing))
    if verdict.first is not None:
        table.add_row("first", f"frame {verdict.first}: {verdict.what}")
        table.add_row("largest difference", f"{verdict.largest:.3g}")
    if verdict.repeated:
        table.add_row("recorded twice", str(verdict.repeated))
    return table


def _name_local(iso: str) -> str:
    return f"{datetime.fromisoformat(iso).astimezone():%Y-%m-%d %H:%M:%S}"
