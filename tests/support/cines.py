"""Cines as scanners store them, of phantoms, for patients who do not exist."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)

from neurosono.stream.phantom.exam import PhantomSpec, exam_frames
from neurosono.stream.sources.dicom.geometry import GEOMETRY_TAGS
from neurosono.stream.sources.dicom.header import PIXEL_TAGS
from neurosono.stream.study.identity import COPIED

WORD, DAY = "KNOWN-WORD", "19010203"
TEXTS = frozenset(("AE", "DA", "LO", "LT", "PN", "SH", "ST", "UC", "UT"))
SPARED = frozenset((*COPIED, *PIXEL_TAGS, *GEOMETRY_TAGS))


def draw_frames(count: int, seed: int = 7) -> NDArray[np.uint8]:
    """Return the first pictures of a phantom exam, `(N, H, W)` grey."""
    spec = PhantomSpec("holoprosencephaly", seed=seed, seconds=20.0, width_px=320, height_px=240)
    found = []
    for frame in exam_frames(spec):
        if frame.kind == "bmode":
            found.append(frame.pixels[..., 1])
        if len(found) == count:
            break
    return np.stack(found)


def make_cine(
    frames: NDArray[np.uint8],
    *,
    name: str = "Größe^Änne",
    study: str | None = None,
    number: int = 1,
) -> Dataset:
    """Return a multi-frame ultrasound image of `(N, H, W)` grey frames at 25 Hz."""
    cine = Dataset()
    cine.file_meta = FileMetaDataset()
    cine.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    cine.SpecificCharacterSet = "ISO_IR 100"
    cine.PatientName, cine.PatientID = name, "P-4711"
    cine.PatientBirthDate, cine.PatientSex = "19900102", "F"
    cine.StudyInstanceUID = study or generate_uid()
    cine.StudyDate, cine.StudyTime, cine.StudyID = "20261127", "101112", "9"
    cine.AccessionNumber, cine.ReferringPhysicianName = "A-77", "Referrer^Rita"
    cine.SeriesInstanceUID, cine.SeriesNumber = generate_uid(), 1
    cine.SOPClassUID, cine.SOPInstanceUID = UltrasoundMultiFrameImageStorage, generate_uid()
    cine.file_meta.MediaStorageSOPClassUID = cine.SOPClassUID
    cine.file_meta.MediaStorageSOPInstanceUID = cine.SOPInstanceUID
    cine.Modality, cine.InstanceNumber = "US", number
    cine.SamplesPerPixel, cine.PhotometricInterpretation = 1, "MONOCHROME2"
    cine.NumberOfFrames, cine.Rows, cine.Columns = frames.shape
    cine.BitsAllocated, cine.BitsStored, cine.HighBit, cine.PixelRepresentation = 8, 8, 7, 0
    cine.FrameTime, cine.FrameIncrementPointer = 40.0, 0x00181063
    data = frames.tobytes()
    cine.add_new(0x7FE00010, "OB", data + b"\0" * (len(data) % 2))
    return cine


def tell_everything(cine: Dataset) -> Dataset:
    """Write known words into every attribute that the standard has for text, places and days.

    Also into an item of every sequence. What names patient and study, which results share, and
    what says how pixels are to be shown stays as it is.
    """
    for tag, (kind, *_, keyword) in DicomDictionary.items():
        if tag >> 16 < 0x0008 or keyword in SPARED:
            continue
        if kind == "SQ":
            item = Dataset()
            item.PatientComments, item.PatientBirthDate = WORD, DAY
            cine.add_new(tag, kind, [item])
        elif kind in TEXTS:
            cine.add_new(tag, kind, DAY if kind == "DA" else WORD)
    block = cine.private_block(0x0019, "SCANNER", create=True)
    block.add_new(0x01, "LO", WORD)
    return cine


def write_cine(path: Path, cine: Dataset) -> Path:
    """Write it as a file."""
    cine.save_as(path, enforce_file_format=True)
    return path
