"""What a start leaves to Python's collector."""

import gc

from neurosono.stream.processes.heap import collect_from_here


def test_what_a_command_has_loaded_is_looked_at_no_more() -> None:
    gc.disable()
    try:
        collect_from_here()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 1000
    finally:
        gc.unfreeze()
        gc.enable()
