"""Nothing of a DICOM file is lost, squeezed or taken for another patient's."""

import struct
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from conftest import make_picture, write_clip
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HEVCMP51,
    MPEG2MPML,
    MPEG4HP41,
    MPEG4HP41F,
    EnhancedUSVolumeStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

from neurosono.engine.contracts.errors import SourceBrokenError, SourceError
from neurosono.stream.sources import open_source
from neurosono.stream.sources.left_out import Reason, count_reasons
from tests.stream.sources.dicom.test_dicom import (
    GREY,
    RGB,
    assert_shows,
    make_dataset,
    read,
    save,
)

HEIGHT, WIDTH = GREY.shape[1:]


def make_region(delta_x, delta_y, spatial_format=1, units=3):
    region = Dataset()
    region.RegionSpatialFormat = spatial_format
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = units
    region.PhysicalDeltaX, region.PhysicalDeltaY = delta_x, delta_y
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 4, 4
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 35, 35
    return region


@pytest.mark.parametrize(
    ("elements", "shape"),
    [
        ({"PixelAspectRatio": [3, 4]}, (HEIGHT, round(WIDTH * 4 / 3))),
        ({"PixelAspectRatio": [4, 3]}, (round(HEIGHT * 4 / 3), WIDTH)),
        ({"PixelSpacing": [0.3, 0.6]}, (HEIGHT, 2 * WIDTH)),
        ({"ImagerPixelSpacing": [0.6, 0.3]}, (2 * HEIGHT, WIDTH)),
        ({"NominalScannedPixelSpacing": [0.6, 0.3]}, (2 * HEIGHT, WIDTH)),
        ({"SequenceOfUltrasoundRegions": [make_region(0.02, -0.01)]}, (HEIGHT, 2 * WIDTH)),
        ({"SequenceOfUltrasoundRegions": [make_region(0.02, 0.01, units=4)]}, (HEIGHT, WIDTH)),
        ({"SequenceOfUltrasoundRegions": [make_region(0.02, 0.01, 3)]}, (HEIGHT, WIDTH)),
        ({"PixelAspectRatio": [1, 1]}, (HEIGHT, WIDTH)),
        ({"PixelAspectRatio": [0, 1]}, (HEIGHT, WIDTH)),
        ({}, (HEIGHT, WIDTH)),
    ],
)
def test_pixels_are_shown_square(tmp_path, elements, shape):
    dataset = make_dataset(GREY, "MONOCHROME2", **elements)
    shown = read(save(dataset, tmp_path / "a.dcm"))
    assert {picture.pixels.shape for picture in shown} == {shape}
    colours = read(save(make_dataset(RGB, **elements), tmp_path / "b.dcm"))
    assert {picture.pixels.shape for picture in colours} == {(*shape, 3)}


@pytest.mark.parametrize(("pointer", "last_s"), [(0x181063, 0.15), (0x181065, 0.06), (None, 0.06)])
def test_of_two_kinds_of_times_the_header_says_which_holds(tmp_path, pointer, last_s):
    said = {"FrameTimeVector": [0, 10, 30, 20], "FrameTime": 50, "FrameIncrementPointer": pointer}
    source = open_source([str(save(make_dataset(GREY, "MONOCHROME2", **said), tmp_path / "a.dcm"))])
    assert [picture.pts_s for picture in source.pictures()][-1] == pytest.approx(last_s)
    assert source.repaired_timestamps == 0


def test_times_that_run_back_are_repaired_and_counted(tmp_path):
    said = {"FrameTimeVector": [0, 40, -30, 20]}
    source = open_source([str(save(make_dataset(GREY, "MONOCHROME2", **said), tmp_path / "a.dcm"))])
    times_s = [picture.pts_s for picture in source.pictures()]
    assert times_s == sorted(set(times_s))
    assert source.repaired_timestamps > 0


def test_regions_are_those_of_the_square_picture(tmp_path):
    dataset = make_dataset(GREY, "MONOCHROME2", PixelAspectRatio=[1, 2])
    dataset.SequenceOfUltrasoundRegions = [make_region(0.02, 0.01)]
    source = open_source([str(save(dataset, tmp_path / "a.dcm"))])
    assert source.us_regions == {0: ((8, 4, 64, 32),)}


