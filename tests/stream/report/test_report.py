"""An exam's report: what it says, and that the page needs nothing else and lets nothing in."""

import base64
import re
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from msgspec import structs
from typer.testing import CliRunner

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import BundleError, InputError, OutputError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.contracts.result import ExamState
from neurosono.scripts.report import report as report_command
from neurosono.stream.journal.journal import Clock, ExamJournal, Journal
from neurosono.stream.journal.words import describe_bundle
from neurosono.stream.report.gather import Report, ThinnedCurve, describe_report
from neurosono.stream.report.page import render_report, write_report
from neurosono.stream.report.plots import INKS
from neurosono.stream.view.words import STATE_SENTENCES
from tests.support.pages import EVIL, Page, assert_harmless
from tests.support.records import ABOUT, make_exam, make_results

FRAMES = 60
BEGUN_NS = 1_800_000_000 * 10**9


class Time:
    """Both clocks of a journal, moved by hand."""

    def __init__(self) -> None:
        self.now_ns = BEGUN_NS

    def __call__(self) -> int:
        return self.now_ns

    def set(self, seconds: float) -> None:
        self.now_ns = BEGUN_NS + round(seconds * 1e9)


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def journal(tmp_path: Path, clock: Time) -> Iterator[Journal]:
    with Journal.open(tmp_path / "exams.sqlite", clock=Clock(clock, clock)) as opened:
        yield opened


@pytest.fixture
def about(bundle_root: Path) -> dict[str, Any]:
    return describe_bundle(Bundle.load(bundle_root)) | {"mode": "live", "release": "1.2.3"}


def fill(exam: ExamJournal, clock: Time) -> None:
    """Record two seconds of frames and all that may befall an exam."""
    for result in make_results(make_exam(), FRAMES):
        clock.set(1 + result.seq / 30)
        if result.seq == 1:
            exam.event("ready", {"backend": "openvino", "precision": "int8", "members": 3})
        exam.record(result)
    used = next(each.seq for each in make_results(make_exam(), FRAMES) if each.used)
    clock.set(4)
    picture = np.random.default_rng(0).integers(0, 256, (90, 120), np.uint8)
    heat = np.linspace(0, 1, 49, dtype=np.float32).reshape(7, 7)
    names = [exam.keep(used, picture, reason, heatmap=heat) for reason in ("key", "evidence")]
    exam.keep(10_000, picture, "freeze")
    exam.review(str(names[0]), "accept")
    exam.review(str(names[1]), "reassign", "normal")
    exam.state("ai", "off")
    clock.set(6)
    exam.event("restarted", {"role": "engine", "count": 1})
    exam.event("ready", {"backend": "openvino", "precision": "int8", "members": 3})
    exam.state("signal", "no-signal")
    clock.set(7)


def describe(journal: Journal, exam_id: str, bundle: Bundle | None = None) -> Report:
    with journal.read() as reader:
        return describe_report(reader, exam_id, bundle)


@pytest.fixture
def report(journal: Journal, clock: Time, about: dict[str, Any], bundle_root: Path) -> Report:
    exam = journal.begin(about)
    fill(exam, clock)
    exam.end({"complete": True, "frames": {"decoded": 80, "displayed": 77, "dropped": 3}})
    return describe(journal, exam.exam_id, Bundle.load(bundle_root))


def test_it_says_what_the_record_says(report: Report) -> None:
    live = make_exam()
    results = list(make_results(live, FRAMES))
    snapshot = live.snapshot()
    assert report.exam.last is not None
    assert report.exam.last.probabilities.tolist() == snapshot.probabilities.tolist()
    at_s, mean, _, _ = report.curve[-1]
    assert mean.tolist() == snapshot.probabilities.tolist()
    assert at_s == pytest.approx(1 + (FRAMES - 1) / 30, abs=1e-6)
    assert report.engine == {"backend": "openvino", "precision": "int8", "members": 3}
    of_key, of_evidence, frozen = report.pictures
    used = next(each for each in results if each.used)
    assert used.probabilities is not None
    assert of_key.probability == pytest.approx(used.probabilities.max())
    assert of_key.at_s == pytest.approx(1 + used.seq / 30, abs=1e-6), "when seen, not when kept"
    assert (of_evidence.key.status, of_evidence.key.label) == ("reassigned", "normal")
    assert (frozen.label, frozen.probability) == (None, None)


def test_stretches_begin_and_end_where_they_did(report: Report) -> None:
    found = {
        (each.what, round(each.begin_s, 2), round(each.end_s, 2))
        for each in report.history.stretches
    }
    assert ("ai-off", 0.0, 1.03) in found, "the engine was loading"
    assert ("ai-off", 4.0, 6.0) in found
    assert ("no-signal", 6.0, 7.0) in found, "open at the end"
    assert report.history.duration_s == 7.0
    assert "the engine process was started again" in [e.words for e in report.history.incidents]


