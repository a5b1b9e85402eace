"""Fixtures that several test files share."""

import os
from pathlib import Path

import matplotlib
import pytest

matplotlib.use("Agg")

DATA = Path(
    os.environ.get(
        "ADAALLOC_DATA", Path(__file__).resolve().parents[1] / "../shared/data"
    )
)


@pytest.fixture(scope="session")
def real_data():
    """Folder of real graded outcomes, read-only."""
    if not (DATA / "math5000").is_dir():
        pytest.skip(
            f"no real outcomes at {DATA}; name their folder in ADAALLOC_DATA to run this"
        )
    return DATA