def test_frames_that_are_not_declared_are_read(tmp_path):
    for name, count in (("none", None), ("one", 1), ("two", 2)):
        dataset = make_dataset(GREY, "MONOCHROME2", FrameTime="40")
        dataset.NumberOfFrames = count
        if count is None:
            del dataset.NumberOfFrames
        pictures = read(save(dataset, tmp_path / f"{name}.dcm"))
        assert_shows(pictures, GREY)
        assert [p.pts_s for p in pictures] == pytest.approx([0, 0.04, 0.08, 0.12])


def make_compressed(count, has_table):
    frames = [cv2.imencode(".jpg", each)[1].tobytes() for each in GREY]
    dataset = make_dataset(GREY, "MONOCHROME2", syntax=JPEGBaseline8Bit)
    dataset.PixelData = encapsulate(frames, has_bot=has_table)
    dataset["PixelData"].VR = "OB"
    del dataset.NumberOfFrames
    if count is not None:
        dataset.NumberOfFrames = count
    return dataset


@pytest.mark.parametrize("count", [None, 1, 3])
@pytest.mark.parametrize("has_table", [True, False])
def test_compressed_frames_that_are_not_declared_are_read(tmp_path, count, has_table):
    pictures = read(save(make_compressed(count, has_table), tmp_path / "a.dcm"))
    assert_shows(pictures, GREY, atol=12)


def test_run_lengths_that_are_not_declared_are_read(tmp_path):
    dataset = make_dataset(GREY, "MONOCHROME2")
    dataset.compress(RLELossless)
    dataset.NumberOfFrames = 1
    assert_shows(read(save(dataset, tmp_path / "b.dcm")), GREY)


def test_a_picture_behind_another_in_one_fragment_is_not_lost(tmp_path):
    frames = [cv2.imencode(".jpg", each)[1].tobytes() for each in GREY]
    dataset = make_compressed(1, has_table=False)
    dataset.PixelData = encapsulate([b"".join(frames)])
    with pytest.raises(SourceError, match="hold another one behind it"):
        read(save(dataset, tmp_path / "a.dcm"))


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ({"PatientID": "4712"}, {"PatientID": "4713"}, "2 patients"),
        ({"StudyInstanceUID": "1.2"}, {"StudyInstanceUID": "1.3"}, "2 studies"),
        ({"PatientID": "", "PatientName": "Roe"}, {"PatientID": "", "PatientName": "Poe"}, "2 pa"),
        ({"PatientBirthDate": "19900101"}, {"PatientBirthDate": "19910101"}, "2 patients"),
    ],
)
def test_several_patients_or_studies_are_refused_unless_they_are_allowed(
    tmp_path, one, other, said
):
    for name, elements in (("1.dcm", one), ("2.dcm", other)):
        save(make_dataset(GREY, "MONOCHROME2", **elements), tmp_path / name)
    with pytest.raises(SourceError, match=said) as refused:
        open_source([str(tmp_path)])
    assert not any(str(value) in str(refused.value) for value in one.values() if value)
    with pytest.raises(SourceError, match="--mixed"):
        open_source([str(tmp_path / "1.dcm"), str(tmp_path / "2.dcm")])
    assert len(list(open_source([str(tmp_path)], mixed=True).pictures())) == 8


def test_one_patient_may_be_written_in_two_ways(tmp_path):
    for name, words in (("1.dcm", "Doe^Jane"), ("2.dcm", "DOE^JANE^"), ("3.dcm", "")):
        dataset = make_dataset(GREY, "MONOCHROME2", PatientName=words, StudyInstanceUID="1.2")
        save(dataset, tmp_path / name)
    assert len(list(open_source([str(tmp_path)]).pictures())) == 12


def make_report():
    report = Dataset()
    report.file_meta = make_dataset(GREY, "MONOCHROME2").file_meta
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"
    report.SOPInstanceUID = report.file_meta.MediaStorageSOPInstanceUID
    report.Modality, report.PatientID = "SR", "4711"
    return report


