"""Real data: read where they lie, never copied; without them these tests are skipped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fixtures.versions import versions_once
from fixtures.workers import warm_workers

__all__ = ["versions_once", "warm_workers"]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data: SKYLOOM_DATA, or the default beside the checkout."""
    path = Path(os.environ.get("SKYLOOM_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no real data at {path}; set SKYLOOM_DATA to their folder")
    return path
