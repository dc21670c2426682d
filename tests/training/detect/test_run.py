"""A detector trained on drawn heads: it learns, goes on to the same weights, and is measured."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from neurosono.engine.contracts.errors import InputError, OutputError, RunError
from neurosono.engine.structures import reading
from neurosono.engine.structures.boxes import Found, RotatedBox, overlap
from neurosono.engine.structures.graph import StructuresGraph
from neurosono.engine.structures.names import NO_HEAD, PLANES
from neurosono.engine.structures.reading import Reading
from neurosono.training.detect.augmentation import Strength, augment
from neurosono.training.detect.build import CARD_NAME, build
from neurosono.training.detect.data import DetectData
from neurosono.training.detect.deck import Deck, kind_of
from neurosono.training.detect.earlier import Earlier
from neurosono.training.detect.evaluate import judge_rows
from neurosono.training.detect.export import (
    LIMITS,
    Limits,
    Parity,
    check,
    compare,
    graph_path,
    read_by_torch,
)
from neurosono.training.detect.feed import Feed
from neurosono.training.detect.figures import Judged, measure
from neurosono.training.detect.heads import find_seen
from neurosono.training.detect.recipe import DetectRecipe
from neurosono.training.detect.report import PAGE_NAME, write_report
from neurosono.training.detect.rows import Labelled, Row
from neurosono.training.detect.run import judge_runs, open_run, read_recipe, reopen_run, train
from neurosono.training.detect.train import STATE_NAME, DetectTrainer
from neurosono.training.squares import PHANTOM
from tests.training.detect.pictures import SIZE_PX, write_drawn_data

pytestmark = pytest.mark.timeout(900)  # half a minute of training, on a busy machine much more

LOOK = {"look_px": SIZE_PX, "closer": 0.0}
"""The network sees the square itself: one look."""
RECIPE = DetectRecipe(pictures=1280, batch=16, learning_rate=3e-3, average=0.9, **LOOK)


@pytest.fixture(scope="module", autouse=True)
def _unclear_heads_are_told() -> Iterator[None]:
    """Let heads be measured whose outline is unclear: half a minute teaches no clearer ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "UNCLEAR_FROM", 1.0)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DetectData:
    return write_drawn_data(tmp_path_factory.mktemp("drawn") / "data", 240)