def test_only_a_still_stretch_is_a_freeze(journal: Journal, clock: Time) -> None:
    exam, results = journal.begin(ABOUT), list(make_results(make_exam(), 400))
    used = [each for each in results if each.used][:100]
    still = [each for each in results if each.skip_reason == "frozen"]
    for place, (one, other) in enumerate(zip(used, still * 9, strict=False)):
        clock.set(place / 10)  # each picture twice
        exam.record(one)
        exam.record(other)
    for place in range(20):
        clock.set(20 + place / 10)
        exam.record(still[0])
    found = describe(journal, exam.exam_id).history.stretches
    assert [(each.what, each.begin_s, each.end_s) for each in found] == [("frozen", 20.0, 21.9)]


def test_the_page_holds_all_of_it(report: Report) -> None:
    page = Page(render_report(report))
    words = " ".join(page.words.split())
    assert words.count(NOTICE) >= 2
    last = report.exam.last
    assert last is not None
    for label, value in zip(report.exam.labels, last.probabilities, strict=True):
        assert label in words
        assert f"{value:.0%}" in words
    for said in (
        *(report.exam.exam_id, "accepted", "reassigned to normal", "not reviewed"),
        *("80", "77", "Not assessed.", "openvino int8, 3 members", "neurosono 1.2.3"),
        *("the scanner's image was frozen", f"Used {report.exam.used}", "tests"),
        *("AI off for 3.0 s", "no video signal for 1.0 s", "No heatmap was made of this frame"),
    ):
        assert said in words, said


def test_the_page_needs_nothing_else(report: Report) -> None:
    text = render_report(report)
    page = Page(text)
    assert {"script", "link", "iframe", "object", "form"}.isdisjoint(page.tags)
    assert page.sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.sources)
    assert "default-src 'none'" in text
    assert not re.search(r"https?:|@import|url\(", text)
    for source in page.sources:
        data = np.frombuffer(base64.b64decode(source.partition(",")[2]), np.uint8)
        assert np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)).shape == (90, 120, 3)
    assert len(page.sources) == 5, "three frames, and two of them with their heatmap"


def test_a_cards_words_are_words(report: Report) -> None:
    assert report.manifest is not None
    card = {
        "what": EVIL,
        "intended_use": f'"{EVIL}',
        "limits": [f"{EVIL} & more"],
        "training_data": {"patients": EVIL, "patients_seen": ["p-secret"]},
        "metrics": {"unseen": {"exams": {"accuracy": 0.5, "count": EVIL}}},
    }
    text = render_report(replace(report, manifest=replace(report.manifest, card=card)))
    assert assert_harmless(text) == 6
    assert "p-secret" not in text, "the patients that a model was trained on stay behind"


def test_no_word_of_a_record_becomes_a_tag(report: Report) -> None:
    labels = tuple(EVIL + label for label in report.exam.labels)
    last, incident = report.exam.last, report.history.incidents[0]
    assert last is not None
    exam = replace(
        report.exam,
        labels=labels,
        about={"bundle": EVIL, "bundle_sha256": EVIL, "student_sha256": EVIL, "release": EVIL},
        last=structs.replace(last, prediction_set=labels),
        skipped={EVIL: 3},
    )
    pictures = tuple(
        replace(each, label=EVIL, probability=0.5, key=replace(each.key, reason=EVIL, status=EVIL))
        for each in report.pictures
    )
    history = replace(report.history, incidents=(replace(incident, words=EVIL),))
    hostile = replace(
        report, exam=exam, pictures=pictures, history=history, engine={"backend": EVIL}
    )
    said = assert_harmless(render_report(hostile))
    of_labels, of_pictures, of_the_rest = 3 * len(labels), 3 * len(pictures), 7
    assert said == of_labels + of_pictures + of_the_rest
    assert assert_harmless(render_report(replace(hostile, manifest=None))) == said + len(labels)


def test_without_its_bundle_nothing_is_guessed(journal: Journal, clock: Time) -> None:
    exam = journal.begin(ABOUT)
    fill(exam, clock)
    page = Page(render_report(describe(journal, "last")))
    words = " ".join(page.words.split())
    assert "was not at hand" in words
    assert "name the bundle with --bundle" in words
    assert len(page.sources) == 3, "where the heatmap lies is only known by the bundle"


def test_another_bundle_is_refused(journal: Journal, bundle_root: Path) -> None:
    exam = journal.begin(ABOUT)
    with pytest.raises(BundleError, match="name the bundle of that exam"):
        describe(journal, exam.exam_id, Bundle.load(bundle_root))


def test_an_exam_without_evidence_has_no_result(journal: Journal) -> None:
    exam = journal.begin(ABOUT)
    exam.end({"complete": True})
    words = " ".join(Page(render_report(describe(journal, "last"))).words.split())
    assert "No result: no frame of this exam was judged." in words
    assert "Prediction set" not in words
    assert words.count(NOTICE) >= 2
    assert "normal" not in words.partition("The model")[0]


def test_an_exam_of_which_nothing_was_used_says_why_first(report: Report) -> None:
    assert report.exam.last is not None
    last = structs.replace(report.exam.last, used=0, skipped={"doppler": 268, "frozen": 2})
    page = Page(render_report(replace(report, exam=replace(report.exam, last=last))))
    result = " ".join(page.words.split()).partition("Result")[2]
    assert result.strip().startswith("No result. Nothing was judged: of 270 sampled frames")
    assert "268 Doppler, 2 frozen" in result
    assert "Prediction set" not in result


