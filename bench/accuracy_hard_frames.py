"""How many frames of nebulae, globular clusters, trails and clouds get no WCS, or a wrong one.

Run ``python bench/accuracy_hard_frames.py [--hard 50] [--case NAME] [--log FILE]`` from the root of the checkout; each
case is that many simulated frames of the simulated camera, 1000 x 1000 pixels or so, through the whole recipe of
single-frame calibration.  A WCS is wrong where it puts a place of the frame more than an arcsec or two pixels from
where it truly is.  With a log, a line of JSON a frame, a run that was cut short goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "calibrate"))

import numpy as np
from accuracy_cases import HARD_CASES
from scipy.stats import beta
from simulated_frame import SETTINGS, SimulatedFrame, simulated_frame

from skyloom.calibrate import CalibratedFrame, calibrate_frame
from skyloom.errors import FrameError
from skyloom.images.projection import pixel_to_radec

FIRST_SEED = 1000
WRONG_ARCSEC, WRONG_PX = 1.0, 2.0

type Row = dict[str, Any]


def calibrated(case: str, seed: int) -> Row:
    """What came of one frame."""
    simulated = simulated_frame(seed=FIRST_SEED + seed, **HARD_CASES[case])
    start = time.process_time()
    failure = ""
    try:
        frame = calibrate_frame(simulated.exposure.copy(), simulated.loader, SETTINGS)
    except FrameError as error:
        frame, failure = error.partial, f"{error.partial.stage}: {error}"
    row: Row = {"case": case, "seed": seed, "cpu_s": round(time.process_time() - start, 2), "failure": failure}
    row |= {name: frame.metadata.get(name) for name in ("n_sources", "n_psf_stars", "astrometry_blind")}
    row["solved"] = frame.astrometry is not None
    if frame.astrometry is not None:
        row["n_matches"] = frame.astrometry.n_matches
        row["log10_chance"] = round(frame.astrometry.log10_chance, 1)
        row["rms_px"] = round(frame.astrometry.verdict.rms_px, 4)
        row["error_px"] = round(_largest_error_px(simulated, frame), 4)
        row["wrong"] = row["error_px"] > min(WRONG_PX, WRONG_ARCSEC / simulated.mosaic.pixel_scale)
    return row


def _largest_error_px(simulated: SimulatedFrame, frame: CalibratedFrame) -> float:
    """Largest distance on the frame between where its WCS puts a pixel and where that truly is, pixel."""
    assert frame.astrometry is not None
    ccd = simulated.mosaic.ccds[simulated.detector]
    y, x = np.mgrid[0 : ccd.shape[0] - 1 : 9j, 0 : ccd.shape[1] - 1 : 9j]
    ra, dec = pixel_to_radec(frame.astrometry.projection, x.ravel(), y.ravel())
    x_there, y_there = simulated.projection.sky_to_pixel(ccd, ra, dec)
    return float(np.hypot(x_there - x.ravel(), y_there - y.ravel()).max())


def limits(count: int, n: int) -> str:
    """A share with its binomial limits (Clopper & Pearson 1934, 95 %)."""
    low = beta.ppf(0.025, count, n - count + 1) if count else 0.0
    high = beta.ppf(0.975 if count else 0.95, count + 1, n - count) if count < n else 1.0
    return f"{count} of {n} ({100 * low:.1f} .. {100 * high:.1f} %)"


def report(rows: list[Row]) -> None:
    """Print a line a case, one for all, and why frames failed."""
    for case in [*dict.fromkeys(row["case"] for row in rows), "all"]:
        some = [row for row in rows if case in (row["case"], "all")]
        solved = [row for row in some if row["solved"]]
        print(
            f"{case}: without WCS {limits(len(some) - len(solved), len(some))}, "
            f"wrong {limits(sum(row['wrong'] for row in solved), len(some))}, "
            f"largest error {max((row['error_px'] for row in solved), default=np.nan):.3f} px, "
            f"fewest matches {min((row['n_matches'] for row in solved), default=0)}, "
            f"blind {sum(bool(row['astrometry_blind']) for row in solved)}, "
            f"CPU {np.median([row['cpu_s'] for row in some]):.1f} s a frame"
        )
    for row in rows:
        if row["failure"] or row.get("wrong"):
            print("   ", row)


def main() -> None:
    """Simulate, calibrate, compare, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hard", type=int, default=50, help="frames of each case")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--case", action="append", choices=sorted(HARD_CASES))
    parser.add_argument("--log", type=Path, help="file to go on with, and to add to")
    options = parser.parse_args()
    log = options.log
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log is not None and log.exists() else []
    done = {(row["case"], row["seed"]) for row in rows}
    for seed in range(options.first, options.first + options.hard):
        for case in options.case or HARD_CASES:
            if (case, seed) not in done:
                rows.append(calibrated(case, seed))
                if log is not None:
                    with log.open("a") as file:
                        file.write(json.dumps(rows[-1], default=float) + "\n")
    report(rows)


if __name__ == "__main__":
    main()
