"""The options that every subject of the detector has in common."""

from pathlib import Path
from typing import Annotated

import typer

RunArgument = Annotated[Path, typer.Argument(help="A run's folder.")]
Run = Annotated[Path, typer.Option(help="The run's folder; an unfinished run goes on in it.")]
Pictures = Annotated[int, typer.Option(min=16, help="Views seen in all.")]
Batch = Annotated[int, typer.Option(min=2, help="Views a step.")]
LearningRate = Annotated[float, typer.Option(min=1e-6, help="The highest.")]
Seed = Annotated[int, typer.Option(min=0, help="Every random choice follows from it.")]
Threads = Annotated[
    int, typer.Option(min=1, help="Parts of a batch side by side, a processor thread each.")
]
Device = Annotated[str, typer.Option(help="cpu, or cuda.")]
Workers = Annotated[
    int, typer.Option(min=0, help="Threads that draw views ahead, for a GPU to wait less.")
]
Minutes = Annotated[
    float | None, typer.Option(min=0.1, help="Stop at the first checkpoint after so long.")
]
Seconds = Annotated[
    float | None,
    typer.Option(
        min=1, help="Train for so long instead of for so many pictures, views drawn on the device."
    ),
]
NewBundle = Annotated[Path, typer.Option(help="The bundle: a new folder.")]
Name = Annotated[str, typer.Option(help="By which its readings are named.")]
Precisions = Annotated[
    list[str] | None, typer.Option(help="int8 or f32; may be repeated. [default: int8]")
]
