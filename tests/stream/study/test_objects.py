"""The objects of an exam: what they say, what they refer to, and what they must not say."""

import io
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from msgspec import structs
from pydicom.dataset import Dataset

from neurosono.engine.contracts.errors import InputError, OutputError
from neurosono.engine.contracts.frame import SkipReason
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.contracts.result import ExamState
from neurosono.stream.journal.journal import ExamJournal
from neurosono.stream.report.events import Stretch
from neurosono.stream.report.gather import Report
from neurosono.stream.study.card import tell_exam
from neurosono.stream.study.codes import PRIVATE, Scheme, code_class, code_own
from neurosono.stream.study.identity import COPIED, Identity, read_identity
from neurosono.stream.study.pictures import Replayed
from neurosono.stream.study.send import encode, write_files
from neurosono.stream.study.study import make_study
from tests.support.cines import make_cine, write_cine


def walk(item: Dataset) -> Iterator[Dataset]:
    """Yield a content item and all below it."""
    yield item
    for child in item.get("ContentSequence", []):
        yield from walk(child)


def meaning(item: Dataset, where: str = "ConceptNameCodeSequence") -> str:
    return str(item[where][0].CodeMeaning) if where in item else ""


def numbers(document: Dataset, name: str) -> list[float]:
    return [
        float(item.MeasuredValueSequence[0].NumericValue)
        for item in walk(document)
        if meaning(item) == name
    ]


def words(document: Dataset, name: str) -> list[str]:
    return [
        meaning(item, "ConceptCodeSequence") for item in walk(document) if meaning(item) == name
    ]


def test_an_exam_gives_pictures_and_two_documents_of_one_study(objects: list[Dataset]) -> None:
    assert [each.Modality for each in objects] == ["OT", "SR", "SR"]
    assert len({each.StudyInstanceUID for each in objects}) == 1
    assert len({each.SeriesInstanceUID for each in objects}) == 3
    pictures = objects[0]
    for document in objects[1:]:
        (evidence,) = document.CurrentRequestedProcedureEvidenceSequence
        referred = evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
        assert referred.ReferencedSOPInstanceUID == pictures.SOPInstanceUID
        assert document.VerificationFlag == "UNVERIFIED"
        assert all(
            NOTICE in item.TextValue for item in walk(document) if meaning(item) == "Comment"
        )


def test_pictures_hold_the_card_and_each_kept_frame_with_its_heatmap(
    objects: list[Dataset], report: Report
) -> None:
    frames = objects[0].pixel_array
    labels = list(objects[0].FrameLabelVector)
    assert len(frames) == len(labels) == objects[0].NumberOfFrames == 6
    assert [label.split()[-1] for label in labels] == [
        "exam",
        "accepted",
        "heatmap",
        "reassigned",
        "heatmap",
        "proposed",
    ]
    height, width = frames.shape[1:3]
    pixels = report.pictures[0].key.pixels
    y, x = (height - pixels.shape[0]) // 2, (width - pixels.shape[1]) // 2
    inside = frames[1][y : y + pixels.shape[0], x : x + pixels.shape[1]]
    np.testing.assert_array_equal(inside, np.repeat(pixels[..., None], 3, axis=2))
    assert np.ptp(frames[2].astype(int), axis=2).max() > 50  # the heatmap is in colour


def test_pixels_that_stand_in_a_file_make_the_same_objects(
    objects: list[Dataset], report: Report, tmp_path: Path
) -> None:
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        made = make_study(report, Identity(), file=file)
        assert made[0]["PixelData"].is_buffered
        paths = write_files(made, tmp_path / "study")
    assert paths[0].read_bytes() == encode(objects[0])
    assert [each.SOPInstanceUID for each in made] == [each.SOPInstanceUID for each in objects]


