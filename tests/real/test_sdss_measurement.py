"""Detection and measurement on an SDSS frame against what LSST's pipeline measured on it."""

from __future__ import annotations

from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from scipy.spatial import cKDTree

from real.golden import clean_rows, read_golden
from skyloom.background import subtract_background
from skyloom.detection import detect_sources
from skyloom.images.exposure import Exposure
from skyloom.measurement import measure_sources

SOFT_BIAS = 1000
PSF_SIGMA = 1.5
R_BAND = 2  # of u g r i z


@pytest.fixture(scope="module")
def folder(data_dir: Path) -> Path:
    path = data_dir / "sdss_stripe82"
    if not path.is_dir():
        pytest.skip(f"no SDSS frames at {path}")
    return path


@pytest.fixture(scope="module")
def golden(folder: Path) -> dict[str, np.ndarray]:
    return read_golden(folder, run=4192)


@pytest.fixture(scope="module")
def table(folder: Path) -> Table:
    image = fits.getdata(folder / "frames" / "fpC-004192-r4-0300.fit.gz").astype(np.float32) - SOFT_BIAS
    detector = fits.getdata(folder / "calibration" / "psField-004192-4-0300.fit.gz", 6)[0]
    gain, dark_variance = detector["gain"][R_BAND], detector["dark_variance"][R_BAND]
    variance = np.maximum(image, 0) / gain + dark_variance
    exposure = Exposure.from_arrays(image, variance=variance, unit=u.adu)
    subtract_background(exposure)
    footprints = detect_sources(exposure, PSF_SIGMA)
    subtract_background(exposure)
    return measure_sources(exposure, footprints, psf_sigma=PSF_SIGMA)


@pytest.fixture(scope="module")
def pairs(table: Table, golden: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, int]:
    """Rows of ours and of theirs that are the same source, and the number of theirs."""
    theirs = clean_rows(golden)
    ours = np.flatnonzero(~(table["flag_edge"] | table["flag_centroid"] | table["aperture_flag_6_0"]))
    tree = cKDTree(np.column_stack([table["x"][ours], table["y"][ours]]))
    distance, index = tree.query(
        np.column_stack([golden["base_SdssCentroid_x"][theirs], golden["base_SdssCentroid_y"][theirs]])
    )
    near = distance < 1.0
    return ours[index[near]], theirs[near], theirs.size


def signal_to_noise(golden: dict[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    return golden["base_PsfFlux_instFlux"][rows] / golden["base_PsfFlux_instFluxErr"][rows]


def test_the_same_sources_are_found(pairs, golden) -> None:
    _, theirs, count = pairs
    assert theirs.size > 0.8 * count
    clean_bright = signal_to_noise(golden, theirs) > 10
    assert clean_bright.sum() > 150


def test_six_pixel_aperture_fluxes_agree(table, golden, pairs) -> None:
    ours, theirs, _ = pairs
    ratio = table["aperture_flux_6_0"][ours] / golden["base_CircularApertureFlux_6_0_instFlux"][theirs]
    bright = signal_to_noise(golden, theirs) > 50
    assert np.median(ratio) == pytest.approx(1.0, abs=0.005)
    assert np.median(ratio[bright]) == pytest.approx(1.0, abs=0.002)
    assert np.percentile(ratio[bright], 84) - np.percentile(ratio[bright], 16) < 0.02


def test_aperture_errors_agree(table, golden, pairs) -> None:
    ours, theirs, _ = pairs
    ratio = table["aperture_flux_6_0_err"][ours] / golden["base_CircularApertureFlux_6_0_instFluxErr"][theirs]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.05)


def test_centroids_agree(table, golden, pairs) -> None:
    ours, theirs, _ = pairs
    dx = table["x"][ours] - golden["base_SdssCentroid_x"][theirs]
    dy = table["y"][ours] - golden["base_SdssCentroid_y"][theirs]
    bright = signal_to_noise(golden, theirs) > 50
    assert np.median(np.hypot(dx, dy)) < 0.1
    assert np.median(np.hypot(dx, dy)[bright]) < 0.02
    assert abs(np.median(dx[bright])) < 0.005
    assert abs(np.median(dy[bright])) < 0.005


def test_shapes_of_bright_stars_agree(table, golden, pairs) -> None:
    ours, theirs, _ = pairs
    bright = (signal_to_noise(golden, theirs) > 50) & (golden["base_SdssShape_flag"][theirs] == 0)
    bright &= ~table["flag_shape"][ours]
    for name, reference in (("ixx", "xx"), ("iyy", "yy"), ("ixy", "xy")):
        difference = table[name][ours][bright] - golden[f"base_SdssShape_{reference}"][theirs][bright]
        assert abs(np.median(difference)) < 0.02


def test_every_source_lies_on_the_frame(table) -> None:
    assert ((table["x"] > -2) & (table["x"] < 2050) & (table["y"] > -2) & (table["y"] < 1491)).all()
    assert 500 < len(table) < 900
