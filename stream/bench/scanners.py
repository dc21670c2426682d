"""Many scanners on one server: what that adds, who loses what, and what is shown when it fails."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import InputError, RunError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.host import describe_host
from neurosono.engine.triton.repository import Serving
from neurosono.stream.bench.clip import render_clip
from neurosono.stream.bench.measures import summarise
from neurosono.stream.bench.scanner import ScannerJob
from neurosono.stream.bench.served import Served, find_triton
from neurosono.stream.processes.spawn import HEAP

SCHEMA = "neurosono-scanners/1"
SIZE_PX = (320, 240)
"""Small pictures: it is the server that is asked, and all scanners share this machine."""

OFF_MS = 500.0
"""After this long nothing of an engine that does not answer may be shown (rule 1)."""

TROUBLE_S, HEAL_S = 1.5, 60.0
"""How long a server hangs, and how long the scanners may take to be on again."""


@dataclass(frozen=True)
class ScannersPlan:
    """What is measured: each phase lasts `seconds`; `troubles` are hangs and kills in turns.

    `rate_hz` is how often each scanner asks; where the server has half the capacity, so often that
    it is asked twice what it can do, with `instances` processes of one thread each.
    """

    scanners: int
    bundle: str = "demo"
    precision: str | None = None
    members: int | None = None
    rate_hz: float = 5.0
    seconds: float = 20.0
    troubles: int = 2
    triton: Path | None = None
    instances: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.scanners <= 64 or not 0 < self.rate_hz <= 30 or self.troubles < 0:
            raise InputError("--scanners takes 1 to 64 scanners, at up to 30 frames a second each")


class Fleet:
    """Scanners that run, each in a process of its own."""

    def __init__(self, jobs: Sequence[ScannerJob]) -> None:
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "neurosono.stream.bench.scanner"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | HEAP,
            )
            for _ in jobs
        ]
        for process, job in zip(self._processes, jobs, strict=True):
            assert process.stdin is not None
            process.stdin.write(json.dumps(job.to_json()) + "\n")
            process.stdin.flush()

    def await_on(self) -> None:
        """Wait until every scanner's AI is on; raises `RunError` where one ends before."""
        for process in self._processes:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "on":
                raise RunError("a scanner ended before its AI was on: is the machine too small?")

    def finish(self) -> list[dict[str, Any]]:
        """End all, and return what each saw."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
            process.stdin = None
        said = [process.communicate()[0] for process in self._processes]
        if any(process.returncode for process in self._processes):
            raise RunError("a scanner failed: its last words are above")
        return [json.loads(each) for each in said]

    def kill(self) -> None:
        """End all at once, where something went wrong."""
        for process in self._processes:
            process.kill()


@contextmanager
def _running(jobs: Sequence[ScannerJob]) -> Iterator[Fleet]:
    fleet = Fleet(jobs)
    try:
        fleet.await_on()
        yield fleet
    except BaseException:
        fleet.kill()
        raise


def run_scanners(
    plan: ScannersPlan, on_step: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Measure, and return the report; raises `InputError` before, `RunError` in the middle."""
    bundle, start = Bundle.load(plan.bundle), find_triton(plan.triton)
    with tempfile.TemporaryDirectory(prefix="neurosono-clip-") as folder:
        on_step("rendering the phantom clip")
        clip = render_clip(Path(folder), 10.0, 25.0, SIZE_PX)
        job = ScannerJob(
            f"loop:{clip.sources[0]}",
            *(plan.bundle, plan.rate_hz, None, plan.precision, plan.members),
        )
        on_step("one scanner with an engine of its own")
        alone = _measure([job], plan.seconds)[0]
        on_step(f"{plan.scanners} scanners with an engine of their own each")
        own = _measure([job] * plan.scanners, plan.seconds)
        serving = Serving(plan.precision, plan.members, plan.instances, threads=1)
        with Served(start, bundle, serving) as served:
            on_step("starting the server")
            starts_s = [served.start()]
            jobs = [replace(job, server=served.url)] * plan.scanners
            on_step(f"{plan.scanners} scanners")
            calm = _measure(jobs, plan.seconds)
            if not list_answers(alone):
                raise RunError(
                    "one scanner alone got no answer: the machine is too busy to measure"
                )
            network_ms = float(np.median([answer[2] for answer in list_answers(alone)]))
            full_hz = 2e3 * plan.instances / network_ms / plan.scanners
            on_step(f"{plan.scanners} scanners at twice the server's capacity")
            half = _measure(
                [replace(each, rate_hz=min(25.0, full_hz)) for each in jobs], plan.seconds
            )
            troubles: list[dict[str, Any]] = []
            seen: list[dict[str, Any]] = []
            if plan.troubles:
                with _running(jobs) as fleet:
                    for kind in islice(cycle(("hang", "kill")), plan.troubles):
                        on_step(f"{kind} {len(troubles) + 1} of {plan.troubles}")
                        troubles.append(_trouble(served, kind, starts_s))
                    seen = fleet.finish()
    return {
        "schema": SCHEMA,
        "notice": NOTICE,
        "host": describe_host(),
        "bundle": {"name": bundle.manifest.name, "sha256": bundle.manifest.digest},
        "settings": asdict(plan) | {"triton": None},
        "alone": describe_phase([alone]),
        "own": describe_phase(own),
        "calm": describe_phase(calm) | {"added_ms": describe_added(own, calm)},
        "half": describe_phase(half) | {"asked_hz": round(min(25.0, full_hz), 2)},
        "server_starts_s": [round(each, 2) for each in starts_s],
        "troubles": describe_troubles(troubles, seen),
    }


