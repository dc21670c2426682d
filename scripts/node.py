"""`neurosono node`: a DICOM node that judges what scanners or a PACS store on it."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from neurosono.scripts import options


def node(
    folder: Annotated[
        Path, typer.Option(help="The node's own folder: queue, cines at hand, journal.")
    ],
    send: Annotated[str | None, typer.Option(help="Where results go: AE@HOST:PORT.")] = None,
    stow: Annotated[
        str | None, typer.Option(help="Or a DICOMweb server to store them on: its root's address.")
    ] = None,
    route: Annotated[
        list[str] | None,
        typer.Option(help="FROM=AE@HOST:PORT: where those of one sender go; may be repeated."),
    ] = None,
    mpps: Annotated[
        str | None,
        typer.Option(help="Who hears of each study's step, from its beginning on: AE@HOST:PORT."),
    ] = None,
    worklist: Annotated[
        str | None,
        typer.Option(
            help="Who is asked for the order of a study whose cines name none: AE@HOST:PORT."
        ),
    ] = None,
    charset: Annotated[
        str, typer.Option(help="With --worklist: how to read names whose character set is unsaid.")
    ] = "ISO_IR 192",
    allow: Annotated[
        list[str] | None,
        typer.Option(
            help="An AE title that may store here, or AE@HOST:PORT: where it hears of storage "
            "commitment; may be repeated."
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 11112,
    host: Annotated[str, typer.Option(help="Where it listens.")] = "127.0.0.1",
    ae_title: Annotated[str, typer.Option(help="How the node is called.")] = "NEUROSONO",
    cert: Annotated[Path | None, typer.Option(help="TLS certificate (PEM) of the node.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its key (PEM).")] = None,
    ca: Annotated[
        Path | None, typer.Option(help="The certificates (PEM) that vouch for senders.")
    ] = None,
    tls: Annotated[
        bool, typer.Option("--tls", help="With --cert, --key, --ca: results go out by TLS too.")
    ] = False,
    bundle: Annotated[str, typer.Option(help="A bundle's folder, or `demo`.")] = "demo",
    require_signed: options.RequireSigned = False,
    trusted_keys: options.TrustedKeys = None,
    also: Annotated[
        list[str] | None,
        typer.Option(help="A bundle that reads the same frames beside it; may be repeated."),
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Judge one frame in N.")] = 1,
    complete_after: Annotated[
        float, typer.Option(min=0, help="A study is complete after so many quiet seconds.")
    ] = 10.0,
    codes: Annotated[
        Literal["snomed", "umls"], typer.Option(help="Codes of the classes.")
    ] = "snomed",
    pdf: Annotated[bool, typer.Option("--pdf", help="Also the report as a PDF.")] = False,
    most_waiting: Annotated[
        int, typer.Option(min=1, help="Refuse what is sent while more studies wait.")
    ] = 200,
    least_free_gb: Annotated[
        float, typer.Option(min=0, help="Refuse it while the disk has less room.")
    ] = 2.0,
    keep_days: Annotated[
        float, typer.Option(help="How long to know what was done, and to keep what failed.")
    ] = 30.0,
) -> None:
    """Take cines by C-STORE, judge each study as it completes, store the results."""
    import signal
    import threading

    from neurosono.engine.contracts.errors import InputError
    from neurosono.engine.signature import choose_keys
    from neurosono.node.options import Judging, Limits, Listening
    from neurosono.node.run import Told, run_node, tell_batch
    from neurosono.scripts.console import console
    from neurosono.stream.hospital.node import parse_node
    from neurosono.stream.hospital.tls import read_tls

    if pdf:
        options.need("reportlab")
    mutual = read_tls("--cert, --key and --ca", cert, key, ca)
    if tls and mutual is None:
        raise InputError("--tls needs --cert, --key and --ca")
    outward = mutual if tls else None
    routes = {}
    for words in route or ():
        sender, equals, where = words.partition("=")
        if not equals:
            raise InputError(f"a route is FROM=AE@HOST:PORT, found {words!r}")
        routes[sender] = parse_node(where, ae_title, outward)
    scanners = [parse_node(each, ae_title, outward) for each in allow or () if "@" in each]
    allowed = tuple(each.partition("@")[0] for each in allow or ())
    listening = Listening(host, port, ae_title, allowed, mutual, tuple(scanners))
    asked = Judging(
        default=None if send is None else parse_node(send, ae_title, outward),
        routes=routes,
        bundle=bundle,
        also=tuple(also or ()),
        trusted_keys=choose_keys(require_signed, trusted_keys),
        every=every,
        quiet_s=complete_after,
        codes=codes,
        pdf=pdf,
        mpps=None if mpps is None else parse_node(mpps, ae_title, outward),
        worklist=None if worklist is None else parse_node(worklist, ae_title, outward),
        charset=charset,
        stow=stow,
        stow_tls=outward,
    )
    limits = Limits(most_waiting, round(least_free_gb * 1e9), keep_days)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    told = Told(
        lambda found: console.print(f"{ae_title} listens on {host}:{found}   (Ctrl-C ends it)"),
        lambda batch: console.print(tell_batch(batch), markup=False, soft_wrap=True),
        lambda words: console.print(words, markup=False, soft_wrap=True),
    )
    run_node(listening, asked, limits, folder, told, stop.is_set)