def test_the_exams_document_says_what_the_record_says(
    objects: list[Dataset], report: Report
) -> None:
    document, last = objects[1], report.exam.last
    assert last is not None
    found = numbers(document, "Probability")
    np.testing.assert_allclose(found, last.probabilities, atol=1e-9)
    np.testing.assert_allclose(
        np.array(found) + numbers(document, "+, range of upper measurement uncertainty"), last.high
    )
    np.testing.assert_allclose(
        np.array(found) - numbers(document, "-, range of lower measurement uncertainty"), last.low
    )
    assert words(document, "Exam state") == [str(last.state)]
    assert words(document, "In the prediction set") == list(last.prediction_set)
    assert numbers(document, "Frames used") == [report.exam.used]
    assert numbers(document, "Frames sampled") == [report.exam.sampled]
    left_out = {
        meaning(item).removeprefix("Frames left out: ")
        for item in walk(document)
        if meaning(item).startswith("Frames left out: ")
    }
    assert left_out == set(report.exam.skipped)
    text = encode(document).decode("utf-8", "replace")
    assert report.exam.about["bundle_sha256"] in text


def test_times_without_ai_are_told_where_they_lasted(report: Report) -> None:
    off = tuple(Stretch("ai-off", *each) for each in ((0.0, 0.0), (1.0, 2.5), (7.0, 9.0)))
    told = replace(report, history=replace(report.history, stretches=off))
    said = [str(item.get("TextValue")) for item in walk(make_study(told, Identity())[1])]
    (words,) = [each for each in said if "AI off" in each]
    assert "AI off from 1.0 to 2.5 s, 7.0 to 9.0 s of the exam." in words


@pytest.mark.parametrize("state", [ExamState.COLLECTING, ExamState.UNFAMILIAR])
def test_no_figure_leaves_an_exam_that_shows_none(report: Report, state: ExamState) -> None:
    assert report.exam.last is not None
    last = structs.replace(report.exam.last, state=state)
    silent = replace(report, exam=replace(report.exam, last=last))
    document = make_study(silent, Identity())[1]
    assert numbers(document, "Probability") == []
    assert words(document, "In the prediction set") == words(document, "Operating point") == []
    assert words(document, "Exam state") == [str(state)]
    assert not any("%" in line for line, _, _ in tell_exam(silent))


def test_an_exam_without_any_result_says_so(report: Report, tmp_path: Path) -> None:
    nothing = replace(
        report, exam=replace(report.exam, last=None, sampled=0, skipped={}), pictures=()
    )
    objects = make_study(nothing, Identity())
    assert [each.Modality for each in objects] == ["OT", "SR"]
    assert objects[0].NumberOfFrames == 1
    assert words(objects[1], "Exam state") == ["none"]
    if shutil.which("dciodvfy") is not None:
        for path in write_files(objects, tmp_path / "study"):
            assert list_errors(["dciodvfy", "-new"], path) == []


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ([["A", "F"], ["A", "F"]], ["A", "F"]),
        ([["A", "F"], ["P", "F"]], []),
        ([["A", "F"], []], []),
        ([[], []], []),
    ],
)
def test_pictures_lie_as_their_cines_do(
    report: Report, said: list[list[str]], kept: list[str]
) -> None:
    cines = []
    for number, orientation in enumerate(said):
        cine = Dataset()
        cine.SOPClassUID, cine.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.3.1", f"1.2.{number}"
        cine.StudyInstanceUID, cine.SeriesInstanceUID = "1.3", "1.4"
        if orientation:
            cine.PatientOrientation = orientation
        cines.append(cine)
    pictures = make_study(report, Identity(), replayed=Replayed(tuple(cines)))[0]
    written = pydicom.dcmread(io.BytesIO(encode(pictures)))
    assert [str(each) for each in written.PatientOrientation or []] == kept


def test_regions_stand_where_the_network_looked_and_carry_the_review(
    objects: list[Dataset], report: Report
) -> None:
    document = objects[2]
    coordinates = [item for item in walk(document) if item.get("GraphicType") == "POLYLINE"]
    assert len(coordinates) == 2
    assert words(document, "Review") == ["accepted", "reassigned"]
    assert words(document, "Reviewed by") == ["operator", "operator"]
    assert words(document, "Reassigned to") == ["Normal"]
    frames = [
        item.ContentSequence[0].ReferencedSOPSequence[0].ReferencedFrameNumber
        for item in coordinates
    ]
    assert frames == [2, 4]
    x, y = np.array(coordinates[0].GraphicData).reshape(-1, 2).T
    columns, rows = objects[0].Columns, objects[0].Rows
    height, width = report.pictures[0].key.pixels.shape
    left, top = (columns - width) // 2, (rows - height) // 2
    # the fixture's map rises from row to row and along each: its hottest place is at the bottom
    assert left <= x.min() < x.max() <= left + width
    assert top + 0.4 * height < y.min() < y.max() <= top + height