def test_a_report_beside_the_pictures_is_left_out_and_told(tmp_path):
    save(make_dataset(GREY, "MONOCHROME2"), tmp_path / "a.dcm")
    save(make_report(), tmp_path / "b.dcm")
    save(make_report(), tmp_path / "IM0007")
    source = open_source([str(tmp_path)])
    assert len(list(source.pictures())) == 4
    assert count_reasons(source.left_out) == {str(Reason.NO_PICTURES): 2}
    with pytest.raises(SourceError, match=r"--strict.*'b\.dcm'"):
        open_source([str(tmp_path)], strict=True)
    with pytest.raises(SourceError, match="no pixel data"):
        open_source([str(tmp_path / "b.dcm")])
    (tmp_path / "a.dcm").unlink()
    with pytest.raises(SourceError, match="DICOM without pictures"):
        open_source([str(tmp_path)])


def test_the_slices_of_a_volume_are_no_cine(tmp_path):
    volume = make_dataset(GREY, "MONOCHROME2")
    volume.SOPClassUID = volume.file_meta.MediaStorageSOPClassUID = EnhancedUSVolumeStorage
    save(volume, tmp_path / "volume.dcm")
    with pytest.raises(SourceError, match="Enhanced US Volume"):
        open_source([str(tmp_path / "volume.dcm")])
    save(make_dataset(GREY, "MONOCHROME2"), tmp_path / "a.dcm")
    source = open_source([str(tmp_path)])
    assert len(list(source.pictures())) == 4
    assert count_reasons(source.left_out) == {str(Reason.VOLUME): 1}


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize("with_meta", [True, False])
def test_dicom_without_its_preamble(tmp_path, syntax, with_meta):
    dataset = make_dataset(GREY, "MONOCHROME2", syntax=syntax)
    whole = save(dataset, tmp_path / "whole").read_bytes()
    (tmp_path / "whole").unlink()
    meta_length = struct.unpack("<I", whole[140:144])[0]
    (tmp_path / "IM1").write_bytes(whole[132 if with_meta else 144 + meta_length :])
    source = open_source([str(tmp_path)])
    assert source.description == "1 DICOM"
    assert_shows(list(source.pictures()), GREY)


@pytest.mark.parametrize("high_bit", [11, 13, 15])
def test_twelve_bits_lie_where_the_high_bit_says(tmp_path, high_bit):
    deep = GREY.astype(np.uint16) << 4
    stored = (deep << (high_bit - 11)).astype(np.uint16)
    elements = {"WindowCenter": 2048, "WindowWidth": 4096}
    dataset = make_dataset(stored, "MONOCHROME2", **elements)
    dataset.BitsStored, dataset.HighBit = 12, high_bit
    assert_shows(read(save(dataset, tmp_path / "a.dcm")), GREY, atol=1)


def test_overlays_in_the_bits_above_are_not_shown(tmp_path):
    stored = (GREY.astype(np.uint16) << 4) | 0x1000
    dataset = make_dataset(stored, "MONOCHROME2", WindowCenter=2048, WindowWidth=4096)
    dataset.BitsStored, dataset.HighBit = 12, 11
    assert_shows(read(save(dataset, tmp_path / "a.dcm")), GREY, atol=1)


def test_signed_samples_keep_their_sign_where_they_lie_high(tmp_path):
    deep = GREY.astype(np.int16) * 16 - 2048
    plain = make_dataset(deep, "MONOCHROME2", WindowCenter=0, WindowWidth=4096)
    plain.BitsStored, plain.HighBit = 12, 11
    high = make_dataset((deep << 4).astype(np.int16), "MONOCHROME2", WindowCenter=0)
    high.WindowWidth, high.BitsStored, high.HighBit = 4096, 12, 15
    shown = [read(save(each, tmp_path / f"{i}.dcm")) for i, each in enumerate((plain, high))]
    assert_shows(shown[1], np.stack([each.pixels for each in shown[0]]))


