"""`neurosono live`: beside the scanner, with a page for the sonographer."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from neurosono.scripts import options

SOURCE_HELP = (
    "/dev/video0, rtsp://..., udp://HOST:PORT, srt://..., http://..., "
    "or loop:FILE (also loop:phantom:LABEL?seed=7) as a stand-in scanner."
)


def live(
    source: Annotated[str, typer.Argument(help=SOURCE_HELP)],
    bundle: options.Bundle = "demo",
    student: options.Student = None,
    require_signed: options.RequireSigned = False,
    trusted_keys: options.TrustedKeys = None,
    also: options.Also = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The page's port; 0: a free one.")
    ] = 0,
    host: Annotated[str, typer.Option(help="Where the page listens.")] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME[:PORT] by which a forward or proxy reaches the page; may be repeated."
        ),
    ] = None,
    no_token: Annotated[
        bool,
        typer.Option(
            "--no-token",
            help="Let whoever reaches the page watch and steer it: each user of this machine.",
        ),
    ] = False,
    every: options.Every = None,
    fps: options.Fps = None,
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
    metrics_token: Annotated[
        Path | None, typer.Option(help="A file with a token that reads /metrics and no more.")
    ] = None,
    log_json: Annotated[
        Path | None, typer.Option(help="A line of JSON an event, in fixed words; - for stdout.")
    ] = None,
    keep_clips: Annotated[
        bool,
        typer.Option(
            "--keep-clips",
            help="Write the five seconds before each kept frame beside the journal, region only.",
        ),
    ] = False,
    record: Annotated[
        Literal["overlay", "clean"] | None,
        typer.Option(help="Film the exam: with all that the AI says, or the region alone."),
    ] = None,
    record_to: Annotated[
        Path | None, typer.Option(help="The films' folder. [default: beside the journal]")
    ] = None,
    worklist: Annotated[
        str | None, typer.Option(help="The modality worklist to take exams from: AE@HOST:PORT.")
    ] = None,
    accession: Annotated[
        str | None, typer.Option(help="With --worklist: the entry that the first exam takes.")
    ] = None,
    charset: Annotated[
        str, typer.Option(help="With --worklist: how to read names whose character set is unsaid.")
    ] = "ISO_IR 192",
    send: Annotated[
        str | None,
        typer.Option(help="With --worklist: where the study of each exam goes: AE@HOST:PORT."),
    ] = None,
    mpps: Annotated[
        str | None,
        typer.Option(
            help="With --worklist: who is told when an exam begins and ends: AE@HOST:PORT."
        ),
    ] = None,
    codes: Annotated[
        Literal["snomed", "umls"], typer.Option(help="With --send: codes of the classes.")
    ] = "snomed",
    pdf: Annotated[
        bool, typer.Option("--pdf", help="With --send: the report as a PDF too.")
    ] = False,
    ae_title: Annotated[
        str, typer.Option(help="How we call ourselves to worklist and PACS.")
    ] = "NEUROSONO",
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    tls_ca: options.TlsCa = None,
    igtl_out: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="A port where 3D Slicer gets what is shown."),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the exam there; - for stdout.")] = None,
) -> None:
    """Follow a live source: running exam, heatmaps, and AI OFF when there is none."""
    options.expect_engine(locals(), newest_wins=True)
    judging = options.pick_judging(locals())
    registering = options.pick_registering(locals())
    from neurosono.engine.contracts.server import read_token
    from neurosono.scripts.live_view import LiveView, run_live_view
    from neurosono.stream.keep.film import Film
    from neurosono.stream.live.options import SessionOptions
    from neurosono.stream.live.scene import Keeping

    asked = SessionOptions(source=source, second_read=second_read, **judging)
    keeping = Keeping(
        journal=journal,
        keep_clips=keep_clips,
        resume=resume,
        record=None if record is None else Film(record),
        record_to=record_to,
        log_json=log_json,
        igtl_port=igtl_out,
        registering=registering,
    )
    view = LiveView(
        host=host,
        port=port,
        page=page,
        no_token=no_token,
        seconds=seconds,
        certfile=cert,
        keyfile=key,
        allow_hosts=tuple(allow_host or ()),
        metrics_token=None
        if metrics_token is None
        else read_token("--metrics-token", metrics_token),
    )
    run_live_view(asked, keeping, view, json)
