"""A model repository, written of a bundle and served by the real Triton where it is installed.

`scripts/install-triton` puts one into `.triton`; `$NEUROSONO_TRITON` names another place.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
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
        [TRITON / "start", repository, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.communicate()


def test_the_real_server_answers_bit_for_bit_and_its_death_is_said(
    served: tuple[str, "subprocess.Popen[bytes]"],
) -> None:
    url, process = served
    bundle = Bundle.load("demo")

    def open_remote() -> RemoteBackend | None:
        assert process.poll() is None, process.communicate()[1][-2000:]
        try:
            return RemoteBackend(bundle, Server(url, answer_s=60.0))
        except InputError:  # it is still starting
            return None

    remote = wait_until(open_remote)
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
    assert "max_queue_size: 16" in told
    assert name in (repository / "README.md").read_text()
    done = run(
        "export", "triton", bundle_root, "--members", "1", "--out", tmp_path / "r", "--queue", "40"
    )
    assert "max_queue_size: 40" in next((tmp_path / "r").glob("*/config.pbtxt")).read_text()
    assert done.returncode == 0, done.stderr
    again = run("export", "triton", bundle_root, "--out", tmp_path / "r")
    assert again.returncode == 0, again.stderr
    made = next(path for path in (tmp_path / "r").iterdir() if path.is_dir())
    assert "dims: [2, 5]" in (made / "config.pbtxt").read_text(), "both members the second time"


def test_what_cannot_be_served_is_refused(bundle_root: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(bundle_root)
    with pytest.raises(BundleError, match="has no engine openvino bf16"):
        write_repository([bundle], tmp_path / "a", Serving(precision="bf16"))
    with pytest.raises(InputError, match="--instances"):
        Serving(instances=0)
    with pytest.raises(InputError, match="--queue"):
        Serving(queue=0)
    file = tmp_path / "file"
    file.touch()
    done = run("export", "triton", "demo", "--out", file)
    assert (done.returncode, "cannot write" in done.stderr) == (2, True)
