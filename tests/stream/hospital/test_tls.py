"""Mutual TLS to peers of others (dcmtk's, Orthanc): who is believed, and what is said otherwise."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from neurosono.engine.contracts.errors import InputError, OutputError, RunError, SourceError
from neurosono.stream.hospital.dicomweb import fetch_sources
from neurosono.stream.hospital.node import parse_node
from neurosono.stream.hospital.query import Question, ask_worklist, name_today
from neurosono.stream.hospital.tls import Tls, read_tls
from neurosono.stream.study.send import send_dicom
from tests.support.certificates import Authority, make_authority
from tests.support.cines import draw_frames, make_cine
from tests.support.dcmtk import storing
from tests.support.orthanc import serving_orthanc
from tests.support.web import guarding
from tests.support.worklists import make_entry, write_entries


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("tls") / "clinic")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("tls") / "stranger")


@pytest.fixture(scope="module")
def ours(clinic: Authority) -> Tls:
    return clinic.issue("us")


@pytest.fixture(scope="module")
def cine() -> Dataset:
    return make_cine(draw_frames(2))


def test_who_is_known_is_served_and_who_is_not_hears_why(
    tmp_path: Path, clinic: Authority, stranger: Authority, ours: Tls, cine: Dataset
) -> None:
    expired = clinic.issue("expired", ends_days=-1)
    foreign = stranger.issue("us", trusting=clinic)
    with storing(tmp_path / "kept", clinic.issue("pacs")) as node:
        for tls, words in (
            (expired, "finds our certificate expired"),
            (foreign, "does not know who vouches for our certificate"),
            (None, "wants TLS: give certificates"),
        ):
            with pytest.raises(OutputError, match=f"STORESCP at .* {words}"):
                send_dicom([cine], replace(node, tls=tls))
        assert not list((tmp_path / "kept").iterdir())
        send_dicom([cine], replace(node, tls=ours))
        (kept,) = (tmp_path / "kept").iterdir()
        assert kept.name.endswith(cine.SOPInstanceUID)


def test_a_pacs_that_is_another_gets_nothing(
    tmp_path: Path, clinic: Authority, stranger: Authority, ours: Tls, cine: Dataset
) -> None:
    foreign = stranger.issue("pacs", trusting=clinic)
    for number, (tls, words) in enumerate(
        (
            (clinic.issue("old", ends_days=-1), "shows a certificate that has expired"),
            (foreign, "shows a certificate that is vouched for by nobody that we know"),
            (clinic.issue("other", host="10.9.8.7"), "shows a certificate that is another node's"),
            (None, "does not speak TLS as we do"),
        )
    ):
        with storing(tmp_path / str(number), tls) as node:
            with pytest.raises(OutputError, match=words):
                send_dicom([cine], replace(node, tls=ours))
            assert not list((tmp_path / str(number)).iterdir())


def test_a_worklist_is_asked_by_tls_and_an_expired_certificate_is_named(
    tmp_path: Path, clinic: Authority, ours: Tls
) -> None:
    folder = write_entries(tmp_path / "wl", [make_entry("Größe^Änne", "A-1")])
    theirs = clinic.issue("orthanc")
    with serving_orthanc(tmp_path, folder, theirs) as orthanc:
        node = parse_node(orthanc.node, tls=ours)
        (found,) = ask_worklist(Question(node, name_today()))
        assert found.name == "Größe, Änne"
        late = replace(node, tls=clinic.issue("late", ends_days=-1))
        for tls, words in ((late.tls, "finds our certificate expired"), (None, "wants TLS")):
            with pytest.raises(RunError, match=words):
                ask_worklist(Question(replace(node, tls=tls), name_today()))


def test_tls_files_that_are_none_are_refused_before_anything_begins(
    ours: Tls, tmp_path: Path
) -> None:
    cert, key, ca = (Path(each) for each in (ours.certfile, ours.keyfile, ours.cafile))
    assert read_tls("x", None, None, None) is None
    assert read_tls("x", cert, key, ca) == ours
    with pytest.raises(InputError, match="mutual TLS needs --a, --b and --c: give all three"):
        read_tls("--a, --b and --c", cert, None, ca)
    locked = tmp_path / "locked.key"
    command = ["openssl", "ec", "-aes256", "-passout", "pass:x", "-in", str(key), "-out", locked]
    subprocess.run(command, check=True, capture_output=True)
    for files in ((cert, ca, ca), (cert, tmp_path / "none", ca), (cert, locked, ca)):
        with pytest.raises(InputError, match="TLS files cannot be used"):
            read_tls("x", *files)


def test_a_study_is_fetched_by_dicomweb_from_behind_a_certificate(
    tmp_path: Path, clinic: Authority, stranger: Authority, ours: Tls, cine: Dataset
) -> None:
    with serving_orthanc(tmp_path) as orthanc, guarding(orthanc, clinic.issue("web")) as root:
        send_dicom([cine], parse_node(orthanc.node))
        study = f"{root.replace('https', 'dicomweb')}/studies/{cine.StudyInstanceUID}"
        for tls, words in (
            (stranger.issue("us3", trusting=clinic), "does not know who vouches for our cert"),
            (None, "shows a certificate that is vouched for by nobody that we know"),
        ):
            with pytest.raises(SourceError, match=words), fetch_sources([study], tls=tls):
                pass
        with fetch_sources([study], tls=ours) as (folder,):
            (path,) = Path(folder).iterdir()
            assert dcmread(path).PixelData == cine.PixelData
