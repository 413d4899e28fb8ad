"""CPU seconds of the summary statistics of one CCD of MegaCam, 2048 x 4612, with 150 PSF stars.

Run ``python bench/bench_summary.py``; the statistics are compared with what was drawn before they are timed.
"""

from __future__ import annotations

import time

import astropy.units as u
import numpy as np
from astropy.table import Table
from lsst.images import Box

from skyloom.calibrate import CalibratedFrame
from skyloom.calibrate.summary import summarise
from skyloom.images import Exposure, PhotoCalib
from skyloom.instruments import Camera
from skyloom.psf import PixelGridPsf

SHAPE = (4612, 2048)
SIGMA = 1.7


def frame() -> CalibratedFrame:
    rng = np.random.default_rng(1)
    box = Box.from_shape(SHAPE)
    row, column = np.mgrid[-20:21, -20:21]
    core = np.exp(-0.5 * (row**2 + column**2) / SIGMA**2)
    coefficients = np.zeros((6, 41, 41))
    coefficients[0] = core / core.sum()
    psf = PixelGridPsf(coefficients, order=2, bounds=box)
    n = 150
    image = rng.normal(0.0, 20.0, SHAPE).astype(np.float32)
    x, y = rng.integers(60, 1990, n), rng.integers(60, 4550, n)
    for at_x, at_y in zip(x, y, strict=True):
        image[at_y - 20 : at_y + 21, at_x - 20 : at_x + 21] += 2e4 * coefficients[0]
    stars = Table({"x": x.astype(float), "y": y.astype(float)})
    stars["ixx"] = stars["iyy"] = np.full(n, SIGMA**2)
    stars["ixy"] = np.zeros(n)
    stars["psf_flux"], stars["psf_flux_err"] = np.full(n, 2e4), np.full(n, 150.0)
    stars["calib_psf_used"] = np.ones(n, dtype=bool)
    exposure = Exposure.from_arrays(
        image,
        variance=np.full(SHAPE, 400.0),
        unit=u.electron,
        psf=psf,
        band="r",
        photo_calib=PhotoCalib.from_zero_point(30.0),
        detector=Camera.read("simulated").detector(3, 1),
    )
    result = CalibratedFrame(exposure=exposure, stars=stars)
    result.photo_calib = exposure.photo_calib
    result.metadata |= {"sky_background": 375.0, "n_psf_stars": n}
    return result


def main() -> None:
    """Check, then time the best of five."""
    one = frame()
    summarise(one)
    summary = one.exposure.summary
    assert summary is not None
    assert abs(summary.skyNoise / 20.0 - 1) < 0.01
    assert abs(summary.psfArea / (4 * np.pi * SIGMA**2) - 1) < 1e-3
    assert abs(summary.starKurtosisMedian - 2.0) < 0.05
    assert abs(summary.psfStarDeltaSizeMedian) < 0.01
    seconds = []
    for _ in range(5):
        start = time.process_time()
        summarise(one)
        seconds.append(time.process_time() - start)
    print(f"summary of one CCD: {min(seconds):.3f} CPU s")


if __name__ == "__main__":
    main()
