"""One night of an electron-multiplying CCD, whose biases were read out in another gain mode than all the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from lsst.daf.butler import Butler, Timespan

from skyloom.cli import skyloom

CAMERA = Path(__file__).parents[2] / "docs" / "examples" / "sparc4.yaml"
ALWAYS = Timespan(None, None)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(skyloom, arguments)


@pytest.fixture(scope="module")
def repo(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = data_dir / "sparc4_raw"
    if not folder.is_dir():
        pytest.skip(f"no frames at {folder}")
    repo = str(tmp_path_factory.mktemp("sparc4") / "repo")
    assert call("init", repo, "--camera", str(CAMERA)).exit_code == 0
    assert "10 frame(s) ingested" in call("ingest", repo, str(folder)).output
    refused = call("calibs", "build", repo)
    assert refused.exit_code != 0
    assert "GAIN 17.2 and 3.37" in str(refused.exception)
    assert "--pedestal-only" in str(refused.exception)
    built = call("calibs", "build", repo, "--pedestal-only")
    assert built.exit_code == 0, built.output
    assert call("run", "drp#isr", repo, "-o", "reduced").exit_code == 0
    return repo


@pytest.fixture(scope="module")
def butler(repo: str) -> Butler:
    return Butler.from_config(repo, collections=["reduced", "sparc4_c1/calib"])


def test_the_pedestal_is_recorded_with_its_mode(butler: Butler) -> None:
    bias = butler.get("bias", instrument="sparc4_c1", detector=0, timespan=ALWAYS)
    level = bias.metadata["LSST CALIB LEVEL ADU ALL"]
    assert level == pytest.approx(487, abs=2)
    assert np.ptp(bias.image.array) == 0
    assert bias.image.array[0, 0] == pytest.approx(level)
    assert bias.metadata["LSST CALIB PEDESTAL ONLY"] is True
    assert bias.metadata["LSST CALIB MODE GAIN"] == "17.2"
    assert bias.metadata["LSST CALIB READ NOISE ADU ALL"] == pytest.approx(11.7, abs=0.3)


def test_photon_transfer_agrees_with_the_header(butler: Butler) -> None:
    flat = butler.get("flat", instrument="sparc4_c1", detector=0, physical_filter="Clear", timespan=ALWAYS)
    assert 3.3 < flat.metadata["LSST CALIB PHOTON TRANSFER GAIN ALL"] < 3.5
    assert flat.metadata["LSST CALIB MODE GAIN"] == "3.37"
    assert np.median(flat.image.array) == pytest.approx(1.0, abs=1e-5)


def test_science_frames_are_reduced(butler: Butler) -> None:
    frames = [butler.get(ref) for ref in butler.query_datasets("post_isr", collections="reduced")]
    assert len(frames) == 4
    for frame in frames:
        assert frame.metadata["LSST ISR FLAT APPLIED"] is True
        assert frame.metadata["LSST ISR BIAS PEDESTAL ONLY"] is True
        assert frame.metadata["LSST ISR GAIN all"] == 3.37
        sky = np.median(frame.image.array)
        scatter = 1.4826 * np.median(np.abs(frame.image.array - sky))
        stated = np.sqrt(np.median(frame.variance.array))
        assert 0.8 < scatter / stated < 1.3
