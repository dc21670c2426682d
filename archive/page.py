"""`index.html` of an archive: what it holds, as a page that needs nothing else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurosono.archive.tables import PAGE, Tally
from neurosono.engine.files import write_whole
from neurosono.engine.pages.render import render_page

TEMPLATE = Path(__file__).with_name("page.html")

REASONS = {
    "SourceError": "could not be opened: absent, damaged, of several patients, or no pictures",
    "SourceBrokenError": "broke in the middle; its row holds what came before",
    "EngineFailedError": "the engine failed",
    "RunError": "its frames did not add up",
    "WorkerDied": "killed its worker twice: a decoder, memory, or no picture for minutes",
}
"""What each kind of failure means. The sentences themselves may name a patient's file."""


def write_page(
    out: Path, summary: Mapping[str, Any], tally: Tally, pace: Mapping[str, float]
) -> None:
    """Write the page; `pace` holds how many `exams` this run did in how many `seconds`."""
    page = render_page(
        TEMPLATE,
        summary=summary,
        tally=tally,
        pace=pace,
        reasons=[
            (kind, count, REASONS.get(kind, "see failures.csv"))
            for kind, count in sorted(tally.failures.items())
        ],
    )
    write_whole(out / PAGE, page, advice="free some space")
