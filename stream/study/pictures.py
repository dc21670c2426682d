"""The kept frames as one multi-frame secondary capture in true colour, which every viewer shows.

PS3.3 A.8.5 (Multi-frame True Color Secondary Capture). The first frame says in words how the exam
ended; then each kept frame follows, and where its heatmap is known the next one shows it.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MultiFrameTrueColorSecondaryCaptureImageStorage

from neurosono.engine import __version__
from neurosono.engine.contracts.notice import MAKER, NOTICE
from neurosono.engine.contracts.preprocessing import PreprocessingSpec
from neurosono.stream.report.gather import Report, ReportPicture
from neurosono.stream.study.card import LEAST_PX, draw_card
from neurosono.stream.study.identity import Identity, name_uid
from neurosono.stream.study.order import describe_request
from neurosono.stream.view.heatmap import Heatmap, paint_heatmap, spread_cam

LONGEST_PX = 1024
"""Of a frame; what is larger is shrunk, for a PACS keeps every byte for years."""
HOT = 0.6
"""From this share of a heatmap's strongest place on it counts as where the network looked."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of the frame, whose edges are whole numbers."""


@dataclass(frozen=True)
class Seen:
    """Which picture of a cine a kept frame is: class and instance, and the frame from 1."""

    sop_class: str
    sop_instance: str
    frame: int


@dataclass(frozen=True, eq=False)
class Replayed:
    """The cines that were judged, by their headers, and of each kept frame where it was seen."""

    cines: tuple[Dataset, ...] = ()
    seen: Mapping[str, Seen] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Shown:
    """A kept frame in the object: its number, from 1; `box` is where the network looked in it.

    `seen` is where it comes from, where that is an object of the study.
    """

    picture: ReportPicture
    frame: int
    box: Box | None
    seen: Seen | None = None


@dataclass(frozen=True, eq=False)
class Pictures:
    """The object, and what each of its frames shows."""

    dataset: Dataset
    shown: tuple[Shown, ...]
    identity: Identity
    sources: tuple[Dataset, ...] = ()
    """The headers of the cines that were replayed, where they were."""


class _Sheet:
    """The frames of the object, one after the other in a file or in memory: never all of them."""

    def __init__(self, size: tuple[int, int], file: io.BufferedRandom | None) -> None:
        self.size, self.labels = size, list[str]()
        self._file = io.BytesIO() if file is None else file

    def add(self, rgb: NDArray[np.uint8], label: str) -> None:
        """Write the next frame."""
        self._file.write(np.ascontiguousarray(rgb).data)
        self.labels.append(label)

    def value(self) -> bytes | io.BufferedRandom:
        """Return the pixel data: bytes, or the file, which is read when the object is written."""
        self._file.write(b"\0" * (self._file.tell() % 2))
        if isinstance(self._file, io.BytesIO):
            return self._file.getvalue()
        self._file.seek(0)
        return self._file


def draw_pictures(
    report: Report,
    identity: Identity,
    revision: str,
    replayed: Replayed,
    file: io.BufferedRandom | None = None,
) -> Pictures:
    """Return the exam in words and its kept frames, rejected ones too.

    `revision` tells apart what was made of one exam at different times. The pixels stand in
    `file`, where one is given: the object is read from it, and needs it open.
    """
    spec = None if report.manifest is None else report.manifest.preprocessing
    sheet = _Sheet(_common_size(report), file)
    sheet.add(draw_card(report, sheet.size), "exam")
    shown = []
    for each in report.pictures:
        seen = replayed.seen.get(each.key.key_frame_id)
        shown.append(_add_picture(sheet, each, spec, seen))
    dataset = _make_dataset(report, identity, revision, sheet)
    if replayed.cines:
        dataset.SourceImageSequence = [_refer(each, shown) for each in replayed.cines]
        dataset.PatientOrientation = _find_orientation(replayed.cines)
    return Pictures(dataset, tuple(shown), identity, replayed.cines)


def _add_picture(
    sheet: _Sheet, each: ReportPicture, spec: PreprocessingSpec | None, seen: Seen | None
) -> Shown:
    """Write a kept frame, and the same with its heatmap where that is known."""
    pixels, heat, name = each.key.pixels, each.key.heat, each.key.key_frame_id[:4]
    plain, place = _fit(_colour(pixels), sheet.size)
    sheet.add(plain, f"{name} {each.key.status}")
    number = len(sheet.labels)
    if heat is None or spec is None:
        return Shown(each, number, None, seen)
    own = Heatmap(heat, pixels, each.label or "", each.key.seq, 0.0)
    painted = paint_heatmap(own, (pixels.shape[0], pixels.shape[1]), spec)
    sheet.add(_fit(_colour(painted), sheet.size)[0], f"{name} heatmap")
    return Shown(each, number, _find_box(own, spec, place), seen)


def _find_orientation(cines: Sequence[Dataset]) -> list[str] | None:
    """Return which way rows and columns run in the patient, where all cines say the same.

    PS3.3, C.7.6.1.1.1. No frame is turned or mirrored on its way here.
    """
    found = {tuple(str(each) for each in cine.get("PatientOrientation") or ()) for cine in cines}
    (said, *others) = found
    return list(said) if said and not others else None


