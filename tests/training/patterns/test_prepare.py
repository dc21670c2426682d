"""What is asked of a generated picture: what its slice shows, and nothing that it leaves open."""

from neurosono.engine.patterns.names import (
    FINDINGS,
    MILD_WIDTH,
    NO_CSP,
    SEVERE_WIDTH,
    SINGLE_VENTRICLE,
)
from neurosono.engine.structures.names import LV
from neurosono.scripts.train.patterns_prepare import take_findings
from neurosono.stream.phantom.spec import NO_FINDING


def test_a_slice_is_asked_for_what_it_shows_and_leaves_open_what_it_does_not() -> None:
    finished: list[None] = []
    rows = [row for _, row in take_findings(12, 79, lambda: finished.append(None))]
    assert len(finished) == 12
    of: dict[str, list[set[str]]] = {}
    for row in rows:
        finding = row.path.split("/")[0]
        labels, known = {box.label for box in row.boxes}, set(row.known)
        assert labels <= known
        assert labels & set(FINDINGS) <= {finding, SINGLE_VENTRICLE}
        assert not (LV in labels and labels & {MILD_WIDTH, SEVERE_WIDTH})
        if finding in FINDINGS and finding not in labels:
            assert finding not in known, "off its plane it is neither there nor not"
        if finding in (MILD_WIDTH, SEVERE_WIDTH) and finding not in labels:
            assert LV not in known
        if SINGLE_VENTRICLE in labels:
            assert NO_CSP not in known
        if finding == NO_FINDING:
            assert known >= set(FINDINGS)
        of.setdefault(row.patient, []).append({finding})
    assert all(len(set.union(*each)) == 1 for each in of.values()), "a patient is one fetus"
    shown = {box.label for row in rows for box in row.boxes} & set(FINDINGS)
    assert len(shown) >= 5
