"""What LSST's single-frame pipeline measured on the two SDSS r frames."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

FRAMES = {4192: 65503754, 6377: 99644381}
"""Run to the number that the ids of its rows carry in their upper half."""

_UNUSABLE = (
    "base_SdssCentroid_flag",
    "base_PixelFlags_flag_edge",
    "base_PixelFlags_flag_interpolated",
    "base_PixelFlags_flag_saturated",
    "flags_negative",
)


def read_golden(folder: Path, run: int) -> dict[str, np.ndarray]:
    """Columns of the rows of one run; fluxes in DN."""
    with gzip.open(folder / "golden_sources_r.txt.gz", "rt") as file:
        names = file.readline().lstrip("#").split()
        rows = [line.split() for line in file]
    rows = [row for row in rows if int(row[0]) >> 32 == FRAMES[run]]
    words = {"True": "1", "False": "0", "-": "0"}
    return {name: np.array([words.get(row[k], row[k]) for row in rows], float) for k, name in enumerate(names)}


def clean_rows(golden: dict[str, np.ndarray]) -> np.ndarray:
    """Rows without a flag, and with a 6-pixel flux."""
    clean = np.all([golden[name] == 0 for name in _UNUSABLE], axis=0)
    return np.flatnonzero(clean & np.isfinite(golden["base_CircularApertureFlux_6_0_instFlux"]))
