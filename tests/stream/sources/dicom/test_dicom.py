import subprocess
import sys
from pathlib import Path

import cv2
import gdcm
import numpy as np
import pydicom
import pytest
from conftest import make_picture, write_clip
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import pack_bits
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)

from neurosono.engine.contracts.errors import SourceBrokenError, SourceError
from neurosono.stream.sources import open_source

RNG = np.random.default_rng(11)
RGB = np.stack([cv2.cvtColor(make_picture(i), cv2.COLOR_BGR2RGB) // 2 for i in range(4)])
RGB[..., 0] += np.arange(64, dtype=np.uint8)
RGB[..., 2] += np.arange(48, dtype=np.uint8)[:, None]
GREY = RGB[..., 0].copy()
PATIENT = "Doe^Jane"


def make_dataset(frames, photometric="RGB", syntax=ExplicitVRLittleEndian, **elements) -> Dataset:
    """Make an ultrasound dataset of (N, H, W) or (N, H, W, 3) samples."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = UltrasoundMultiFrameImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SOPClassUID = UltrasoundMultiFrameImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.PatientName, dataset.PatientID = PATIENT, "4711"
    bits = 8 * frames.itemsize
    dataset.Rows, dataset.Columns = frames.shape[1:3]
    dataset.NumberOfFrames = len(frames)
    dataset.SamplesPerPixel = 3 if frames.ndim == 4 else 1
    if frames.ndim == 4:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(frames.dtype.kind == "i")
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    data = frames.astype(frames.dtype.newbyteorder(order)).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OW" if bits == 16 else "OB"
    return dataset


def save(dataset, path) -> Path:
    dataset.save_as(path, enforce_file_format=True)
    return path


def compress(path, syntax) -> Path:
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return path


def read(path):
    return list(open_source([str(path)]).pictures())


def assert_shows(pictures, rgb, atol=0):
    assert len(pictures) == len(rgb)
    for picture, expected in zip(pictures, rgb, strict=True):
        assert picture.pixels.dtype == np.uint8
        shown = expected if expected.ndim == 2 else expected[..., ::-1]
        np.testing.assert_allclose(picture.pixels.astype(int), shown.astype(int), atol=atol)


def to_ybr(rgb):
    return np.stack([cv2.cvtColor(f, cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]] for f in rgb])


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    ],
)
def test_uncompressed(tmp_path, syntax):
    assert_shows(read(save(make_dataset(RGB, syntax=syntax), tmp_path / "a.dcm")), RGB)
    grey = make_dataset(GREY, "MONOCHROME2", syntax)
    assert_shows(read(save(grey, tmp_path / "b.dcm")), GREY)
    wide = make_dataset((GREY.astype(np.uint16) << 4), "MONOCHROME2", syntax, BitsStored=12)
    wide.HighBit, wide.WindowCenter, wide.WindowWidth = 11, 2048, 4096
    assert_shows(read(save(wide, tmp_path / "c.dcm")), GREY, atol=1)


@pytest.mark.parametrize(
    ("syntax", "atol"),
    [
        (gdcm.TransferSyntax.JPEGBaselineProcess1, 12),
        (gdcm.TransferSyntax.JPEGLosslessProcess14, 0),
        (gdcm.TransferSyntax.JPEGLosslessProcess14_1, 0),
        (gdcm.TransferSyntax.JPEG2000Lossless, 0),
        (gdcm.TransferSyntax.JPEG2000, 25),
        (gdcm.TransferSyntax.JPEGLSLossless, 0),
        (gdcm.TransferSyntax.RLELossless, 0),
    ],
)
def test_compressed(tmp_path, syntax, atol):
    for samples, photometric in ((RGB, "RGB"), (GREY, "MONOCHROME2")):
        path = compress(save(make_dataset(samples, photometric), tmp_path / "a.dcm"), syntax)
        assert pydicom.dcmread(path).file_meta.TransferSyntaxUID.is_compressed
        assert_shows(read(path), samples, atol)


@pytest.mark.parametrize(
    "syntax", [gdcm.TransferSyntax.JPEGLosslessProcess14_1, gdcm.TransferSyntax.JPEG2000Lossless]
)
def test_twelve_bits_compressed(tmp_path, syntax):
    wide = make_dataset(GREY.astype(np.uint16) << 4, "MONOCHROME2", BitsStored=12, HighBit=11)
    wide.WindowCenter, wide.WindowWidth = 2048, 4096
    assert_shows(read(compress(save(wide, tmp_path / "a.dcm"), syntax)), GREY, atol=1)


def test_rle_by_pydicom(tmp_path):
    dataset = make_dataset(RGB)
    dataset.compress(RLELossless, encoding_plugin="pydicom")
    assert_shows(read(save(dataset, tmp_path / "a.dcm")), RGB)


@pytest.mark.parametrize("declared", ["YBR_FULL_422", "RGB"])
def test_jpeg_in_colour(tmp_path, declared):
    """The marker in the JPEG (JFIF: YCbCr) wins over a wrong declaration."""
    parts = [cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes() for frame in RGB]
    dataset = make_dataset(RGB, declared, JPEGBaseline8Bit)
    dataset.PixelData = encapsulate(parts)
    dataset["PixelData"].is_undefined_length = True
    expected = np.stack([cv2.imdecode(np.frombuffer(p, np.uint8), 1)[..., ::-1] for p in parts])
    assert_shows(read(save(dataset, tmp_path / "a.dcm")), expected, atol=6)


def test_colours_in_ybr(tmp_path):
    path = save(make_dataset(to_ybr(RGB), "YBR_FULL"), tmp_path / "a.dcm")
    assert_shows(read(path), RGB, atol=2)


def test_colours_in_ybr_422(tmp_path):
    flat = np.repeat(RGB[:, :, ::2], 2, axis=2)
    ybr = to_ybr(flat)
    packed = np.stack(
        [ybr[:, :, ::2, 0], ybr[:, :, 1::2, 0], ybr[:, :, ::2, 1], ybr[:, :, ::2, 2]], axis=-1
    )
    dataset = make_dataset(ybr, "YBR_FULL_422")
    dataset.PixelData = packed.tobytes()
    assert_shows(read(save(dataset, tmp_path / "a.dcm")), flat, atol=2)


def test_colours_by_plane(tmp_path):
    dataset = make_dataset(RGB, PlanarConfiguration=1)
    dataset.PixelData = np.ascontiguousarray(RGB.transpose(0, 3, 1, 2)).tobytes()
    assert_shows(read(save(dataset, tmp_path / "a.dcm")), RGB)


@pytest.mark.parametrize("bits", [8, 16])
def test_palette(tmp_path, bits):
    palette = RNG.integers(0, 256, (256, 3)).astype(np.uint16)
    dataset = make_dataset(GREY, "PALETTE COLOR")
    for column, name in enumerate(("Red", "Green", "Blue")):
        entries = palette[:, column]
        data = entries.astype(np.uint8) if bits == 8 else (entries << 8).astype("<u2")
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [256, 0, bits])
        setattr(dataset, f"{name}PaletteColorLookupTableData", data.tobytes())
    assert_shows(read(save(dataset, tmp_path / "a.dcm")), palette.astype(np.uint8)[GREY])


def test_monochrome1_is_turned_round(tmp_path):
    path = save(make_dataset(255 - GREY, "MONOCHROME1"), tmp_path / "a.dcm")
    assert_shows(read(path), GREY)


def test_a_window_is_applied(tmp_path):
    dataset = make_dataset(GREY, "MONOCHROME2", WindowCenter=60.5, WindowWidth=41)
    expected = np.clip((GREY.astype(float) - 40) * 255 / 40, 0, 255)
    assert_shows(read(save(dataset, tmp_path / "a.dcm")), expected, atol=1)


def test_signed_samples_are_windowed(tmp_path):
    dataset = make_dataset(GREY.astype(np.int16) - 100, "MONOCHROME2")
    dataset.WindowCenter, dataset.WindowWidth = 28, 256
    assert_shows(read(save(dataset, tmp_path / "a.dcm")), GREY, atol=1)


def test_without_a_window_the_first_picture_sets_the_range(tmp_path):
    samples = GREY.astype(np.uint16) * 9 + 1000
    low, high = samples[0].min(), samples[0].max()
    expected = np.clip((samples.astype(float) - low) * 255 / (high - low), 0, 255)
    path = save(make_dataset(samples, "MONOCHROME2"), tmp_path / "a.dcm")
    assert_shows(read(path), expected, atol=1)


@pytest.mark.parametrize(
    ("elements", "times", "rate_hz", "repaired"),
    [
        ({"FrameTime": 50}, [0, 0.05, 0.1, 0.15], 20, 0),
        ({"FrameTimeVector": [0, 10, 30, 20]}, [0, 0.01, 0.04, 0.06], 50, 0),
        ({"FrameTimeVector": [0, 10], "FrameTime": 99}, [0, 0.01, 0.02, 0.03], 100, 2),
        ({"CineRate": 10}, [0, 0.1, 0.2, 0.3], 10, 0),
        ({"RecommendedDisplayFrameRate": 5, "CineRate": 10}, [0, 0.2, 0.4, 0.6], 5, 0),
        ({"FrameTime": 0, "CineRate": 10}, [0, 0.1, 0.2, 0.3], 10, 0),
        ({}, [0, 0.04, 0.08, 0.12], 25, 4),
    ],
)
def test_timing(tmp_path, elements, times, rate_hz, repaired):
    source = open_source([str(save(make_dataset(RGB, **elements), tmp_path / "a.dcm"))])
    assert [picture.pts_s for picture in source.pictures()] == pytest.approx(times)
    assert source.nominal_rate_hz == pytest.approx(rate_hz)
    assert source.repaired_timestamps == repaired


def test_single_pictures_and_clips_are_one_exam(tmp_path):
    still = save(make_dataset(RGB[:1]), tmp_path / "a.dcm")
    cine = save(make_dataset(RGB, FrameTime=40), tmp_path / "b")
    clip = write_clip(tmp_path / "c.mkv", pictures=2)
    source = open_source([str(tmp_path)])
    pictures = list(source.pictures())
    assert [picture.pts_s for picture in pictures] == pytest.approx(
        [0, 0.5, 0.54, 0.58, 0.62, 0.66, 0.7]
    )
    assert source.description == "1 clip (mkv), 2 DICOM"
    assert {still.name, cine.name, clip.name} == {"a.dcm", "b", "c.mkv"}


def test_the_regions_that_the_file_declares(tmp_path):
    def region(left, top, right, bottom):
        item = Dataset()
        item.RegionLocationMinX0, item.RegionLocationMinY0 = left, top
        item.RegionLocationMaxX1, item.RegionLocationMaxY1 = right, bottom
        return item

    dataset = make_dataset(RGB)
    dataset.SequenceOfUltrasoundRegions = [
        region(4, 5, 43, 44),
        region(9, 9, 9, 9),
        region(0, 0, 640, 480),
        Dataset(),
    ]
    source = open_source([str(save(dataset, tmp_path / "a.dcm"))])
    assert source.us_regions == {0: ((4, 5, 40, 40), (0, 0, 64, 48))}


def measured_region(**said):
    item = Dataset()
    item.RegionSpatialFormat = 1
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = 3
    item.PhysicalDeltaX = item.PhysicalDeltaY = 0.0125
    for keyword, value in said.items():
        setattr(item, keyword, value)
    return item


TRACE = measured_region(RegionSpatialFormat=3, PhysicalUnitsXDirection=4, PhysicalDeltaX=0.5)


@pytest.mark.parametrize(
    ("regions", "spacing", "mm_per_px"),
    [
        ([measured_region()], None, 0.125),
        ([measured_region(PhysicalDeltaY=-0.0125)], [0.5, 0.5], 0.125),
        ([measured_region(), TRACE], None, 0.125),
        ([TRACE], [0.5, 0.5], 0.5),
        ([Dataset()], [0.5, 0.501], 0.5005),
        (None, [0.5, 0.5], 0.5),
        (None, None, None),
        (None, [0.5, 0.4], None),
        (None, [0.0, 0.0], None),
        (None, [400.0, 400.0], None),
        ([measured_region(PhysicalDeltaX=0.02)], None, None),
        ([measured_region(PhysicalDeltaX=float("nan"))], None, None),
        (
            [measured_region(), measured_region(PhysicalDeltaX=0.02, PhysicalDeltaY=0.02)],
            None,
            None,
        ),
    ],
)
def test_how_large_a_pixel_is_stands_in_the_header(tmp_path, regions, spacing, mm_per_px):
    dataset = make_dataset(RGB)
    if regions is not None:
        dataset.SequenceOfUltrasoundRegions = regions
    if spacing is not None:
        dataset.PixelSpacing = spacing
    pictures = list(open_source([str(save(dataset, tmp_path / "a.dcm"))]).pictures())
    origin = None if mm_per_px is None else "dicom"
    assert len(pictures) == 4
    for picture in pictures:
        assert picture.scale.mm_per_px == (None if mm_per_px is None else pytest.approx(mm_per_px))
        assert picture.scale.mm_per_px_from == origin


def read_until_break(path):
    pictures = []
    try:
        pictures.extend(open_source([str(path)]).pictures())  # keeps what came before an error
    except SourceBrokenError as error:
        return pictures, error
    return pictures, None


@pytest.mark.parametrize("with_table", [True, False])
def test_fewer_fragments_than_declared_are_a_break(tmp_path, with_table):
    dataset = make_dataset(RGB)
    dataset.compress(RLELossless, encoding_plugin="pydicom")
    parts = list(generate_frames(dataset.PixelData, number_of_frames=4))
    dataset.PixelData = encapsulate(parts[:3], has_bot=with_table)
    pictures, error = read_until_break(save(dataset, tmp_path / "a.dcm"))
    assert error is not None
    assert error.frame == 3
    assert "only 3 of the 4" in str(error)
    assert_shows(pictures, RGB[:3])


@pytest.mark.parametrize("compressed", [True, False])
def test_a_cut_file_is_a_break(tmp_path, compressed):
    dataset = make_dataset(np.concatenate([RGB, RGB]))
    if compressed:
        dataset.compress(RLELossless, encoding_plugin="pydicom")
    path = save(dataset, tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    pictures, error = read_until_break(path)
    assert error is not None
    assert error.frame == len(pictures)
    assert 2 <= len(pictures) <= 6
    assert_shows(pictures, np.concatenate([RGB, RGB])[: len(pictures)])
    assert "Doe" not in str(error)


@pytest.mark.parametrize("has_table", [True, False])
def test_pictures_in_several_fragments(tmp_path, has_table):
    parts = [cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes() for frame in RGB]
    dataset = make_dataset(RGB, "YBR_FULL_422", JPEGBaseline8Bit)
    dataset.PixelData = encapsulate(parts, fragments_per_frame=3, has_bot=has_table)
    dataset["PixelData"].is_undefined_length = True
    expected = np.stack([cv2.imdecode(np.frombuffer(p, np.uint8), 1)[..., ::-1] for p in parts])
    assert_shows(read(save(dataset, tmp_path / "a.dcm")), expected, atol=6)


def test_a_damaged_picture_is_a_break(tmp_path):
    path = compress(
        save(make_dataset(RGB), tmp_path / "a.dcm"), gdcm.TransferSyntax.JPEG2000Lossless
    )
    dataset = pydicom.dcmread(path)
    parts = list(generate_frames(dataset.PixelData, number_of_frames=4))
    dataset.PixelData = encapsulate([*parts[:2], b"no picture at all, but words", parts[3]])
    pictures, error = read_until_break(save(dataset, path))
    assert error is not None
    assert error.frame == 2
    assert_shows(pictures, RGB[:2])


def test_a_jpeg_of_another_size_is_refused_before_a_decoder_sees_it(tmp_path):
    """GDCM ends the process on some of these."""
    for syntax in (
        gdcm.TransferSyntax.JPEGBaselineProcess1,
        gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    ):
        path = compress(save(make_dataset(GREY, "MONOCHROME2"), tmp_path / "a.dcm"), syntax)
        dataset = pydicom.dcmread(path)
        dataset.Rows = 40
        with pytest.raises(SourceError, match="not of the size"):
            open_source([str(save(dataset, path))])


def without_pixels():
    dataset = make_dataset(RGB)
    del dataset.PixelData
    return dataset


def of_one_bit():
    dataset = make_dataset(GREY, "MONOCHROME2", BitsAllocated=1, BitsStored=1, HighBit=0)
    dataset.PixelData = pack_bits(GREY > 60)
    return dataset


def of_video():
    dataset = make_dataset(RGB)
    dataset.PixelData = encapsulate([b"video"])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
    return dataset


def of_unknown_compression():
    dataset = make_dataset(RGB, syntax=HTJ2KLossless)
    dataset.PixelData = encapsulate([b"words"] * 4)
    dataset["PixelData"].is_undefined_length = True
    return dataset


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (without_pixels, "no pixel data"),
        (of_one_bit, "not of 8 to 16"),
        (of_video, "cannot use"),
        (of_unknown_compression, "cannot use"),
        (lambda: make_dataset(RGB, Rows=4000), "cannot use"),
        (lambda: make_dataset(RGB, "CMYK"), "CMYK"),
    ],
)
def test_what_cannot_be_shown_is_refused(tmp_path, make, why):
    path = save(make(), tmp_path / "a.dcm")
    with pytest.raises(SourceError, match=why) as refused:
        open_source([str(path)])
    assert "Doe" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"words\n" * 100, bytes(128) + b"DICM" + b"\1" * 99])
def test_what_is_no_dicom_is_refused(tmp_path, content):
    (tmp_path / "a.dcm").write_bytes(content)
    with pytest.raises(SourceError):
        open_source([str(tmp_path / "a.dcm")])


@pytest.mark.parametrize("share", [0.02, 0.1, 0.2])
def test_a_header_without_a_whole_picture_is_refused(tmp_path, share):
    path = save(make_dataset(RGB), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(SourceError):
        open_source([str(path)])


def test_no_name_is_kept(tmp_path):
    path = save(make_dataset(RGB, FrameTime=40), tmp_path / "a.dcm")
    source = open_source([str(path)])
    assert source.description == "1 DICOM"
    (clip,) = source._clips
    assert "Doe" not in str(clip.header)
    assert "4711" not in str(clip.header)
    assert "FrameTime" not in clip.header.image


def test_pillow_and_pylibjpeg_are_not_needed(tmp_path):
    dataset = make_dataset(RGB)
    dataset.compress(RLELossless, encoding_plugin="pydicom")
    save(dataset, tmp_path / "a.dcm")
    for name, syntax in (
        ("b", gdcm.TransferSyntax.JPEG2000Lossless),
        ("c", gdcm.TransferSyntax.JPEGBaselineProcess1),
        ("d", gdcm.TransferSyntax.JPEGLSLossless),
    ):
        compress(save(make_dataset(RGB), tmp_path / f"{name}.dcm"), syntax)
    code = (
        "import sys\nfor m in ('PIL', 'pylibjpeg', 'openjpeg'): sys.modules[m] = None\n"
        "from neurosono.stream.sources import open_source\n"
        f"print(sum(1 for _ in open_source([{str(tmp_path)!r}], mixed=True).pictures()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "16"


@pytest.mark.realdata
def test_real_dicom_decodes_to_the_end(real_data):
    files = sorted((real_data / "dicom_us").rglob("*.dcm"))
    assert len(files) >= 6
    for path in files:
        dataset = pydicom.dcmread(path)
        source = open_source([str(path)])
        pictures = list(source.pictures())
        assert len(pictures) == int(dataset.get("NumberOfFrames") or 1), path.name
        assert {p.pixels.shape for p in pictures} == {(dataset.Rows, dataset.Columns, 3)}, path.name
        assert np.all(np.diff([p.pts_s for p in pictures]) > 0), path.name
        assert source.repaired_timestamps == 0, path.name
        assert pictures[0].pixels.std() > 10, path.name