def test_a_study_made_again_is_the_same_and_a_review_makes_another(
    tell: Callable[[], Report], exam: ExamJournal
) -> None:
    running = make_study(tell(), Identity())
    exam.end({"complete": True})
    first, again = (make_study(tell(), Identity()) for _ in range(2))
    assert running[0].SOPInstanceUID != first[0].SOPInstanceUID
    assert [_without_hour(each) for each in first] == [_without_hour(each) for each in again]
    exam.review(tell().pictures[2].key.key_frame_id, "reject")
    later = make_study(tell(), Identity())
    assert {each.StudyInstanceUID for each in (*first, *later)} == {first[0].StudyInstanceUID}
    assert not {each.SOPInstanceUID for each in first} & {each.SOPInstanceUID for each in later}
    assert later[0].FrameLabelVector[-1].endswith("rejected")


def _without_hour(dataset: Dataset) -> str:
    """Leave out when it was made."""
    copy = pydicom.dcmread(io.BytesIO(encode(dataset)))
    for keyword in (
        "InstanceCreationDate",
        "InstanceCreationTime",
        "ContributingEquipmentSequence",
    ):
        copy.pop(keyword, None)
    return str(copy.to_json())


def test_nobody_is_named_unless_a_file_of_the_study_is(
    objects: list[Dataset], report: Report, tmp_path: Path
) -> None:
    for each in objects:
        assert not each.PatientName
        assert not each.PatientID
        assert not each.get("AccessionNumber")
    source = Dataset()
    source.SpecificCharacterSet = "ISO_IR 100"
    source.PatientName, source.PatientID = "Größe^Änne", "P-1"
    source.PatientBirthDate, source.PatientSex = "19900102", "F"
    source.StudyInstanceUID, source.AccessionNumber = "1.2.3.4", "A-77"
    source.StudyDate, source.StudyTime, source.StudyID = "20261127", "101112", "9"
    source.SOPClassUID, source.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3.5"
    source.PatientAddress = "nowhere"
    source.file_meta = pydicom.dataset.FileMetaDataset()
    source.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    source.save_as(tmp_path / "source.dcm", enforce_file_format=True)
    identity = read_identity(tmp_path / "source.dcm")
    for each in make_study(report, identity):
        written = pydicom.dcmread(io.BytesIO(encode(each)))
        assert str(written.PatientName) == "Größe^Änne"
        assert (written.PatientID, written.AccessionNumber) == ("P-1", "A-77")
        assert (written.StudyInstanceUID, written.StudyDate) == ("1.2.3.4", "20261127")
        assert "PatientAddress" not in written
    assert "PatientAddress" not in COPIED


@pytest.mark.parametrize(
    ("charset", "written", "name"),
    [
        (None, "Größe^Änne".encode(), "Größe^Änne"),
        (None, "Größe^Änne".encode("latin-1"), "Größe^Änne"),
        ("GB18030", "Wang^X=王^小东".encode("gb18030"), "Wang^X=王^小东"),
        (["", "ISO 2022 IR 58"], b"Wang^X=\x1b$)A\xcd\xf5^\x1b$)A\xd0\xa1", "Wang^X=王^小"),
        (
            ["", "ISO 2022 IR 87"],
            b"Yamada^T=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B",
            "Yamada^T=山田^太郎",
        ),
    ],
)
def test_a_name_is_taken_over_in_whatever_set_it_is_written(
    tmp_path: Path, charset: str | list[str] | None, written: bytes, name: str
) -> None:
    written += b" " * (len(written) % 2)
    cine = make_cine(np.zeros((1, 4, 4), np.uint8), name="x" * len(written))
    cine.SpecificCharacterSet = charset
    path = write_cine(tmp_path / "cine.dcm", cine)
    path.write_bytes(path.read_bytes().replace(b"x" * len(written), written))
    result = Dataset()
    result.file_meta = cine.file_meta
    result.SpecificCharacterSet = "ISO_IR 192"
    read_identity(path).write(result, "20260101-000000-000000")
    result.SOPClassUID, result.SOPInstanceUID = cine.SOPClassUID, cine.SOPInstanceUID
    assert str(pydicom.dcmread(io.BytesIO(encode(result))).PatientName) == name


