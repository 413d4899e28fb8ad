"""Speed and memory of the joint fit, and how they grow with the measurements.

Run ``python bench/bench_jointcal.py [--full]``: 189 detectors, 15 visits, about 60 stars a detector (155,000
measurements), constrained models of order 1 for detectors, 5 for positions and 7 for fluxes of visits, and the same
with fewer visits and stars.  The full case takes half a minute and is left out without ``--full``.  Each fit is
checked before its seconds count: stars repeat to their noise.  One thread; CPU seconds of the fit, of the tables that
come out of it, and the largest memory of the process so far.
"""

from __future__ import annotations

import argparse
import os
import resource
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numpy as np

from skyloom.jointcal import JointFit, fit_jointly, photo_calib_rows, wcs_rows
from skyloom.simulate.star_catalogues import CatalogueSurveySettings, simulate_catalogues

CASES = [(3, 4000), (6, 4000), (9, 6000), (15, 6000)]
FULL = (15, 12000)


def survey_settings(n_visits: int, n_stars: int) -> CatalogueSurveySettings:
    return CatalogueSurveySettings(
        n_visits=n_visits,
        grid=(21, 9),
        size=(2048, 4096),
        n_stars=n_stars,
        full_well_noise=True,
        position_noise_px=0.005,
        flux_noise=0.001,
        outliers=0.005,
        dither_px=1500.0,
    )


def check(fit: JointFit) -> None:
    """Bright stars repeat to a few mas and mmag."""
    assert fit.astrometry is not None
    assert fit.photometry is not None
    used = fit.usable & fit.astrometry.state.used
    position = 1e3 * 1.4826 * np.median(np.abs(fit.astrometry.residuals()[used]))
    residual, error = fit.photometry.residuals()
    used = fit.usable & fit.photometry.state.used
    pull = 1.4826 * np.median(np.abs(residual[used] / error[used]))
    assert position < 10.0, position
    assert 0.7 < pull < 1.1, pull


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    arguments = parser.parse_args()
    warm = simulate_catalogues(CatalogueSurveySettings(n_visits=3, n_stars=400))
    wcs_rows(fit_jointly(warm.frames, warm.references, flux="r"), 1)
    print(f"{'visits':>7s} {'stars':>7s} {'measured':>9s} {'fit CPU s':>10s} {'us each':>8s} {'tables':>8s} {'MB':>6s}")
    for n_visits, n_stars in [*CASES, *([FULL] if arguments.full else [])]:
        survey = simulate_catalogues(survey_settings(n_visits, n_stars))
        measured = sum(len(frame.x) for frame in survey.frames)
        start = time.process_time()
        fit = fit_jointly(survey.frames, survey.references, flux="r")
        seconds = time.process_time() - start
        check(fit)
        start = time.process_time()
        wcs_rows(fit, 1)
        photo_calib_rows(fit, 1)
        tables = n_visits * (time.process_time() - start)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        each = 1e6 * seconds / measured
        print(f"{n_visits:7d} {n_stars:7d} {measured:9d} {seconds:10.1f} {each:8.0f} {tables:8.1f} {memory:6.0f}")


if __name__ == "__main__":
    main()
