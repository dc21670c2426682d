"""Writes a Triton model repository: a folder a bundle, its graph, its configuration.

Batching is off and the queue is the server's plain one, first come, first served: each scanner has
one request in flight, and says until when it may wait. Triton's dynamic batcher, which alone has a
queue with limits, is not used: with one picture a batch and one instance it leaves what came in the
meantime lying until the next request comes (found with its release 2.51: 200 ms at 5 a second).
"""

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neurosono.engine.backends import HINTS, OUTPUTS, name_precision
from neurosono.engine.backends.remote import CLOCK, name_model
from neurosono.engine.bundle import Bundle
from neurosono.engine.contracts.errors import BundleError, InputError, OutputError
from neurosono.engine.contracts.notice import NOTICE
from neurosono.engine.triton.gpu import CONFIG, PRECISIONS, write_graph

_CONFIG = """# {notice}
name: "{name}"
backend: "python"
max_batch_size: 1
input [ {{ name: "grey", data_type: TYPE_UINT8, dims: [ 1, {size}, {size} ] }} ]
output [
{outputs}
]
instance_group [ {{ count: {instances}, kind: KIND_CPU }} ]
{parameters}
"""

_README = """# Model repository for Triton

{notice}

Written by `neurosono export triton`; each model is a bundle, named by its digest:

{names}

{start}

    tritonserver --model-repository . --http-address 0.0.0.0 --allow-grpc false

Each scanner then asks it with `neurosono live SOURCE --bundle BUNDLE --engine remote --server
http://HOST:8000`. Put a proxy with TLS and a token before it where the network is not yours alone:
the server itself asks nobody who they are. Batching is off: every scanner has one frame under way,
drops its own old ones, and stops waiting for one after 400 ms.
"""


_START = {
    False: "Start a server whose Python has `openvino` (the answers are OpenVINO's on that host):",
    True: "Start it in Triton's GPU container; each start builds TensorRT's engines first:",
}


@dataclass(frozen=True)
class Serving:
    """How a model is served: `instances` processes, of `threads` threads each (0: all cores).

    With `gpu` for Triton's GPU container, through ONNX Runtime and TensorRT; threads are not asked.
    """

    precision: str | None = None
    members: int | None = None
    instances: int = 1
    threads: int = 0
    gpu: bool = False

    def __post_init__(self) -> None:
        if self.gpu and name_precision(self.precision or "fp16") not in PRECISIONS:
            raise InputError(f"--gpu takes --precision {' or '.join(PRECISIONS)}")
        if self.instances < 1 or self.threads < 0:
            raise InputError(
                f"--instances takes 1 or more and --threads 0 or more, found {self.instances} and "
                f"{self.threads}"
            )


def write_repository(bundles: Sequence[Bundle], out: Path, serving: Serving) -> list[str]:
    """Write the models of `bundles` into `out` and return their names; built aside, then moved.

    A model that is there already is written anew. Raises `BundleError` where a bundle has no
    OpenVINO engine of that precision, `OutputError` where `out` cannot be written.
    """
    names = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for bundle in bundles:
            name = name_model(bundle.manifest.name, bundle.manifest.digest)
            with tempfile.TemporaryDirectory(dir=out, prefix=".export-") as aside:
                made = Path(aside) / name
                _write_model(bundle, name, made, serving)
                shutil.rmtree(out / name, ignore_errors=True)
                made.rename(out / name)
            names.append(name)
        (out / "README.md").write_text(_describe(names, serving.gpu), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write a model repository to {out}: {error.strerror}") from error
    return names


def _write_model(bundle: Bundle, name: str, folder: Path, serving: Serving) -> None:
    version = folder / "1"
    version.mkdir(parents=True)
    if serving.gpu:
        precision = name_precision(serving.precision or "fp16")
        sizes = write_graph(bundle, serving.members, version)
        config, told, clock = CONFIG.replace("{mode}", PRECISIONS[precision]), {}, []
    else:
        precision, sizes = _write_graph(bundle, version, serving)
        config, clock = _CONFIG, [f'  {{ name: "{CLOCK}", data_type: TYPE_INT64, dims: [1] }}']
        told = {"compute": HINTS[precision], "threads": str(serving.threads)}
        sizes = {output: size[1:] for output, size in sizes.items()}  # it counts the batch apart
    told |= {"digest": bundle.manifest.digest, "precision": precision}
    told["labels"] = ",".join(bundle.manifest.labels)
    parameters = (
        f'parameters [ {{ key: "{key}", value: {{ string_value: {json.dumps(value)} }} }} ]'
        for key, value in told.items()
    )
    outputs = (
        f'  {{ name: "{output}", data_type: TYPE_FP32, dims: {size} }}'
        for output, size in sizes.items()
    )
    written = config.format(
        notice=NOTICE,
        name=name,
        size=bundle.manifest.preprocessing.size_px,
        outputs=",\n".join([*outputs, *clock]),
        instances=serving.instances,
        parameters="\n".join(parameters),
    )
    (folder / "config.pbtxt").write_text(written, encoding="utf-8")


def _write_graph(
    bundle: Bundle, version: Path, serving: Serving
) -> tuple[str, dict[str, list[int]]]:
    """Write OpenVINO's graph and what runs it; returns its precision and its outputs' shapes."""
    import openvino as ov

    from neurosono.engine.backends.openvino import MODEL_NAME, take_members

    entry = bundle.engines("openvino", serving.precision, serving.members)[0]
    graph = next((file for file in entry.files if file.path.endswith(".xml")), None)
    if graph is None:
        raise BundleError(
            f"the manifest does not answer for the graph of openvino {entry.precision}: build it "
            f"again with `neurosono build {bundle.root}`"
        )
    model = ov.Core().read_model(bundle.root / graph.path)
    if serving.members not in (None, entry.members):
        assert serving.members is not None
        model = take_members(model, serving.members)
    ov.save_model(model, version / MODEL_NAME, compress_to_fp16=False)
    shutil.copy(Path(__file__).with_name("model.py"), version / "model.py")
    return entry.precision, {name: list(model.output(name).shape) for name in OUTPUTS}


def _describe(names: Sequence[str], gpu: bool) -> str:
    listed = "\n".join(f"- `{name}`" for name in names)
    return _README.format(notice=NOTICE, names=listed, start=_START[gpu])
