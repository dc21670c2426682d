"""Work beside the pictures: its answer comes at the same picture in every run."""

import threading

import pytest

from neurosono.stream.screen.aside import LATER, Aside


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
