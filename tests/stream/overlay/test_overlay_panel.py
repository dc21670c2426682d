"""Numbers as the panel words them."""

from neurosono.stream.overlay.panel import clock
from neurosono.stream.view.words import percentage


def test_percentages_never_claim_certainty() -> None:
    found = [percentage(p) for p in (0.0, 0.001, 0.0051, 0.426, 0.994, 0.9999, 1.0)]
    assert found == ["<1%", "<1%", "1%", "43%", "99%", ">99%", ">99%"]
    assert percentage(float("nan")) not in {"0%", "nan%"}


def test_the_clock_never_reads_sixty_seconds() -> None:
    found = [clock(s) for s in (0.0, 0.3, 59.99, 60.0, 3599.95, 6000.0)]
    assert found == ["00:00.0", "00:00.3", "00:59.9", "01:00.0", "59:59.9", "100:00.0"]
