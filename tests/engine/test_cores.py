"""Many processes on one machine: a graph that takes one core takes whichever is idle."""

import os
import threading
from collections.abc import Callable

import numpy as np
import pytest

from neurosono.engine.backends import configure
from neurosono.engine.bundle import Bundle
from neurosono.engine.choice import open_engine
from neurosono.engine.gate import Gate
from neurosono.engine.kinds.structures import open_graph
from neurosono.engine.structures.names import STRUCTURES


def _open_gate() -> Callable[[], object]:
    gate = Gate.open(Bundle.load("demo"))
    assert gate is not None
    grey = np.zeros((gate.size_px, gate.size_px), np.uint8)
    return lambda: [gate.infer(grey) for _ in range(100)]


def _open_engine() -> Callable[[], object]:
    bundle = Bundle.load("demo")
    backend = open_engine(bundle, "openvino", threads=1).backend
    size_px = bundle.manifest.preprocessing.size_px
    return lambda: backend.infer(np.zeros((10, size_px, size_px), np.uint8))


def _open_structures() -> Callable[[], object]:
    bundle = Bundle.load("structures", kind=None)
    graph, _ = open_graph(bundle, 1, STRUCTURES)
    side = graph.spec.size_px
    return lambda: graph.infer(np.zeros((side, side), np.uint8))


@pytest.mark.parametrize("opening", [_open_gate, _open_engine, _open_structures])
def test_a_graph_of_one_thread_is_bound_to_no_core(
    opening: Callable[[], Callable[[], object]],
) -> None:
    """Bound, the graphs of all processes would wait for the first core beside idle ones."""
    work = opening()
    work()
    thread = threading.Thread(target=work)
    seen = set()
    thread.start()
    while thread.is_alive():
        try:
            seen.add(frozenset(os.sched_getaffinity(thread.native_id or 0)))
        except ProcessLookupError:  # it has just ended
            break
    thread.join()
    assert seen <= {frozenset(os.sched_getaffinity(0))}


def test_only_one_picture_on_all_cores_is_bound_to_them() -> None:
    assert configure("int8")["ENABLE_CPU_PINNING"]
    assert not configure("int8", threads=2)["ENABLE_CPU_PINNING"]
    assert not configure("int8", streams=2)["ENABLE_CPU_PINNING"]
