"""What the detector learns as the kind `patterns`."""

from neurosono.engine.contracts.manifest import PATTERNS as KIND
from neurosono.engine.patterns.names import FINDINGS, LABELS
from neurosono.engine.structures.names import LEARNT_ON_PHANTOMS
from neurosono.training.detect.subject import Subject
from neurosono.training.squares import Shelf

FINDING_WEEKS = (18.0, 26.0)
"""Of the phantoms that show findings (`stream.phantom.findings`): beyond them none is told."""

PATTERNS_SUBJECT = Subject(
    name=KIND,
    labels=LABELS,
    unproven=LEARNT_ON_PHANTOMS | frozenset(FINDINGS),
    shares={
        "phantom, finding": 0.40,
        "phantom": 0.24,
        "real, marked": 0.10,
        "real, upright marks": 0.02,
        "real, plane told": 0.14,
        "real, head's ellipse": 0.05,
        "real, no head": 0.05,
    },
    shelf=Shelf(
        schema="neurosono-patterns-data/1",
        index_name="index.jsonl",
        summary_name="patterns-data.json",
        what="patterns' data",
        learner="detector of patterns",
        command="neurosono train patterns prepare",
    ),
    intended_use="Investigational: not for diagnosis. Finding patterns of phantoms, and none of "
    "the normal heads of a screening cohort.",
    limits=(
        "Every finding was learnt on phantoms alone. On real heads nothing is known of what it "
        "would find, only how seldom it says something of a normal one.",
        "Real pictures showed it no finding and phantoms did: that it is quiet on real ones may "
        "only mean that it tells the two apart.",
        "Wide ventricles and cisterns are told by their look in heads of 18 to 26 weeks, without "
        "millimetres.",
        "A finding is no diagnosis, and none found is no proof of a normal head.",
    ),
)
"""Findings come from phantoms; real pictures keep the detector quiet where there are none."""
