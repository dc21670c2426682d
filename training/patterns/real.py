"""Real pictures of a screening cohort as pictures without any finding."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from neurosono.engine.contracts.arrays import Pixels
from neurosono.engine.patterns.names import FINDINGS
from neurosono.training.detect.data import DetectData
from neurosono.training.detect.rows import Row


def take_normals(structures: DetectData) -> Iterator[tuple[Pixels, Row]]:
    """Yield the real squares of the structures' data; of each it is known that it has no finding.

    It is a cohort in which no diagnosis is known: a finding among some thousands is noise.
    """
    for place in np.flatnonzero(structures.real):
        row = structures.rows[place]
        yield np.array(structures.frames[place]), replace(row, known=(*row.known, *FINDINGS))