def _refer(cine: Dataset, shown: Sequence[Shown]) -> Dataset:
    """Return a reference to a cine, and to those of its frames that were kept."""
    item = Dataset()
    item.ReferencedSOPClassUID = cine.SOPClassUID
    item.ReferencedSOPInstanceUID = cine.SOPInstanceUID
    of_it = (each.seen for each in shown if each.seen is not None)
    frames = sorted({each.frame for each in of_it if each.sop_instance == cine.SOPInstanceUID})
    if frames:
        item.ReferencedFrameNumber = frames
    return item


def begin_object(
    report: Report, identity: Identity, revision: str, what: str, sop_class: str
) -> Dataset:
    """Return an object with patient, study and series, and who made it when."""
    exam_id = report.exam.exam_id
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SpecificCharacterSet = "ISO_IR 192"
    identity.write(dataset, exam_id)
    if identity.order is not None:
        dataset.RequestAttributesSequence = [describe_request(identity.order)]
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = name_uid(exam_id, what, revision)
    dataset.SeriesInstanceUID = name_uid(exam_id, what, "series")
    dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.Manufacturer = MAKER
    dataset.ManufacturerModelName = MAKER
    dataset.SoftwareVersions = __version__
    begun = datetime.fromtimestamp(report.exam.begun_wall_ns / 1e9, UTC).astimezone()
    if not dataset.StudyDate:
        dataset.StudyDate, dataset.StudyTime = f"{begun:%Y%m%d}", f"{begun:%H%M%S}"
    dataset.ContentDate, dataset.ContentTime = f"{begun:%Y%m%d}", f"{begun:%H%M%S}"
    dataset.InstanceNumber = 1
    return dataset


def _make_dataset(report: Report, identity: Identity, revision: str, sheet: _Sheet) -> Dataset:
    sop_class = MultiFrameTrueColorSecondaryCaptureImageStorage
    dataset = begin_object(report, identity, revision, "pictures", sop_class)
    dataset.Modality = "OT"
    dataset.ConversionType = "WSD"
    dataset.SeriesNumber = 8101
    dataset.SeriesDescription = f"neurosono key frames. {NOTICE}"[:64]
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.ImageComments = NOTICE
    dataset.PatientOrientation, dataset.Laterality = None, None
    dataset.BurnedInAnnotation = "NO"
    (columns, rows), count = sheet.size, len(sheet.labels)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"
    dataset.PlanarConfiguration, dataset.PixelRepresentation = 0, 0
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = rows, columns, count
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    if count > 1:  # of a single frame they must not be there (PS3.3 C.8.6.3)
        dataset.FrameIncrementPointer = [0x00182001, 0x00182002]
        dataset.PageNumberVector = list(range(1, count + 1))
        dataset.FrameLabelVector = sheet.labels
    dataset.add_new(0x7FE00010, "OB", sheet.value())
    return dataset


def _common_size(report: Report) -> tuple[int, int]:
    """Return width and height into which every kept frame fits, none enlarged, and the card."""
    shapes = [each.key.pixels.shape for each in report.pictures]
    width, height = max((s[1] for s in shapes), default=1), max((s[0] for s in shapes), default=1)
    shrunk = min(1.0, LONGEST_PX / max(width, height))
    return max(LEAST_PX[0], round(width * shrunk)), max(LEAST_PX[1], round(height * shrunk))


def _colour(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    way = cv2.COLOR_GRAY2RGB if pixels.ndim == 2 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(pixels, way), np.uint8)


def _fit(
    rgb: NDArray[np.uint8], size: tuple[int, int]
) -> tuple[NDArray[np.uint8], tuple[int, int, int, int]]:
    """Set a picture into the middle of black; also return where it stands: x, y, w, h."""
    height, width = rgb.shape[:2]
    shrunk = min(1.0, size[0] / width, size[1] / height)
    w, h = max(1, round(width * shrunk)), max(1, round(height * shrunk))
    x, y = (size[0] - w) // 2, (size[1] - h) // 2
    frame = np.zeros((size[1], size[0], 3), np.uint8)
    frame[y : y + h, x : x + w] = cv2.resize(rgb, (w, h), interpolation=cv2.INTER_AREA)
    return frame, (x, y, w, h)


def _find_box(
    heatmap: Heatmap, spec: PreprocessingSpec, place: tuple[int, int, int, int]
) -> Box | None:
    """Return the box around the heatmap's hottest spot; None where it is level or empty."""
    height, width = heatmap.pixels.shape[:2]
    x, y, w, h = place
    spread = spread_cam(heatmap.cam, (height, width), (h, w), spec)
    _, most, _, at = cv2.minMaxLoc(spread)
    if most <= 0:
        return None
    _, parts, stats, _ = cv2.connectedComponentsWithStats((spread >= HOT * most).astype(np.uint8))
    left, top, wide, high, _ = (int(v) for v in stats[parts[at[1], at[0]]])
    return float(x + left), float(y + top), float(x + left + wide), float(y + top + high)
