"""The options that `replay` and `live` have in common: said once, and given on as one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosono.engine.contracts.errors import InputError
from neurosono.engine.contracts.server import Server

if TYPE_CHECKING:
    from neurosono.engine.bundle import Bundle as Loaded
    from neurosono.stream.live.register import Registering

Bundle = Annotated[str, typer.Option(help="A bundle's folder, or `demo`.")]
Every = Annotated[
    int | None, typer.Option(help="Judge one frame in N (80 is the paper's). [default: 1]")
]
Fps = Annotated[float | None, typer.Option(help="Judge at most F frames a second.")]
Region = Annotated[
    str | None, typer.Option(help="The ultrasound region x,y,w,h in pixels, if found wrongly.")
]
MmPerPx = Annotated[
    float | None,
    typer.Option(
        "--mm-per-px",
        help="Millimetres that a pixel of the source's own picture is; counts before a file's own.",
    ),
]
Weeks = Annotated[
    float | None,
    typer.Option(
        "--weeks",
        help="The gestational age in weeks: what bundles that are bound to weeks go by, before "
        "the head's size. Of the first exam only.",
    ),
]
ShowScreen = Annotated[
    bool, typer.Option("--show-screen", help="Show what lies outside the region (patient text!).")
]
CamHz = Annotated[float, typer.Option(help="Heatmaps a second; 0 for none.")]
MaxMegapixels = Annotated[
    float, typer.Option(help="The largest picture that a file may hold, in million pixels.")
]
MaxMegabytes = Annotated[
    int, typer.Option(help="The memory that decoding one file's pictures may take, in MB.")
]
Engine = Annotated[
    str, typer.Option(help="auto, openvino, torch, tensorrt, tensorrt-rtx, torch-cuda or remote.")
]
ServerUrl = Annotated[
    str | None, typer.Option(help="With --engine remote: the inference server, http://HOST:PORT.")
]
ServerToken = Annotated[
    str | None, typer.Option(help="A file with the token that the server asks for.")
]
ServerCa = Annotated[
    str | None, typer.Option(help="The certificates (PEM) that vouch for an https server.")
]
Fallback = Annotated[
    bool,
    typer.Option("--fallback", help="An engine of this host stands in while the server is away."),
]
TLS = "--tls-cert, --tls-key and --tls-ca"
TlsCert = Annotated[
    Path | None,
    typer.Option(help="Mutual TLS with PACS, worklist, DICOMweb: our certificate (PEM)."),
]
TlsKey = Annotated[Path | None, typer.Option(help="Its key (PEM), without a password.")]
TlsCa = Annotated[Path | None, typer.Option(help="The certificates (PEM) that vouch for them.")]
Precision = Annotated[
    str | None,
    typer.Option(
        help="f32, f16, bf16, int8, or auto (so by default): the fastest, as timed once here.",
        callback=lambda given: None if given == "auto" else given,
    ),
]
Members = Annotated[int | None, typer.Option(help="Use the first N members.")]
RequireSigned = Annotated[
    bool,
    typer.Option("--require-signed", help="Use no bundle that no trusted key has signed."),
]
TrustedKeys = Annotated[
    str | None,
    typer.Option(
        help="The site's list of keys, `NAME KEY` a line; asks for signatures. "
        "[default: the user's config folder]"
    ),
]
Student = Annotated[
    str | None,
    typer.Option(
        help="A student of the bundle: it judges every frame at once, the bundle's whole ensemble "
        "as many as time allows (replay without --realtime: all of them)."
    ),
]
Also = Annotated[
    list[str] | None,
    typer.Option(
        help="A bundle of any kind that reads the same frames beside the first, such as "
        "`structures` or `regions`; may be repeated."
    ),
]
Mixed = Annotated[
    bool, typer.Option("--mixed", help="DICOM of several patients or studies is one exam.")
]
WebToken = Annotated[
    Path | None, typer.Option(help="A file with the token that a DICOMweb server asks for.")
]
Threads = Annotated[int, typer.Option(help="Threads for the network; 0: all cores.")]

JUDGING = (
    *("bundle", "region", "mm_per_px", "weeks", "show_screen", "cam_hz"),
    *("engine", "precision", "members", "threads", "student"),
)


def pick_judging(given: dict[str, Any]) -> dict[str, Any]:
    """Return, of a command's arguments, what `stream.session.options.Judging` takes."""
    every, fps = given["every"], given["fps"]
    from neurosono.engine.signature import choose_keys
    from neurosono.stream.sources.limits import MediaLimits

    picked = {name: given[name] for name in JUDGING} | {"server": _name_server(given)}
    picked["trusted_keys"] = choose_keys(given["require_signed"], given["trusted_keys"])
    picked["limits"] = MediaLimits(given["max_megapixels"], given["max_megabytes"])
    picked["also"] = tuple(given["also"] or ())
    return picked | {"every": 1 if every is None and fps is None else every, "rate_hz": fps}


