"""Which exams an archive holds, whatever form it has."""

from contextlib import closing
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from neurosono.archive.book import Book
from neurosono.archive.listing import list_exams
from neurosono.archive.options import ArchiveOptions
from neurosono.engine.contracts.errors import InputError, SourceError

CLIP = b"\0\0\0\x18ftypmp42"


def list_names(tmp_path: Path, *sources: Path | str, **options: object) -> list[list[str]]:
    """Return, of each exam, the names of what opens it."""
    asked = ArchiveOptions(tuple(map(str, sources)), tmp_path / "out", **options)  # type: ignore[arg-type]
    with closing(Book(asked.out)) as book:
        for _ in range(2):  # listed again, nothing is added
            book.take(list_exams(asked))
        found = list(book.list_waiting(0, again=False))
    assert [each.number for each in found] == list(range(1, len(found) + 1))
    return [[Path(source).name for source in each.sources] for each in found]


def write(path: Path, data: bytes = CLIP) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_the_entries_of_a_folder_are_exams(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    for name in ("10/x.mp4", "2/x.mp4", "3.mp4", "notes.txt", "Thumbs.db", ".cache/x.mp4"):
        write(root / name, CLIP if name.endswith("mp4") else b"text")
    assert list_names(tmp_path, root) == [["2"], ["3.mp4"], ["10"]]


def test_exams_lie_deeper_where_told(tmp_path: Path) -> None:
    for name in ("site/a/x.mp4", "site/b/x.mp4", "site/c.mp4", "other/d/y.mp4"):
        write(tmp_path / "archive" / name)
    found = list_names(tmp_path, tmp_path / "archive", depth=2)
    assert found == [["d"], ["a"], ["b"], ["c.mp4"]]


def test_a_tables_lines_are_joined_by_patient_and_exam(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(
        "path,patient,exam\n1.mp4,p,\n2.mp4,q,first\n3.mp4,p,\n4.mp4,,\n5.mp4,q,next\n"
    )
    assert list_names(tmp_path, table) == [["1.mp4", "3.mp4"], ["2.mp4"], ["4.mp4"], ["5.mp4"]]


def test_a_parquet_table_is_read_in_batches(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    paths = [f"{number}.mp4" for number in range(3000)]
    parquet.write_table(pyarrow.table({"path": paths}), tmp_path / "table.parquet")
    assert list_names(tmp_path, tmp_path / "table.parquet") == [[path] for path in paths]


def test_dicom_files_are_joined_by_study_and_the_number_is_not_kept(tmp_path: Path) -> None:
    for name, study in (("x/1.dcm", "1.2.3"), ("x/2.dcm", "1.2.4"), ("y/3.dcm", "1.2.3")):
        dataset = pydicom.Dataset()
        dataset.StudyInstanceUID, dataset.PatientName = study, "Mustermann^Erika"
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = write(tmp_path / "archive" / name)
        dataset.save_as(path, enforce_file_format=False)
    write(tmp_path / "archive" / "z.mp4")
    write(tmp_path / "archive" / "x" / "cut.dcm", b"")
    found = list_names(tmp_path, tmp_path / "archive", studies=True)
    told = [["1.dcm", "3.dcm"], ["2.dcm"], ["cut.dcm"], ["z.mp4"]]
    assert found == told, "what cannot be read is listed too, so that it is told as failed"
    kept = (tmp_path / "out" / "archive.sqlite").read_bytes()
    assert b"1.2.3" not in kept
    assert b"Mustermann" not in kept


def test_one_exam_may_be_given_by_itself_and_twice(tmp_path: Path) -> None:
    clip = write(tmp_path / "clip.mp4")
    phantom = "phantom:normal?seed=1"
    assert list_names(tmp_path, clip, phantom, clip) == [["clip.mp4"], [phantom]]


def test_what_is_no_archive_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no"):
        list_names(tmp_path, tmp_path / "absent")
    table = tmp_path / "table.csv"
    table.write_text("file\n1.mp4\n")
    with pytest.raises(InputError, match="has no column path"):
        list_names(tmp_path, table)
    write(tmp_path / "archive" / "1.mp4")
    with pytest.raises(InputError, match="lies in the archive"):
        ArchiveOptions((str(tmp_path / "archive"),), tmp_path / "archive" / "out")
