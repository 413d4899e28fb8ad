"""Photon transfer, linearity and the brighter-fatter kernel from raw frames to certified calibrations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from lsst.daf.butler import Butler, Timespan

from calibs.flat_ramp import GAINS, SMALL
from skyloom.cli import skyloom
from skyloom.isr import kernel_from_data, linearities_from_data
from skyloom.simulate import CalibrationSettings, DetectorSettings, SurveySettings, VisitSettings, simulate_survey

LOSS, STRENGTH = 0.02, 0.05


def call(*arguments: object) -> Result:
    return CliRunner().invoke(skyloom, [str(one) for one in arguments], terminal_width=300)


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    camera = folder / "small.yaml"
    camera.write_text(SMALL)
    survey = simulate_survey(
        folder / "sky",
        SurveySettings(
            camera=str(camera),
            visits=VisitSettings(visits_per_band=0),
            detector=DetectorSettings(nonlinearity=LOSS, brighter_fatter=STRENGTH),
            calibrations=CalibrationSettings(
                biases=4, darks=0, flats=0, pair_levels=14, pair_electrons=(600.0, 85000.0), pair_drift=0.005
            ),
        ),
    )
    assert len(survey.calibration_files) == 32
    assert call("init", folder / "repo", "--camera", camera).exit_code == 0
    assert "32 frame(s) ingested" in call("ingest", folder / "repo", folder / "sky" / "raw").output
    return folder / "repo"


def test_from_raw_frames_to_certified_calibrations(repo: Path) -> None:
    kinds = [part for kind in ("bias", "ptc", "linearizer", "brighter_fatter") for part in ("--kind", kind)]
    built = call("calibs", "build", repo, *kinds)
    assert built.exit_code == 0, built.output
    for text in (
        "ptc of detector 0: 14 pairs; A gain 1.",
        "linearizer of detector 0: 14 pairs; A corrected by up to 1.",
        "lamp drift 0.",
        "brighter_fatter of detector 0: 14 pairs; kernel centre -",
    ):
        assert text in built.output
    assert "without a" not in built.output

    with Butler.from_config(str(repo), collections="small/calib") as butler:
        data = {
            name: butler.get(name, instrument="small", detector=0, timespan=Timespan(None, None))
            for name in ("ptc", "linearizer", "brighterFatterKernel")
        }
    linear = linearities_from_data(data["linearizer"])
    for name, gain in GAINS.items():
        # Without the linearity corrected, what is lost of the variance counts as brighter-fatter effect, not as gain.
        assert data["ptc"]["amplifiers"][name]["gain"] == pytest.approx(gain, rel=0.02)
        true = np.linspace(2000, 0.9 * 85000 / gain, 9, dtype=np.float32)
        seen = (true * (1 - LOSS * true / 60000))[None, :]
        linear[name].apply(seen)
        np.testing.assert_allclose(seen[0], true, rtol=1e-3)
    kernel = kernel_from_data(data["brighterFatterKernel"])
    assert kernel[8, 9] - kernel[8, 8] == pytest.approx(STRENGTH / 1e5, rel=0.2)
