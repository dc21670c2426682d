"""What a monitor and a log are told: fixed words, counts and ages, and nothing of the exam."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import OutputError
from neurosono.stream.journal.journal import Journal
from neurosono.stream.live.log import LEVELS, JsonLog
from neurosono.stream.live.metrics import FAMILIES, Metrics
from neurosono.stream.live.record import LiveRecord
from neurosono.stream.page.hub import Hub
from neurosono.stream.page.routes import Monitor
from tests.browser.publisher import make_status
from tests.stream.page.serving import ask, serving

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(metrics: Metrics) -> Samples:
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_counts_and_ages_are_those_of_the_session() -> None:
    hub = Hub()
    metrics = Metrics(hub)
    before = read(metrics)
    assert ("neurosono_status_age_seconds", ()) not in before, "nothing was said yet"
    engines = [("neurosono_engine", (("backend", name),)) for name in ("openvino", "remote")]
    assert not set(engines) & set(before)
    error = ("error", "EngineFailedError"), ("role", "engine")
    assert before["neurosono_failures_total", error] == 0, "a rise is seen of what stood at nought"
    hub.publish_status(make_status(0))
    metrics.note_event("restarted", {"role": "engine", "count": 1})
    metrics.note_event("ready", {"backend": "openvino", "precision": "int8", "members": 3})
    metrics.note_event("failed", {"role": "engine", "error": "EngineFailedError"})
    for age_ms in (12.0, 499.0, 700.0):
        metrics.note_age("answer", age_ms)
    found = read(metrics)
    assert found["neurosono_frames_total", (("what", "dropped"),)] == 4
    assert found["neurosono_frames_skipped_total", (("reason", "frozen"),)] == 62
    assert found["neurosono_ai", (("state", "on"),)] == 1
    assert found["neurosono_ai", (("state", "off"),)] == 0
    assert [found[each] for each in engines] == [1, 0]
    assert found["neurosono_events_total", (("event", "restarted"),)] == 1
    assert found["neurosono_restarts_total", (("role", "engine"),)] == 1
    assert found["neurosono_failures_total", error] == 1
    late = (("le", "0.5"), ("what", "answer"))
    assert found["neurosono_age_seconds_bucket", late] == 2
    assert found["neurosono_age_seconds_count", (("what", "answer"),)] == 3


def test_every_metric_and_every_word_is_in_the_list() -> None:
    hub = Hub()
    metrics = Metrics(hub)
    recording = {"on": True, "pictures": 7, "dropped": 1, "reason": ""}
    hub.publish_status({**make_status(0), "recording": recording})
    metrics.note_event("failed", {"role": "Mustermann", "error": "Erika"})
    metrics.note_event("failed", {"role": "engine", "error": "WireError"})
    metrics.note_event("ready", {"backend": "remote"})
    told = metrics.render().decode()
    assert "Mustermann" not in told
    seen = set()
    for family in text_string_to_metric_families(told):
        for sample in family.samples:
            name = sample.name.removeprefix("neurosono_")
            for ending in ("_bucket", "_count", "_sum"):
                name = name.removesuffix(ending)
            known = FAMILIES[name]
            assert set(sample.labels) - {"le"} == set(known.labels)
            for label, word in sample.labels.items():
                assert label == "le" or word in known.labels[label]
            seen.add(name)
    assert seen == set(FAMILIES)


def test_nothing_of_what_the_ai_thinks_is_in_it() -> None:
    hub = Hub()
    metrics = Metrics(hub)
    hub.publish_status(make_status(0))
    one = metrics.render()
    other = {**make_status(0), "probabilities": [1.0, 0, 0, 0, 0], "state": "stable", "alarm": True}
    hub.publish_status(other)

    def without_age(text: bytes) -> list[bytes]:
        return [line for line in text.splitlines() if b"status_age" not in line]

    assert without_age(metrics.render()) == without_age(one)


def test_a_monitors_token_reads_the_metrics_and_nothing_else() -> None:
    monitor = Monitor(lambda: b"neurosono_info 1\n", "a-token-of-its-own")
    bearer = {"authorization": "Bearer a-token-of-its-own"}
    with serving(host="0.0.0.0", monitor=monitor) as (_, server):
        assert ask(server, "/metrics").status_code == 403
        assert ask(server, "/metrics", headers=bearer).text == "neurosono_info 1\n"
        assert ask(server, "/", headers=bearer).status_code == 403
        assert ask(server, "/healthz").status_code == 503, "open to all, and not well yet"
        for wrong in ("Bearer None", "Bearer a-token", "a-token-of-its-own", "Bearer \xe9"):
            headers = {"authorization": wrong.encode("latin-1")}
            assert ask(server, "/metrics", headers=headers).status_code == 403  # type: ignore[arg-type]


def test_a_line_of_json_an_event_and_no_free_text(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = JsonLog(path, lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    with Journal.open(tmp_path / "exams.sqlite") as journal:
        record = LiveRecord(journal, Bundle.load("demo"), watchers=(log,))
        record.event("lost", {"reason": "no data from Mueller", "was_open": True})
        record.event("restarted", {"role": "engine", "count": 2})
        record.event("lost", {"was_open": "Mueller"})
        record.event("what-nobody-knows", {"name": "Mueller"})
    log.close()
    at = "2026-01-02T03:04:05.000+00:00"
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"at": at, "level": "warning", "event": "lost", "was_open": True},
        {"at": at, "level": "warning", "event": "restarted", "role": "engine", "count": 2},
        {"at": at, "level": "warning", "event": "lost"},
    ]
    assert path.stat().st_mode & 0o777 == 0o600
    assert log.lost == 0


def test_a_log_that_cannot_be_written_is_told_at_the_start_and_stops_nothing_later() -> None:
    with pytest.raises(OutputError, match="--log-json"):
        JsonLog(Path("/proc/nowhere/log"))
    log = JsonLog(Path("/dev/full"))
    log.note_event("damage", {})
    assert log.lost == 1
    log.close()


def test_levels_are_of_events_that_there_are() -> None:
    assert set(LEVELS) <= set(FAMILIES["events_total"].labels["event"])
