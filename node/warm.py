"""What the first study would wait for, done before it comes: imports, tables, compiled graphs."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundMultiFrameImageStorage, generate_uid

from neurosono.archive.exam import Watch
from neurosono.bundles import OpenBundle
from neurosono.node.examine import open_maker
from neurosono.node.options import Judging
from neurosono.stream.phantom.exam import PhantomSpec, exam_frames
from neurosono.stream.study.send import write_files

PICTURES = 4


def warm_up(opened: OpenBundle, asked: Judging, place: Path) -> None:
    """Make a study of a phantom in the folder `place`, which is gone afterwards.

    Raises what a study would.
    """
    shutil.rmtree(place, ignore_errors=True)  # of one that was killed
    cines = place / "cines"
    cines.mkdir(mode=0o700, parents=True)
    try:
        draw_cine().save_as(cines / "phantom.dcm", enforce_file_format=True)
        maker = open_maker(opened, asked, place / "journal.sqlite")
        with (
            maker.examiner.open_journal() as journal,
            tempfile.TemporaryFile(dir=place) as pixels,
        ):
            write_files(maker.make(cines, journal, Watch(), pixels), place / "study")
    finally:
        shutil.rmtree(place, ignore_errors=True)


def draw_cine() -> Dataset:
    """Return a few pictures of a phantom as a scanner's cine, of nobody."""
    spec = PhantomSpec("holoprosencephaly", seconds=1.0, width_px=320, height_px=240)
    drawn = (each.pixels[..., 1] for each in exam_frames(spec) if each.kind == "bmode")
    frames = np.stack([each for each, _ in zip(drawn, range(PICTURES), strict=False)])
    cine = Dataset()
    cine.file_meta = FileMetaDataset()
    cine.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    cine.SOPClassUID, cine.SOPInstanceUID = UltrasoundMultiFrameImageStorage, generate_uid()
    cine.file_meta.MediaStorageSOPClassUID = cine.SOPClassUID
    cine.file_meta.MediaStorageSOPInstanceUID = cine.SOPInstanceUID
    cine.StudyInstanceUID, cine.SeriesInstanceUID = generate_uid(), generate_uid()
    cine.Modality, cine.FrameTime = "US", 40.0
    cine.SamplesPerPixel, cine.PhotometricInterpretation = 1, "MONOCHROME2"
    cine.NumberOfFrames, cine.Rows, cine.Columns = frames.shape
    cine.BitsAllocated, cine.BitsStored, cine.HighBit, cine.PixelRepresentation = 8, 8, 7, 0
    cine.add_new(0x7FE00010, "OB", frames.tobytes())
    return cine
