import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import make_picture

from neurosono.engine.contracts.errors import SourceError
from neurosono.stream.sources import open_source
from neurosono.stream.sources.left_out import Reason, count_reasons


def write_still(path: Path, pixels, *parameters) -> Path:
    done, data = cv2.imencode(path.suffix, pixels, list(parameters))
    assert done
    path.write_bytes(data.tobytes())
    return path


def read_one(path):
    (picture,) = open_source([str(path)]).pictures()
    return picture


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg", ".webp"])
def test_every_format(tmp_path, suffix):
    path = write_still(tmp_path / f"a{suffix}", make_picture(10))
    picture = read_one(path)
    lossy = suffix in {".jpg", ".jpeg", ".webp"}
    np.testing.assert_allclose(picture.pixels, make_picture(10), atol=40 if lossy else 0)
    assert picture.pixels.dtype == np.uint8
    name = {".jpeg": "jpg", ".tif": "tiff"}.get(suffix, suffix[1:])
    assert open_source([str(path)]).description == f"1 still ({name})"


def test_stills_last_half_a_second_each(tmp_path):
    paths = [write_still(tmp_path / f"{i}.png", make_picture(i)) for i in range(3)]
    source = open_source([str(path) for path in paths])
    pictures = list(source.pictures())
    assert [picture.pts_s for picture in pictures] == [0, 0.5, 1]
    assert [picture.clip for picture in pictures] == [0, 1, 2]
    assert source.nominal_rate_hz == 2
    assert source.description == "3 stills (png)"
    assert source.repaired_timestamps == 0


def test_sixteen_bits_become_eight(tmp_path):
    wide = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 21
    path = write_still(tmp_path / "a.png", wide)
    np.testing.assert_array_equal(read_one(path).pixels, (wide >> 8).astype(np.uint8))


def test_grey_stays_grey_and_alpha_is_dropped(tmp_path):
    grey = make_picture(3)[..., 0]
    np.testing.assert_array_equal(read_one(write_still(tmp_path / "g.png", grey)).pixels, grey)
    clear = np.dstack([make_picture(3), np.full((48, 64), 7, np.uint8)])
    picture = read_one(write_still(tmp_path / "c.png", clear))
    np.testing.assert_array_equal(picture.pixels, make_picture(3))


def test_the_pages_of_a_tiff_are_pictures(tmp_path):
    done, data = cv2.imencodemulti(".tiff", [make_picture(1), make_picture(2)])
    assert done
    (tmp_path / "a.tiff").write_bytes(data.tobytes())
    pictures = list(open_source([str(tmp_path / "a.tiff")]).pictures())
    assert [picture.pts_s for picture in pictures] == [0, 0.5]
    np.testing.assert_array_equal(pictures[1].pixels, make_picture(2))


def test_a_wrong_suffix_does_not_matter(tmp_path):
    path = write_still(tmp_path / "a.png", make_picture(4))
    np.testing.assert_array_equal(read_one(path.rename(tmp_path / "a.mp4")).pixels, make_picture(4))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".jpg", ".webp"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_a_cut_still_is_refused(tmp_path, suffix, share, capfd):
    noise = np.random.default_rng(3).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    path = write_still(tmp_path / f"a{suffix}", noise)
    path.write_bytes(path.read_bytes()[: max(int(path.stat().st_size * share), 1)])
    with pytest.raises(SourceError, match="cannot use"):
        open_source([str(path)])
    assert "JPEG" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.png", b"words"), ("a.jpg", b""), ("a.tiff", b"II*\0" + bytes(40)), ("a.bmp", b"BMxx")],
)
def test_what_is_no_still_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError):
        open_source([str(tmp_path / name)])


def test_float_samples_are_refused(tmp_path):
    path = write_still(tmp_path / "a.tiff", np.ones((48, 64), np.float32))
    with pytest.raises(SourceError, match="float32"):
        open_source([str(path)])


