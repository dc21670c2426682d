"""Every number is counted once, in whatever order it comes."""

from hypothesis import given
from hypothesis import strategies as st

from neurosono.stream.processes.ledger import Ledger


@given(st.permutations(range(30)), st.integers(0, 30))
def test_any_order_counts_each_once(order: list[int], cut: int) -> None:
    ledger = Ledger()
    for seq in order[:cut]:
        assert ledger.add(seq)
        assert not ledger.add(seq)
    assert ledger.recorded == cut
    missing = set(range(30)) - set(order[:cut])
    assert ledger.next_seq == min(missing, default=30)
    answered = ledger.describe()["answered"]
    assert answered == sorted(seq for seq in order[:cut] if seq > ledger.next_seq)


def test_another_capture_goes_on_from_its_own_number() -> None:
    ledger = Ledger()
    for seq in (0, 1, 3):
        ledger.add(seq)
    ledger.begin_at(1000)
    assert ledger.describe() == {"next_seq": 1000, "answered": []}
    assert ledger.add(1000)
    assert not ledger.add(3)
    assert ledger.recorded == 4
