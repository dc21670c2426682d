"""Which precision of a bundle is worth building on this host."""

from contextlib import suppress

from neurosono.engine.backends import Backend, name_precision
from neurosono.engine.backends.openvino import OpenVinoBackend
from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import EngineUnavailableError
from neurosono.engine.timing import describe_times, time_backends

FLOATS = ("f32", "bf16")
"""One graph in two precisions: what is built of one says how fast the other would be."""


def advise(bundle: Bundle, members: int | None = None) -> str:
    """Time the OpenVINO engines of `members` members and say what is fast here, built or not."""
    whole = members or len(bundle.manifest.members)
    entries = [
        entry
        for entry in bundle.manifest.engines
        if (entry.backend, entry.members) == ("openvino", whole)
    ]
    graphs = {
        name_precision(entry.precision): bundle.root / file.path
        for entry in entries
        for file in entry.files
        if file.path.endswith(".xml")
    }
    built = set(graphs)
    exact = next((graphs[name] for name in ("f32", "bf16", "fp16") if name in graphs), None)
    wanted = graphs if exact is None else dict.fromkeys(FLOATS, exact) | graphs
    backends: dict[str, Backend] = {}
    for precision, graph in wanted.items():
        with suppress(EngineUnavailableError):  # not on this processor
            backends[precision] = OpenVinoBackend(graph, precision)
    ms = time_backends(backends, bundle.manifest.preprocessing.size_px)
    said = f"ms a picture here: {describe_times(ms)}"
    best = min(ms, key=ms.__getitem__)
    if best not in built:
        said += f"; {best} is not built, and would be the fastest: build it too"
    if "int8" not in built:
        said += "; int8 (with --cache) is mostly faster still"
    return said
