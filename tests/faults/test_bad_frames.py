"""Bad frames among good ones: each ends in an error of its own, and the others reach the coadd."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner, Result
from lsst.daf.butler import Butler

from skyloom.cli import skyloom
from skyloom.simulate import CalibrationSettings, SkySettings, SurveySettings, VisitSettings, simulate_survey

SETTINGS = SurveySettings(
    seed=5,
    detectors=(0,),
    sky=SkySettings(stars_per_square_arcmin=12.0, galaxies_per_square_arcmin=0.0),
    visits=VisitSettings(visits_per_band=3, dither_arcsec=5.0, rotation_deg=0.2),
    calibrations=CalibrationSettings(biases=0, darks=0, flats=0),
)
EMPTY, WRONG_FIELD, TRUNCATED, NO_EXPTIME = 3, 4, 101, 102
GOOD = {1, 2}


@dataclass(frozen=True)
class BadNight:
    """What came out of a night with bad frames."""

    repo: str
    ingested: Result
    ran: Result

    @property
    def ingest_report(self) -> str:
        return " ".join(self.ingested.output.split())

    @property
    def run_report(self) -> str:
        return " ".join(self.ran.output.split())


def call(*arguments: str) -> Result:
    return CliRunner().invoke(skyloom, arguments, terminal_width=400)


def spoil(raw: Path, wrong: Path) -> None:
    """Two more files that cannot be ingested; a frame without light and one of another sky among the rest."""
    first = raw / "sim_000001_0.fits"
    (raw / f"sim_{TRUNCATED:06d}_0.fits").write_bytes(first.read_bytes()[:1_000_000])
    with fits.open(first) as file:
        file[0].header["EXPNUM"] = NO_EXPTIME
        del file[0].header["EXPTIME"]
        file.writeto(raw / f"sim_{NO_EXPTIME:06d}_0.fits")
    with fits.open(raw / f"sim_{EMPTY:06d}_0.fits", mode="update") as file:
        file[0].data[...] = np.uint16(1000)
    shutil.copy(wrong / f"sim_{WRONG_FIELD:06d}_0.fits", raw)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> BadNight:
    root = tmp_path_factory.mktemp("night")
    survey = simulate_survey(root / "sky", SETTINGS)
    one = replace(SETTINGS.visits, visits_per_band=1, first_visit=WRONG_FIELD)
    simulate_survey(root / "other", replace(SETTINGS, seed=6, visits=one))
    spoil(root / "sky" / "raw", root / "other" / "raw")
    repo, calibs = str(root / "repo"), root / "sky" / "masters"
    assert call("init", repo, "--camera", "simulated").exit_code == 0
    ingested = call("ingest", repo, str(root / "sky" / "raw"))
    for kind in ("bias", "flat"):
        masters = [str(path) for path in calibs.glob(f"{kind}_*.fits")]
        assert call("calibs", "import", repo, kind, *masters).exit_code == 0
    refcat = ("--name", "truth", "--system", "ab", "--epoch", "2026.0", "--mag", "r=mag_r")
    assert call("refcat", "import", repo, str(survey.reference_file), *refcat).exit_code == 0
    return BadNight(repo, ingested, call("run", "drp", repo, "-o", "out"))


def test_files_that_cannot_be_used_are_named_with_the_reason(night: BadNight) -> None:
    assert night.ingested.exit_code == 0, night.ingested.output
    assert "4 frame(s) ingested" in night.ingest_report
    assert f"sim_{TRUNCATED:06d}_0.fits" in night.ingest_report
    assert "truncated" in night.ingest_report
    assert f"sim_{NO_EXPTIME:06d}_0.fits" in night.ingest_report
    assert "EXPTIME" in night.ingest_report


def test_frames_that_cannot_be_calibrated_are_named_with_the_reason(night: BadNight) -> None:
    assert night.ran.exit_code == 1, night.ran.output
    failures = [line for line in night.ran.output.splitlines() if line.startswith("failed:")]
    assert len(failures) == 2, night.ran.output
    empty = next(line for line in failures if f"={EMPTY}" in line)
    wrong = next(line for line in failures if f"={WRONG_FIELD}" in line)
    assert "BAD-FRAME" in empty or "NO-SOURCES" in empty
    assert "ASTROMETRY" in wrong


def test_the_others_reach_the_coadd(night: BadNight) -> None:
    with Butler.from_config(night.repo, collections=["out"]) as butler:
        calibrated = {ref.dataId["visit"] for ref in butler.query_datasets("initial_pvi")}
        assert calibrated == GOOD
        for ref in butler.query_datasets("deep_coadd"):
            inputs = butler.get(ref.makeComponentRef("inputs"))
            assert set(inputs["visit"]) <= GOOD
        counts = [butler.get(ref).array.max() for ref in butler.query_datasets("deep_coadd_n_image")]
        assert max(counts) == len(GOOD)


def test_a_frame_that_failed_leaves_its_catalogues_and_no_image(night: BadNight) -> None:
    with Butler.from_config(night.repo, collections=["out"]) as butler:
        stars = {ref.dataId["visit"] for ref in butler.query_datasets("initial_psf_stars_detector")}
    assert WRONG_FIELD in stars


def test_the_same_command_again_keeps_everything(night: BadNight) -> None:
    again = call("run", "drp", night.repo, "-o", "out")
    assert again.exit_code == 1
    rows = {line.split()[0]: line.split()[1:] for line in again.output.splitlines() if line[:1].isalpha()}
    succeeded, no_work, failed, kept, _ = (int(number) for number in rows["calibrate_image"])
    assert (succeeded, no_work, failed, kept) == (len(GOOD), 1, 1, 4)
