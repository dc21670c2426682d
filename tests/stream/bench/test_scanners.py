"""What is said of many scanners on one server, of made measurements, and once for real."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from neurosono.engine.contracts.errors import EngineUnavailableError, InputError
from neurosono.stream.bench.scanners import (
    ScannersPlan,
    adds_up,
    describe_added,
    describe_phase,
    describe_troubles,
    judge_trouble,
)
from neurosono.stream.bench.served import find_triton
from tests.support.commands import run

MS = 1_000_000
TRITON = Path(os.environ.get("NEUROSONO_TRITON", Path(__file__).parents[3] / ".triton"))


def make_seen(said: list[tuple[int, bool, bool]], known_ms: list[int]) -> dict[str, Any]:
    frames = {"decoded": 9, "displayed": 8, "dropped": 1, "sampled": 5, "used": 3}
    return {
        "said": [(at * MS, on, shown) for at, on, shown in said],
        "answers": [
            ((at - 30) * MS, at * MS, 10.0 + number, 1.0) for number, at in enumerate(known_ms)
        ],
        "frames": {**frames, "skipped": {"engine-off": 2}},
        "accounts": {"unaccounted": 0},
    }


TROUBLE = {"kind": "kill", "begun_ns": 1000 * MS, "healed_ns": 4000 * MS}
ON, OFF, MUTE = (True, True), (False, False), (False, True)


def test_off_and_back_are_counted_from_the_trouble_and_its_end() -> None:
    said = [(900, *ON), (1100, *ON), (1405, *OFF), (3900, *OFF), (4250, *ON), (9000, *OFF)]
    found = judge_trouble(TROUBLE, make_seen(said, [980, 4240]))
    assert found == {"kind": "kill", "off_ms": 405.0, "back_s": 0.25, "stale": 0}


def test_an_opinion_beside_ai_off_is_stale_and_so_is_an_old_one() -> None:
    said = [(1100, *ON), (1450, *MUTE), (1460, *OFF), (4250, *ON)]
    assert judge_trouble(TROUBLE, make_seen(said, [980, 4240]))["stale"] == 1
    said = [(1100, *ON), (1499, *ON), (1501, *ON), (1700, *ON), (1701, *OFF), (4250, *ON)]
    found = judge_trouble(TROUBLE, make_seen(said, [980, 4240]))
    assert (found["stale"], found["off_ms"]) == (2, 701.0)


def test_an_answer_that_was_under_way_may_be_shown() -> None:
    said = [(1100, *ON), (1600, *ON), (1750, *OFF), (4250, *ON)]
    found = judge_trouble(TROUBLE, make_seen(said, [980, 1200, 4240]))
    assert found["stale"] == 0


def test_one_that_never_went_off_is_told() -> None:
    seen = make_seen([(1100, *ON), (4100, *ON)], [980, 4050])
    found = describe_troubles([TROUBLE], [seen])
    assert found["kill"]["never_off"] == 1
    assert found["kill"]["off_ms"] is None
    assert found["adds_up"]


def test_frames_add_up_or_it_is_said() -> None:
    seen = make_seen([], [1])
    assert adds_up(seen)
    assert not adds_up(seen | {"accounts": {"unaccounted": 1}})
    assert not adds_up(seen | {"frames": seen["frames"] | {"used": 4}})


def test_fairness_and_what_is_added() -> None:
    since = [(100, *OFF), (200, *ON)]
    one, other = make_seen(since, [231, 232, 233]), make_seen(since, [229, 231])
    phase = describe_phase([one, other])
    assert phase["answers"] == [3, 1]
    assert phase["fairness"] == pytest.approx(16 / (2 * 10))
    assert (phase["answer_ms"] or {})["p50"] == pytest.approx(30.0)
    assert describe_added([other], [one]) == {"p50": 0.0, "p99": 0.98}
    assert describe_added([make_seen([], [231])], [one]) is None, "its AI was never on"


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 to 64"):
        ScannersPlan(0)
    with pytest.raises(EngineUnavailableError, match="install-triton"):
        find_triton(tmp_path)


@pytest.mark.slow
def test_two_scanners_on_the_real_server(tmp_path: Path) -> None:
    if not (TRITON / "start").is_file():
        pytest.skip(f"no Triton in {TRITON}: scripts/install-triton brings one")
    done = run(
        *("bench", "--scanners", "2", "--asks", "2", "--seconds", "4", "--troubles", "2"),
        *("--triton", TRITON, "--json", tmp_path / "report.json"),
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    for phase in ("alone", "own", "calm", "half"):
        assert report[phase]["adds_up"], phase
    assert min(report["calm"]["answers"]) > 0
    for kind in ("hang", "kill"):
        found = report["troubles"][kind]
        assert found["stale"] == 0
        assert found["never_off"] == found["never_back"] == 0