@pytest.mark.realdata
def test_real_stills_of_one_patient_are_one_exam(real_data, tmp_path):
    images = sorted((real_data / "fpdb_brain_fullres").rglob("Patient*.png"))
    by_patient: dict[str, list[Path]] = {}
    for image in images:
        by_patient.setdefault(image.name.split("_")[0], []).append(image)
    chosen = max(by_patient.values(), key=len)
    for image in chosen:
        (tmp_path / image.name).symlink_to(image)
    source = open_source([str(tmp_path)])
    pictures = list(source.pictures())
    assert len(pictures) == len(chosen) > 1
    assert [picture.pts_s for picture in pictures] == [i / 2 for i in range(len(chosen))]
    for image in chosen:
        expected = cv2.imread(str(image)).shape[:2]
        assert expected in {picture.pixels.shape[:2] for picture in pictures}


def make_tiff(pages, photometric=1, kinds=None):
    """Return a TIFF of grey pages, each 8 or 16 bits; `kinds` are their NewSubfileTypes."""
    out, link = bytearray(b"II*\0\0\0\0\0"), 4
    for number, page in enumerate(pages):
        height, width = page.shape
        at = len(out)
        out += page.astype(page.dtype.newbyteorder("<")).tobytes()
        fields = [
            *((254, 4, 0 if kinds is None else kinds[number]), (256, 3, width), (257, 3, height)),
            *((258, 3, 8 * page.itemsize), (259, 3, 1), (262, 3, photometric), (273, 4, at)),
            *((277, 3, 1), (278, 3, height), (279, 4, page.nbytes)),
        ]
        out[link : link + 4] = struct.pack("<I", len(out))
        out += struct.pack("<H", len(fields))
        out += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in fields)
        link = len(out)
        out += bytes(4)
    return bytes(out)


def shown(path, data):
    path.write_bytes(data)
    source = open_source([str(path)])
    return [each.pixels for each in source.pictures()], count_reasons(source.left_out)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("photometric", [0, 1])
def test_white_may_be_zero_in_a_tiff(tmp_path, depth, photometric):
    grey = make_picture(5)[..., 0]
    stored = grey.astype(depth) * (257 if depth == np.uint16 else 1)
    stored = stored if photometric else np.iinfo(depth).max - stored
    (page,), _ = shown(tmp_path / "a.tif", make_tiff([stored], photometric))
    np.testing.assert_array_equal(page, grey)


def test_smaller_copies_in_a_tiff_are_told(tmp_path):
    grey = make_picture(5)[..., 0]
    pages = [grey, grey[::4, ::4].copy(), make_picture(9)[..., 0]]
    found, told = shown(tmp_path / "a.tif", make_tiff(pages, kinds=[0, 1, 0]))
    assert [each.shape for each in found] == [(48, 64), (48, 64)]
    assert told == {str(Reason.THUMBNAIL): 1}
    with pytest.raises(SourceError, match="only a smaller copy"):
        shown(tmp_path / "b.tif", make_tiff(pages[1:2], kinds=[1]))


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_fewer_bits_in_sixteen_are_shown_at_full_brightness(tmp_path, bits, suffix):
    grey = make_picture(5)[..., 0]
    stored = grey.astype(np.uint16) << (bits - 8)
    data = cv2.imencode(f".{suffix}", stored)[1].tobytes()
    (page,), _ = shown(tmp_path / f"a.{suffix}", data)
    np.testing.assert_array_equal(page, grey)


def test_the_pictures_of_an_mpo(tmp_path):
    pictures = [make_picture(5), make_picture(9), cv2.resize(make_picture(5), (16, 12))]
    encoded = [cv2.imencode(".jpg", each)[1].tobytes() for each in pictures]
    index = b"\xff\xe2" + struct.pack(">H", 10) + b"MPF\0II*\0"
    data = encoded[0][:2] + index + encoded[0][2:] + bytes(8) + b"".join(encoded[1:])
    for suffix in ("mpo", "jpg"):
        found, told = shown(tmp_path / f"a.{suffix}", data)
        assert [round(each[-1, -1].mean()) for each in found] == pytest.approx([28, 44], abs=2)
        assert told == {str(Reason.THUMBNAIL): 1}
