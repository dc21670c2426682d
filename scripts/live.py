"""`neurosono live`: beside the scanner, with a page for the sonographer."""

from pathlib import Path
from typing import Annotated

import typer

SOURCE_HELP = (
    "/dev/video0, rtsp://..., udp://HOST:PORT, srt://..., http://..., "
    "or loop:FILE (also loop:phantom:LABEL?seed=7) as a stand-in scanner."
)


def live(
    source: Annotated[str, typer.Argument(help=SOURCE_HELP)],
    bundle: Annotated[str, typer.Option(help="A bundle's folder, or `demo`.")] = "demo",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The page's port; 0: a free one.")
    ] = 0,
    host: Annotated[str, typer.Option(help="Where the page listens.")] = "127.0.0.1",
    every: Annotated[
        int | None, typer.Option(help="Judge one frame in N. [default: 1, every one it can]")
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Judge at most F frames a second.")] = None,
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
    second_read: Annotated[
        bool, typer.Option("--second-read", help="Keep the AI hidden until the exam ends.")
    ] = False,
    page: Annotated[bool, typer.Option(help="Serve the page; without it, a table here.")] = True,
    seconds: Annotated[
        float, typer.Option(min=0, max=1e9, help="Stop after so long; 0: at Ctrl-C.")
    ] = 0.0,
    journal: Annotated[
        Path | None, typer.Option(help="The exam record. [default: the user's data folder]")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(help="Go on with an exam whose session was killed, by its id.")
    ] = None,
    cert: Annotated[Path | None, typer.Option(help="TLS certificate (PEM) for the page.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its key (PEM).")] = None,
    keep_clips: Annotated[
        bool,
        typer.Option(
            "--keep-clips",
            help="Write the five seconds before each kept frame beside the journal, region only.",
        ),
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write the exam there; - for stdout.")] = None,
) -> None:
    """Follow a live source: running exam, heatmaps, and AI OFF when there is none."""
    from scripts.live_view import LiveView, run_live_view
    from stream.live_options import SessionOptions

    options = SessionOptions(
        source=source,
        bundle=bundle,
        every=1 if every is None and fps is None else every,
        rate_hz=fps,
        region=region,
        show_screen=show_screen,
        cam_hz=cam_hz,
        engine=engine,
        precision=precision,
        members=members,
        threads=threads,
        second_read=second_read,
    )
    view = LiveView(
        host=host,
        port=port,
        page=page,
        seconds=seconds,
        journal=journal,
        keep_clips=keep_clips,
        resume=resume,
        certfile=cert,
        keyfile=key,
    )
    run_live_view(options, view, json)
