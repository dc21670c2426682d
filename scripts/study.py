"""`neurosono study`: an exam, recorded or judged now, as objects of its DICOM study."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosono.scripts import options

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from neurosono.stream.hospital.node import Node
    from neurosono.stream.hospital.tls import Tls
    from neurosono.stream.study.identity import Identity
    from neurosono.stream.study.study import Found

WAITING, WORKLIST, LAST = "waiting", "worklist", "last"
OF_SOURCES = ("also", "every", "region", "mm_per_px", "weeks", "mixed", "web_token")
"""Options that say how a source is judged; a recorded exam has been."""


def study(
    exam: Annotated[
        list[str],
        typer.Argument(
            help="An exam's id, its beginning, or `last`; `waiting`: all of those. Or what is to "
            "be judged now, as `replay` does: DICOM, folders, dicomweb://HOST/ROOT/studies/UID.",
            metavar="EXAM|SOURCE...",
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="A new folder for the DICOM files.")] = None,
    send: Annotated[
        str | None, typer.Option(help="A DICOM node to store them on: AE@HOST:PORT.")
    ] = None,
    stow: Annotated[
        str | None, typer.Option(help="A DICOMweb server to store them on: its root's address.")
    ] = None,
    identity_of: Annotated[
        str | None,
        typer.Option(
            help="A DICOM file of the study that the results belong to; `source`: the SOURCE's "
            "own; or `worklist`: the entry that the EXAM took."
        ),
    ] = None,
    codes: Annotated[
        str, typer.Option(help="Codes of the classes: snomed, or umls where SNOMED CT may not be.")
    ] = "snomed",
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Also the report as a PDF, to read and to print.")
    ] = False,
    deidentified: Annotated[
        bool,
        typer.Option("--deidentified", help="For research: of nobody, no day, and other UIDs."),
    ] = False,
    ae_title: Annotated[str, typer.Option(help="How we call ourselves.")] = "NEUROSONO",
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    tls_ca: options.TlsCa = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            help="The journal that has the EXAM; where a SOURCE's exam stays recorded. "
            "[default: $XDG_DATA_HOME/neurosono/journal.sqlite; of a SOURCE: nowhere]"
        ),
    ] = None,
    bundle: Annotated[
        str | None, typer.Option(help="The bundle that judged it, or is to: a folder, or `demo`.")
    ] = None,
    also: options.Also = None,
    every: options.Every = None,
    region: options.Region = None,
    mm_per_px: options.MmPerPx = None,
    weeks: options.Weeks = None,
    mixed: options.Mixed = False,
    web_token: options.WebToken = None,
    require_signed: options.RequireSigned = False,
    trusted_keys: options.TrustedKeys = None,
) -> None:
    """Make structured reports and key frames of an exam; write them, or store them where asked.

    Of a recorded EXAM, or of a SOURCE that is judged now. `waiting` stores what live sessions left
    to be sent.
    """
    from neurosono.engine.contracts.errors import InputError
    from neurosono.scripts.console import console
    from neurosono.stream.hospital.node import parse_node
    from neurosono.stream.hospital.tls import read_tls
    from neurosono.stream.study.codes import Scheme
    from neurosono.stream.study.deidentified import make_deidentified
    from neurosono.stream.study.send import write_files
    from neurosono.stream.study.study import make_study

    given = {name: value for name, value in locals().items() if name in OF_SOURCES}
    if pdf:
        options.need("reportlab")
    kept = None if is_source(exam) else _find_journal(journal)
    if kept is not None and exam == [WAITING]:
        _send_waiting(kept)
        return
    if out is None and send is None and stow is None:
        raise InputError("say where the study goes: --out DIR, --send AE@HOST:PORT or --stow URL")
    if codes not in list(Scheme):
        raise InputError(f"--codes is one of {', '.join(Scheme)}, found {codes!r}")
    if deidentified and (identity_of or pdf or send or stow):
        raise InputError("--deidentified writes files (--out) that name nobody, and no PDF")
    tls = read_tls(options.TLS, tls_cert, tls_key, tls_ca)
    node = None if send is None else parse_node(send, ae_title, tls)
    bundles = bundle, require_signed, trusted_keys
    if kept is None:
        found = _judge(exam, out, identity_of, journal, bundles, given, tls)
    else:
        found = _find(exam[0], identity_of, kept, bundles, given)
    if deidentified:
        objects = make_deidentified(found.report, Scheme(codes))
    else:
        objects = make_study(
            found.report, found.identity, Scheme(codes), page=pdf, replayed=found.replayed
        )
    told = f"{len(objects)} objects of exam {found.report.exam.exam_id}"
    if out is not None:
        write_files(objects, out)
        console.print(f"{told}: {out.resolve()}", soft_wrap=True)
    _send(objects, told, node, stow, tls)
    if found.failure is not None:
        raise found.failure


def is_source(words: Sequence[str]) -> bool:
    """Whether these name something to judge, and no exam that was recorded.

    An exam's id begins with a digit; a file or folder that does is named `./NAME`.
    """
    (first, *others) = words
    named = any(mark in first for mark in "/.:")
    is_word = first in (LAST, WAITING) or first[:1].isdigit()
    return bool(others) or named or (not is_word and Path(first).exists())


def _find_journal(journal: Path | None) -> Path:
    from neurosono.engine.contracts.errors import InputError
    from neurosono.stream.journal.schema import default_path

    where = journal or default_path()
    if not where.exists():
        raise InputError(f"no journal at {where}: nothing has been recorded there yet")
    return where


def _find(
    exam: str,
    identity_of: str | None,
    journal: Path,
    bundles: tuple[str | None, bool, str | None],
    given: dict[str, Any],
) -> "Found":
    """Return an exam of the journal, and whose it is."""
    from neurosono.engine.contracts.errors import InputError
    from neurosono.stream.journal.journal import Journal
    from neurosono.stream.report.gather import describe_report
    from neurosono.stream.study.study import Found

    if wrong := [name for name, value in given.items() if value]:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in wrong)
        raise InputError(f"an exam that was recorded has been judged: {names} is for a SOURCE")
    loaded = options.load_given(*bundles)
    with Journal.open(journal) as opened, opened.read() as reader:
        report = describe_report(reader, exam, loaded)
    return Found(report, _find_identity(identity_of, journal, report.exam.exam_id))


def _judge(
    sources: list[str],
    out: Path | None,
    identity_of: str | None,
    journal: Path | None,
    bundles: tuple[str | None, bool, str | None],
    given: dict[str, Any],
    tls: "Tls | None",
) -> "Found":
    """Judge sources and return their exam, and whose it is."""
    from neurosono.engine.contracts.errors import InputError
    from neurosono.engine.contracts.server import read_token
    from neurosono.engine.signature import choose_keys
    from neurosono.scripts.study_source import Wanted, judge_source
    from neurosono.studies import Asked

    if identity_of == WORKLIST:
        raise InputError("a SOURCE took no entry of a worklist: --identity-of source, or a file")
    bundle, require_signed, trusted_keys = bundles
    token = given.pop("web_token")
    mixed = given.pop("mixed")
    asked = Asked(
        **{**given, "also": tuple(given["also"] or ()), "every": given["every"] or 1},
        trusted_keys=choose_keys(require_signed, trusted_keys),
    )
    wanted = Wanted(tuple(sources), bundle or "demo", asked, mixed, journal, identity_of, out)
    return judge_source(wanted, None if token is None else read_token("--web-token", token), tls)


def _send(
    objects: "list[Dataset]", told: str, node: "Node | None", stow: str | None, tls: "Tls | None"
) -> None:
    from neurosono.scripts.console import console
    from neurosono.stream.study.send import send_dicom, send_web

    if node is not None:
        send_dicom(objects, node)
        console.print(f"{told}: stored on {node.title}")
    if stow is not None:
        send_web(objects, stow, tls)
        console.print(f"{told}: stored by DICOMweb")


def _find_identity(identity_of: str | None, journal: Path, exam_id: str) -> "Identity":
    from neurosono.engine.contracts.errors import InputError
    from neurosono.stream.hospital.identities import read_kept
    from neurosono.stream.study.identity import Identity, read_identity, take_identity

    if identity_of is None:
        return Identity()
    if identity_of != WORKLIST:
        return read_identity(Path(identity_of))
    entry = read_kept(journal, exam_id)
    if entry is None:
        raise InputError(
            f"exam {exam_id} took no entry of a worklist: name a DICOM file of its study instead"
        )
    return take_identity(entry.dataset)


def _send_waiting(journal: Path) -> None:
    from neurosono.engine.contracts.errors import RunError
    from neurosono.scripts.console import console
    from neurosono.stream.hospital.outbox import STUDY, Outbox
    from neurosono.stream.study.posting import work_off

    with Outbox(journal) as outbox:
        done = work_off(outbox, journal, at_once=True)
        for row in done:
            if words := outbox.tell(row):
                console.print(words, markup=False, soft_wrap=True)
    if not done:
        console.print("nothing waits to be sent, or another session is sending it")
    unsent = sum(bool(row.said) for row in done if row.number == STUDY)
    untold = sum(bool(row.said) for row in done if row.number != STUDY)
    if unsent or untold:
        said = [f"{unsent} studies could not be sent"] if unsent else []
        said += [f"{untold} steps could not be told"] if untold else []
        raise RunError(f"{' and '.join(said)} of {len(done)} that waited: they wait further")
