"""Galaxies against galsim's truth: Kron fluxes, and what tells them from stars."""

from __future__ import annotations

import galsim
import numpy as np
import pytest

from measurement.star_frames import add_stars, blank, nearest
from skyloom.detection import detect_sources
from skyloom.measurement import MeasurementSettings, measure_sources

FWHM, FLUX = 3.5, 1e5
PSF = galsim.Moffat(beta=3.0, fwhm=FWHM)


def galaxy(shear: float = 0.0) -> galsim.GSObject:
    return galsim.Convolve(galsim.Exponential(half_light_radius=4.0).shear(g1=shear, g2=0.5 * shear), PSF) * FLUX


def draw(frame, profile: galsim.GSObject, x: float, y: float) -> None:
    stamp = profile.shift(x - round(x), y - round(y)).drawImage(nx=121, ny=121, scale=1.0).array
    column, row = round(x) - 60, round(y) - 60
    frame.image.array[row : row + 121, column : column + 121] += stamp


def kron_truth(profile: galsim.GSObject, row) -> tuple[float, float]:
    """First moment and flux of the noise-free profile on pixels a fifth as wide, in the ellipse of the row."""
    fine, side = 5, 1201
    drawn = profile.shift(row["x"] - round(row["x"]), row["y"] - round(row["y"])).drawImage(
        nx=side, ny=side, scale=1.0 / fine
    )
    offset = (np.arange(side) - side // 2) / fine
    dx = offset[None, :] - (row["x"] - round(row["x"]))
    dy = offset[:, None] - (row["y"] - round(row["y"]))
    xx, yy, xy = float(row["ixx"]), float(row["iyy"]), float(row["ixy"])
    root = np.sqrt(xx * yy - xy**2)
    radius = np.sqrt((yy * dx**2 - 2 * xy * dx * dy + xx * dy**2) / root)
    inside = radius < 6 * np.sqrt(root)
    moment = float(np.sum((radius * drawn.array)[inside]) / np.sum(drawn.array[inside]))
    return moment, float(np.sum(drawn.array[radius < 2.5 * moment]))


@pytest.mark.parametrize("shear", [0.0, 0.3])
def test_kron_flux_is_that_of_the_profile(shear: float) -> None:
    frame = blank((241, 241), 0.0, FWHM)
    draw(frame, galaxy(shear), 120.3, 119.6)
    row = measure_sources(frame, detect_sources(frame))[0]
    moment, flux = kron_truth(galaxy(shear), row)
    assert row["kron_radius"] == pytest.approx(moment, rel=5e-3)
    assert row["kron_flux"] == pytest.approx(flux, rel=2e-3)
    assert flux == pytest.approx(FLUX, rel=0.06)  # Kron's radius holds all but a few per cent
    assert not row["flag_kron_flux"]
    assert not row["flag_kron_radius"]


def test_kron_radius_has_a_floor_and_flags() -> None:
    frame = blank((200, 200), 5.0, FWHM)
    x, y = np.array([60.0, 150.0, 6.0]), np.array([60.0, 150.0, 100.0])
    add_stars(frame.image.array, frame.psf, x, y, np.array([1e5, 1e5, 1e5]))
    settings = MeasurementSettings(kron_min_radius=3.0)
    table = measure_sources(frame, detect_sources(frame), settings)
    table = table[nearest(table, x, y)]
    assert table["flag_kron_radius"].all()
    assert table["flag_kron_flux"].tolist() == [False, False, True]
    assert np.ptp(np.asarray(table["kron_radius"])) == 0
    assert table["kron_flux"][0] == pytest.approx(1e5, rel=0.02)


def test_stars_and_galaxies_are_told_apart() -> None:
    rng = np.random.default_rng(3)
    frame = blank((700, 700), 6.0, FWHM)
    rows, columns = (axis.ravel() * 90.0 + 75.0 for axis in np.mgrid[:7, :7])
    x, y = columns + rng.uniform(-0.5, 0.5, 49), rows + rng.uniform(-0.5, 0.5, 49)
    galaxies = np.arange(49) % 2 == 1
    small = galsim.Convolve(galsim.Exponential(half_light_radius=1.5), PSF) * 3e4
    for a, b in zip(x[galaxies], y[galaxies], strict=True):
        draw(frame, small, a, b)
    add_stars(frame.image.array, frame.psf, x[~galaxies], y[~galaxies], np.full(25, 3e4))
    frame.image.array[...] += rng.normal(0, 6.0, frame.image.array.shape)
    table = measure_sources(frame, detect_sources(frame))
    table = table[nearest(table, x, y)]
    size, flux = np.asarray(table["extendedness"]), np.asarray(table["flux_extendedness"])
    assert size[~galaxies].max() < 0.02 < 0.1 < size[galaxies].min()
    assert np.abs(flux[~galaxies]).max() < 0.04 < 0.08 < flux[galaxies].min()
    sigma = table["psf_ixx"][0], table["psf_iyy"][0], table["psf_ixy"][0]
    stars = [np.median(table[name][~galaxies]) for name in ("ixx", "iyy", "ixy")]
    assert sigma == pytest.approx(stars, abs=0.03)
    assert not table["flag_extendedness"].any()


def test_without_a_psf_there_is_no_extendedness() -> None:
    frame = blank((121, 121), 5.0, FWHM)
    add_stars(frame.image.array, frame.psf, np.array([60.0]), np.array([60.0]), np.array([1e5]))
    frame.psf = None
    row = measure_sources(frame, detect_sources(frame, 1.5))[0]
    assert row["flag_extendedness"]
    assert np.isnan(row["extendedness"])
    assert np.isfinite(row["gaussian_flux"])
