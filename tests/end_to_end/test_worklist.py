"""From the hospital's worklist to its PACS by the real command, and no name where none belongs."""

from pathlib import Path

from tests.support.commands import run
from tests.support.orthanc import serving_orthanc
from tests.support.worklists import make_entry, write_entries

SOURCE = "loop:phantom:normal?seed=7&seconds=20&width=320&height=240"
WORDS = ("Größe", "Änne", "ID-A-1", "A-1", "Referrer", "Rita")


def test_an_exams_study_arrives_under_the_name_that_it_was_ordered_for(
    bundle_root: Path, tmp_path: Path
) -> None:
    kept, pacs = tmp_path / "kept", tmp_path / "pacs"
    kept.mkdir()
    pacs.mkdir()
    entries = [make_entry("Größe^Änne", "A-1"), make_entry("Other^Olga", "A-2")]
    with serving_orthanc(pacs, write_entries(pacs / "worklist", entries)) as orthanc:
        there = ["--worklist", orthanc.node, "--send", orthanc.node, "--accession", "A-1"]
        where = ["--journal", kept / "exams.db", "--log-json", kept / "log", "--record", "overlay"]
        shown = ["--no-page", "--seconds", "6", "--json", kept / "exam.json", "--keep-clips"]
        done = run("live", SOURCE, "--bundle", bundle_root, "--pdf", *there, *where, *shown)
        assert done.returncode == 0, done.stderr
        assert "stored on ORTHANC" in done.stderr
        (study,) = orthanc.get("/studies")
        told = orthanc.get(f"/studies/{study}")
        assert told["PatientMainDicomTags"]["PatientName"] == "Größe^Änne"
        assert told["MainDicomTags"]["AccessionNumber"] == "A-1"
        assert told["MainDicomTags"]["StudyInstanceUID"] == "1.2.826.0.1.3680043.9.1"
        kinds = {
            orthanc.get(f"/series/{each}")["MainDicomTags"]["Modality"] for each in told["Series"]
        }
        assert kinds == {"OT", "SR", "DOC"}
    said = done.stdout + done.stderr
    assert not any(word in said for word in WORDS)
    looked_at = [path for path in kept.rglob("*") if path.is_file()]
    assert {"identities", "outbox.sqlite"} <= {
        name for path in looked_at for name in (path.name, path.parent.name)
    }
    for path in looked_at:
        data = path.read_bytes()
        if path.parent.name == "identities":
            assert "Größe".encode() in data
            assert path.stat().st_mode & 0o777 == 0o600
        else:
            assert not any(word.encode() in data for word in WORDS), path.name
    deleted = run("exams", "delete", "last", "--yes", "--journal", kept / "exams.db")
    assert deleted.returncode == 0, deleted.stderr
    assert not [path for path in (kept / "identities").iterdir() if path.suffix == ".json"]


def test_an_order_without_a_worklist_is_refused(bundle_root: Path, tmp_path: Path) -> None:
    done = run("live", SOURCE, "--bundle", bundle_root, "--send", "PACS@127.0.0.1:1")
    assert done.returncode == 2
    assert "--send, --mpps and --accession go with --worklist" in done.stderr