def test_counts_that_only_the_end_knows_are_not_known(journal: Journal, clock: Time) -> None:
    fill(journal.begin(ABOUT), clock)
    running = describe(journal, "last")
    assert "still running" in render_report(running)
    killed = replace(running, exam=replace(running.exam, running=False))
    words = " ".join(Page(render_report(killed)).words.split())
    assert "did not come to its end" in words
    assert "Decoded not known" in words


def test_a_long_exam_is_thinned_and_ends_where_it_ended() -> None:
    curve, values = ThinnedCurve(most=50), np.zeros(2)
    for index in range(9_999):
        curve.add((float(index), values, values, values))
    times = [point[0] for point in curve.points()]
    assert 25 <= len(times) <= 52
    assert (times[0], times[-1]) == (0.0, 9_998.0)
    assert len(set(np.diff(times[:-1]))) == 1
    assert ThinnedCurve().points() == ()


def test_inks_stand_out_from_paper() -> None:
    def luminance(ink: str) -> float:
        rgb = np.array([int(ink[at : at + 2], 16) for at in (1, 3, 5)]) / 255
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    assert all(1.05 / (luminance(ink) + 0.05) >= 3 for ink in INKS)
    assert len(set(INKS)) == len(INKS)


def test_it_is_written_whole_and_private_or_not_at_all(report: Report, tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    write_report(report, folder / "exam.html")
    assert [file.name for file in folder.iterdir()] == ["exam.html"]
    assert stat.S_IMODE((folder / "exam.html").stat().st_mode) == 0o600
    (folder / "taken.html").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*taken\.html"):
        write_report(report, folder / "taken.html")
    with pytest.raises(OutputError, match="choose another --out"):
        write_report(report, tmp_path / "absent" / "exam.html")
    assert sorted(file.name for file in folder.iterdir()) == ["exam.html", "taken.html"]


def call(*words: str | Path) -> Any:
    import typer

    app = typer.Typer()
    app.command()(report_command)
    return CliRunner().invoke(app, list(map(str, words)))


def test_the_command(report: Report, journal: Journal, bundle_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    options = ("--journal", journal.path, "--out", out)
    done = call("last", *options, "--bundle", bundle_root)
    assert done.exit_code == 0, done.output
    assert report.exam.exam_id in out.read_text()
    assert str(out) in " ".join(done.output.split()).replace(" ", "")
    again = call("last", *options).exception
    assert isinstance(again, OutputError)
    assert "--overwrite" in str(again)
    assert call("last", *options, "--overwrite").exit_code == 0
    unknown = call("99", *options).exception
    assert isinstance(unknown, InputError)
    assert "see `neurosono exams list`" in str(unknown)
    absent = call("last", "--journal", tmp_path / "none.sqlite").exception
    assert isinstance(absent, InputError)
    assert not (tmp_path / "none.sqlite").exists()


def test_there_is_no_last_exam_in_an_empty_journal(journal: Journal) -> None:
    with pytest.raises(InputError, match="no exam has been recorded yet"):
        describe(journal, "last")


def test_planes_that_a_gate_named_are_counted_and_cautioned(
    journal: Journal, clock: Time, about: dict[str, Any]
) -> None:
    exam = journal.begin(about)
    for result in make_results(make_exam(), FRAMES):
        clock.set(1 + result.seq / 30)
        exam.record(
            structs.replace(result, plane="transthalamic" if result.used else "spine-sagittal")
        )
    exam.end({"complete": True})
    with journal.read() as reader:
        found = describe_report(reader, "last")
        used = reader.exam(exam.exam_id).used
    assert found.planes == {"transthalamic": used}, "frames that were not used show nothing"
    page = render_report(found)
    assert f"<dt>transthalamic (thalami)</dt><dd>{used} used frames</dd>" in page
    assert "<dt>spine-sagittal (spine)</dt><dd>not seen (0 used frames)</dd>" in page
    assert "learnt on phantoms" in page
    assert "Not assessed" not in page


@pytest.mark.parametrize("state", [ExamState.COLLECTING, ExamState.UNFAMILIAR])
def test_an_exam_that_says_nothing_has_no_percentage_on_its_report(
    report: Report, state: ExamState
) -> None:
    assert report.exam.last is not None
    assert re.search(r"\d ?%", render_report(report).split("<body>")[1].split("The model")[0])
    silent = replace(
        report,
        exam=replace(report.exam, last=structs.replace(report.exam.last, state=state)),
        curve=(),
    )
    told = re.sub(r"<style.*?</style>", "", render_report(silent), flags=re.S)
    told = told.split("<body>")[1].split("The model")[0]
    assert not re.search(r"\d ?%", told)
    assert STATE_SENTENCES[state].rstrip(".") in told
    assert ("leans to" in told) == (state is ExamState.COLLECTING)