def _measure(jobs: Sequence[ScannerJob], seconds: float) -> list[dict[str, Any]]:
    with _running(jobs) as fleet:
        time.sleep(seconds)
        return fleet.finish()


def _trouble(served: Served, kind: str, starts_s: list[float]) -> dict[str, Any]:
    """Make the server hang or die, let it come back, and give the scanners time to be on again."""
    begun_ns = time.monotonic_ns()
    if kind == "hang":
        served.hang()
        time.sleep(TROUBLE_S)
        served.resume()
    else:
        served.kill()
        time.sleep(TROUBLE_S)
        starts_s.append(served.start())
    healed_ns = time.monotonic_ns()
    time.sleep(TROUBLE_S + 1.0)
    return {"kind": kind, "begun_ns": begun_ns, "healed_ns": healed_ns}


def list_answers(seen: dict[str, Any]) -> list[Sequence[float]]:
    """Return a scanner's answers to frames taken since its AI was first on: a start takes longer.

    Each is captured ns, known ns, the network's ms, the wait before it in ms.
    """
    on_ns = next((at for at, on, _ in seen["said"] if on), None)
    return [each for each in seen["answers"] if on_ns is not None and each[0] >= on_ns]


def describe_phase(seen: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a phase: ages and network times of all scanners together, and what each got."""
    answers = [list_answers(each) for each in seen]
    ages = [(known - taken) / 1e6 for each in answers for taken, known, _, _ in each]
    network = [answer[2] for each in answers for answer in each]
    got = np.asarray([len(each) for each in answers], dtype=float)
    fairness = got.sum() ** 2 / (len(got) * (got**2).sum()) if got.any() else 1.0
    return {
        "scanners": len(seen),
        "answer_ms": summarise(ages),
        "network_ms": summarise(network),
        "answers": [int(each) for each in got],
        "fairness": round(float(fairness), 4),
        "frames": [each["frames"] for each in seen],
        "adds_up": all(map(adds_up, seen)),
    }


def adds_up(seen: dict[str, Any]) -> bool:
    """Whether every frame of a scanner is accounted for, by its own counts and by capture's."""
    frames, accounts = seen["frames"], seen["accounts"]
    return bool(
        frames["decoded"] == frames["displayed"] + frames["dropped"]
        and frames["sampled"] == frames["used"] + sum(frames["skipped"].values())
        and accounts["unaccounted"] == 0
    )


def describe_added(
    own: Sequence[dict[str, Any]], calm: Sequence[dict[str, Any]]
) -> dict[str, float] | None:
    """Return by how much asking the server takes longer than engines of their own, p50 and p99.

    Of as many scanners on the same machine: what they take from each other is no server's doing.
    None where either gave no answer.
    """
    before, served = (
        [answer[2] for each in seen for answer in list_answers(each)] for seen in (own, calm)
    )
    if not (before and served):
        return None
    return {
        name: round(float(np.percentile(served, level) - np.percentile(before, level)), 3)
        for name, level in (("p50", 50), ("p99", 99))
    }


def describe_troubles(
    troubles: Sequence[dict[str, Any]], seen: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Return, over all troubles and scanners, how long until AI OFF and ON, and what was stale."""
    judged = [judge_trouble(each, one) for each in troubles for one in seen]
    kinds = sorted({each["kind"] for each in troubles})
    found: dict[str, Any] = {"count": len(troubles), "adds_up": all(map(adds_up, seen))}
    for kind in kinds:
        of_kind = [each for each in judged if each["kind"] == kind]
        found[kind] = {
            "off_ms": summarise([each["off_ms"] for each in of_kind if each["off_ms"] is not None]),
            "never_off": sum(each["off_ms"] is None for each in of_kind),
            "back_s": summarise([each["back_s"] for each in of_kind if each["back_s"] is not None]),
            "never_back": sum(each["back_s"] is None for each in of_kind),
            "stale": sum(each["stale"] for each in of_kind),
        }
    return found


def judge_trouble(trouble: dict[str, Any], seen: dict[str, Any]) -> dict[str, Any]:
    """Return what one scanner's screen said of one trouble.

    `off_ms` is from the trouble to the first word that the AI is not on; `stale` counts words that
    show an opinion while the AI is not on, or `OFF_MS` after the last answer that came before it is
    on anew. `back_s` is from when the server was back to AI ON.
    """
    begun, healed = trouble["begun_ns"], trouble["healed_ns"]
    known = [answer[1] for answer in seen["answers"]]
    last = max((at for at in known if at <= begun), default=begun)
    after = min((at for at in known if at > healed), default=None)
    stale, off_ms, back_s = 0, None, None
    for at, on, shown in seen["said"]:
        if at < begun:
            continue
        if not on and off_ms is None:
            off_ms = (at - begun) / 1e6
        if on and at > healed and back_s is None and off_ms is not None:
            back_s = (at - healed) / 1e9
            break
        came = [each for each in known if begun < each <= at]
        newest = max(came, default=last)
        late = at - max(newest, begun) > OFF_MS * 1e6 and (after is None or at < after)
        stale += shown and (not on or late)
    return {"kind": trouble["kind"], "off_ms": off_ms, "back_s": back_s, "stale": int(stale)}
