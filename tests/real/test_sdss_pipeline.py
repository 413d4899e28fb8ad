"""SDSS r frames through the commands of the tutorial: ingest, calibrate, warp, coadd."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from click.testing import CliRunner
from lsst.daf.butler import Butler

from real.golden import FIELDS, clean_rows, published_zero_point, read_golden
from skyloom.catalog.matching import match_pixels, match_sky
from skyloom.cli import skyloom
from skyloom.detection import DetectionSettings, detect_sources
from skyloom.images import bitmask, from_coadd, from_warp
from skyloom.measurement import measure_sources

GAIN = 4.76
MATCHED = "direct_warp_background_matched"
BRIGHT = DetectionSettings(threshold=30.0)
"""Of the coadd; its stars of 19 mag have three times as much."""


def call(*arguments: str) -> str:
    result = CliRunner().invoke(skyloom, arguments)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def folder(data_dir: Path) -> Path:
    path = data_dir / "sdss_stripe82"
    if not path.is_dir():
        pytest.skip(f"no SDSS frames at {path}")
    return path


@pytest.fixture(scope="module")
def repo(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    repo = str(tmp_path_factory.mktemp("sdss") / "repo")
    call("init", repo, "--camera", "sdss")
    call("ingest", repo, *(str(path) for path in (folder / "frames").glob("fpC-*-r4-*")))
    refcat = ("--name", "sdss", "--system", "ab", "--epoch", "2000.0", "--mag", "r=r")
    call("refcat", "import", repo, str(folder / "reference_stars.fits.gz"), *refcat)
    call("run", "drp_post_isr", repo, "-o", "sdss")
    return repo


@pytest.fixture(scope="module")
def butler(repo: str) -> Butler:
    return Butler.from_config(repo, collections=["sdss"])


def visit_of(run: int) -> int:
    """Run, field and filter row, as the camera description numbers exposures."""
    return (run * 10000 + FIELDS[run]) * 10 + 1


@pytest.mark.parametrize("run", FIELDS)
def test_zero_point_and_astrometry(butler: Butler, folder: Path, run: int) -> None:
    (row,) = butler.get("visit_summary", instrument="sdss", visit=visit_of(run))
    assert row["zero_point_mag"] == pytest.approx(published_zero_point(folder, run, "r"), abs=0.02)
    assert row["astrometry_rms_arcsec"] < 0.06
    assert row["n_astrometry_matches"] > 50
    told = butler.get("calibrate_image_metadata", instrument="sdss", visit=visit_of(run), detector=14)
    assert abs(told["calibrate_image"]["psf_fitted_size_residual_median"]) < 0.02


def matched_ratio(stars: Table, golden: dict[str, np.ndarray], ours: str, theirs: str) -> tuple[np.ndarray, np.ndarray]:
    """Our fluxes over LSST's, and the distances in pixels, of the sources that both have."""
    clean = clean_rows(golden)
    rows = np.flatnonzero(~(stars["flag_edge"] | stars["flag_centroid"] | stars["aperture_flag_6_0"]))
    x, y = (golden[f"base_SdssCentroid_{axis}"][clean] for axis in "xy")
    first, second, distance = match_pixels(stars["x"][rows], stars["y"][rows], x, y, 1.0)
    return np.asarray(stars[ours])[rows[first]] / GAIN / golden[theirs][clean[second]], distance


@pytest.mark.parametrize("run", FIELDS)
def test_sources_are_those_of_lsst(butler: Butler, folder: Path, run: int) -> None:
    stars = butler.get("initial_sources_detector", instrument="sdss", visit=visit_of(run), detector=14)
    theirs = "base_CircularApertureFlux_6_0_instFlux"
    ratio, distance = matched_ratio(stars, read_golden(folder, run), "aperture_flux_6_0", theirs)
    assert len(ratio) > 200
    assert np.median(ratio) == pytest.approx(1.0, abs=0.005)
    assert np.median(distance) < 0.06


