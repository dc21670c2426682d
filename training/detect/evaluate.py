"""Judges pictures with a graph as it runs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from neurosono.engine.contracts.arrays import Integers
from neurosono.engine.contracts.errors import InputError
from neurosono.engine.structures.decode import Limits
from neurosono.engine.structures.graph import StructuresGraph
from neurosono.engine.structures.reading import read_answer
from neurosono.training.detect.data import DetectData
from neurosono.training.detect.figures import Judged

EVERY = Limits(least_score=0.05, together=True)
"""For average precision, which is over all scores: a reading tells only of the surer ones."""


def judge_rows(
    graph: Path,
    data: DetectData,
    rows: Integers,
    watch: Callable[[], None] = lambda: None,
    limits: Limits | None = None,
) -> list[Judged]:
    """Return the readings of `rows` by the graph at `graph`, in pixels of their squares.

    Raises `InputError` where graph and data are of another size.
    """
    engine = StructuresGraph(graph, labels=data.labels)
    if engine.spec.size_px != data.size_px:
        raise InputError(
            f"{graph} takes {engine.spec.size_px} px pictures, these data have {data.size_px} px: "
            "prepare data of that size"
        )
    found = []
    for row in rows:
        answer = engine.infer(np.array(data.frames[row]))
        reading = read_answer(answer, data.size_px, data.size_px, limits=limits)
        found.append(Judged(data.rows[row], reading))
        watch()
    return found
