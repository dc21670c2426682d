"""What the processes of a session are told."""

import pytest

from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.server import Server
from neurosono.stream.live.options import SessionOptions


@pytest.mark.parametrize(
    ("rate_hz", "answer_s"), [(None, 0.4), (30.0, 0.4), (5.0, 0.25), (2.0, 0.15)]
)
def test_a_server_asked_seldom_has_less_time_so_that_its_silence_shows(
    rate_hz: float | None, answer_s: float
) -> None:
    options = SessionOptions(
        source="udp://:1",
        every=1 if rate_hz is None else None,
        rate_hz=rate_hz,
        engine="remote",
        server=Server("http://127.0.0.1:1"),
    )
    told = options.for_engine(Bundle.load("demo")).server
    assert told is not None
    assert told.answer_s == pytest.approx(answer_s)
