"""`neurosono study`: an exam as objects of its DICOM study."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neurosono.scripts import options

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from neurosono.stream.hospital.node import Node
    from neurosono.stream.hospital.tls import Tls
    from neurosono.stream.study.identity import Identity

WAITING, WORKLIST = "waiting", "worklist"


def study(
    exam: Annotated[
        str, typer.Argument(help="An exam's id, its beginning, or `last`; `waiting`: all of those.")
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
            help="A DICOM file of the study that the results belong to; or `worklist`: the entry "
            "that the exam took."
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
        typer.Option(help="The journal. [default: $XDG_DATA_HOME/neurosono/journal.sqlite]"),
    ] = None,
    bundle: Annotated[
        str | None, typer.Option(help="The bundle that judged it: a folder, or `demo`.")
    ] = None,
    require_signed: options.RequireSigned = False,
    trusted_keys: options.TrustedKeys = None,
) -> None:
    """Make structured reports and key frames of an exam; write them, or store them where asked.

    `waiting` stores what live sessions left to be sent.
    """
    from neurosono.engine.contracts.errors import InputError
    from neurosono.scripts.console import console
    from neurosono.stream.hospital.node import parse_node
    from neurosono.stream.hospital.tls import read_tls
    from neurosono.stream.journal.journal import Journal
    from neurosono.stream.journal.schema import default_path
    from neurosono.stream.report.gather import describe_report
    from neurosono.stream.study.codes import Scheme
    from neurosono.stream.study.deidentified import make_deidentified
    from neurosono.stream.study.send import write_files
    from neurosono.stream.study.study import make_study

    if pdf:
        options.need("reportlab")
    where = journal or default_path()
    if not where.exists():
        raise InputError(f"no journal at {where}: nothing has been recorded there yet")
    if exam == WAITING:
        _send_waiting(where)
        return
    if out is None and send is None and stow is None:
        raise InputError("say where the study goes: --out DIR, --send AE@HOST:PORT or --stow URL")
    if codes not in list(Scheme):
        raise InputError(f"--codes is one of {', '.join(Scheme)}, found {codes!r}")
    if deidentified and (identity_of or pdf or send or stow):
        raise InputError("--deidentified writes files (--out) that name nobody, and no PDF")
    tls = read_tls(options.TLS, tls_cert, tls_key, tls_ca)
    node = None if send is None else parse_node(send, ae_title, tls)
    loaded = options.load_given(bundle, require_signed, trusted_keys)
    with Journal.open(where) as opened, opened.read() as reader:
        found = describe_report(reader, exam, loaded)
    identity = _find_identity(identity_of, where, found.exam.exam_id)
    if deidentified:
        objects = make_deidentified(found, Scheme(codes))
    else:
        objects = make_study(found, identity, Scheme(codes), page=pdf)
    told = f"{len(objects)} objects of exam {found.exam.exam_id}"
    if out is not None:
        write_files(objects, out)
        console.print(f"{told}: {out.resolve()}", soft_wrap=True)
    _send(objects, told, node, stow, tls)


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
