"""`neurosono demo`: the main job on a phantom exam, with the bundle that ships."""

from pathlib import Path
from typing import Annotated

import typer

DEMO_SOURCE = "phantom:holoprosencephaly?seed=7&seconds=20"
"""A patient that the shipped bundle was not trained on: phantom sources and cohorts draw from
disjoint random streams."""


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("out/demo"),
    json: Annotated[
        Path | None, typer.Option(help="Also write exam.json there; - for stdout.")
    ] = None,
) -> None:
    """Replay a phantom exam through the real pipeline with the bundles that ship."""
    from neurosono.engine.bundle import SHIPPED, STRUCTURES_NAME
    from neurosono.scripts.replay_view import run_replay
    from neurosono.stream.replay.options import ReplayOptions

    also = (STRUCTURES_NAME,) if SHIPPED[STRUCTURES_NAME].is_dir() else ()
    run_replay(ReplayOptions(sources=(DEMO_SOURCE,), out=out, also=also), json)
