"""Whether a picture waits for its own answer, where age counts."""

from neurosono.stream.replay.patience import HOLD_MS, Patience

MS = 1_000_000


def see(patience: Patience, seq: int, at_ms: float) -> int:
    patience.see(seq, int(at_ms * MS))
    return patience.left_ms(int(at_ms * MS))


def test_the_first_picture_waits_for_nothing() -> None:
    assert see(Patience(), 0, 0) == 0


def test_pictures_wait_while_answers_come_soon() -> None:
    patience = Patience()
    for seq in range(5):
        left_ms = see(patience, seq, 33 * seq)
        assert left_ms == (HOLD_MS if seq else 0)
        patience.hear(seq, int((33 * seq + 8) * MS))
    assert see(patience, 5, 165) == HOLD_MS
    assert patience.left_ms(170 * MS) == HOLD_MS - 5


def test_one_late_answer_ends_the_waiting_and_one_in_time_begins_it_anew() -> None:
    patience = Patience()
    see(patience, 0, 0)
    patience.hear(0, 8 * MS)
    assert see(patience, 1, 33) == HOLD_MS
    assert patience.left_ms(46 * MS) == 0, "this one has waited long enough"
    patience.hear(1, 60 * MS)
    assert see(patience, 2, 66) == 0
    patience.hear(2, 74 * MS)
    assert see(patience, 3, 99) == HOLD_MS


def test_an_engine_that_is_a_picture_behind_is_not_soon() -> None:
    patience = Patience()
    for seq in range(9):
        assert see(patience, seq, 33 * seq) == 0
        patience.hear(seq - 1, int((33 * seq + 2) * MS))
