"""`neurosono replay`: a recorded exam in, an overlay video and an exam result out."""

from pathlib import Path
from typing import Annotated

import typer

SOURCE_HELP = (
    "Clips, stills, DICOM files, folders of them (all together one exam), "
    "or phantom:LABEL?seed=7&seconds=20."
)


def replay(
    sources: Annotated[list[str], typer.Argument(help=SOURCE_HELP, metavar="SOURCE...")],
    out: Annotated[Path, typer.Option(help="Folder for exam.json, frames.jsonl, overlay.mp4.")],
    bundle: Annotated[str, typer.Option(help="A bundle's folder, or `demo`.")] = "demo",
    every: Annotated[
        int | None, typer.Option(help="Judge one frame in N (80 is the paper's). [default: 1]")
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Judge at most F frames a second.")] = None,
    realtime: Annotated[
        bool, typer.Option("--realtime", help="Play at the clip's pace; newer frames win.")
    ] = False,
    region: Annotated[
        str | None, typer.Option(help="The ultrasound region x,y,w,h in pixels, if found wrongly.")
    ] = None,
    show_screen: Annotated[
        bool,
        typer.Option("--show-screen", help="Show what lies outside the region (patient text!)."),
    ] = False,
    cam_hz: Annotated[float, typer.Option(help="Heatmaps a second; 0 for none.")] = 5.0,
    engine: Annotated[str, typer.Option(help="auto, openvino or torch.")] = "auto",
    precision: Annotated[str | None, typer.Option(help="f32, f16, bf16 or int8.")] = None,
    members: Annotated[int | None, typer.Option(help="Use the first N members.")] = None,
    threads: Annotated[int, typer.Option(help="Threads for the network; 0: all cores.")] = 0,
    video: Annotated[bool, typer.Option(help="Write overlay.mp4.")] = True,
    json: Annotated[
        Path | None, typer.Option(help="Also write exam.json there; - for stdout.")
    ] = None,
) -> None:
    """Replay a recorded exam: every frame accounted for, the same answer every time."""
    from stream.replay_options import ReplayOptions

    options = ReplayOptions(
        sources=tuple(sources),
        out=out,
        bundle=bundle,
        every=1 if every is None and fps is None else every,
        rate_hz=fps,
        realtime=realtime,
        region=region,
        show_screen=show_screen,
        cam_hz=cam_hz,
        engine=engine,
        precision=precision,
        members=members,
        threads=threads,
        video=video,
    )
    from scripts.replay_view import run_replay

    run_replay(options, json)
