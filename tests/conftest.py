"""What every test may ask for."""

import os
from pathlib import Path

import pytest

DATA_DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real ultrasound; skips, visibly, where it is absent."""
    folder = Path(os.environ.get("NEUROSONO_DATA", DATA_DEFAULT))
    if not (folder / "manifest.csv").is_file():
        pytest.skip(f"no real ultrasound in {folder}: set NEUROSONO_DATA")
    return folder