def make_rgb_jpeg(rgb, ids):
    """Return a JPEG whose components are RGB as they are, with these ids and no marker."""
    height, width = rgb.shape[:2]
    frame = av.VideoFrame(width, height, "yuvj444p")
    for plane, channel in zip(frame.planes, (0, 1, 2), strict=True):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        rows[:, :width] = rgb[..., channel]
        plane.update(rows)
    context = av.CodecContext.create("mjpeg", "w")
    context.width, context.height, context.pix_fmt = width, height, "yuvj444p"
    context.time_base, frame.pts = Fraction(1, 25), 0
    context.options = {"qmin": "1", "qmax": "1"}
    data = b"".join(bytes(each) for each in [*context.encode(frame), *context.encode(None)])
    out, at = bytearray(data[:2]), 2
    while True:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        segment = bytearray(data[at : at + 2 + length])
        for number, each in enumerate(ids):
            if marker == 0xC0:
                segment[10 + 3 * number] = each
            if marker == 0xDA:
                segment[5 + 2 * number] = each
        if not 0xE0 <= marker <= 0xEF and marker != 0xFE:
            out += segment
        at += 2 + length
        if marker == 0xDA:
            return bytes(out + data[at:])


@pytest.mark.parametrize("ids", [(0, 1, 2), (1, 2, 3), (82, 71, 66)])
def test_rgb_in_a_jpeg_without_markers(tmp_path, ids):
    smooth = np.stack([cv2.GaussianBlur(each, (0, 0), 2) for each in RGB])
    dataset = make_dataset(smooth, "RGB", syntax=JPEGBaseline8Bit)
    dataset.PixelData = encapsulate([make_rgb_jpeg(each, ids) for each in smooth])
    dataset["PixelData"].VR = "OB"
    assert_shows(read(save(dataset, tmp_path / "a.dcm")), smooth, atol=6)


@pytest.mark.parametrize(
    ("syntax", "codec", "container"),
    [
        (MPEG4HP41, "libx264", "h264"),
        (MPEG4HP41F, "libx264", "mpegts"),
        (HEVCMP51, "libx265", "hevc"),
        (MPEG2MPML, "mpeg2video", "mpeg2video"),
    ],
)
def test_video_inside_dicom_is_read(tmp_path, syntax, codec, container):
    options = {"crf": "1"} if codec == "libx264" else {}
    if codec == "libx265":
        options = {"x265-params": "log-level=none"}
    stream = write_clip(
        *(tmp_path / "v", codec, "yuv420p"), pictures=12, codec_options=options, format=container
    )
    data = stream.read_bytes()
    stream.unlink()
    frames = np.stack([make_picture(index) for index in range(12)])
    dataset = make_dataset(frames, "YBR_PARTIAL_420", syntax=syntax, FrameTime="20")
    half = len(data) // 4 * 2
    dataset.PixelData = encapsulate([data[:half], data[half:] + b"\0" * (len(data) % 2)])
    dataset["PixelData"].VR = "OB"
    path = save(dataset, tmp_path / "a.dcm")
    pictures = read(path)
    assert [p.pts_s for p in pictures] == pytest.approx([0.02 * index for index in range(12)])
    means = [float(p.pixels[-8:, -8:].mean()) for p in pictures]
    assert means == pytest.approx([8 + 4 * index for index in range(12)], abs=4)
    dataset.PixelAspectRatio = [1, 2]
    assert read(save(dataset, tmp_path / "b.dcm"))[0].pixels.shape[:2] == (48, 128)
    dataset.NumberOfFrames = 20
    with pytest.raises(SourceBrokenError, match="only 12 of the 20"):
        read(save(dataset, tmp_path / "c.dcm"))


@pytest.mark.parametrize("surplus_bytes", [2, 64, 1000])
def test_data_behind_the_last_picture_are_a_break_unless_they_are_padding(tmp_path, surplus_bytes):
    dataset = make_dataset(GREY, "MONOCHROME2")
    dataset.PixelData += b"\x55" * surplus_bytes
    source = open_source([str(save(dataset, tmp_path / "a.dcm"))])
    if surplus_bytes <= 64:
        assert_shows(list(source.pictures()), GREY)
        return
    with pytest.raises(SourceBrokenError, match="go on behind") as broken:
        list(source.pictures())
    assert broken.value.frame == len(GREY)
