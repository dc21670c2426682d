"""`neurosono replay`: a recorded exam in, an overlay video and an exam result out."""

from pathlib import Path
from typing import Annotated

import typer

from neurosono.scripts import options

SOURCE_HELP = (
    "Clips, stills, DICOM files, folders of them (all together one exam), "
    "phantom:LABEL?seed=7&seconds=20, or dicomweb://HOST/ROOT/studies/UID."
)


def replay(
    sources: Annotated[list[str], typer.Argument(help=SOURCE_HELP, metavar="SOURCE...")],
    out: Annotated[Path, typer.Option(help="Folder for exam.json, frames.jsonl, overlay.mp4.")],
    bundle: options.Bundle = "demo",
    student: options.Student = None,
    require_signed: options.RequireSigned = False,
    trusted_keys: options.TrustedKeys = None,
    also: options.Also = None,
    every: options.Every = None,
    fps: options.Fps = None,
    realtime: Annotated[
        bool, typer.Option("--realtime", help="Play at the clip's pace; newer frames win.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse where anything given would not be used.")
    ] = False,
    mixed: options.Mixed = False,
    region: options.Region = None,
    mm_per_px: options.MmPerPx = None,
    weeks: options.Weeks = None,
    show_screen: options.ShowScreen = False,
    max_megapixels: options.MaxMegapixels = 33.2,
    max_megabytes: options.MaxMegabytes = 768,
    cam_hz: options.CamHz = 5.0,
    engine: options.Engine = "auto",
    precision: options.Precision = None,
    members: options.Members = None,
    server: options.ServerUrl = None,
    server_token: options.ServerToken = None,
    server_ca: options.ServerCa = None,
    fallback: options.Fallback = False,
    threads: options.Threads = 0,
    web_token: options.WebToken = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    tls_ca: options.TlsCa = None,
    video: Annotated[bool, typer.Option(help="Write overlay.mp4.")] = True,
    json: Annotated[
        Path | None, typer.Option(help="Also write exam.json there; - for stdout.")
    ] = None,
) -> None:
    """Replay a recorded exam: every frame accounted for, the same answer every time."""
    options.expect_engine(locals(), newest_wins=realtime)
    judging = options.pick_judging(locals())
    from neurosono.engine.contracts.server import read_token
    from neurosono.stream.hospital.dicomweb import fetch_sources
    from neurosono.stream.hospital.tls import read_tls
    from neurosono.stream.replay.options import ReplayOptions

    token = None if web_token is None else read_token("--web-token", web_token)
    tls = read_tls(options.TLS, tls_cert, tls_key, tls_ca)
    with fetch_sources(sources, token, tls) as local:
        asked = ReplayOptions(
            sources=local,
            out=out,
            realtime=realtime,
            video=video,
            strict=strict,
            mixed=mixed,
            **judging,
        )
        from neurosono.scripts.replay_view import run_replay

        run_replay(asked, json)
