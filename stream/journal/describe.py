"""A recorded exam in the form of `exam.json`: for the screen, for a report, for other programs."""

from typing import Any

from neurosono.engine.kinds import recall
from neurosono.stream.journal.reader import ExamSummary, Reader
from neurosono.stream.journal.rebuild import begin_recorded
from neurosono.stream.journal.times import name_time
from neurosono.stream.view.summary import Latencies, describe_exam


def describe_record(reader: Reader, exam_id: str) -> dict[str, Any]:
    """Return what the record knows of an exam, with the keys of `exam.json`, and more.

    Beside them: `exam`, `condition`, `begun` and `ended`, `events` (how many of each name) and
    `key_frames` (without their pictures). Counts that only the end of an exam knows (`decoded`,
    `displayed`, `dropped`) are None where it did not end.
    """
    found = reader.exam(exam_id)
    snapshot = found.last
    if snapshot is None:
        snapshot = begin_recorded(found).snapshot()
    latencies = Latencies()
    for recorded in reader.results(found.exam_id):
        latencies.add(recorded.result.stage_ms)
    about = found.about
    return describe_exam(found.labels, snapshot) | {
        **describe_summary(found),
        "complete": (found.ending or {}).get("complete", False),
        **{
            role: {"name": about.get(role), "sha256": about[f"{role}_sha256"]}
            for role in ("bundle", "student")
            if f"{role}_sha256" in about
        },
        **({"readings": describe_readings(reader, found)} if "readers" in found.about else {}),
        "engine": {key: about.get(key) for key in ("backend", "precision", "members")},
        "latency_ms": latencies.summarise(),
        "events": _count_events(reader, found.exam_id),
        "key_frames": [
            {
                "key_frame": key.key_frame_id,
                "seq": key.seq,
                "reason": key.reason,
                "label": key.label,
                "status": key.status,
                "kept": name_time(key.wall_ns),
            }
            for key in reader.key_frames(found.exam_id)
        ],
    }


def describe_summary(found: ExamSummary) -> dict[str, Any]:
    """Return the line that a list of exams has for one."""
    ending = found.ending or {}
    return {
        "exam": found.exam_id,
        "condition": found.condition,
        "begun": name_time(found.begun_wall_ns),
        "ended": None if found.ended_wall_ns is None else name_time(found.ended_wall_ns),
        "source": found.about.get("source"),
        "label": found.label,
        "state": None if found.last is None else str(found.last.state),
        "frames": {
            **{name: ending.get(name) for name in ("decoded", "displayed", "dropped")},
            "sampled": found.sampled,
            "used": found.used,
            "skipped": found.skipped,
        },
    }


def describe_readings(reader: Reader, found: ExamSummary) -> dict[str, Any]:
    """Return `readings` of `exam.json`; of a kind whose bundle it takes, the frames alone.

    A bundle that ships is at hand.
    """
    readers = found.about["readers"]
    exams = {name: recall(each["kind"], each["sha256"]) for name, each in readers.items()}
    for reading in reader.readings(found.exam_id):
        if reading.reader in exams:
            exams[reading.reader].update(reading)
    return {
        name: {
            "kind": each["kind"],
            "bundle": {"name": each["bundle"], "sha256": each["sha256"]},
            **exams[name].snapshot(),
        }
        for name, each in readers.items()
    }


def _count_events(reader: Reader, exam_id: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for event in reader.events(exam_id):
        counts[event.name] = counts.get(event.name, 0) + 1
    return counts
