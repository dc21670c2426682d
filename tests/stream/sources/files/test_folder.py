import os
from pathlib import Path

import cv2
import pytest
from conftest import make_picture, write_clip

from neurosono.engine.contracts.errors import SourceError
from neurosono.stream.sources import open_source
from neurosono.stream.sources.files.folder import list_media, natural_key


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


def test_natural_order():
    names = ["Clip 1", "clip 2", "clip 10", "clip 10b", "frame"]
    assert [p.name for p in sorted(map(Path, reversed(names)), key=natural_key)] == names
    assert sorted([Path("a10/b1"), Path("a2/b3"), Path("a2/b20")], key=natural_key) == [
        Path("a2/b3"),
        Path("a2/b20"),
        Path("a10/b1"),
    ]


def test_hidden_files_and_junk_are_passed_over_and_others_counted(tmp_path):
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
    assert source.ignored_files == 3


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


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_refused(tmp_path):
    write_png(tmp_path / "a.png")
    locked = tmp_path / "locked"
    locked.mkdir(mode=0)
    with pytest.raises(SourceError, match="permissions"):
        open_source([str(tmp_path)])
    locked.chmod(0o700)
