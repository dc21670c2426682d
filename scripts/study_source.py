"""A recorded source on its way into a study: judged here, as `replay` does, and told of."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from neurosono.bundles import open_classifier
from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.scripts.console import console
from neurosono.stream.hospital.dicomweb import fetch_sources
from neurosono.stream.hospital.tls import Tls
from neurosono.stream.report.gather import describe_report
from neurosono.stream.sources import ExamSource, open_source
from neurosono.stream.sources.identity import count_identities
from neurosono.stream.sources.left_out import tell_left_out
from neurosono.stream.study.identity import Identity, read_identity
from neurosono.stream.study.pictures import Replayed
from neurosono.stream.study.study import Found
from neurosono.studies import Asked, Examined, Examiner

SOURCE = "source"
"""In place of a file of the study: the source itself."""


@dataclass(frozen=True)
class Wanted:
    """What is judged, with which bundle, and where the record of it goes: nowhere, if None."""

    sources: tuple[str, ...]
    bundle: str
    asked: Asked
    mixed: bool
    journal: Path | None
    identity_of: str | None
    out: Path | None


def judge_source(wanted: Wanted, token: str | None, tls: Tls | None) -> Found:
    """Judge a source and return what its study is made of.

    Raises `InputError` and `OutputError` before anything is judged.
    """
    _check_out(wanted)
    opened = open_classifier(wanted.bundle, None, wanted.asked.trusted_keys)
    with fetch_sources(wanted.sources, token, tls) as local, _place(wanted.journal) as journal:
        source = open_source(local, mixed=wanted.mixed)
        for line in tell_left_out(source.left_out):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        identity = _find_identity(wanted.identity_of, source)
        examiner = Examiner(opened, wanted.asked, journal)
        with examiner.open_journal() as record, _counting() as beat:
            examined = examiner.examine(source, record, beat)
            with record.read() as reader:
                report = describe_report(reader, examined.exam_id, opened.bundle)
        replayed = examined.refer(identity)
    console.print(_tell(examined, replayed, identity), soft_wrap=True)
    return Found(report, identity, replayed, examined.failure)


def _check_out(wanted: Wanted) -> None:
    """Refuse a folder into which nothing could be written later."""
    if wanted.out is None:
        return
    if wanted.out.exists() and (not wanted.out.is_dir() or any(wanted.out.iterdir())):
        raise OutputError(f"{wanted.out} is not empty: choose another --out")
    for each in wanted.sources:
        if wanted.out.resolve().is_relative_to(Path(each).resolve()):
            raise InputError(f"--out {wanted.out} lies among the sources: choose a folder outside")


@contextmanager
def _place(journal: Path | None) -> Iterator[Path]:
    """Yield where the record is kept: for good, or as long as it is needed."""
    if journal is not None:
        yield journal
        return
    with tempfile.TemporaryDirectory(prefix="neurosono-") as folder:  # of mode 700
        yield Path(folder) / "journal.sqlite"


def _find_identity(identity_of: str | None, source: ExamSource) -> Identity:
    if identity_of is None:
        return Identity()
    if identity_of != SOURCE:
        return read_identity(Path(identity_of))
    if not source.dicom_files:
        raise InputError("the source holds no DICOM: name a DICOM file of the study it belongs to")
    if max(count_identities(source.identities)) > 1:
        raise InputError("the source is of several patients or studies: name a file of the one")
    return read_identity(next(iter(source.dicom_files.values())))


@contextmanager
def _counting() -> Iterator[Callable[[], None]]:
    count = 0

    def beat() -> None:
        nonlocal count
        count += 1
        status.update(f"judging: {count} frames")

    with console.status("judging") as status:
        yield beat


def _tell(examined: Examined, replayed: Replayed, identity: Identity) -> str:
    """Return in a sentence what the objects refer to, and why not to more."""
    cines, whole = len(replayed.cines), len(examined.files)
    if not identity.dataset:
        return "of nobody, and without a reference to its cines: --identity-of source names them"
    if not whole:
        return "refers to no cine: the source holds no DICOM"
    if cines < whole:
        return f"refers to {cines} of {whole} DICOM files: the others are of another study"
    frames = f"{len(replayed.seen)} of {len(examined.seen)} kept frames by their numbers"
    return f"refers to {cines} DICOM file{'s' if cines != 1 else ''}, and to {frames}"
