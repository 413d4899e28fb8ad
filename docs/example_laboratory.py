"""A second small survey, for the pages about masters: one CCD of 320 x 320 pixels with crosstalk, fringes, a loss of
linearity and the brighter-fatter effect, and two flats each of eight levels.  Nothing is built of its frames yet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from skyloom.cli import skyloom
from skyloom.simulate import (
    CalibrationSettings,
    DetectorSettings,
    SkySettings,
    SurveySettings,
    VisitSettings,
    simulate_survey,
)

__all__ = ["make_laboratory"]

SIDE = 320
FILTER = "z"


def make_laboratory(folder: Path, camera: Path) -> None:
    """Draw the frames into ``folder/sky`` and ingest them into ``folder/repo``.

    Parameters
    ----------
    folder
        It must not exist yet.
    camera
        The description of which a smaller one with the same name is made.
    """
    folder.mkdir()
    small = folder / "camera.yaml"
    small.write_text(yaml.safe_dump(smaller(yaml.safe_load(camera.read_text()))))
    settings = SurveySettings(
        camera=str(small),
        seed=3,
        bands=(FILTER,),
        sky=SkySettings(saturated_stars=8),
        visits=VisitSettings(visits_per_band=6, fringe_amplitude=0.05),
        detector=DetectorSettings(crosstalk=0.002, nonlinearity=0.03, brighter_fatter=0.05),
        calibrations=CalibrationSettings(biases=3, darks=3, flats=3, pair_levels=8),
    )
    simulate_survey(folder / "sky", settings, workers=1)
    repo = str(folder / "repo")
    skyloom(["init", repo, "--camera", str(small)], standalone_mode=False)
    skyloom(["ingest", repo, str(folder / "sky" / "raw")], standalone_mode=False)


def smaller(description: dict[str, Any]) -> dict[str, Any]:
    """A camera with the first detector alone, cut down, and one filter."""
    first, second = description["x-amplifiers"]
    half, overscan = SIDE // 2, 32
    for amplifier, left, data, free in ((first, 0, 0, half), (second, half, half + 2 * overscan, half + overscan)):
        start = 0 if left == 0 else half + overscan
        amplifier["box"] = _box(left, left + half)
        amplifier["raw"] = {
            "box": _box(start, start + half + overscan),
            "data": _box(data, data + half),
            "serial_overscan": _box(free, free + overscan),
        }
    detector = description["detectors"][0] | {"size": [SIDE, SIDE], "position": [0, 0], "amplifiers": [first, second]}
    return description | {"detectors": [detector], "filters": {FILTER: {"band": FILTER, "reference": FILTER}}}


def _box(left: int, right: int) -> dict[str, list[int]]:
    return {"x": [left, right], "y": [0, SIDE]}
