"""Which exams an archive holds: listed lazily, file by file, and never all at once in memory."""

import csv
import hashlib
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from neurosono.archive.options import ArchiveOptions
from neurosono.engine.contracts.errors import InputError, SourceError
from neurosono.stream.dataset.table import load_parquet
from neurosono.stream.sources.files.folder import find_media, is_junk, list_entries
from neurosono.stream.sources.files.kinds import FileKind, find_kind, is_there
from neurosono.stream.sources.phantom_source import PREFIX

TABLE_SUFFIXES = (".csv", ".parquet", ".pq")
PATH, EXAM, PATIENT = "path", "exam", "patient"
"""Columns of a table: of `path` there must be one; the others join lines to one exam."""

BATCH = 1024
"""Lines of a Parquet table in memory at once."""


@dataclass(frozen=True)
class Found:
    """One file, folder or phantom, and the exam that it is of.

    `key` tells exams apart, `source` is what opens it. Both may hold a patient's name.
    """

    key: str
    source: str


def list_exams(options: ArchiveOptions) -> Iterator[Found]:
    """Yield all that was found, in an order that hangs on names only.

    Raises `InputError` where a source is none.
    """
    for source in options.sources:
        if source.startswith(PREFIX):
            yield Found(source, source)
            continue
        path = Path(source)
        if not source or not is_there(path):
            raise SourceError(
                f"there is no {source!r}; expected a folder of exams, a table of files or one exam"
            )
        where = path.absolute()
        if path.is_dir():
            yield from _list_studies(where) if options.studies else _walk(where, options.depth)
        elif path.suffix.lower() in TABLE_SUFFIXES:
            yield from _list_table(where)
        else:
            yield Found(str(where), str(where))


def _walk(folder: Path, depth: int) -> Iterator[Found]:
    """Yield what lies `depth` folders down; files above it are exams of one file."""
    for name, is_folder in list_entries(folder):
        if name.startswith(".") or is_junk(name):
            continue
        path = folder / name
        if is_folder and depth > 1:
            yield from _walk(path, depth - 1)
        elif is_folder or _may_be_pictures(path):
            yield Found(str(path), str(path))


def _may_be_pictures(path: Path) -> bool:
    """Whether a file is an exam's; one that cannot be read is, so that it is listed as failed."""
    try:
        return find_kind(path) is not None
    except SourceError:
        return True


def _list_studies(folder: Path) -> Iterator[Found]:
    """Yield every DICOM file under a folder, by its study; what is no DICOM is an exam by itself,
    and so is what cannot be read, so that it is listed as failed.

    Only the study's number is read, and only its hash is kept.
    """
    for path, found in find_media(folder):
        if found is None:
            yield Found(_find_study(path) or str(path), str(path))
        elif isinstance(found, SourceError):
            yield Found(str(path), str(path))


def _find_study(path: Path) -> str | None:
    """Return what tells a DICOM file's study from others, None where it names none."""
    from pydicom import dcmread

    with suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings quote values
        if find_kind(path) is FileKind.DICOM:
            tag = "StudyInstanceUID"
            header = dcmread(path, stop_before_pixels=True, force=True, specific_tags=[tag])
            if study := str(header.get(tag) or "").strip():
                return f"study {hashlib.sha256(study.encode()).hexdigest()}"
    return None


def _list_table(table: Path) -> Iterator[Found]:
    """Yield a table's files; lines of one patient and one exam are one, else a line is one."""
    lines = _read_csv(table) if table.suffix.lower() == ".csv" else _read_parquet(table)
    for where, line in lines:
        if not line.get(PATH):
            raise InputError(f"{where} names no file in the column {PATH}")
        source = str(table.parent / line[PATH])
        named = [f"{column} {line[column]}" for column in (PATIENT, EXAM) if line.get(column)]
        yield Found(f"{table}: {', '.join(named)}" if named else source, source)


def _read_csv(table: Path) -> Iterator[tuple[str, dict[str, str]]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restkey="", restval="", skipinitialspace=True)
            _check_header(table, list(reader.fieldnames or ()))
            for line in reader:
                known = (PATH, EXAM, PATIENT)
                cells = {name: (line.get(name) or "").strip() for name in known}
                yield f"{table} line {reader.line_num}", cells
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table} cannot be read as CSV in UTF-8: {error}") from error


def _read_parquet(table: Path) -> Iterator[tuple[str, dict[str, str]]]:
    pyarrow, parquet = load_parquet(table)
    try:
        with parquet.ParquetFile(table) as file:
            header = list(file.schema_arrow.names)
            _check_header(table, header)
            known = [name for name in (PATH, EXAM, PATIENT) if name in header]
            number = 0
            for batch in file.iter_batches(BATCH, columns=known):
                for line in batch.to_pylist():
                    number += 1
                    told = {name: "" if cell is None else str(cell) for name, cell in line.items()}
                    yield f"{table} row {number}", told
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{table} cannot be read as Parquet: {error}") from error


def _check_header(table: Path, header: list[str]) -> None:
    if PATH not in header:
        raise InputError(
            f"{table} has no column {PATH}: a table of an archive needs one, and may have {EXAM} "
            f"and {PATIENT}, by which lines are joined"
        )
