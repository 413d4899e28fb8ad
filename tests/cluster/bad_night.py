"""A simulated night with one bad frame, the commands of a user, and what they print."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from astropy.io import fits
from click.testing import CliRunner, Result

from skyloom.cli import skyloom
from skyloom.simulate import CalibrationSettings, SurveySettings, VisitSettings, simulate_survey

EMPTY = 4
"""The visit whose frame holds no light."""
PIPELINES = "drp", "deep", "catalogues"
SETTINGS = SurveySettings(
    seed=5,
    detectors=(0,),
    visits=VisitSettings(visits_per_band=EMPTY, dither_arcsec=5.0, rotation_deg=0.2),
    calibrations=CalibrationSettings(biases=0, darks=0, flats=0),
)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(skyloom, arguments, terminal_width=400)


def call_apart(*arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, whose workers know the variables of now: those of this one were started before."""
    command = [sys.executable, "-c", "from skyloom.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"COLUMNS": "400"}, check=False)


def good(*arguments: str) -> Result:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result


def run_all(repo: str, name: str, *options: str) -> dict[str, Result]:
    """Raw frames to light curves: each pipeline works on what those before it wrote, and writes ``NAME_PIPELINE``."""
    inputs, results = "simulated/defaults", {}
    for pipeline in PIPELINES:
        output = f"{name}_{pipeline}"
        results[pipeline] = call("run", pipeline, repo, "-i", inputs, "-o", output, *options, "-q")
        inputs = f"{output},{inputs}"
    return results


def counts(output: str) -> dict[str, list[int]]:
    """The table at the end: task, and how many quanta succeeded, had no work, failed, were kept, were made anew."""
    rows = (line.split() for line in output.splitlines())
    return {row[0]: [int(one) for one in row[1:]] for row in rows if len(row) == 6 and all(map(str.isdigit, row[1:]))}


def failures(output: str) -> list[str]:
    return sorted(line for line in output.splitlines() if line.startswith("failed:"))


class Night:
    """Raw frames of a simulated night, one of them without light, and the repositories made of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.survey = simulate_survey(root / "sky", SETTINGS)
        with fits.open(root / "sky" / "raw" / f"sim_{EMPTY:06d}_0.fits", mode="update") as file:
            file[0].data[...] = np.uint16(1000)

    def repository(self, place: str, *options: str, transfer: str = "direct") -> str:
        sky = self.root / "sky"
        good("init", place, "--camera", "simulated", *options)
        good("ingest", place, str(sky / "raw"), "--transfer", transfer)
        for kind in ("bias", "flat"):
            good("calibs", "import", place, kind, *(str(path) for path in (sky / "masters").glob(f"{kind}_*.fits")))
        magnitudes = ("--system", "ab", "--epoch", "2026.0", "--mag", "r=mag_r")
        good("refcat", "import", place, str(self.survey.reference_file), "--name", "truth", *magnitudes)
        return place