def test_ill_formed_words_stop_nothing_and_none_is_quoted(report: Report, tmp_path: Path) -> None:
    cine = make_cine(np.zeros((1, 4, 4), np.uint8), name="Single" + "x" * 50)
    cine.PatientSex = "W"
    path = write_cine(tmp_path / "cine.dcm", cine)
    data = path.read_bytes()
    assert data.count(b"19900102") == 1
    for written, ill in (
        (b"19900102", b"02.01.90"),
        (b"P-4711", b"\x01\x02\xff\xfe11"),
        (b"101112", b"251112"),
        (b"x" * 50, b"x" * 40 + b"\\Second^Na"),
    ):
        data = data.replace(written, ill)
    path.write_bytes(data)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        objects = make_study(report, read_identity(path))
    assert [str(each.message) for each in said] == []
    for each in objects:
        assert not each.PatientBirthDate
        assert not each.PatientSex
        assert str(each.PatientName).startswith("Single")


@pytest.mark.parametrize("content", [b"", b"no DICOM", b"\0" * 128 + b"DICM\xff\xff"])
def test_a_file_that_names_no_study_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.dcm"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.dcm"):
        read_identity(path)
    with pytest.raises(InputError, match="No such file"):
        read_identity(tmp_path / "missing.dcm")


def test_no_two_words_share_a_code() -> None:
    told = [f"Frames left out: {each}" for each in SkipReason]
    told += [f"Frames with {each}" for each in ("cerebellum", "cerebellar vermis", "lv", "lvs")]
    assert len({code_own(each).value for each in told}) == len(told)
    assert all(len(code_own(each).value) <= 16 for each in told)


def test_every_label_has_a_code() -> None:
    assert code_class("Encephalocele", Scheme.SNOMED).value == "55999004"
    assert code_class("encephalocele", Scheme.UMLS).scheme_designator == "UMLS"
    own = code_class("mega cisterna magna", Scheme.SNOMED)
    assert (own.scheme_designator, own.meaning) == (PRIVATE, "mega cisterna magna")


def test_files_are_private_and_never_written_over(objects: list[Dataset], tmp_path: Path) -> None:
    out = tmp_path / "study"
    paths = write_files(objects, out)
    assert [path.name for path in paths] == ["1-OT.dcm", "2-SR.dcm", "3-SR.dcm"]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in paths)
    assert out.stat().st_mode & 0o777 == 0o700
    with pytest.raises(OutputError, match="not empty"):
        write_files(objects, out)


def list_errors(command: list[str], path: Path) -> list[str]:
    """Return what a validator finds wrong with an object."""
    ran = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
    said = (ran.stdout + ran.stderr).splitlines()
    assert command[0] == "dciodvfy" or ran.returncode == 0
    return [line for line in said if line.startswith(("Error", "E:", "F:"))]


@pytest.mark.parametrize("command", [["dciodvfy", "-new"], ["dsrdump"], ["dcmftest"]])
def test_validators_find_no_error(
    objects: list[Dataset], tmp_path: Path, command: list[str]
) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} here: .ci/run installs dicom3tools and dcmtk")
    for path in write_files(objects, tmp_path / "study"):
        if command[0] == "dsrdump" and "SR" not in path.name:
            continue
        assert list_errors(command, path) == []


FALSE_ALARM = "attribute - Element=<AccessionNumber> IE <Series> versus <Study>"
"""By its tables an image's own accession number is that of a request of its series: it says so of
any picture beside any report, whatever the two hold (PS3.3 C.7.2.1 has it in the study)."""


def test_the_objects_agree_on_patient_and_study(objects: list[Dataset], tmp_path: Path) -> None:
    if shutil.which("dcentvfy") is None:
        pytest.skip("no dcentvfy here: .ci/run installs dicom3tools")
    paths = map(str, write_files(objects, tmp_path / "study"))
    ran = subprocess.run(["dcentvfy", *paths], capture_output=True, text=True, check=False)
    said = (ran.stdout + ran.stderr).splitlines()
    assert [line for line in said if FALSE_ALARM not in line] == []
