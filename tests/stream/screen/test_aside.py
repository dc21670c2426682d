"""Work beside the pictures: its answer comes at the same picture in every run."""

import threading

import pytest

from neurosono.stream.screen.aside import LATER, OVERDUE, Aside
from tests.support.commands import wait_until


def test_the_answer_comes_so_many_pictures_later_however_fast_it_was() -> None:
    aside: Aside[str] = Aside()
    assert aside.take() is None, "nothing was begun"
    aside.begin(lambda: "seen")
    assert [aside.take() for _ in range(LATER + 2)] == [*[None] * LATER, "seen", None]


def test_a_slow_answer_is_waited_for_when_it_is_due_and_not_before() -> None:
    aside: Aside[str] = Aside()
    released = threading.Event()

    def look() -> str:
        assert released.wait(30)
        return "seen"

    aside.begin(look)
    assert [aside.take() for _ in range(LATER)] == [None] * LATER
    threading.Timer(0.05, released.set).start()
    assert aside.take() == "seen"


def test_what_is_dropped_never_comes() -> None:
    aside: Aside[str] = Aside()
    aside.begin(lambda: "old")
    aside.drop()
    assert [aside.take() for _ in range(LATER + 1)] == [None] * (LATER + 1)
    aside.begin(lambda: "older")
    aside.begin(lambda: "new")
    assert [aside.take() for _ in range(LATER + 1)][-1] == "new"


def test_what_the_work_raised_is_raised() -> None:
    aside: Aside[str] = Aside()
    aside.begin(lambda: str(1 // 0))
    for _ in range(LATER):
        aside.take()
    with pytest.raises(ZeroDivisionError):
        aside.take()


def test_in_real_time_no_picture_waits_and_at_last_the_newest_work_is_done_at_once() -> None:
    aside: Aside[str] = Aside(realtime=True)
    released = threading.Event()

    def starve() -> str:
        assert released.wait(30)
        return "of long ago"

    aside.begin(starve)
    assert [aside.take() for _ in range(LATER + 5)] == [None] * (LATER + 5)
    aside.begin(lambda: "of now")
    taken = [aside.take() for _ in range(OVERDUE - 5)]
    released.set()
    assert taken == [*[None] * (OVERDUE - 6), "of now"]
    assert aside.take() is None


def test_in_real_time_an_answer_that_is_late_comes_with_a_later_picture() -> None:
    aside: Aside[str] = Aside(realtime=True)
    released, begun = threading.Event(), threading.Event()

    def look() -> str:
        begun.set()
        assert released.wait(30)
        return "seen"

    aside.begin(look)
    assert begun.wait(30)
    assert [aside.take() for _ in range(LATER + 3)] == [None] * (LATER + 3)
    released.set()
    assert wait_until(aside.take) == "seen"
