"""`neurosono demo`: the main job with the bundles that ship, on a phantom exam or a clip."""

from pathlib import Path
from typing import Annotated

import typer

from neurosono.scripts import options

DEMO_SOURCE = "phantom:holoprosencephaly?seed=7&seconds=20"
"""A patient that the shipped bundle was not trained on: phantom sources and cohorts draw from
disjoint random streams."""


def demo(
    source: Annotated[
        str, typer.Argument(help="Anything that `replay` takes: a clip, a folder, DICOM.")
    ] = DEMO_SOURCE,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("out/demo"),
    mm_per_px: options.MmPerPx = None,
    json: Annotated[
        Path | None, typer.Option(help="Also write exam.json there; - for stdout.")
    ] = None,
) -> None:
    """Replay a phantom exam, or a clip, through the real pipeline with the bundles that ship."""
    from neurosono.engine.bundle import SHIPPED, STRUCTURES_NAME
    from neurosono.scripts.replay_view import run_replay
    from neurosono.stream.replay.options import ReplayOptions

    also = (STRUCTURES_NAME,) if SHIPPED[STRUCTURES_NAME].is_dir() else ()
    run_replay(ReplayOptions(sources=(source,), out=out, also=also, mm_per_px=mm_per_px), json)
