"""The detector's targets and decoding, held against torchvision's FCOS."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torchvision.models.detection._utils import BoxLinearCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOS, FCOSHead
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import batched_nms

from neurosono.engine.structures.answer import MAP_STRIDE_PX, STRIDES_PX, Answer, Grid
from neurosono.engine.structures.boxes import RotatedBox, overlap
from neurosono.engine.structures.decode import Limits, find_structures, place_boxes
from neurosono.engine.structures.ellipse import Ellipse, ellipse_of_map
from neurosono.engine.structures.graph import StructuresGraph
from neurosono.engine.structures.names import PLANES, STRUCTURES
from neurosono.training.detect.aims import Aims
from neurosono.training.detect.export import write_graph
from neurosono.training.detect.losses import measure_losses
from neurosono.training.detect.network import Raw
from neurosono.training.detect.rows import Labelled, Row
from neurosono.training.detect.targets import Targets, aim, assign, centreness_of, draw_head
from tests.support.structures import make_graph

SIZE_PX = 256
GRID = Grid(SIZE_PX)


def _stack(targets: Targets) -> Aims:
    return Aims.stacked([targets], torch.device("cpu"))


def _anchors() -> torch.Tensor:
    sizes = tuple((stride,) for stride in STRIDES_PX)
    make = AnchorGenerator(sizes, ((1.0,),) * len(STRIDES_PX))
    picture = ImageList(torch.zeros(1, 3, SIZE_PX, SIZE_PX), [(SIZE_PX, SIZE_PX)])
    maps = [torch.zeros(1, 1, SIZE_PX // s, SIZE_PX // s) for s in STRIDES_PX]
    return make(picture, maps)[0]


class _MatchedError(Exception):
    """Carries what torchvision's FCOS matched, out of its own code."""

    def __init__(self, matched: list[torch.Tensor]) -> None:
        super().__init__("matched")
        self.matched = matched


class _Listener(torch.nn.Module):
    def compute_loss(self, targets, outputs, anchors, matched):  # type: ignore[no-untyped-def]
        raise _MatchedError(matched)


def _match_by_torchvision(boxes: np.ndarray) -> np.ndarray:
    """Return what each location answers for, by torchvision's own `FCOS.compute_loss`."""
    fcos = FCOS.__new__(FCOS)
    torch.nn.Module.__init__(fcos)
    fcos.center_sampling_radius, fcos.head = 1.5, _Listener()
    targets = [{"boxes": torch.from_numpy(boxes).float(), "labels": torch.zeros(len(boxes)).long()}]
    with pytest.raises(_MatchedError) as caught:
        fcos.compute_loss(targets, {}, [_anchors()], list(GRID.counts))
    return caught.value.matched[0].numpy()


def _draw_boxes(seed: int, count: int = 6) -> np.ndarray:
    """Return corners (n, 4) of wide boxes inside the picture, of every level's size."""
    rng = np.random.default_rng(seed)
    w = np.exp(rng.uniform(np.log(12), np.log(200), count))
    h = w * rng.uniform(0.3, 0.95, count)
    x, y = rng.uniform(0, SIZE_PX - w), rng.uniform(0, SIZE_PX - h)
    return np.stack([x, y, x + w, y + h], axis=1)


def _as_boxes(corners: np.ndarray) -> list[RotatedBox]:
    return [RotatedBox((a + c) / 2, (b + d) / 2, c - a, d - b) for a, b, c, d in corners]


def test_locations_are_torchvisions() -> None:
    anchors = _anchors()
    points, strides = GRID.locations()
    np.testing.assert_allclose(points, ((anchors[:, :2] + anchors[:, 2:]) / 2).numpy(), atol=1e-4)
    np.testing.assert_allclose(strides, (anchors[:, 2] - anchors[:, 0]).numpy(), atol=1e-4)


