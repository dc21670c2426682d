"""The first frame of the object: the exam in words, for whoever sees pictures and no reports."""

import cv2
import numpy as np
from numpy.typing import NDArray

from neurosono.engine.contracts.notice import NOTICE
from neurosono.stream.overlay.typeface import BOLD, MEDIUM, REGULAR, Typeface
from neurosono.stream.report.gather import Report
from neurosono.stream.view.words import STATE_SENTENCES, has_figures, percentage, tell_unused

WHITE, GREY, AMBER = (240, 240, 240), (170, 170, 170), (60, 180, 250)
LEAST_PX = (640, 480)
"""Width and height below which the words would not fit."""


def tell_exam(report: Report) -> list[tuple[str, int, tuple[int, int, int]]]:
    """Return the lines of the card: words, weight, and colour in BGR."""
    exam, last = report.exam, report.exam.last
    lines = [
        ("neurosono", BOLD, WHITE),
        (NOTICE, MEDIUM, AMBER),
        (f"exam {exam.exam_id}", REGULAR, GREY),
    ]
    nothing = tell_unused(exam.used, exam.skipped)
    if nothing is not None:
        lines.append((nothing, MEDIUM, AMBER))
    if last is None:
        lines.append(("No frame was judged.", MEDIUM, AMBER))
    else:
        lines.append((STATE_SENTENCES[last.state], MEDIUM, WHITE))
    if last is not None and has_figures(last):
        values = zip(exam.labels, last.probabilities, last.low, last.high, strict=True)
        for label, value, low, high in values:
            inside = "  in the set" if label in last.prediction_set else ""
            span = f"{percentage(low)} to {percentage(high)}"
            lines.append((f"{label}  {percentage(value)}  ({span}){inside}", REGULAR, WHITE))
    lines.append((f"{exam.used} of {exam.sampled} sampled frames used", REGULAR, GREY))
    for reason, count in sorted(exam.skipped.items(), key=lambda item: -item[1]):
        lines.append((f"left out: {count} {reason}", REGULAR, GREY))
    lines.append((f"bundle {exam.about['bundle_sha256'][:16]}", REGULAR, GREY))
    if not exam.ended:
        lines.append(("The exam did not come to its end.", MEDIUM, AMBER))
    return lines


def draw_card(report: Report, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the card, `(H, W, 3)` RGB uint8; `size` is width and height, `LEAST_PX` or more."""
    card = np.zeros((size[1], size[0], 3), np.uint8)
    lines = tell_exam(report)
    step = min(34.0, (size[1] - 48) / len(lines))
    face, wide = Typeface(), size[0] - 48
    for number, (words, weight, colour) in enumerate(lines):
        high = 0.62 * step
        while high > 8 and face.width(words, high, weight) > wide:
            high -= 1
        at = 24.0, 24 + (number + 0.75) * step
        face.draw(card, face.shorten(words, wide, high, weight), at, high, colour, weight)
    return np.asarray(cv2.cvtColor(card, cv2.COLOR_BGR2RGB), np.uint8)
