"""What LSST's single-frame pipeline measured on the two SDSS r frames, and the survey's own calibration."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from astropy.io import fits

FRAMES = {4192: 65503754, 6377: 99644381}
"""Run to the number that the ids of its rows carry in their upper half."""

FIELDS = {4192: 300, 6377: 399}
"""Run to its field."""

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


def published_zero_point(folder: Path, run: int, band: str) -> float:
    """AB magnitude of an electron in the exposure, by the survey's photometric solution of the night."""
    calibration, field, k = folder / "calibration", f"{FIELDS[run]:04d}", "ugriz".index(band)
    solution = fits.getdata(calibration / f"tsField-{run:06d}-4-40-{field}.fit.gz", 1)[0]
    gain = fits.getdata(calibration / f"psField-{run:06d}-4-{field}.fit.gz", 6)[0]["gain"][k]
    seconds = float(fits.getheader(folder / "frames" / f"fpC-{run:06d}-{band}4-{field}.fit.gz")["EXPTIME"])
    extinction = solution["kk"][k] * solution["airmass"][k]
    return float(2.5 * np.log10(seconds * gain) - solution["aa"][k] - extinction)
