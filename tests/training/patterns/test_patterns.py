"""Patterns learnt, their thresholds set, measured and shipped: on drawn heads, in seconds."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import neurosono
from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.kinds.patterns import keep
from neurosono.engine.patterns.groups import GROUPS
from neurosono.engine.patterns.names import FINDINGS, LABELS, MEGA_CISTERNA, MILD_WIDTH
from neurosono.engine.patterns.rules import CARD_KEY
from neurosono.engine.structures.boxes import Found, RotatedBox
from neurosono.engine.structures.names import HEAD_PLANES, PLANES, TRANSCEREBELLAR
from neurosono.engine.structures.reading import Reading
from neurosono.training.detect.build import build
from neurosono.training.detect.data import DetectData, write_detect_data
from neurosono.training.detect.deck import Deck, kind_of
from neurosono.training.detect.earlier import Earlier
from neurosono.training.detect.recipe import DetectRecipe
from neurosono.training.detect.rows import Labelled, Row
from neurosono.training.detect.run import open_run
from neurosono.training.detect.run import train as train_run
from neurosono.training.detect.train import STATE_NAME, DetectTrainer
from neurosono.training.patterns.calibrate import calibrate
from neurosono.training.patterns.evaluate import evaluate, ship
from neurosono.training.patterns.figures import measure
from neurosono.training.patterns.judge import Seen
from neurosono.training.patterns.real import take_normals
from neurosono.training.patterns.subject import PATTERNS_SUBJECT
from neurosono.training.squares import PHANTOM
from tests.training.detect.pictures import draw_square, write_drawn_data

HEADS = 60
LOOK = {"look_px": 64, "glance": 0.5, "closer": 0.5}


def draw_finding(rng: np.random.Generator, number: int) -> tuple[np.ndarray, Row]:
    """Return a square with a head, and, in two of three, a bright bar that is called a cistern."""
    square, row = draw_square(rng, HEAD_PLANES[number % 2])
    assert row.head is not None
    boxes = [each for each in row.boxes if each.label != "lv"]
    if number % 3:
        box = RotatedBox(row.head.cx - 12, row.head.cy, 20, 10, row.head.angle_deg)
        cv2.fillPoly(square, [np.rint(box.corners()).astype(np.int32)], (255,))
        boxes.append(Labelled(MEGA_CISTERNA, box))
    patient = f"phantom-{number}"
    return square, replace(
        row, source=PHANTOM, patient=patient, boxes=tuple(boxes), known=tuple(LABELS)
    )


@pytest.fixture(scope="module")
def structures(tmp_path_factory: pytest.TempPathFactory) -> DetectData:
    return write_drawn_data(tmp_path_factory.mktemp("structures") / "data", 480)


@pytest.fixture(scope="module")
def cache(structures: DetectData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(1)
    drawn = [draw_finding(rng, number) for number in range(HEADS)]
    root = tmp_path_factory.mktemp("patterns") / "data"
    write_detect_data(root, [*take_normals(structures), *drawn], ["a test"], PATTERNS_SUBJECT)
    return root


def test_real_pictures_show_no_finding_and_phantoms_come_by_what_they_show(cache: Path) -> None:
    data = DetectData.load(cache, PATTERNS_SUBJECT)
    real = [row for row in data.rows if row.source != PHANTOM]
    assert real
    assert all(set(FINDINGS) <= set(row.known) for row in real)
    assert not {box.label for row in real for box in row.boxes} & set(FINDINGS)
    deck = Deck(data, np.arange(len(data.rows)))
    rng = np.random.default_rng(0)
    dealt = [kind_of(data.rows[deck.deal(rng)]) for _ in range(400)]
    assert 0.3 < dealt.count("phantom, finding") / 400 < 0.6
    with pytest.raises(InputError, match="structures' data"):
        DetectData.load(cache)


def test_a_run_begins_with_the_structures_and_adds_the_findings(
    structures: DetectData, cache: Path, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    first = DetectTrainer(structures, DetectRecipe(pictures=16, batch=8, **LOOK))
    first.fit(1)
    first.save(tmp_path / STATE_NAME)
    earlier = Earlier.read(tmp_path / STATE_NAME)
    data = DetectData.load(cache, PATTERNS_SUBJECT)
    recipe = DetectRecipe(pictures=16, batch=8, seed=3, **LOOK)
    begun = open_run(data, recipe, tmp_path / "run", earlier=earlier).network.state_dict()
    theirs = earlier.weights
    known, added = len(earlier.labels), len(FINDINGS)
    assert torch.equal(begun["classes.weight"][:known], theirs["classes.weight"])
    assert begun["classes.bias"].shape == (len(LABELS),)
    last = max(name for name in theirs if name.startswith("finest.") and name.endswith("weight"))
    assert torch.equal(begun[last][:known], theirs[last][:known])
    assert torch.equal(begun[last][known + added :], theirs[last][known:])
    assert begun[last].shape[0] == theirs[last].shape[0] + added


def test_from_a_run_to_a_bundle_that_reads(cache: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    data = DetectData.load(cache, PATTERNS_SUBJECT)
    recipe = DetectRecipe(pictures=32, batch=8, **LOOK)
    run, out = tmp_path / "run", tmp_path / "bundle"
    trainer = open_run(data, recipe, run)
    train_run(trainer, run, None, lambda *_: None)
    build(trainer, run, precisions=("f32",))
    with pytest.raises(InputError, match="train patterns evaluate"):
        ship(run, out, "patterns", ("f32",))
    found = evaluate(run, cache, None, "f32", lambda: None)
    assert found["contradictions"]["after"] == 0
    assert found["real"]["exams"] > 10
    assert set(found["phantom"]["ranking"]["findings"]) == set(FINDINGS)
    with pytest.raises(InputError, match="prepare it with another --seed"):
        evaluate(run, cache, cache, "f32", lambda: None)

    bundle = ship(run, out, "patterns", ("f32",))
    card = bundle.manifest.card
    assert card[CARD_KEY] == json.loads(json.dumps(found["rules"]))
    assert card["measured"]["real"]["exams"] == found["real"]["exams"]
    assert "no proof of a normal head" in " ".join(card["limits"])
    assert Bundle.load(out, kind="patterns").manifest.labels == LABELS
    said = neurosono.open_bundle(out).judge(np.array(data.frames[0])).to_dict()
    assert said["dwell"] == found["rules"]["dwell"]
    assert set(said["planes"]) == set(PLANES)


def make_seen(patient: str, scores: dict[str, float], *, real: bool, shown: str = "") -> Seen:
    """Return a picture that was read as these findings, side by side; `shown` is the truth."""
    boxes = tuple(
        Found(name, score, RotatedBox(100, 60 * place, 40, 16))
        for place, (name, score) in enumerate(scores.items())
    )
    reading = Reading(TRANSCEREBELLAR, dict.fromkeys(PLANES, 0.0), None, boxes, None, None)
    marks = (Labelled(shown, RotatedBox(100, 100, 40, 16)),) if shown else ()
    source = "drawn" if real else PHANTOM
    row = Row(patient, source, patient, known=tuple(LABELS), boxes=marks)
    raw = np.array([scores.get(name, 0.0) for name in LABELS])
    return Seen(row, reading, raw)


def test_thresholds_let_so_many_normal_exams_pass_and_no_more() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.uniform(0, 0.8, (200, len(FINDINGS)))
    normal = [
        make_seen(f"n{k}", dict(zip(FINDINGS, scores.tolist(), strict=True)), real=True)
        for k, scores in enumerate(drawn)
    ]
    for share in (0.0, 0.02, 0.05):
        rules = calibrate(normal, share)
        passed = sum(any(b.label in FINDINGS for b in keep(s.reading.boxes, rules)) for s in normal)
        assert passed <= share * 200
    assert passed > 0, "one in twenty may pass"
    assert rules.groups == GROUPS
    quiet = calibrate([make_seen(f"q{k}", {}, real=True) for k in range(30)])
    assert set(quiet.thresholds.values()) == {0.30}
    with pytest.raises(InputError, match="20 normal patients or more, found 3"):
        calibrate(normal[:3])


def test_figures_are_of_the_right_patients() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.uniform(0.3, 0.5, 100).tolist()
    normal = [make_seen(f"n{k}", {MILD_WIDTH: each}, real=True) for k, each in enumerate(drawn)]
    controls = [make_seen(f"c{k}", {}, real=False) for k in range(20)]
    test = [
        make_seen(f"t{k}", {MEGA_CISTERNA: 0.9, MILD_WIDTH: 0.1}, real=False, shown=MEGA_CISTERNA)
        for k in range(6)
        for _ in range(3)
    ]
    unseen = [make_seen(f"u{k}", {}, real=False, shown=MILD_WIDTH) for k in range(6)]
    test += [each for each in unseen for _ in range(3)]
    found = measure([*normal, *controls], test)
    ranking = found["phantom"]["ranking"]["findings"]
    assert ranking[MEGA_CISTERNA]["auc"]["value"] == 1.0
    assert ranking[MILD_WIDTH]["auc"]["value"] == 0.0, "it was said of the others alone"
    exams = found["phantom"]["exams"]["findings"]
    assert exams[MEGA_CISTERNA]["seen"]["right"] == exams[MEGA_CISTERNA]["seen"]["count"] == 6
    assert exams[MILD_WIDTH]["seen"]["right"] == 0
    assert found["real"]["exams"] == 100
    assert found["real"]["any_picture"]["right"] <= 8, "set on one half, judged on the other"
    assert found["real"]["by_dwell"]["right"] == 0
    assert found["contradictions"] == {"pictures": 144, "before": 0, "after": 0}
