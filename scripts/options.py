"""The options that `replay` and `live` have in common: said once, and given on as one."""

from typing import Annotated, Any

import typer

Bundle = Annotated[str, typer.Option(help="A bundle's folder, or `demo`.")]
Every = Annotated[
    int | None, typer.Option(help="Judge one frame in N (80 is the paper's). [default: 1]")
]
Fps = Annotated[float | None, typer.Option(help="Judge at most F frames a second.")]
Region = Annotated[
    str | None, typer.Option(help="The ultrasound region x,y,w,h in pixels, if found wrongly.")
]
ShowScreen = Annotated[
    bool, typer.Option("--show-screen", help="Show what lies outside the region (patient text!).")
]
CamHz = Annotated[float, typer.Option(help="Heatmaps a second; 0 for none.")]
Engine = Annotated[str, typer.Option(help="auto, openvino or torch.")]
Precision = Annotated[str | None, typer.Option(help="f32, f16, bf16 or int8.")]
Members = Annotated[int | None, typer.Option(help="Use the first N members.")]
Student = Annotated[
    str | None,
    typer.Option(
        help="A student of the bundle: it judges every frame at once, the bundle's whole ensemble "
        "as many as time allows (replay without --realtime: all of them)."
    ),
]
Threads = Annotated[int, typer.Option(help="Threads for the network; 0: all cores.")]

JUDGING = (
    *("bundle", "region", "show_screen", "cam_hz"),
    *("engine", "precision", "members", "threads", "student"),
)


def pick_judging(given: dict[str, Any]) -> dict[str, Any]:
    """Return, of a command's arguments, what `stream.session.options.Judging` takes."""
    every, fps = given["every"], given["fps"]
    picked = {name: given[name] for name in JUDGING}
    return picked | {"every": 1 if every is None and fps is None else every, "rate_hz": fps}
