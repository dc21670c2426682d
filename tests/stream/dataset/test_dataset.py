"""What a dataset is: folders or a table, and one sentence for each that is none."""

import builtins
import csv
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from neurosono.engine.contracts.errors import InputError
from neurosono.stream.dataset.listing import find_dataset

HEAD = "path,patient,exam,label,site,weeks,plane"
LINES = (
    "1.png,p1,e1,anencephaly,Rome,21.5,thalami",
    "2.png,p2,e1,normal,Oslo,20,thalami",
    "3.png,p2,e2,normal,Oslo,24,",
    "4.png,p2,e1,normal,Oslo,20,cerebellum",
    "5.png,p3,,normal,,,",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with six stills."""
    for number in range(1, 7):
        _still(tmp_path / f"{number}.png")
    return tmp_path


def _table(folder: Path, *lines: str, head: str = HEAD) -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join((head, *lines)) + "\n")
    return path


def test_a_patient_under_two_labels_names_both_files(tmp_path: Path) -> None:
    for label in ("a", "b"):
        _still(tmp_path / label / "same" / "x.png")
        _still(tmp_path / label / f"own-{label}" / "x.png")
    with pytest.raises(InputError, match=r"a \(a/same/x.png\) and b \(b/same/x.png\)"):
        find_dataset(tmp_path)


def test_an_empty_class_and_no_dataset_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no dataset at"):
        find_dataset(tmp_path / "nowhere")
    _still(tmp_path / "a" / "p" / "x.png")
    with pytest.raises(InputError, match="two or more label folders"):
        find_dataset(tmp_path)
    (tmp_path / "b").mkdir()
    with pytest.raises(InputError, match=r"class b .* holds no patient folder"):
        find_dataset(tmp_path)


def test_the_cohort_table_gives_weeks_and_sites(tmp_path: Path) -> None:
    for label in ("a", "b"):
        _still(tmp_path / label / label / "x.png")
    cohort = tmp_path / "cohort.csv"
    before = find_dataset(tmp_path)
    assert before.exams[0].media[0].weeks is None
    cohort.write_text("patient,gestational_weeks,site\na,21.5,Rome\nb,,\n")
    found = find_dataset(tmp_path)
    assert [(exam.media[0].weeks, exam.media[0].site) for exam in found.exams] == [
        (21.5, "Rome"),
        (None, ""),
    ]
    assert found.digest != before.digest, "a cache made without them is stale"
    cohort.write_text("patient,gestational_weeks\na,21\na,22\n")
    with pytest.raises(InputError, match="line 3 says something else of a patient"):
        find_dataset(tmp_path)
    cohort.write_text("name,weeks\na,21\n")
    with pytest.raises(InputError, match="columns patient and gestational_weeks"):
        find_dataset(tmp_path)


def test_a_table_is_exams_in_its_own_order(folder: Path) -> None:
    found = find_dataset(_table(folder, *LINES))
    assert found.labels == ("anencephaly", "normal")
    assert [(exam.patient, exam.exam, len(exam.media)) for exam in found.exams] == [
        ("p1", "e1", 1),
        ("p2", "e1", 2),
        ("p2", "e2", 1),
        ("p3", "p3", 1),
    ]
    media = found.exams[1].media
    assert [(each.name, each.plane) for each in media] == [
        ("2.png", "thalami"),
        ("4.png", "cerebellum"),
    ]
    assert (media[0].weeks, media[0].site) == (20.0, "Oslo")
    assert found.exams[3].media[0].weeks is None


def test_parquet_is_read_as_csv_is(folder: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = _table(folder, *LINES)
    with table.open(newline="") as file:
        lines: list[dict[str, Any]] = list(csv.DictReader(file))
    for line in lines:
        line["weeks"] = float(line["weeks"]) if line["weeks"] else None
    parquet.write_table(pyarrow.Table.from_pylist(lines), folder / "table.parquet")
    assert find_dataset(folder / "table.parquet") == find_dataset(table)
    (folder / "text.parquet").write_text("no table")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        find_dataset(folder / "text.parquet")


def test_without_pyarrow_it_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ModuleNotFoundError(name=name)
        return real(name, *rest)

    (folder / "t.parquet").touch()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"pip install 'neurosono\[parquet\]'"):
        find_dataset(folder / "t.parquet")


def test_bytes_that_excel_adds_and_paths_elsewhere_are_understood(folder: Path) -> None:
    (folder / "sub").mkdir()
    lines = (f"{folder / '1.png'},p1,a", "../2.png,p2,b")
    table = folder / "sub" / "t.csv"
    table.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(("path,patient,label", *lines)).encode())
    assert [len(exam.media) for exam in find_dataset(table).exams] == [1, 1]


@pytest.mark.parametrize(
    ("lines", "head", "said"),
    [
        (LINES, HEAD.replace("plane", "plain"), r"unknown column 'plain', did you mean 'plane'\?"),
        (LINES, HEAD.replace("patient", "name"), r"unknown column 'name'.*allowed are path,"),
        (LINES, HEAD.replace(",", ";"), "separated by commas"),
        (LINES, HEAD.replace("plane", "weeks"), "has the column weeks twice"),
        (("1.png,a",), "path,label", "has no column patient"),
        ((), HEAD, "holds no line"),
        ((LINES[0], "2.png,,e,normal,,,"), HEAD, "line 3 has an empty cell in the column patient"),
        ((LINES[0], "2.png,p2,e,normal,,,,"), HEAD, "line 3 has 8 cells where the header has 7"),
        ((LINES[0], "./1.png,p2,e,normal,,,"), HEAD, "line 3 names the file of .* line 2 again"),
        (
            (LINES[0], "2.png,p2,e,normal,,x,"),
            HEAD,
            "line 3 weeks must be a number of weeks from 4",
        ),
        ((LINES[0], "2.png,p2,e,normal,,99,"), HEAD, "from 4 to 45.*found '99'"),
        ((LINES[0], "2.png,p1,e,normal,,,"), HEAD, r"two labels, anencephaly \(.* line 2\)"),
        (
            (*LINES, "6.png,p2,e1,normal,Oslo,21,"),
            HEAD,
            "one exam, but differ in gestational weeks",
        ),
        ((*LINES, "6.png,p2,e1,normal,Rome,20,"), HEAD, "one exam, but differ in site"),
        (
            (LINES[0], "2.png,p2,e,anencephalie,,,"),
            HEAD,
            r"line 3, column label: .* did you mean 'anencephaly'\? Allowed are anencephaly,",
        ),
        ((LINES[0], "2.png,p2,e,foo,,,"), HEAD, "the label 'foo' is unknown; allowed are anence"),
        ((LINES[0],), HEAD, "two or more labels"),
    ],
)
def test_a_bad_table_names_line_and_column(
    folder: Path, lines: tuple[str, ...], head: str, said: str
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        find_dataset(_table(folder, *lines, head=head))
    assert "\n" not in str(caught.value)


def test_other_labels_are_fine_among_themselves_or_by_name(folder: Path) -> None:
    lines = ("1.png,p1,cyst", "2.png,p2,normal", "3.png,p3,anencephaly")
    head = "path,patient,label"
    assert find_dataset(_table(folder, *lines[:2], head=head)).labels == ("normal", "cyst")
    table = _table(folder, *lines, head=head)
    named = ("cyst", "normal", "anencephaly")
    assert find_dataset(table, named).labels == named
    with pytest.raises(InputError, match="'anencephaly' is unknown"):
        find_dataset(table, named[:2])
    with pytest.raises(InputError, match="has the label other"):
        find_dataset(table, (*named, "other"))


def test_an_empty_file_of_a_table_is_a_bad_file(folder: Path) -> None:
    (folder / "2.png").write_bytes(b"")
    found = find_dataset(_table(folder, *LINES))
    assert [(each.name, each.reason) for each in found.bad] == [("2.png", "it is empty (0 bytes)")]
    assert found.files == 5


def test_files_of_a_table_that_are_not_there_are_bad_files(folder: Path) -> None:
    (folder / "deep").mkdir()
    lines = ("7.png,p7,,normal,,,", "deep,p8,,normal,,,", "8.png,p9,,normal,,,")
    found = find_dataset(_table(folder, *LINES, *lines))
    assert [(each.name, each.reason) for each in found.bad] == [
        ("7.png", "there is no such file"),
        ("deep", "it is a folder, and the column path holds files"),
        ("8.png", "there is no such file"),
    ]
    assert found.files == 8


def test_pictures_that_are_of_no_patient_are_bad_files(tmp_path: Path) -> None:
    for label in ("a", "b"):
        _still(tmp_path / label / f"p-{label}" / "x.png")
    strays = ("loose.png", "a/loose.png", "a/.kept/x.png", "b/p-b/.y.png", ".c/p/x.png")
    for name in strays:
        _still(tmp_path / name)
    (tmp_path / "b" / "p-b" / "notes.txt").write_text("words")
    (tmp_path / "b" / "notes.txt").write_text("words")
    (tmp_path / "b" / "p-b" / "Thumbs.db").write_text("junk")
    found = find_dataset(tmp_path)
    assert sorted(each.name for each in found.bad) == sorted(strays)
    assert {each.name for each in found.others} == {"b/notes.txt", "b/p-b/notes.txt"}
    assert sum(len(each.media) for each in found.exams) == 2


@pytest.mark.parametrize("place", ["patient", "file", "table"])
def test_names_that_are_no_text_are_found_before_the_work(tmp_path: Path, place: str) -> None:
    odd = os.fsdecode(b"M\xfcller")
    for label in ("a", "b"):
        _still(tmp_path / label / f"p-{label}" / "x.png")
    patient = odd if place == "patient" else "p-c"
    name = "x.png" if place == "patient" else f"{odd}.png"
    _still(tmp_path / "t.png")
    (tmp_path / "b" / patient).mkdir()
    (tmp_path / "t.png").rename(tmp_path / "b" / patient / name)
    source = tmp_path
    if place == "table":
        source = tmp_path / "t.csv"
        rows = ("path,patient,label", "a/p-a/x.png,p,a", "b/p-b/x.png,q,b", f"b/p-c/{name},r,b")
        source.write_bytes(os.fsencode("\n".join(rows)))
        with pytest.raises(InputError, match="cannot be read as CSV in UTF-8"):
            find_dataset(source)
        return
    found = find_dataset(source)
    assert len(found.exams) == 2
    (bad,) = found.bad
    assert bad.reason.startswith("its name is not in UTF-8")
    bad.told.encode()


def _still(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8))
