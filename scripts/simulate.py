"""`neurosono simulate`: a stand-in scanner that streams a phantom or a clip in real time."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from neurosono.stream.simulate.transmit import TcpTransmitter, UdpTransmitter


def simulate(
    source: Annotated[
        str,
        typer.Argument(
            help="phantom:LABEL?seed=7&seconds=20, a clip, or a folder.", metavar="SOURCE"
        ),
    ],
    udp: Annotated[
        str | None, typer.Option(help="Send MPEG-TS there: HOST:PORT.", metavar="HOST:PORT")
    ] = None,
    tcp: Annotated[
        str | None,
        typer.Option(help="Listen there for one receiver at a time.", metavar="HOST:PORT"),
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Over and over, until Ctrl-C.")] = False,
    seconds: Annotated[float | None, typer.Option(help="Stop after so long.")] = None,
    jitter_ms: Annotated[
        float, typer.Option(help="Delay each picture by up to so much, at random.")
    ] = 0.0,
    key_every_s: Annotated[
        float, typer.Option(help="Seconds between pictures that stand alone.")
    ] = 1.0,
    drop_every: Annotated[
        int, typer.Option(help="Leave out every Nth datagram (UDP); 0: none.", min=0)
    ] = 0,
    lengths: Annotated[
        bool, typer.Option(help="State each picture's length, so that it can be shown at once.")
    ] = True,
    json: Annotated[
        Path | None, typer.Option(help="Also write what was sent there; - for stdout.")
    ] = None,
) -> None:
    """Stream a phantom or a clip in real time, as a scanner would. Ctrl-C ends it."""
    import signal
    import threading

    from neurosono.scripts.console import console, write_json_report
    from neurosono.stream.simulate.scanner import Scanner, SimulateOptions
    from neurosono.stream.sources import open_source
    from neurosono.stream.sources.left_out import tell_left_out

    options = SimulateOptions(
        loop=loop,
        seconds=seconds,
        jitter_ms=jitter_ms,
        key_every_s=key_every_s,
        states_lengths=lengths,
    )
    opened = open_source([source], frame_threads=False)
    for line in tell_left_out(opened.left_out):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    transmitter = _open_transmitter(udp, tcp, drop_every)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        # A flag, not an exception: one that is raised inside FFmpeg's callbacks would be lost.
        signal.signal(number, lambda *_: stop.set())
    where = f"udp://{udp}" if udp else f"tcp://{tcp}"
    console.print(
        f"sending {opened.description} at {opened.nominal_rate_hz:g} Hz to {where}, "
        f"a key picture every {key_every_s:g} s; show it with: neurosono live {where}",
        soft_wrap=True,
    )
    scanner = Scanner(opened, transmitter, options, stop=stop)
    try:
        scanner.play()
    finally:
        transmitter.close()
    sent = scanner.sent
    console.print(
        f"{sent.pictures} pictures sent ({sent.bytes / 1e6:.1f} MB), {sent.late} of them late; "
        f"{transmitter.dropped} of {transmitter.sent} pieces left out",
        soft_wrap=True,
    )
    pieces = {"pieces": transmitter.sent, "pieces_dropped": transmitter.dropped}
    write_json_report(json, {"source": opened.description, **sent.__dict__, **pieces})


def _open_transmitter(
    udp: str | None, tcp: str | None, drop_every: int
) -> "UdpTransmitter | TcpTransmitter":
    from neurosono.engine.contracts.errors import InputError
    from neurosono.stream.simulate.transmit import TcpTransmitter, UdpTransmitter, parse_address

    if udp is not None and tcp is None:
        return UdpTransmitter(*parse_address(udp, "--udp"), drop_every=drop_every)
    if tcp is None or udp is not None:
        raise InputError("simulate sends to one place; give --udp HOST:PORT or --tcp HOST:PORT")
    if drop_every:
        raise InputError("TCP loses nothing, so --drop-every is for --udp; leave it out")
    return TcpTransmitter(*parse_address(tcp, "--tcp"))