@pytest.fixture(scope="module")
def run(data: DetectData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that was trained to its end and built."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("run") / "fold-0"
    trainer = open_run(data, RECIPE, out)
    train(trainer, out, None, lambda *_: None)
    with pytest.MonkeyPatch.context() as patch:
        # A drawn ventricle is nine pixels wide, and 43 pictures are few: int8 may cost more here.
        patch.setitem(LIMITS, "int8", Limits(0.9, 0.5, 0.03, 0.9))
        build(trainer, out)
    return out


@pytest.mark.slow
def test_it_learns_heads_and_structures(data: DetectData, run: Path) -> None:
    found = judge_runs([run], data, "int8", everyone=False)
    for kind in ("real", "phantom"):
        each = found[kind]
        confusion = np.array(each["planes"]["confusion"])
        headless = PLANES.index(NO_HEAD)
        said_so = confusion[headless, headless] / confusion[headless].sum()
        alarms = confusion[:headless, headless].sum() / confusion[:headless].sum()
        assert said_so - alarms > 0.8
        assert each["heads"]["hc_percent"]["mean_absolute"]["value"] < 5
    lv = [found[kind]["structures"]["lv"]["ap50"]["value"] for kind in ("real", "phantom")]
    assert np.mean(lv) > 0.5
    assert found["real"]["structures"]["cerebellum"]["unproven"] is True


@pytest.mark.slow
def test_a_run_is_built_within_its_limits_and_says_what_it_is(data: DetectData, run: Path) -> None:
    card = json.loads((run / CARD_NAME).read_text())
    assert card["steps_done"] == card["steps"] == RECIPE.steps
    assert card["data"] == data.digest
    assert set(card["graphs"]) == {"f32", "int8"}
    assert card["graphs"]["f32"]["parity"]["same_plane"] == 1
    assert card["graphs"]["int8"]["bytes"] < 6_000_000
    assert sum(each["of_batch"] for each in card["shares"].values()) == pytest.approx(1)
    assert "not for diagnosis" in card["intended_use"]
    rows = data.choose(0, held_out=True)[:12]
    exact = read_by_torch(reopen_run(data, run).averaged(), np.array(data.frames[rows]), SIZE_PX)
    graph = [each.reading for each in judge_rows(graph_path(run, "f32"), data, rows)]
    for one, other in zip(exact, graph, strict=True):
        for plane in PLANES:
            assert one.planes[plane] == pytest.approx(other.planes[plane], abs=1e-3)
        assert (one.head is None) == (other.head is None)


@pytest.mark.slow
def test_what_is_refused_is_not_written_and_the_rest_is_kept(
    data: DetectData, run: Path, tmp_path: Path
) -> None:
    trainer = reopen_run(data, run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(LIMITS, "f32", Limits(1.0, 1.1, 0.0, 0.0))
        with pytest.raises(RunError, match="the f32 graph is over its limits"):
            build(trainer, tmp_path, precisions=("f32",))
    assert [path.name for path in tmp_path.iterdir()] == [CARD_NAME]
    card = json.loads((tmp_path / CARD_NAME).read_text())
    assert "over its limits" in card["graphs"]["f32"]["refused"]


@pytest.mark.slow
def test_a_graph_reads_a_picture_of_any_shape(run: Path) -> None:
    graph = StructuresGraph(graph_path(run, "int8"))
    reading = graph.read(np.zeros((333, 501, 3), np.uint8), mm_per_px=0.2)
    assert set(reading.to_dict()["planes"]) == set(PLANES)
    with pytest.raises(InputError, match="takes"):
        graph.infer(np.zeros((SIZE_PX, SIZE_PX + 1), np.uint8))


@pytest.mark.slow
def test_the_report_names_every_figure_and_loads_nothing(
    data: DetectData, run: Path, tmp_path: Path
) -> None:
    found = judge_runs([run], data, "f32", everyone=False)
    page = write_report(tmp_path / "report", found)
    assert page.name == PAGE_NAME
    text = page.read_text()
    assert "not for diagnosis" in text
    assert "unproven" in text
    assert text.count("<svg") >= 2
    assert not re.search(r'(?:src|href)="(?!#|data:)', text)
    assert json.loads((tmp_path / "report/figures.json").read_text()) == json.loads(
        json.dumps(found)
    )
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_report(tmp_path / "file", found)


def test_a_killed_run_goes_on_to_the_same_weights(data: DetectData, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    recipe = DetectRecipe(pictures=96, batch=16, **LOOK)
    whole = DetectTrainer(data, recipe)
    whole.fit()
    first = DetectTrainer(data, recipe)
    first.fit(3)
    first.save(tmp_path / STATE_NAME)
    second = DetectTrainer(data, recipe)
    second.resume(tmp_path / STATE_NAME)
    second.fit()
    assert second.done == whole.done == 6
    for name, value in whole.average.weights.items():
        assert torch.equal(value, second.average.weights[name]), name
    other = DetectTrainer(data, DetectRecipe(pictures=96, batch=16, seed=1, **LOOK))
    with pytest.raises(InputError, match="by another recipe"):
        other.resume(tmp_path / STATE_NAME)
    (tmp_path / "bad.pt").write_bytes(b"nothing")
    with pytest.raises(InputError, match="is no checkpoint"):
        other.resume(tmp_path / "bad.pt")


def test_a_run_begins_with_an_earlier_one_of_its_fold(data: DetectData, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    recipe = DetectRecipe(pictures=32, batch=8, look_px=64, glance=0.5, closer=1.0)
    first = DetectTrainer(data, recipe)
    first.fit(3)
    first.save(tmp_path / STATE_NAME)
    earlier = Earlier.read(tmp_path / STATE_NAME)
    next_one = DetectRecipe(pictures=32, batch=8, look_px=96, glance=0.0, seed=4)
    second = open_run(data, next_one, tmp_path / "second", earlier=earlier)
    begun = second.network.state_dict()
    assert torch.equal(begun["stem.0.weight"], first.average.weights["stem.0.weight"])
    layout = "layout.1.weight"  # of another picture's size: it is learnt anew
    assert begun[layout].shape != first.average.weights[layout].shape
    assert second.heads == first.heads
    assert read_recipe(tmp_path / "second").begun_from == earlier.digest
    for fold in (1, None):
        other = DetectTrainer(data, DetectRecipe(**{**recipe.to_json(), "held_out": fold}))
        other.save(tmp_path / "other.pt")
        with pytest.raises(InputError, match="has seen patients on whom this one is judged"):
            open_run(
                data, next_one, tmp_path / "third", earlier=Earlier.read(tmp_path / "other.pt")
            )
    (tmp_path / "bad.pt").write_bytes(b"nothing")
    with pytest.raises(InputError, match="no checkpoint to begin with"):
        Earlier.read(tmp_path / "bad.pt")


def test_a_run_stops_when_its_time_is_over(data: DetectData, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    recipe = DetectRecipe(pictures=2000, batch=2, **LOOK)
    trainer = open_run(data, recipe, tmp_path / "run")
    ticks = iter([0.0, 61.0])
    train(trainer, tmp_path / "run", 1.0, lambda *_: None, clock=lambda: next(ticks))
    assert trainer.done == 50
    assert reopen_run(data, tmp_path / "run").done == 50
    assert len(trainer.history.lines) == 1


@pytest.mark.parametrize("side", [SIZE_PX, 2 * SIZE_PX])
def test_views_take_their_marks_along(data: DetectData, side: int) -> None:
    """Of a view, the ventricle's place is dark and the skull's bright, as in the square itself."""
    rng = np.random.default_rng(0)
    calm = Strength(noise=0, hide=0, gain=0, gamma=0)
    dark, bright = [], []
    for number in range(0, 60, 3):
        square = np.array(data.frames[number])
        view, row = augment(square, data.rows[number], rng, calm, side)
        for each in row.boxes:
            x, y = round(each.box.cx), round(each.box.cy)
            if 4 < x < side - 4 and 4 < y < side - 4:
                dark.append(view[y - 1 : y + 2, x - 1 : x + 2].mean())
        assert row.head is not None
        assert view.shape == (side, side)
        on = np.rint(row.head.points()).astype(int)
        inside = ((on >= 0) & (on < side)).all(1)
        bright.append(view[on[inside, 1], on[inside, 0]].mean())
    assert np.mean(dark) < 25
    assert np.mean(bright) > 170


def test_what_falls_off_a_view_is_no_longer_known(data: DetectData) -> None:
    rng = np.random.default_rng(1)
    far = Strength(shift=3.0)
    _, row = augment(np.array(data.frames[0]), data.rows[0], rng, far)
    assert not row.boxes
    assert "lv" not in row.known


def test_other_machines_greys_keep_their_order() -> None:
    rng = np.random.default_rng(3)
    steps = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    row = Row("a", "b", "c")
    plain = Strength(
        turn_deg=0, scale=0, squeeze=0, shift=0, mirror=0, noise=0, hide=0, about=0, depth=0,
        coarser=0,
    )  # fmt: skip
    seen = [augment(steps, row, rng, plain)[0].astype(int) for _ in range(20)]
    for view in seen:
        inner = view[20:44, 4:-4]  # a blur bends the ends
        assert (np.diff(inner, axis=1) >= 0).all()
    levels = {int(view[30, 32]) for view in seen}
    assert len(levels) > 10


def test_a_batch_holds_its_shares(data: DetectData) -> None:
    deck = Deck(data, np.arange(len(data.rows)))
    assert sum(deck.shares.values()) == pytest.approx(1)
    rng = np.random.default_rng(0)
    kinds = [kind_of(data.rows[deck.deal(rng)]) for _ in range(3000)]
    for name, share in deck.shares.items():
        assert kinds.count(name) / 3000 == pytest.approx(share, abs=0.04)
    assert set(deck.shares) <= set(data.subject.shares)


def test_workers_and_restarts_change_nothing_that_is_dealt(data: DetectData) -> None:
    deck = Deck(data, np.arange(len(data.rows)))
    recipe = DetectRecipe(pictures=40, batch=4, seed=5, look_px=64, glance=0.5, closer=1.0)
    with Feed.opened(data, deck, recipe, 0) as alone, Feed.opened(data, deck, recipe, 3) as helped:
        for step in (0, 1, 2, 7):
            for one, other in zip(alone.take(step), helped.take(step), strict=True):
                if isinstance(one, np.ndarray):
                    np.testing.assert_array_equal(one, other)
                else:
                    assert [each.labels.tolist() for each in one] == [
                        each.labels.tolist() for each in other
                    ]
    with Feed.opened(data, deck, recipe, 0) as again:
        first = again.take(7)[0]
    with Feed.opened(data, deck, recipe, 2) as later:
        np.testing.assert_array_equal(later.take(7)[0], first)


def test_parts_side_by_side_learn_as_one_does(data: DetectData) -> None:
    """The slopes of two halves average to the whole's but for what each normalises by."""
    recipe = DetectRecipe(pictures=320, batch=16, **LOOK)
    trainers = [DetectTrainer(data, recipe, parts=parts) for parts in (1, 2, 2)]
    slopes = []
    for trainer in trainers:
        trainer.fit(1)
        grads = [each.grad for each in trainer.network.parameters() if each.grad is not None]
        slopes.append(torch.cat([each.flatten() for each in grads]))
        trainer.fit(12)
    assert float(torch.cosine_similarity(slopes[0], slopes[1], dim=0)) > 0.9
    halves, again = (trainer.averaged().state_dict() for trainer in trainers[1:])
    for name, value in halves.items():
        assert torch.equal(value, again[name])


def test_closer_looks_come_after_the_glances(data: DetectData) -> None:
    """From half-way on heads lie level, at one size; what has no head there is seen whole."""
    deck = Deck(data, np.arange(len(data.rows)))
    recipe = DetectRecipe(pictures=80, batch=8, look_px=64, glance=0.5, closer=1.0)
    heads = {k: row.head for k, row in enumerate(data.rows) if row.head}
    with Feed.opened(data, deck, recipe, 0, heads) as feed:
        shares = [
            [float((each.head > 0.5).mean()) for each in feed.take(step)[1] if each.head.any()]
            for step in range(10)
        ]
    spread = [np.std(np.concatenate(some)) for some in (shares[:5], shares[5:])]
    assert spread[1] < 0.6 * spread[0]
    with pytest.raises(InputError, match="closer"):
        DetectRecipe(closer=1.5)
    with pytest.raises(InputError, match="larger"):
        DetectTrainer(data, DetectRecipe(look_px=SIZE_PX + 32))


def test_heads_that_nobody_marked_are_looked_for(data: DetectData, tmp_path: Path) -> None:
    recipe = DetectRecipe(pictures=48, batch=8, look_px=64, glance=0.5, closer=1.0)
    trainer = DetectTrainer(data, recipe)
    trainer.fit(3)
    assert not trainer.heads
    trainer.fit(5)
    marked = {int(k) for k in trainer.deck.rows if data.rows[k].head}
    assert marked <= set(trainer.heads)
    trainer.save(tmp_path / STATE_NAME)
    again = DetectTrainer(data, recipe)
    again.resume(tmp_path / STATE_NAME)
    assert again.heads == trainer.heads


@pytest.mark.slow
def test_what_was_seen_is_marked_where_a_run_sees_it(data: DetectData, run: Path) -> None:
    network = reopen_run(data, run).averaged()
    seen = tuple(
        replace(row, boxes=(), known=(), seen=("lv",)) if row.boxes else row for row in data.rows
    )
    shown = [k for k, row in enumerate(data.rows) if row.boxes]
    marks = find_seen(network, replace(data, rows=seen), np.arange(len(seen)), SIZE_PX)
    assert set(marks) <= set(shown)
    assert len(marks) > len(shown) / 2
    right = [overlap(marks[k][0].box, data.rows[k].boxes[0].box) > 0.5 for k in marks]
    assert np.mean(right) > 0.8
    row = seen[shown[0]].marked(marks.get(shown[0], ()))
    assert row.seen == (() if shown[0] in marks else ("lv",))


def test_marks_travel_with_a_run(data: DetectData, tmp_path: Path) -> None:
    trainer = DetectTrainer(data, RECIPE)
    trainer.marks = {3: (Labelled("lv", RotatedBox(40.0, 41.5, 20.0, 8.0, 12.0)),)}
    trainer.save(tmp_path / STATE_NAME)
    again = DetectTrainer(data, RECIPE)
    again.resume(tmp_path / STATE_NAME)
    assert again.marks == trainer.marks


def test_held_out_patients_are_never_dealt(data: DetectData) -> None:
    seen = data.choose(2, held_out=False)
    unseen = data.choose(2, held_out=True)
    assert len(seen) + len(unseen) == len(data.rows)
    patients = [{data.rows[row].patient for row in rows} for rows in (seen, unseen)]
    assert not patients[0] & patients[1]


def test_runs_that_cannot_be_judged_are_refused(data: DetectData, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no run"):
        judge_runs([tmp_path], data, "f32", everyone=False)
    out = tmp_path / "a"
    open_run(data, RECIPE, out)
    with pytest.raises(InputError, match="must have held out another fold"):
        judge_runs([out, out], data, "f32", everyone=False)
    with pytest.raises(InputError, match="is missing: make it"):
        judge_runs([out], data, "f32", everyone=False)
    with pytest.raises(InputError, match="a precision is one of"):
        judge_runs([out], data, "fp4", everyone=False)
    with pytest.raises(InputError, match="no checkpoint yet"):
        reopen_run(data, out)


def test_a_graph_over_its_limits_is_refused() -> None:
    check(Parity(100, 200, 1.0, 1.0, 0.0, 1.0), 9_000_000, "f32")
    with pytest.raises(RunError, match=r"HC changes by 0\.90% \(at most 0\.50%\)"):
        check(Parity(100, 200, 1.0, 1.0, 0.009, 1.0), 2_000_000, "int8")
    with pytest.raises(RunError, match=r"90\.0% of pictures keep whether a head is seen"):
        check(Parity(100, 200, 1.0, 1.0, 0.0, 0.9), 2_000_000, "int8")
    with pytest.raises(RunError, match="has 7000000 bytes"):
        check(Parity(100, 200, 1.0, 1.0, 0.0, 1.0), 7_000_000, "int8")


def test_a_head_that_one_graph_alone_sees_is_no_change_of_its_size() -> None:
    from neurosono.engine.structures.ellipse import Ellipse
    from neurosono.engine.structures.reading import Reading

    planes = {name: float(name == PLANES[0]) for name in PLANES}
    seen = Reading(PLANES[0], planes, None, (), Ellipse(50.0, 50.0, 40.0, 30.0, 0.0), None)
    larger = Reading(PLANES[0], planes, None, (), Ellipse(50.0, 50.0, 44.0, 33.0, 0.0), None)
    missed = Reading(PLANES[0], planes, None, (), None, None)
    parity = compare([seen, seen, missed, seen], [larger, missed, missed, seen])
    assert parity.hc_change == pytest.approx(0.05)
    assert parity.same_head == 0.75


def test_figures_of_perfect_readings_are_perfect(data: DetectData) -> None:
    judged = []
    for row in data.rows[:90]:
        planes = {name: float(name == row.plane) for name in PLANES}
        boxes = tuple(Found(each.label, 0.9, each.box) for each in row.boxes)
        head = row.head if row.plane != NO_HEAD else None
        judged.append(Judged(row, Reading(row.plane, planes, None, boxes, head, None)))
    found = measure(judged, SIZE_PX)
    for kind in ("real", "phantom"):
        each = found[kind]
        assert each["planes"]["macro_f1"] == {"value": 1.0, "low": 1.0, "high": 1.0}
        assert each["structures"]["lv"]["ap50_95"]["value"] == pytest.approx(1)
        assert each["structures"]["head"]["ap50"]["value"] == pytest.approx(1)
        assert each["heads"]["hc_mm"]["mean_absolute"]["value"] == pytest.approx(0, abs=1e-9)
        assert each["atria"]["mean_absolute"]["value"] == pytest.approx(0, abs=1e-9)


def test_what_is_found_where_somebody_saw_none_is_told_apart(data: DetectData) -> None:
    """A perfect reader that names a ventricle, surest of all, on every head that is said to show
    none."""
    judged = []
    for row in data.rows[:90]:
        boxes = tuple(Found(each.label, 0.8, each.box) for each in row.boxes)
        if row.head is not None and not boxes:
            boxes = (Found("lv", 0.9, RotatedBox(row.head.cx, row.head.cy, 20, 8)),)
        planes = {name: float(name == row.plane) for name in PLANES}
        judged.append(Judged(row, Reading(row.plane, planes, None, boxes, row.head, None)))
    found = measure(judged, SIZE_PX)
    real = found["real"]["structures"]
    told = real["lv, none called not visible"]
    assert real["lv"]["ap50"]["value"] < 0.7
    assert told["ap50"]["value"] == pytest.approx(1)
    assert told["true"] == real["lv"]["true"]
    assert "lv, none called not visible" not in found["phantom"]["structures"]  # its truth is exact


def test_head_planes_count_as_they_come_by_a_root(data: DetectData) -> None:
    trainer = DetectTrainer(data, RECIPE)
    own, told = trainer.average.weights["planes.1.bias"], trainer.averaged().planes[-1].bias
    assert told is not None
    added = (told - own).detach()
    dealt = trainer.deck.count_planes(data)
    come = Counter(data.rows[k].plane for k in trainer.deck.rows if data.rows[k].source != PHANTOM)
    counted = {
        name: dealt[name] * float(added[PLANES.index(name)].exp())
        for name in ("trans-thalamic", "trans-ventricular")
    }
    assert sum(counted.values()) == pytest.approx(sum(dealt[name] for name in counted))
    first, second = (counted[name] / come[name] ** 0.5 for name in counted)
    assert first == pytest.approx(second)
    assert added[PLANES.index(NO_HEAD)] == 0
