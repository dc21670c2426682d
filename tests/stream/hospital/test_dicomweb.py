"""A study fetched from a PACS by DICOMweb: replayed as its files would be, and gone afterwards."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from typer.testing import CliRunner

from neurosono.engine.contracts.errors import InputError, SourceError
from neurosono.engine.contracts.notice import MAKER
from neurosono.scripts.commands import make_app
from neurosono.stream.hospital.dicomweb import fetch_sources, is_dicomweb, parse_place
from neurosono.stream.hospital.node import parse_node
from neurosono.stream.study.send import send_dicom
from tests.support.cines import DAY, WORD, draw_frames, make_cine, tell_everything, write_cine
from tests.support.commands import read_record, run
from tests.support.orthanc import serving_orthanc
from tests.support.senders import HOST, free_tcp_port
from tests.support.web import Handler, serving


def test_a_study_is_fetched_replayed_and_deleted(tmp_path: Path, bundle_root: Path) -> None:
    frames = draw_frames(16)
    first = tell_everything(make_cine(frames, number=1))
    second = make_cine(frames[::-1].copy(), study=first.StudyInstanceUID, number=2)
    files = [write_cine(tmp_path / f"{n}.dcm", each) for n, each in enumerate((first, second))]
    own = make_cine(frames, study=first.StudyInstanceUID, number=3)
    own.Manufacturer = MAKER
    common = ["--bundle", bundle_root, "--no-video", "--out"]
    with serving_orthanc(tmp_path) as orthanc:
        send_dicom([second, first, own], parse_node(orthanc.node))
        root = orthanc.web.replace("http://", "dicomweb+http://")
        study = f"{root}/studies/{first.StudyInstanceUID}"
        temporary = tmp_path / "tmp"
        temporary.mkdir()
        here = {"TMPDIR": str(temporary)}
        web = run("replay", study, *common, tmp_path / "web", env=here)
        assert web.returncode == 0, web.stderr
        written = [path.read_text() for path in (tmp_path / "web").glob("*.json*")]
        for each in (web.stdout, web.stderr, *written):
            assert not any(word in each for word in ("Größe", "P-4711", "A-77", WORD, DAY))
        assert "a result of neurosono" in web.stdout + web.stderr
        assert not list(temporary.rglob("*.dcm"))
        with fetch_sources([f"{root}/studies?AccessionNumber=A-77"]) as (folder,):
            fetched = sorted(Path(folder).iterdir())
            assert Path(folder).stat().st_mode & 0o777 == 0o700
            assert [path.stat().st_mode & 0o777 for path in fetched] == [0o600] * 3
            pixels = [dcmread(path).PixelData for path in fetched]
            assert pixels == [each.PixelData for each in (first, second, own)], "in their order"
        assert not Path(folder).exists()
        one = f"{study}/series/{second.SeriesInstanceUID}/instances/{second.SOPInstanceUID}"
        with fetch_sources([one, str(files[0])]) as (folder, kept):
            assert len(list(Path(folder).iterdir())) == 1
            assert kept == str(files[0])
        with (
            pytest.raises(SourceError, match="has no study of what is searched for"),
            fetch_sources([f"{root}/studies?AccessionNumber=A-78"]),
        ):
            pass
        words = ["study", study, "--bundle", str(bundle_root), "--identity-of", "source"]
        made = CliRunner().invoke(make_app("study"), [*words, "--stow", orthanc.web])
        assert made.exception is None, made.output
        assert "refers to 2 DICOM files" in made.stderr
        assert len(orthanc.get("/instances")) == 3 + 3
        with (
            pytest.raises(SourceError, match=r"has no picture there|answered 404"),
            fetch_sources([f"{root}/studies/1.2.3"]),
        ):
            pass
    assert read_record(tmp_path / "web")["frames"]["decoded"] == 32


@pytest.mark.parametrize(
    "address",
    [
        "dicomweb://",
        "dicomweb://host/dicom-web",
        "dicomweb://me:secret@host/studies/1.2",
        "dicomweb://host/studies",
        "dicomweb://host/studies/1.2?AccessionNumber=secret",
        "dicomweb://host:port/studies/1.2",
        "dicomweb://host/studies/../../etc",
    ],
)
def test_an_address_that_names_no_study_is_refused(address: str) -> None:
    assert is_dicomweb(address)
    with pytest.raises(InputError) as caught:
        parse_place(address)
    assert "secret" not in str(caught.value)


@contextlib.contextmanager
def answering(status: int, body: bytes, kind: str = "application/dicom+json") -> Iterator[str]:
    """Serve one answer to everything."""

    class Answer(Handler):
        def answer(self) -> None:
            ours = "instances/" not in self.path
            said = LISTED if ours and kind.startswith("multipart") else body
            self.give(status, "application/dicom+json" if ours else kind, said)

    with serving(Answer) as port:
        yield f"dicomweb+http://{HOST}:{port}/studies/1.2"


LISTED = json.dumps(
    [{"0020000E": {"Value": ["1.3"]}, "00080018": {"Value": ["1.4"]}, "00280010": {"Value": [9]}}]
).encode()
CUT = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + b"D" * 100


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, b"", "text/plain", "answered 401 Unauthorized: check the address, and --web-token"),
        (200, b"<html>", "text/html", "no DICOM JSON"),
        (200, b'[{"0020000E":{"Value":["../x"]}}]', "text/html", "names no 0020000E"),
        (204, b"", "text/plain", "no picture there"),
        (200, CUT, "multipart/related; boundary=x", "broke off in the middle"),
        (200, b"no part", "multipart/related; boundary=x", "gave no answer"),
        (200, b"plain", "multipart/related", "no multipart answer"),
    ],
)
def test_a_server_that_fails_is_told(status: int, body: bytes, kind: str, words: str) -> None:
    with (
        answering(status, body, kind) as address,
        pytest.raises(SourceError, match=words),
        fetch_sources([address]),
    ):
        pass


def test_a_server_that_is_not_there() -> None:
    with (
        pytest.raises(SourceError, match="gave no answer: Connection refused"),
        fetch_sources([f"dicomweb+http://{HOST}:{free_tcp_port()}/studies/1.2"]),
    ):
        pass
