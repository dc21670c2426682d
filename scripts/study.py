"""`neurosono study`: an exam as objects of its DICOM study."""

from pathlib import Path
from typing import Annotated

import typer


def study(
    exam: Annotated[str, typer.Argument(help="An exam's id, its beginning, or `last`.")],
    out: Annotated[Path | None, typer.Option(help="A new folder for the DICOM files.")] = None,
    send: Annotated[
        str | None, typer.Option(help="A DICOM node to store them on: AE@HOST:PORT.")
    ] = None,
    stow: Annotated[
        str | None, typer.Option(help="A DICOMweb server to store them on: its root's address.")
    ] = None,
    identity_of: Annotated[
        Path | None,
        typer.Option(help="A DICOM file of the study that the results belong to."),
    ] = None,
    codes: Annotated[
        str, typer.Option(help="Codes of the classes: snomed, or umls where SNOMED CT may not be.")
    ] = "snomed",
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Also the report as a PDF, to read and to print.")
    ] = False,
    ae_title: Annotated[str, typer.Option(help="How we call ourselves.")] = "NEUROSONO",
    journal: Annotated[
        Path | None,
        typer.Option(help="The journal. [default: $XDG_DATA_HOME/neurosono/journal.sqlite]"),
    ] = None,
    bundle: Annotated[
        str | None, typer.Option(help="The bundle that judged it: a folder, or `demo`.")
    ] = None,
) -> None:
    """Make structured reports and key frames of an exam; write them, or store them where asked."""
    from neurosono.engine.bundle import Bundle
    from neurosono.engine.contracts.errors import InputError
    from neurosono.scripts.console import console
    from neurosono.stream.journal.journal import Journal
    from neurosono.stream.journal.schema import default_path
    from neurosono.stream.report.gather import describe_report
    from neurosono.stream.study.codes import Scheme
    from neurosono.stream.study.identity import Identity, read_identity
    from neurosono.stream.study.send import parse_node, send_dicom, send_web, write_files
    from neurosono.stream.study.study import make_study

    if out is None and send is None and stow is None:
        raise InputError("say where the study goes: --out DIR, --send AE@HOST:PORT or --stow URL")
    if codes not in list(Scheme):
        raise InputError(f"--codes is one of {', '.join(Scheme)}, found {codes!r}")
    node = None if send is None else parse_node(send, ae_title)
    identity = Identity() if identity_of is None else read_identity(identity_of)
    where = journal or default_path()
    if not where.exists():
        raise InputError(f"no journal at {where}: nothing has been recorded there yet")
    loaded = None if bundle is None else Bundle.load(bundle)
    with Journal.open(where) as opened, opened.read() as reader:
        found = describe_report(reader, exam, loaded)
    objects = make_study(found, identity, Scheme(codes), page=pdf)
    told = f"{len(objects)} objects of exam {found.exam.exam_id}"
    if out is not None:
        write_files(objects, out)
        console.print(f"{told}: {out.resolve()}", soft_wrap=True)
    if node is not None:
        send_dicom(objects, node)
        console.print(f"{told}: stored on {node.title}")
    if stow is not None:
        send_web(objects, stow)
        console.print(f"{told}: stored by DICOMweb")