def test_psf_fluxes_are_those_of_lsst(repo: str, butler: Butler, folder: Path) -> None:
    """Where light within 7 pixels counts as all of it, as in LSST's table."""
    settings = {
        "star_measurement.aperture_radii": "[3.0, 6.0, 7.0]",
        "measure_aperture_correction.reference_radius": "7.0",
    }
    changes = [part for name, value in settings.items() for part in ("-c", f"calibrate_image:{name}={value}")]
    where = ("--where", f"visit = {visit_of(4192)}")
    call("run", "drp_post_isr#calibrate_image", repo, "-o", "within7", *where, *changes)
    data_id = {"instrument": "sdss", "visit": visit_of(4192), "detector": 14}
    butler.registry.refresh()
    stars = butler.get("initial_sources_detector", data_id, collections="within7")
    ratio, _ = matched_ratio(stars, read_golden(folder, 4192), "psf_flux", "base_PsfFlux_instFlux")
    assert np.median(ratio) == pytest.approx(1.0, abs=0.005)


def test_coadd_of_both_visits_keeps_the_magnitudes(butler: Butler, folder: Path) -> None:
    reference = Table.read(folder / "reference_stars.fits.gz")
    reference = reference[(reference["r"] > 16) & (reference["r"] < 19) & (reference["starnotgal"] == 1)]
    differences, depth = [], 0
    for ref in butler.query_datasets("deep_coadd"):
        coadd = from_coadd(butler.get(ref))
        depth = max(depth, int(butler.get("deep_coadd_n_image", ref.dataId).array.max()))
        sources = measure_sources(coadd, detect_sources(coadd, settings=BRIGHT))
        usable = sources[~(sources["flag_edge"] | sources["flag_psf_flux"] | sources["flag_saturated"])]
        ours, theirs, _ = match_sky(usable["ra"], usable["dec"], reference["ra"] % 360, reference["dec"], 1.0)
        magnitude = 31.4 - 2.5 * np.log10(np.asarray(usable["psf_flux"])[ours])
        differences.append(magnitude - np.asarray(reference["r"])[theirs])
    difference = np.concatenate(differences)
    assert depth == 2
    assert len(difference) > 20
    assert np.median(difference) == pytest.approx(0.0, abs=0.02)


def test_coadd_of_one_sky_is_as_deep_as_its_inputs_allow(repo: str) -> None:
    """Quartiles of the sky beside those of each warp, on pixels that both visits see without a source."""
    call("run", "deep", repo, "-i", "sdss,sdss/defaults", "-o", "deep")
    spoiled = bitmask("DETECTED", "SAT", "BAD", "NO_DATA", "CR", "EDGE", "CLIPPED", "REJECTED")
    with Butler.from_config(repo, collections=["deep"]) as butler:
        for ref in butler.query_datasets("deep_coadd"):
            coadd = from_coadd(butler.get(ref))
            where = f"skymap = 'sdss' AND tract = {ref.dataId['tract']} AND patch = {ref.dataId['patch']}"
            warps = [from_warp(butler.get(one)) for one in butler.query_datasets(MATCHED, where=where)]
            common = coadd.bbox
            for warp in warps:
                common = common.intersection(warp.bbox)
            parts = [one[common] for one in (coadd, *warps)]
            clear = np.all([(one.bits & spoiled == 0) & np.isfinite(one.image.array) for one in parts], axis=0)
            assert clear.sum() > 500_000
            low, high = np.percentile([one.image.array[clear] for one in parts], (25, 75), axis=1)
            noise = (high - low)[1:]
            weight = 1.0 / np.array([np.median(one.variance.array[clear]) for one in parts[1:]])
            expected = np.sqrt(np.sum((weight * noise) ** 2)) / weight.sum()
            assert (high - low)[0] == pytest.approx(expected, rel=0.05)
            assert (high - low)[0] < 0.8 * noise.min()
