"""What every test may ask for."""

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lanes import pytest_xdist_make_scheduler

__all__ = ["pytest_xdist_make_scheduler"]

TESTS = Path(__file__).resolve().parent
DATA_DEFAULT = TESTS.parents[1] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--refresh-golden", action="store_true", help="write the golden files anew, then look"
    )


def pytest_configure() -> None:
    """Undo what a shell does to what it starts in the background: children must hear ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Keep the garbage collector away, as a session of an hour does for minutes at a time."""
    gc.collect()
    gc.disable()
    yield
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


@pytest.fixture(scope="session")
def refresh_golden(request: pytest.FixtureRequest) -> bool:
    """Return whether the golden files are to be written anew."""
    return bool(request.config.getoption("--refresh-golden"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real ultrasound; skips, visibly, where it is absent."""
    folder = Path(os.environ.get("NEUROSONO_DATA", DATA_DEFAULT))
    if not (folder / "manifest.csv").is_file():
        pytest.skip(f"no real ultrasound in {folder}: set NEUROSONO_DATA")
    return folder


@pytest.fixture(scope="session")
def bundle_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small real bundle (two members, random weights); whoever changes it copies it."""
    from tests.support.bundles import make_bundle

    return make_bundle(tmp_path_factory.mktemp("bundles") / "small")


@pytest.fixture(scope="session")
def replayed(bundle_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a replay of `PHANTOM` by the small bundle, which nobody changes."""
    from tests.support.commands import PHANTOM, run

    out = tmp_path_factory.mktemp("replay") / "out"
    done = run("replay", PHANTOM, "--bundle", bundle_root, "--out", out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def student_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of one member, other weights, that goes with `bundle_root`."""
    from tests.support.bundles import make_bundle

    return make_bundle(tmp_path_factory.mktemp("bundles") / "student", members=1, seed=1)
