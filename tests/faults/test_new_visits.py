"""A visit that comes in late: the coadds that it touches are made again, the others stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from lsst.daf.butler import Butler, DatasetRef

from skyloom.cli import skyloom
from skyloom.simulate import CalibrationSettings, SkySettings, SurveySettings, VisitSettings, simulate_survey

SETTINGS = SurveySettings(
    seed=8,
    detectors=(0, 3),
    sky=SkySettings(stars_per_square_arcmin=12.0, galaxies_per_square_arcmin=0.0),
    visits=VisitSettings(visits_per_band=2, dither_arcsec=3.0, rotation_deg=0.1),
    calibrations=CalibrationSettings(biases=0, darks=0, flats=0),
)


SKY_MAP = """
kind: discrete
pixel_scale: 0.25
patch_size: 900
tracts: [{ra: 150.0, dec: 2.2, radius: 0.09}]
"""
"""Small patches: each visit touches some of them."""
ALONE = ("-c", "make_direct_warp:use_joint_wcs=False", "-c", "make_direct_warp:use_joint_photo_calib=False")
"""A joint fit changes with every visit, and with it all warps."""
COMMAND = ("run", "drp#single_frame,coadd", "-o", "out", "--skymap", "small", *ALONE)


def call(*arguments: object) -> Result:
    result = CliRunner().invoke(skyloom, [str(one) for one in arguments], terminal_width=300)
    assert result.exit_code == 0, result.output
    return result


def coadds(repo: str) -> dict[int, DatasetRef]:
    with Butler.from_config(repo, collections=["out"]) as butler:
        return {int(ref.dataId["patch"]): ref for ref in butler.query_datasets("deep_coadd", limit=None)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A repository with the coadds of a visit of two detectors, and the folder of raw frames."""
    root = tmp_path_factory.mktemp("late")
    survey = simulate_survey(root / "sky", SETTINGS)
    repo, raw = str(root / "repo"), root / "sky" / "raw"
    call("init", repo, "--camera", "simulated")
    call("ingest", repo, *sorted(raw.glob("sim_000001_*.fits")))
    for kind in ("bias", "dark", "flat"):
        call("calibs", "import", repo, kind, *(path for path in survey.master_files if path.name.startswith(kind)))
    refcat = ("--name", "truth", "--system", "ab", "--epoch", "2016.0", "--mag", "r=mag_r")
    call("refcat", "import", repo, survey.reference_file, *refcat)
    (root / "small.yaml").write_text(SKY_MAP)
    call("skymap", "make", repo, "small", "--file", root / "small.yaml")
    call(*COMMAND, repo)
    return repo, raw


def test_only_the_coadds_that_a_new_visit_touches_are_made_again(finished: tuple[str, Path]) -> None:
    repo, raw = finished
    before = coadds(repo)
    with Butler.from_config(repo, collections=["out"]) as butler:
        times = {patch: Path(butler.getURI(ref).ospath).stat().st_mtime_ns for patch, ref in before.items()}
    call("ingest", repo, raw / "sim_000002_0.fits")
    told = call(*COMMAND, repo)
    after = coadds(repo)
    with Butler.from_config(repo, collections=["out"]) as butler:
        touched = {
            int(ref.dataId["patch"]) for ref in butler.query_datasets("direct_warp", where="visit = 2", limit=None)
        }
        kept = {patch for patch, ref in after.items() if patch in before and ref == before[patch]}
        for patch in kept:
            assert Path(butler.getURI(after[patch]).ospath).stat().st_mtime_ns == times[patch]
        counts = {patch: butler.get("deep_coadd_n_image", after[patch].dataId).array for patch in touched}
    assert touched
    assert kept
    assert kept == set(before) - touched
    assert set(after) == set(before) | touched
    assert max(int(np.max(count)) for count in counts.values()) == 2
    row = next(line.split() for line in told.output.splitlines() if line.startswith("assemble_coadd"))
    assert int(row[4]) == len(kept)
    assert int(row[5]) == len(touched & set(before))


def test_once_more_makes_nothing(finished: tuple[str, Path]) -> None:
    repo, _ = finished
    before = coadds(repo)
    told = call(*COMMAND, repo)
    assert coadds(repo) == before
    for line in told.output.splitlines():
        if line.startswith(("isr", "calibrate", "visit", "make", "assemble")):
            _, succeeded, _, _, kept, anew = line.split()
            assert succeeded == kept
            assert anew == "0"
