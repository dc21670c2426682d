import os
import tempfile
from pathlib import Path

import cv2
import pytest
from conftest import make_picture, write_clip

from neurosono.engine.contracts.errors import SourceError
from neurosono.stream.replay.options import ReplayOptions
from neurosono.stream.sources import open_source
from neurosono.stream.sources.files.folder import list_media, natural_key
from neurosono.stream.sources.left_out import count_reasons, tell_left_out


def write_png(path, index=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", make_picture(index))[1].tobytes())
    return path


def test_a_folder_is_one_exam_in_natural_order(tmp_path):
    for name in ("clip10.mkv", "clip2.mkv"):
        write_clip(tmp_path / name, pictures=3 if name == "clip2.mkv" else 2)
    write_png(tmp_path / "b" / "10.png", 10)
    write_png(tmp_path / "b" / "9.PNG", 9)
    source = open_source([str(tmp_path)])
    pictures = list(source.pictures())
    assert [picture.clip for picture in pictures] == [0, 1, 2, 2, 2, 3, 3]
    assert [int(picture.pixels[-1, -1, 0]) for picture in pictures[:2]] == [8 + 36, 8 + 40]
    assert [picture.index for picture in pictures] == list(range(7))
    assert [picture.pts_s for picture in pictures] == sorted({p.pts_s for p in pictures})
    assert source.description == "2 clips (mkv), 2 stills (png)"


def test_natural_order(tmp_path):
    names = ["007", "7", "Clip 1", "clip 2", "clip 10", "CLIP 10B", "clip 10b", "frame"]
    assert sorted(sorted(names), key=natural_key) == names
    for name in ("a10/b1.png", "a2/b20.png", "a2/b3.png", "a9.png", "b.png"):
        write_png(tmp_path / name)
    found = [str(path.relative_to(tmp_path)) for path in list_media(tmp_path).media]
    assert found == ["a2/b3.png", "a2/b20.png", "a9.png", "a10/b1.png", "b.png"]


def test_every_file_that_is_not_used_is_told_with_its_reason(tmp_path):
    write_png(tmp_path / "a.png")
    write_png(tmp_path / ".hidden" / "b.png")
    write_png(tmp_path / "__MACOSX" / "b.png")
    for name in ("._a.png", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (tmp_path / name).write_bytes(b"junk")
    (tmp_path / "LICENSE").write_text("words")
    (tmp_path / "table.csv").write_text("a,b")
    (tmp_path / "nothing").write_bytes(b"")
    source = open_source([str(tmp_path)])
    assert source.description == "1 still (png)"
    assert count_reasons(source.left_out) == {
        "empty": 1,
        "hidden": 1,
        "made by a file browser": 5,
        "no kind of picture": 2,
    }
    told = tell_left_out(source.left_out)
    assert "not used: 'LICENSE': no kind of picture" in told
    assert "not used: '.hidden/b.png': hidden" in told
    with pytest.raises(SourceError, match=r"--strict.*LICENSE"):
        open_source([str(tmp_path)], strict=True)


@pytest.mark.parametrize("name", ["bad.mp4", "bad.png", "bad.dcm", "bad.GIF"])
@pytest.mark.parametrize("content", [b"", b"words that are no picture"])
def test_what_looks_like_media_is_never_ignored(tmp_path, name, content):
    write_png(tmp_path / "a.png")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / name).write_bytes(content)
    with pytest.raises(SourceError, match=name.replace(".", r"\.")):
        open_source([str(tmp_path)])


def test_media_without_a_suffix_are_found(tmp_path):
    write_png(tmp_path / "a.png").rename(tmp_path / "a")
    write_clip(tmp_path / "b.mkv").rename(tmp_path / "b")
    assert open_source([str(tmp_path)]).description == "1 clip (mkv), 1 still (png)"


def test_all_files_that_cannot_be_used_are_told_at_once(tmp_path):
    write_png(tmp_path / "a.png")
    for name in ("b.png", "c.mp4", "d.dcm"):
        (tmp_path / name).write_bytes(b"words that are no picture")
    with pytest.raises(SourceError, match=r"3 files.*b\.png.*c\.mp4.*d\.dcm"):
        open_source([str(tmp_path)])


def test_names_that_are_no_text_can_be_told(tmp_path):
    write_png(tmp_path / "a.png")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller.txt")).write_text("words")
    (line,) = tell_left_out(open_source([str(tmp_path)]).left_out)
    assert line.encode() == rb"not used: 'M\udcfcller.txt': no kind of picture"


def test_a_link_that_leads_nowhere_is_an_error(tmp_path):
    write_png(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "absent.png")
    with pytest.raises(SourceError, match=r"b\.png"):
        open_source([str(tmp_path)])


def test_links_in_a_circle_end(tmp_path):
    write_png(tmp_path / "deep" / "a.png")
    (tmp_path / "deep" / "round").symlink_to(tmp_path)
    assert len(list_media(tmp_path).media) == 1


def test_a_folder_without_media_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("words")
    with pytest.raises(SourceError, match="holds no clip"):
        open_source([str(tmp_path)])


@pytest.fixture
def nobody():
    """Be a user without rights, where the tests are run by root."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield
    if root:
        os.seteuid(0)


@pytest.mark.parametrize("below", ["", "a.png", "deep/a.png"])
def test_a_folder_that_may_not_be_read_or_entered_is_refused(below, nobody):
    with tempfile.TemporaryDirectory() as folder:
        locked = Path(folder) / "locked"
        locked.mkdir(mode=0)
        with pytest.raises(SourceError, match="permissions"):
            open_source([str(locked / below)])
        with pytest.raises(SourceError, match="permissions"):
            ReplayOptions(sources=(str(locked / "a.png"),), out=Path(folder)).check_sources()
        locked.chmod(0o700)


def test_a_name_that_cannot_be_is_refused():
    with pytest.raises(SourceError, match="too long"):
        open_source(["a" * 5000])
