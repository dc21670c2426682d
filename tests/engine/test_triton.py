"""A model repository, written of a bundle and served by the real Triton where it is installed.

`scripts/install-triton` puts one into `.triton`; `$NEUROSONO_TRITON` names another place.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from neurosono.engine.backends import OUTPUTS
from neurosono.engine.backends.remote import RemoteBackend, name_model
from neurosono.engine.bundle import Bundle
from neurosono.engine.choice import open_engine
from neurosono.engine.contracts.errors import BundleError, InputError, ServerAwayError
from neurosono.engine.contracts.server import Server
from neurosono.engine.triton.repository import Serving, write_repository
from tests.support.commands import run, wait_until
from tests.support.senders import free_tcp_port

TRITON = Path(os.environ.get("NEUROSONO_TRITON", Path(__file__).parents[2] / ".triton"))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("served") / "models"
    write_repository([Bundle.load("demo")], out, Serving(threads=1))
    return out


@pytest.fixture(scope="module")
def served(repository: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Start the real server; yields its URL and its process."""
    if not (TRITON / "start").is_file():
        pytest.skip(f"no Triton in {TRITON}: scripts/install-triton brings one")
    port = free_tcp_port()
    process = subprocess.Popen(
        [TRITON / "start", repository, str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its models are processes of their own
        process.communicate()


def open_remote(served: tuple[str, "subprocess.Popen[bytes]"]) -> RemoteBackend:
    """Wait for the server, and ask it for the demo's model."""
    url, process = served

    def ask() -> RemoteBackend | None:
        assert process.poll() is None, process.communicate()[1][-2000:]
        try:
            return RemoteBackend(Bundle.load("demo"), Server(url, answer_s=60.0))
        except InputError:  # it is still starting
            return None

    return wait_until(ask)


def test_what_comes_at_once_is_answered_without_another_question(
    served: tuple[str, "subprocess.Popen[bytes]"],
) -> None:
    scanners = [open_remote(served) for _ in range(4)]
    grey = np.zeros((1, scanners[0].size_px, scanners[0].size_px), np.uint8)
    with ThreadPoolExecutor(len(scanners)) as pool:
        for _ in range(5):
            list(pool.map(lambda scanner: scanner.infer(grey), scanners))
    for scanner in scanners:
        scanner.close()


def test_a_question_that_waited_too_long_is_refused_and_tells_the_clock(
    served: tuple[str, "subprocess.Popen[bytes]"],
) -> None:
    remote = open_remote(served)
    grey = np.zeros((1, remote.size_px, remote.size_px), np.uint8)
    patient_ns, remote._patience_ns = remote._patience_ns, -(10**9)
    for _ in range(2):
        with pytest.raises(ServerAwayError, match="HTTP 500"):
            remote.infer(grey)
    remote._patience_ns = patient_ns
    remote._ahead_ns = -(10**15)  # of a server that was started anew meanwhile: all seems late
    with pytest.raises(ServerAwayError, match="HTTP 500"):
        remote.infer(grey)
    assert remote.infer(grey).probabilities.shape[0] == 1
    remote.close()


def test_the_real_server_answers_bit_for_bit_and_its_death_is_said(
    served: tuple[str, "subprocess.Popen[bytes]"],
) -> None:
    process, bundle = served[1], Bundle.load("demo")
    remote = open_remote(served)
    local = open_engine(bundle, "openvino", threads=1).backend
    assert (remote.members, remote.precision) == (local.members, local.precision)
    rng = np.random.default_rng(5)
    pictures = rng.integers(0, 256, (4, remote.size_px, remote.size_px), dtype=np.uint8)
    ours, theirs = local.infer(pictures), remote.infer(pictures)
    for name in OUTPUTS:
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)

    process.kill()
    process.wait()
    with pytest.raises(ServerAwayError, match="gave no answer"):
        remote.infer(pictures[:1])
    remote.close()


def test_a_repository_names_its_bundles_and_is_written_anew(
    repository: Path, bundle_root: Path, tmp_path: Path
) -> None:
    bundle = Bundle.load("demo")
    (name,) = [path.name for path in repository.iterdir() if path.is_dir()]
    assert name == name_model(bundle.manifest.name, bundle.manifest.digest)
    told = (repository / name / "config.pbtxt").read_text()
    assert bundle.manifest.digest in told
    assert "dynamic_batching" not in told, "it leaves requests lying"
    assert name in (repository / "README.md").read_text()
    done = run("export", "triton", bundle_root, "--members", "1", "--out", tmp_path / "r")
    assert done.returncode == 0, done.stderr
    again = run("export", "triton", bundle_root, "--out", tmp_path / "r")
    assert again.returncode == 0, again.stderr
    made = next(path for path in (tmp_path / "r").iterdir() if path.is_dir())
    assert "dims: [2, 5]" in (made / "config.pbtxt").read_text(), "both members the second time"


def test_for_the_gpu_container_it_is_onnx_with_whole_shapes(
    bundle_root: Path, tmp_path: Path
) -> None:
    out = tmp_path / "models"
    done = run("export", "triton", bundle_root, "--gpu", "--members", "1", "--out", out)
    assert done.returncode == 0, done.stderr
    made = next(path for path in out.iterdir() if path.is_dir())
    told = (made / "config.pbtxt").read_text()
    bundle = Bundle.load(bundle_root)
    size_px, digest = bundle.manifest.preprocessing.size_px, bundle.manifest.digest
    for line in (f"[ 1, 1, {size_px}, {size_px} ]", "dims: [1, 1, 5]", "KIND_GPU", "FP16", digest):
        assert line in told, line
    assert "GPU container" in (out / "README.md").read_text()
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    graph = ov.Core().compile_model(made / "1" / "model.onnx", "CPU", exact)
    grey = np.random.default_rng(7).integers(0, 256, (1, 1, size_px, size_px), dtype=np.uint8)
    theirs = graph({"grey": grey})["probabilities"]
    ours = open_engine(bundle, "torch", members=1).backend.infer(grey[0])
    np.testing.assert_allclose(theirs, ours.probabilities, atol=2e-3)


def test_what_cannot_be_served_is_refused(bundle_root: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(bundle_root)
    with pytest.raises(BundleError, match="has no engine openvino bf16"):
        write_repository([bundle], tmp_path / "a", Serving(precision="bf16"))
    with pytest.raises(InputError, match="--gpu takes"):
        Serving(precision="int8", gpu=True)
    with pytest.raises(InputError, match="--instances"):
        Serving(instances=0)
    file = tmp_path / "file"
    file.touch()
    done = run("export", "triton", "demo", "--out", file)
    assert (done.returncode, "cannot write" in done.stderr) == (2, True)
