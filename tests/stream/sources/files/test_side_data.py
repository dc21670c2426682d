"""Side data that PyAV does not know, as the EXIF of FFmpeg 8, cost no picture."""

import struct
from fractions import Fraction

import av
import cv2
import pytest
from av.sidedata.sidedata import Type
from conftest import make_picture

from neurosono.stream.sources import open_source

EXIF = b"Exif\0\0II*\0" + struct.pack("<IHHHIII", 8, 1, 274, 3, 1, 1, 0)


def make_jpeg(index, exif):
    data = cv2.imencode(".jpg", make_picture(index))[1].tobytes()
    if not exif:
        return data
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]


def write_avi(path, jpegs):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for index, data in enumerate(jpegs):
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = index
            packet.is_keyframe = True
            container.mux(packet)
    return path


@pytest.mark.parametrize("with_exif", [range(12), [7], []])
def test_jpegs_with_exif_are_read_to_the_last(tmp_path, with_exif):
    jpegs = [make_jpeg(index, EXIF if index in with_exif else b"") for index in range(12)]
    pictures = list(open_source([str(write_avi(tmp_path / "a.avi", jpegs))]).pictures())
    means = [float(each.pixels[-8:, -8:].mean()) for each in pictures]
    assert means == pytest.approx([8 + 4 * index for index in range(12)], abs=3)


def test_any_number_is_a_type_of_side_data():
    assert Type(10_000).value == 10_000
    assert Type(Type.DISPLAYMATRIX.value) is Type.DISPLAYMATRIX
