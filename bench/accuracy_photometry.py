"""Zero points and corrected fluxes of full CCDs, drawn with known ones, against the truth.

Run ``python bench/accuracy_photometry.py [--frames N] [--rows N] [--only NAME]``;
``tests/photometry/test_corrected_fluxes.py`` does the same on two small frames.  Errors of zero points are over the
frame's mean; the first of each pair of columns is with totals by the curve of growth, the second with those in the
reference aperture.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "photometry"))

from moffat_frame import DrawnFrame, MoffatFrame, flux_errors, weighted_bias

from skyloom.calibrate import CalibratedFrame, CalibrateSettings, calibrate_frame
from skyloom.errors import FrameError
from skyloom.photometry import ApertureCorrectionSettings, ColourTerm, ZeroPointSettings

CASES = {
    "even, 300 stars": MoffatFrame(n_stars=300),
    "sparse, 12 stars": MoffatFrame(n_stars=12, faintest=3e4),
    "crowded, 6000 stars": MoffatFrame(n_stars=6000, separation=6.0, faintest=2e3, brightest=3e5),
    "PSF varies by 35 %, 300 stars": MoffatFrame(n_stars=300, gradient=(0.15, -0.2)),
    "clouds of 0.2 mag, 300 stars": MoffatFrame(n_stars=300, cloud_mag=0.2),
    "clouds of 0.2 mag, 60 stars": MoffatFrame(n_stars=60, cloud_mag=0.2),
    "colour term of 0.2, 300 stars": MoffatFrame(n_stars=300, colour_term=0.2),
}


def settings(drawn: MoffatFrame, *, extrapolate: bool) -> CalibrateSettings:
    terms = (ColourTerm(filter_name="r", secondary="g", c1=drawn.colour_term),) if drawn.colour_term else ()
    return CalibrateSettings(
        aperture_corrections=ApertureCorrectionSettings(extrapolate=extrapolate),
        photometry=ZeroPointSettings(spatial_order=2, colour_terms=terms, n_min=3),
    )


def errors(drawn: DrawnFrame, frame: CalibratedFrame) -> tuple[float, float, float]:
    """Of the zero point's mean and its worst place, and of total fluxes, mmag."""
    assert frame.photo_calib is not None
    assert frame.sources is not None
    height, width = drawn.drawn.shape
    x, y = (a.ravel() for a in np.meshgrid(np.linspace(0.05, 0.95, 7) * width, np.linspace(0.05, 0.95, 7) * height))
    found = 31.4 - 2.5 * np.log10(frame.photo_calib.scale(x, y) * np.ones(x.size))
    difference = 1000 * (found - drawn.drawn.zero_point_mag + drawn.drawn.cloud_mag * (x / width - 0.5))
    flux = -1085.7 * weighted_bias(flux_errors(frame.sources, drawn.truth))
    return float(difference.mean()), float(np.abs(difference).max()), flux


def main() -> None:
    """Draw, calibrate, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--rows", type=int, default=4612)
    parser.add_argument("--only", default="", help="cases whose names begin so")
    arguments = parser.parse_args()
    for name, case in CASES.items():
        if not name.startswith(arguments.only):
            continue
        lines: dict[bool, list[tuple[float, float, float]]] = {True: [], False: []}
        failed = 0
        for seed in range(arguments.frames):
            drawn = dataclasses.replace(case, shape=(arguments.rows, 2048), seed=seed).draw()
            for extrapolate, line in lines.items():
                try:
                    frame = calibrate_frame(
                        drawn.exposure.copy(), drawn.loader, settings(case, extrapolate=extrapolate)
                    )
                    line.append(errors(drawn, frame))
                except FrameError as error:
                    print(f"  {name}, frame {seed}: {error}")
                    failed += extrapolate
        print(f"{name}: {arguments.frames - failed} of {arguments.frames} frames")
        for k, what in enumerate(("zero point, mmag", "its worst place, mmag", "total flux, mmag")):
            columns = [" ".join(f"{value[k]:6.1f}" for value in line) for line in lines.values()]
            print(f"  {what:24s} {columns[0]}   | {columns[1]}", flush=True)


if __name__ == "__main__":
    main()
