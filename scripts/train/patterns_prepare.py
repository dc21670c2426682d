"""From phantoms with finding patterns to what the detector of patterns learns from."""

from collections.abc import Callable, Iterator

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.patterns.names import (
    FINDINGS,
    LABELS,
    MEGA_CISTERNA,
    MILD_WIDTH,
    NO_CSP,
    SEVERE_WIDTH,
    SINGLE_VENTRICLE,
)
from neurosono.engine.structures.names import CISTERNA_MAGNA, CSP, LV
from neurosono.scripts.train.structures_prepare import (
    LEAST_VISIBLE,
    SECONDS,
    box_of,
    take_phantom,
)
from neurosono.stream.phantom.cohort import deal_findings
from neurosono.stream.phantom.findings import FINDING_WEEKS
from neurosono.stream.phantom.patient import draw_weeks
from neurosono.stream.phantom.spec import NO_FINDING, PhantomSpec
from neurosono.stream.phantom.truth import FrameTruth
from neurosono.training.detect.rows import Labelled, Row

_WIDTHS = (MILD_WIDTH, SEVERE_WIDTH)
_UNSURE = {
    MILD_WIDTH: (LV, *_WIDTHS),
    SEVERE_WIDTH: (LV, *_WIDTHS),
    SINGLE_VENTRICLE: (SINGLE_VENTRICLE, NO_CSP, LV),
    MEGA_CISTERNA: (MEGA_CISTERNA, CISTERNA_MAGNA),
    NO_CSP: (NO_CSP, CSP),
}
"""Of an exam's finding, what is asked of no slice that does not show it: a wide ventricle off its
own plane is neither a normal one nor plainly wide."""
_EVERY_AGE = 7
"""One in so many exams is of any age and without a finding of its own."""
_HOLOPROSENCEPHALY = "holoprosencephaly"


def take_findings(exams: int, seed: int, watch: Callable[[], None]) -> Iterator[tuple[Pixels, Row]]:
    """Yield squares of generated exams with findings in turn and controls, and their truth.

    One exam in seven is of any age instead, normal or holoprosencephaly in turn: what a fetus
    younger or older than those of the findings shows must not be taken for one.
    """
    others = exams // _EVERY_AGE
    for spec in deal_findings(exams - others, [NO_FINDING, *FINDINGS], seed, SECONDS, 1.0):
        yield from _take_heads(spec)
        watch()
    for number in range(others):
        label = _HOLOPROSENCEPHALY if number % 3 == 0 else "normal"
        spec = PhantomSpec(label, seed, SECONDS, 1.0, patient=number, namespace="single")
        yield from _take_heads(spec)
        watch()


def _take_heads(spec: PhantomSpec) -> Iterator[tuple[Pixels, Row]]:
    """Yield an exam's pictures of the head, and one in three of the others."""
    for place, (square, row) in enumerate(take_phantom(spec, tell_findings)):
        if row.head is not None or place % 3 == 0:
            yield square, row


def tell_findings(
    spec: PhantomSpec, truth: FrameTruth
) -> tuple[tuple[Labelled, ...], tuple[str, ...]]:
    """Return the marks of a picture, and the labels of which they are complete."""
    marks = (*truth.structures, *truth.findings)
    seen = [each for each in marks if each.visible >= LEAST_VISIBLE]
    shown = {each.label for each in seen}
    unsure = {each.label for each in marks} - shown
    if spec.finding in FINDINGS and spec.finding not in shown:
        unsure |= set(_UNSURE.get(spec.finding, (spec.finding,)))
    if SINGLE_VENTRICLE in shown:
        unsure.add(NO_CSP)
    unsure |= _unsure_by_age(spec)
    replaced = {LV} if shown & set(_WIDTHS) else set()  # a wide one is not a normal one
    boxes = tuple(
        Labelled(each.label, box_of(each)) for each in seen if each.label not in unsure | replaced
    )
    return boxes, tuple(name for name in LABELS if name not in unsure)


def _unsure_by_age(spec: PhantomSpec) -> set[str]:
    """Return what is asked of no picture of a fetus of another age than those with findings.

    Before their weeks no cavum is looked for; after them a normal atrium and a normal cistern are
    drawn over 10 mm, since both grow with the head of a phantom.
    """
    if spec.finding is not None:
        return set()
    weeks = draw_weeks(spec.namespace, spec.seed, spec.patient)
    unsure = {NO_CSP} if weeks < FINDING_WEEKS[0] or spec.label == _HOLOPROSENCEPHALY else set()
    if weeks > FINDING_WEEKS[1]:
        unsure |= {*_WIDTHS, LV, MEGA_CISTERNA, CISTERNA_MAGNA}
    if spec.label == _HOLOPROSENCEPHALY:
        unsure |= {SINGLE_VENTRICLE} if weeks < FINDING_WEEKS[0] else set()
    return unsure
