"""Wall time of raw frames to a coadd, by stage: a CCD of 2048x4612 pixels, 16 visits, calibration frames among them.

    python bench/bench_raw_to_coadd.py FOLDER [-j 2] [--visits 16]

The frames have cosmic rays, bleeds, trails, clouds, dark current, hot pixels and dead columns.  First the result is
checked: every frame calibrated, zero points and positions of bright stars against the truth.  Then the times of each
command are told, and the share of each task, as the journal of the run has them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from lsst.daf.butler import Butler

from skyloom.report.truth import compare_survey
from skyloom.simulate import (
    CalibrationSettings,
    DetectorSettings,
    SkySettings,
    Survey,
    SurveySettings,
    VisitSettings,
    simulate_survey,
)

CAMERA = Path(__file__).parent / "workload_c.yaml"


def simulate(folder: Path, visits: int, processes: int) -> Survey:
    """The raws, in a folder."""
    settings = SurveySettings(
        seed=3,
        camera=str(CAMERA),
        sky=SkySettings(proper_motion_mas_yr=5.0, stars_per_square_arcmin=25.0, galaxies_per_square_arcmin=5.0),
        visits=VisitSettings(
            visits_per_band=visits,
            exposure_time_s=120.0,
            dither_arcsec=20.0,
            rotation_deg=0.3,
            cloud_mag=0.1,
            trails=0.25,
            zero_point_mag=31.5,
            sky_electrons=(1500.0, 2500.0),
        ),
        detector=DetectorSettings(cosmic_rays=0.02, bleed_level=1.02, hot_pixels=300, bad_columns=3),
        calibrations=CalibrationSettings(dark_time_s=120.0),
    )
    return simulate_survey(folder / "sky", settings, workers=processes)


def call(*arguments: object) -> float:
    """Wall seconds of one of our commands, each in a process of its own as a user has it."""
    begun = time.monotonic()
    code = "from skyloom.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{arguments}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.monotonic() - begun


def main() -> None:
    """Simulate, process, check, tell the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-j", type=int, default=2)
    parser.add_argument("--visits", type=int, default=16)
    options = parser.parse_args()
    survey, repo = simulate(options.folder, options.visits, options.j), options.folder / "repo"
    refcat = ("--name", "truth", "--system", "ab", "--epoch", "2016.0", "--mag", "r=mag_r")
    times = {
        "init": call("init", repo, "--camera", CAMERA),
        "ingest": call("ingest", repo, options.folder / "sky" / "raw", "-j", options.j),
        "calibs build": call("calibs", "build", repo, "-j", options.j, "-q"),
        "refcat import": call("refcat", "import", repo, survey.reference_file, *refcat),
        "run drp": call("run", "drp", repo, "-o", "out", "-j", options.j, "-q"),
    }
    with Butler.from_config(str(repo), collections=["out"]) as butler:
        refs = butler.query_datasets("initial_sources_detector", limit=None)
        tables = [(int(ref.dataId["visit"]), 0, butler.get(ref)) for ref in refs]
        patches = len(butler.query_datasets("deep_coadd", limit=None))
    agreement = compare_survey(tables, survey.sky_now, "r")
    print(
        f"{len(agreement.frames)} of {options.visits} frames, {patches} patches; astrometry "
        f"{agreement.astrometry_mas:.1f} mas, zero point {agreement.zero_point_mmag:.1f} mmag (worst "
        f"{agreement.worst_zero_point_mmag:.1f}), repeatability {agreement.repeatability_mmag:.1f} mmag"
    )
    if len(agreement.frames) < options.visits or not np.isfinite(agreement.astrometry_mas):
        sys.exit("not every frame was calibrated: the times would mean nothing")
    for name, seconds in times.items():
        print(f"{name:<16}{seconds:8.1f} s")
    print(f"{'all':<16}{sum(times.values()):8.1f} s")
    code = "from skyloom.cli import main; main()"
    subprocess.run([sys.executable, "-c", code, "status", str(repo), "-o", "out", "--times"], check=True)


if __name__ == "__main__":
    main()
