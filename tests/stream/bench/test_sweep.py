"""Which combinations a sweep measures, and that it really measures them."""

import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.stream.bench.settings import BenchSettings
from neurosono.stream.bench.sweep import combine, describe_choice, read_axes, run_sweep


def test_every_combination_once_the_last_axis_fastest() -> None:
    axes = read_axes(["members=1,3", "size=640x480,800x600"])
    found = combine(BenchSettings(), axes)
    assert [(each.members, each.size_px) for each in found] == [
        (1, (640, 480)),
        (1, (800, 600)),
        (3, (640, 480)),
        (3, (800, 600)),
    ]
    assert describe_choice(found[1], axes) == "members=1 size=800x600"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("member=1", "expected NAME=VALUE"),
        ("members", "expected NAME=VALUE"),
        ("members=one", "cannot take"),
        ("size=640", "cannot take"),
    ],
)
def test_what_cannot_be_swept_is_said(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_axes([text])


def test_a_clip_of_the_users_has_its_own_size() -> None:
    with pytest.raises(InputError, match="phantom clip"):
        combine(BenchSettings(source="a.mp4"), read_axes(["size=640x480"]))


def test_too_many_combinations_are_refused() -> None:
    axes = read_axes([f"members={','.join(map(str, range(1, 38)))}", "every=1,2"])
    with pytest.raises(InputError, match="74 combinations"):
        combine(BenchSettings(), axes)


@pytest.mark.slow
def test_a_sweep_measures_each_choice() -> None:
    axes = read_axes(["members=1,3"])
    report = run_sweep(BenchSettings(seconds=4.0, rounds=1, threads=1), axes)
    runs = report["runs"]
    assert [run["engine"]["members"] for run in runs] == [1, 3]
    assert all(run["closed_loop"]["fps"] > 0 for run in runs)
    assert runs[0]["to_first"]["closed_loop_fps"]["median"] == 1