def expect_engine(given: dict[str, Any], *, newest_wins: bool) -> None:
    """Let an engine process that was started early open what a command's arguments name.

    Its hundred milliseconds go by while the command loads all that it needs to show an exam.
    """
    if given.get("server") is not None or given.get("student") is not None:
        return
    from neurosono.engine.signature import choose_keys
    from neurosono.stream.judge.options import EngineOptions
    from neurosono.stream.processes.spawn import expect

    keys = choose_keys(given["require_signed"], given["trusted_keys"])
    wanted = {name: given[name] for name in ("bundle", "engine", "precision", "members", "threads")}
    expect("engine", EngineOptions(**wanted, newest_wins=newest_wins, trusted_keys=keys))


def load_given(
    bundle: str | None,
    require_signed: bool,
    trusted_keys: str | None,
    kind: str | None = "classifier",
) -> "Loaded | None":
    """Return the bundle that was named, if one was; raises `BundleError`, as `Bundle.load` does."""
    from neurosono.engine.bundle import Bundle
    from neurosono.engine.signature import choose_keys

    trusted = choose_keys(require_signed, trusted_keys)
    return None if bundle is None else Bundle.load(bundle, kind=kind, trusted=trusted)


def check_signed(require_signed: bool, trusted_keys: str | None, *bundles: str) -> None:
    """Refuse what no trusted key signed before a measurement begins; raises `BundleError`."""
    for bundle in bundles if require_signed or trusted_keys is not None else ():
        load_given(bundle, require_signed, trusted_keys, None)


def _name_server(given: dict[str, Any]) -> Server | None:
    extras = (given["server_token"], given["server_ca"], given["fallback"])
    if given["server"] is None:
        if any(extras):
            raise InputError("--server-token, --server-ca and --fallback go with --server URL")
        return None
    return Server(given["server"], *extras)


def need(*modules: str) -> None:
    """Refuse what an extra must bring before anything begins, and not when an exam ends."""
    from importlib.util import find_spec

    for each in modules:
        if find_spec(each) is None:
            raise ModuleNotFoundError(name=each)


def pick_registering(said: dict[str, Any]) -> "Registering | None":
    """Return what `live` is told of the hospital, out of all that it was told."""
    if said["worklist"] is None:
        if any(said[each] is not None for each in ("send", "accession", "mpps")):
            raise InputError(
                "--send, --mpps and --accession go with --worklist: without it an exam is nobody's"
            )
        return None
    need("pynetdicom", "highdicom", *(("reportlab",) if said["pdf"] else ()))
    from neurosono.stream.hospital.node import parse_node
    from neurosono.stream.hospital.tls import read_tls
    from neurosono.stream.live.register import Registering

    tls = read_tls(TLS, said["tls_cert"], said["tls_key"], said["tls_ca"])
    worklist, send, mpps = (
        None if words is None else parse_node(words, said["ae_title"], tls)
        for words in (said["worklist"], said["send"], said["mpps"])
    )
    assert worklist is not None
    return Registering(
        worklist, send, said["accession"], said["charset"], said["codes"], said["pdf"], mpps
    )
