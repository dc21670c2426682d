"""What a node takes of time and memory: `python -m tests.node.figures report cine senders memory`.

Needs Debian's Orthanc. Each figure is a line of JSON; what misses its goal ends with 1.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from neurosono.node.spool import READY
from neurosono.stream.hospital.node import parse_node
from neurosono.stream.study.send import send_dicom
from tests.support.cines import draw_frames, make_cine
from tests.support.commands import wait_until
from tests.support.nodes import Running, serving
from tests.support.orthanc import Orthanc, serving_orthanc

BUNDLE = "demo"
CINE_S, REPORT_S, ADDED_MB = 5.0, 0.5, 150
"""The goals: a cine of 30 frames in the PACS, an exam's reports, what a large cine may add."""
SENDERS, STUDIES = 5, 10
LARGE = 117, 768, 1024
"""Frames, rows and columns of a colour cine of 276 MB."""


def measure_cine(folder: Path) -> dict[str, Any]:
    """Return the seconds from a sender's first word to the results in the PACS, of several."""
    frames, took_s = draw_frames(30), []
    with running(folder, "--complete-after", "1") as (pacs, node):
        for _ in range(5):
            cine, began_s = make_cine(frames), time.monotonic()
            node.store(cine)
            _wait_for(pacs, cine.StudyInstanceUID, 3)
            took_s.append(round(time.monotonic() - began_s, 2))
    return {"cine_s": took_s, "reached": sorted(took_s)[len(took_s) // 2] < CINE_S}


def measure_senders(folder: Path) -> dict[str, Any]:
    """Return how long studies of several senders at once took, and that each was answered once."""
    frames, senders = draw_frames(30), [f"US{number}" for number in range(SENDERS)]
    cines = {each: [make_cine(frames) for _ in range(STUDIES)] for each in senders}
    allowed = [word for each in senders for word in ("--allow", each)]
    with running(folder, *allowed) as (pacs, node):
        began_s = time.monotonic()

        def send(sender: str) -> None:
            for cine in cines[sender]:
                send_dicom([cine], parse_node(node.node, sender))

        threads = [threading.Thread(target=send, args=(each,)) for each in senders]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        confirmed_s = time.monotonic() - began_s
        count = SENDERS * STUDIES
        wait_until(lambda: sum("results stored" in line for line in node.said) == count, 900)
        stored_s = time.monotonic() - began_s
        found = Counter(_read_studies(pacs))
    studies = [each.StudyInstanceUID for of_one in cines.values() for each in of_one]
    once = all(found[each] == 3 for each in studies) and len(found) == count
    told = {"confirmed_s": round(confirmed_s, 1), "stored_s": round(stored_s, 1)}
    return {"studies": count, "senders": SENDERS, **told, "reached": once}


def measure_memory(folder: Path) -> dict[str, Any]:
    """Return the peaks of listener and worker at the start, with a small cine, with a large one."""
    count, rows, columns = LARGE
    small = make_cine(draw_frames(30))
    large = make_cine(draw_frames(1))
    picture = np.repeat(np.resize(draw_frames(1)[0], (rows, columns))[..., None], 3, axis=2)
    large.NumberOfFrames, large.Rows, large.Columns = LARGE
    large.SamplesPerPixel, large.PhotometricInterpretation, large.PlanarConfiguration = 3, "RGB", 0
    large.PixelData = picture.tobytes() * count
    with running(folder) as (_, node):
        peaks = [_take_peaks(node)]
        for number, cine in enumerate((small, large), 1):
            node.store(cine)
            node.wait(f"study {number} (1 cine of SCANNER1): results stored")
            peaks.append(_take_peaks(node))
    told = {
        f"{process}_mb": dict(zip(("start", "small", "large"), found, strict=True))
        for process, found in zip(("listener", "worker"), zip(*peaks, strict=True), strict=True)
    }
    (_, few), (_, many) = peaks[1:]
    return {**told, "large_adds_worker_mb": many - few, "reached": many - few < ADDED_MB}


def measure_report(folder: Path) -> dict[str, Any]:
    """Return the seconds for the objects of an exam, in a process that made some before."""
    from neurosono.archive.exam import Watch
    from neurosono.bundles import open_bundle
    from neurosono.node.examine import open_maker
    from neurosono.node.options import Judging
    from neurosono.node.warm import warm_up
    from neurosono.stream.study import study

    opened, asked = open_bundle(BUNDLE), Judging(parse_node("PACS@h:1"))
    warm_up(opened, asked, folder / "warm")
    took_s: dict[str, list[float]] = {}
    for name in ("draw_pictures", "describe_exam", "describe_regions"):
        setattr(study, name, _time(getattr(study, name), took_s.setdefault(name, [])))
    maker = open_maker(opened, asked, folder / "journal.sqlite")
    cines = folder / "cines"
    cines.mkdir()
    make_cine(draw_frames(30)).save_as(cines / "1.dcm", enforce_file_format=True)
    whole: list[float] = []
    with maker.examiner.open_journal() as journal:
        for _ in range(5):
            with tempfile.TemporaryFile(dir=folder) as pixels:
                _time(maker.make, whole)(cines, journal, Watch(), pixels)
    middle = {name: round(sorted(each)[len(each) // 2], 3) for name, each in took_s.items()}
    reports_s = middle["describe_exam"] + middle["describe_regions"]
    told = {**middle, "judged_and_described": round(sorted(whole)[2], 3)}
    return {"report_s": round(reports_s, 3), **told, "reached": reports_s < REPORT_S}


def _time(work: Callable[..., Any], took_s: list[float]) -> Callable[..., Any]:
    def timed(*given: Any, **named: Any) -> Any:
        began_s = time.monotonic()
        try:
            return work(*given, **named)
        finally:
            took_s.append(time.monotonic() - began_s)

    return timed


@contextlib.contextmanager
def running(folder: Path, *more: str) -> Iterator[tuple[Orthanc, Running]]:
    """Run a PACS, and a node that sends to it and is warm, until the block ends."""
    at = folder / "node"
    with serving_orthanc(folder) as pacs, serving(at, BUNDLE, "--send", pacs.node, *more) as node:
        wait_until((at / READY).exists)
        yield pacs, node


def _wait_for(pacs: Orthanc, study: str, count: int) -> None:
    wait_until(lambda: _read_studies(pacs).count(study) >= count)


def _read_studies(pacs: Orthanc) -> list[str]:
    """Return the study of each instance that the PACS has."""
    found = []
    for each in pacs.get("/studies?expand"):
        series = (pacs.get(f"/series/{name}") for name in each["Series"])
        found += [each["MainDicomTags"]["StudyInstanceUID"]] * sum(
            len(one["Instances"]) for one in series
        )
    return found


def _take_peaks(node: Running) -> tuple[int, ...]:
    """Return the most memory that listener and worker had since the last look, in MB."""
    listener = psutil.Process(node.process.pid)
    (worker,) = (each for each in listener.children() if "neurosono.node.worker" in each.cmdline())
    return tuple(_take_peak(each.pid) for each in (listener, worker))


def _take_peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (peak_kb,) = (int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # proc(5): begins anew
    return peak_kb * 1024 // 10**6


MEASURES = {
    "report": measure_report,
    "cine": measure_cine,
    "senders": measure_senders,
    "memory": measure_memory,
}


def main() -> int:
    """Measure what is named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="+", choices=MEASURES)
    reached = True
    for name in parser.parse_args().what:
        with tempfile.TemporaryDirectory() as folder:
            told = MEASURES[name](Path(folder))
        sys.stdout.write(json.dumps({name: told}) + "\n")
        sys.stdout.flush()
        reached = reached and told["reached"]
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