@pytest.mark.parametrize("seed", range(12))
def test_upright_boxes_have_torchvisions_targets(seed: int) -> None:
    corners = _draw_boxes(seed)
    matched, sides = assign(GRID, _as_boxes(corners))
    expected = _match_by_torchvision(corners)
    assert (expected >= 0).any()
    np.testing.assert_array_equal(matched, expected)
    hit = matched >= 0
    anchors = _anchors()[hit]
    wanted = BoxLinearCoder(normalize_by_size=True).encode(
        anchors, torch.from_numpy(corners[matched[hit]]).float()
    )
    np.testing.assert_allclose(sides[hit], wanted.numpy(), atol=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_upright_boxes_decode_as_torchvision_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = sum(GRID.counts)
    classes = (rng.random((n, len(STRUCTURES))) ** 6).astype(np.float32)
    near = rng.random(n).astype(np.float32)
    sides = rng.uniform(0.5, 4, (n, 4)).astype(np.float32)
    sides[:, [0, 2]] += sides[:, [1, 3]].max(1, keepdims=True)  # wider than high
    turns = np.tile(np.array([1.0, 0.0], np.float32), (n, 1))
    cells = SIZE_PX // MAP_STRIDE_PX
    answer = Answer(
        GRID, classes, near, sides, turns, np.full(len(PLANES), 1 / 6, np.float32),
        np.zeros((cells, cells), np.float32),
    )  # fmt: skip
    limits = Limits(least_score=0.6, most_overlap=0.5, candidates=10_000, kept=10_000)
    found = find_structures(answer, limits)

    scores = torch.sqrt(torch.from_numpy(classes) * torch.from_numpy(near)[:, None])
    at, labels = torch.where(scores > 0.6)
    boxes = BoxLinearCoder(normalize_by_size=True).decode(
        torch.from_numpy(sides)[at], _anchors()[at]
    )
    keep = batched_nms(boxes, scores[at, labels], labels, 0.5)
    assert len(found) == len(keep) > 20
    expected = [
        (STRUCTURES[int(labels[k])], float(scores[at[k], labels[k]]), boxes[k].numpy())
        for k in keep
    ]
    for one, (label, score, (x0, y0, x1, y1)) in zip(found, expected, strict=True):
        assert one.label == label
        assert one.score == pytest.approx(score, abs=1e-6)
        assert (one.box.cx, one.box.cy) == pytest.approx(((x0 + x1) / 2, (y0 + y1) / 2), abs=1e-2)
        assert (one.box.w, one.box.h) == pytest.approx((x1 - x0, y1 - y0), abs=1e-2)


@pytest.mark.parametrize("angle_deg", [-80.0, -30.0, 0.0, 45.0, 89.0, 120.0, 175.0])
def test_what_is_aimed_at_is_what_is_decoded(angle_deg: float) -> None:
    box = RotatedBox(120.3, 97.6, 70.0, 24.0, angle_deg)
    row = Row("a", "b", "c", boxes=(Labelled("lv", box),), known=STRUCTURES, planes=PLANES[:1])
    targets = aim(row, GRID)
    hit = targets.labels >= 0
    points, strides = GRID.locations()
    boxes = place_boxes(points[hit], strides[hit], targets.sides[hit], targets.turns[hit])
    assert len(boxes) >= 4
    for found in boxes:
        assert overlap(RotatedBox(*map(float, found)), box) > 0.999
    near = centreness_of(targets.sides[hit])
    assert ((near > 0) & (near <= 1)).all()


def test_boxes_that_agree_are_taken_together() -> None:
    """Places beside each other err each its own way; one that saw something else does not count."""
    rng = np.random.default_rng(5)
    true = RotatedBox(120.3, 97.6, 60.0, 22.0, 20.0)
    targets = aim(Row("a", "b", "c", boxes=(Labelled("lv", true),), known=STRUCTURES), GRID)
    hit, lv = targets.labels >= 0, STRUCTURES.index("lv")
    n, cells = len(hit), SIZE_PX // MAP_STRIDE_PX
    errors = []
    for _ in range(20):
        classes = np.zeros((n, len(STRUCTURES)), np.float32)
        classes[hit, lv] = rng.uniform(0.7, 0.9, hit.sum())
        sides = targets.sides * np.exp(rng.normal(0, 0.15, targets.sides.shape))
        other = int(np.flatnonzero(~hit)[7])  # far away, and nearly as sure
        classes[other, lv], sides[other] = 0.6, 3.0
        answer = Answer(
            GRID, classes, np.ones(n, np.float32), sides.astype(np.float32), targets.turns,
            np.full(len(PLANES), 1 / 6, np.float32), np.zeros((cells, cells), np.float32),
        )  # fmt: skip
        alone, both = (
            find_structures(answer, Limits(kept=1, together=each)) for each in (False, True)
        )
        assert [each.score for each in alone] == [each.score for each in both]
        errors.append([1 - overlap(each[0].box, true) for each in (alone, both)])
    assert np.mean(errors, axis=0)[1] < 0.7 * np.mean(errors, axis=0)[0]


@pytest.mark.parametrize("away_px", range(8))
@pytest.mark.parametrize(("w", "h"), [(20.0, 8.5), (134.0, 5.0), (70.0, 10.0), (150.0, 18.0)])
def test_a_thin_box_is_answered_for_wherever_it_lies(w: float, h: float, away_px: int) -> None:
    box = RotatedBox(126.3, 120.0 + away_px, w, h, 4.0)
    matched, sides = assign(GRID, [box])
    _, strides = GRID.locations()
    assert (matched == 0).sum() >= 3
    assert (strides[matched == 0] <= h).all()
    assert (sides[matched == 0] > 0).all()


def test_the_losses_are_torchvisions_where_everything_is_known_and_upright() -> None:
    corners = _draw_boxes(3)
    labels = [STRUCTURES[k % len(STRUCTURES)] for k in range(len(corners))]
    boxes = tuple(Labelled(n, b) for n, b in zip(labels, _as_boxes(corners), strict=True))
    targets = aim(Row("a", "b", "c", boxes=boxes, known=STRUCTURES), GRID)
    n, cells = sum(GRID.counts), SIZE_PX // MAP_STRIDE_PX
    torch.manual_seed(0)
    raw = Raw(
        classes=torch.randn(1, n, len(STRUCTURES)),
        centreness=torch.randn(1, n),
        sides=torch.rand(1, n, 4) * 4 + 0.1,
        turns=torch.tensor([1.0, 0.0]).expand(1, n, 2),
        planes=torch.zeros(1, len(PLANES)),
        head=torch.zeros(1, cells, cells),
    )
    ours = measure_losses(raw, _stack(targets))
    head = FCOSHead(32, 1, len(STRUCTURES), 1)
    theirs = head.compute_loss(
        [
            {
                "boxes": torch.from_numpy(corners).float(),
                "labels": torch.tensor([STRUCTURES.index(name) for name in labels]),
            }
        ],
        {
            "cls_logits": raw.classes,
            "bbox_regression": raw.sides,
            "bbox_ctrness": raw.centreness[..., None],
        },
        [_anchors()],
        [torch.from_numpy(_match_by_torchvision(corners))],
    )
    pairs = (
        ("classes", "classification"),
        ("sides", "bbox_regression"),
        ("centreness", "bbox_ctrness"),
    )
    for mine, other in pairs:
        assert float(ours[mine]) == pytest.approx(float(theirs[other]), rel=1e-4)
    assert float(ours["turns"]) == pytest.approx(0, abs=1e-6)


def test_what_nobody_marked_teaches_nothing() -> None:
    n, cells = sum(GRID.counts), SIZE_PX // MAP_STRIDE_PX
    raw = Raw(
        classes=torch.zeros(1, n, len(STRUCTURES), requires_grad=True),
        centreness=torch.zeros(1, n),
        sides=torch.ones(1, n, 4),
        turns=torch.ones(1, n, 2),
        planes=torch.zeros(1, len(PLANES), requires_grad=True),
        head=torch.zeros(1, cells, cells, requires_grad=True),
    )
    losses = measure_losses(raw, _stack(aim(Row("a", "b", "c", known=("csp",)), GRID)))
    sum(losses.values()).backward()  # type: ignore[union-attr]
    pull = raw.classes.grad.abs().sum((0, 1))
    assert pull[STRUCTURES.index("csp")] > 0
    assert pull.sum() == pull[STRUCTURES.index("csp")]
    assert raw.planes.grad.abs().sum() == 0
    assert raw.head.grad.abs().sum() == 0
    some = aim(Row("a", "b", "c", planes=PLANES[:3]), GRID)
    assert float(measure_losses(raw, _stack(some))["planes"].detach()) == pytest.approx(
        np.log(2), abs=1e-5
    )


def test_a_box_of_another_convention_only_says_that_it_is_seen() -> None:
    box = RotatedBox(100, 120, 40, 30)
    both = tuple(Labelled(name, box, upright=True) for name in ("csp", "falx"))
    found = aim(Row("a", "b", "c", known=("csp", "falx"), boxes=both), GRID)
    assert set(found.labels[found.labels >= 0]) == {STRUCTURES.index("falx")}
    csp, falx = STRUCTURES.index("csp"), STRUCTURES.index("falx")
    assert found.seen[csp]
    assert not found.known[csp]
    assert found.known[falx]
    assert not found.seen[falx]
    own = aim(Row("a", "b", "c", known=("csp",), boxes=(Labelled("csp", box),)), GRID)
    assert (own.labels == csp).any()
    assert own.known[csp]


def test_a_plane_that_is_told_is_doubted_a_little() -> None:
    n, cells = sum(GRID.counts), SIZE_PX // MAP_STRIDE_PX
    told = aim(Row("a", "b", "c", planes=PLANES[:1]), GRID)
    losses = []
    for sure in (0.0, 4.0, 20.0):
        raw = Raw(
            classes=torch.zeros(1, n, len(STRUCTURES)),
            centreness=torch.zeros(1, n),
            sides=torch.ones(1, n, 4),
            turns=torch.ones(1, n, 2),
            planes=torch.tensor([[sure, 0.0, 0.0, 0.0, 0.0, 0.0]]),
            head=torch.zeros(1, cells, cells),
        )
        losses.append(float(measure_losses(raw, _stack(told))["planes"]))
    assert losses[1] < min(losses[0], losses[2])


def test_what_was_seen_and_not_marked_is_asked_of_its_surest_places_alone() -> None:
    n, cells, csp = sum(GRID.counts), SIZE_PX // MAP_STRIDE_PX, STRUCTURES.index("csp")
    logits = torch.full((1, n, len(STRUCTURES)), -4.0)
    logits[0, [7, 40, 90, 300], csp] = 0.0
    logits.requires_grad_()
    raw = Raw(
        classes=logits,
        centreness=torch.zeros(1, n),
        sides=torch.ones(1, n, 4),
        turns=torch.ones(1, n, 2),
        planes=torch.zeros(1, len(PLANES)),
        head=torch.zeros(1, cells, cells),
    )
    loss = measure_losses(raw, _stack(aim(Row("a", "b", "c", seen=("csp",)), GRID)))["seen"]
    assert float(loss.detach()) == pytest.approx(np.log(2), abs=1e-5)
    loss.backward()
    places = logits.grad.nonzero()
    assert places[:, 1].tolist() == [7, 40, 90, 300]
    assert (places[:, 2] == csp).all()
    assert (logits.grad[0, [7, 40, 90, 300], csp] < 0).all()  # they are to be surer


@pytest.mark.parametrize(
    "head",
    [
        Ellipse(128, 120, 90, 70, 0),
        Ellipse(140.4, 110.7, 84.3, 61.2, 33),
        Ellipse(120, 130, 60, 58, 100),
        Ellipse(150, 128, 140, 100, 170),
    ],
)
def test_a_heads_map_gives_its_ellipse_back(head: Ellipse) -> None:
    drawn = draw_head(head, SIZE_PX)
    share = np.clip(drawn, 0.01, 0.99)
    logits = np.log(share / (1 - share)).astype(np.float32)
    found = ellipse_of_map(logits, np.eye(2, 3), (SIZE_PX, SIZE_PX))
    assert found is not None
    assert found.perimeter == pytest.approx(head.perimeter, rel=0.01)
    assert (found.cx, found.cy) == pytest.approx((head.cx, head.cy), abs=1.0)
    assert (found.a, found.b) == pytest.approx((head.a, head.b), rel=0.02)


def test_a_graph_says_of_which_squares_its_looks_are_cut(tmp_path: Path) -> None:
    square = np.zeros((160, 160), np.uint8)
    head = Ellipse(80, 84, 44, 33, 30)
    cv2.fillPoly(square, [np.rint(head.points()).astype(np.int32)], (160,))
    write_graph(make_graph(96), tmp_path / "graph.xml", 160)
    graph = StructuresGraph(tmp_path / "graph.xml", 1)
    assert (graph.spec.size_px, graph.grid.size_px) == (160, 96)
    found = graph.read(np.asarray(cv2.resize(square, (640, 640)), np.uint8)).head
    assert found is not None
    assert (found.cx, found.cy) == pytest.approx((321.5, 337.5), abs=4)
    assert (found.a, found.b) == pytest.approx((176, 132), rel=0.04)
