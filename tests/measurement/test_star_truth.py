"""What is measured on isolated stars against their truth."""

from __future__ import annotations

import numpy as np
import pytest

from measurement.star_frames import nearest, star_frame, star_grid
from skyloom.detection import detect_sources
from skyloom.measurement import measure_sources

COUNT, PITCH, FLUX = 26, 50, 3e4
NAMES = ("x", "y", "psf_flux", "aperture_flux_6_0", "aperture_flux_12_0", "gaussian_flux", "tophat_flux")


@pytest.fixture(scope="module")
def measured():
    """Table of noisy stars, table of the same without noise, and the true positions, in the order of the grid."""
    x, y = star_grid(COUNT, PITCH)
    light = np.full(x.size, FLUX)
    frame, truth = star_frame(x, y, light, shape=(COUNT * PITCH,) * 2, noise=20.0, fwhm=4.0)
    noisy = measure_sources(frame, detect_sources(frame))
    frame.image.array[...] = truth
    exact = measure_sources(frame, detect_sources(frame))
    return noisy[nearest(noisy, x, y)], exact[nearest(exact, x, y)], x, y


@pytest.mark.parametrize("name", NAMES)
def test_errors_are_the_scatter(measured, name: str) -> None:
    noisy, exact, x, y = measured
    expected = {"x": x, "y": y}.get(name, np.asarray(exact[name]))
    pull = (np.asarray(noisy[name]) - expected) / np.asarray(noisy[f"{name}_err"])
    assert np.std(pull) == pytest.approx(1.0, abs=0.07)  # 676 stars tell it to 0.027
    assert abs(np.mean(pull)) < 0.13


def test_without_noise_stars_are_exact(measured) -> None:
    _, exact, x, y = measured
    assert np.asarray(exact["psf_flux"]) == pytest.approx(FLUX, rel=1e-4)
    assert np.asarray(exact["x"]) == pytest.approx(x, abs=1e-3)
    assert np.asarray(exact["y"]) == pytest.approx(y, abs=1e-3)
    assert np.asarray(exact["gaussian_flux"]) == pytest.approx(np.median(exact["gaussian_flux"]), rel=1e-3)


def test_chi_squared_of_the_fit_is_the_number_of_pixels(measured) -> None:
    noisy, _, _, _ = measured
    assert np.all(noisy["psf_flux_pixels"] == 41 * 41)
    reduced = np.asarray(noisy["psf_flux_chi2"]) / 41**2
    assert np.mean(reduced) == pytest.approx(1.0, abs=0.01)
    assert np.std(reduced) == pytest.approx(np.sqrt(2) / 41, rel=0.15)


def test_the_local_variance_is_that_of_the_sky(measured) -> None:
    noisy, _, _, _ = measured
    assert np.asarray(noisy["local_variance"]) == pytest.approx(400.0, rel=0.02)


@pytest.mark.parametrize("fwhm", [1.6, 2.0, 3.0, 7.0])
def test_centroids_have_no_bias_at_any_phase(fwhm: float) -> None:
    x, y = star_grid(6, 70, seed=4)
    frame, _ = star_frame(x, y, np.full(x.size, 1e6), shape=(420, 420), noise=0.0, fwhm=fwhm)
    table = measure_sources(frame, detect_sources(frame))
    table = table[nearest(table, x, y)]
    assert not table["flag_centroid"].any()
    assert np.abs(table["x"] - x).max() < 0.01
    assert np.abs(table["y"] - y).max() < 0.01


def test_a_bright_star_among_others_keeps_its_flux() -> None:
    """Noise in place of other footprints, and the star's own wings there, leave its fluxes right."""
    rng = np.random.default_rng(7)
    x, y = star_grid(6, 80, seed=5)
    angle = rng.uniform(0, 2 * np.pi, x.size)
    light = np.full(x.size, 1e6)
    both_x, both_y = np.append(x, x + 32 * np.cos(angle)), np.append(y, y + 32 * np.sin(angle))
    both_light = np.append(light, np.full(x.size, 4e3))
    crowded, _ = star_frame(both_x, both_y, both_light, shape=(480, 480), noise=20.0, fwhm=3.5)
    alone, _ = star_frame(x, y, light, shape=(480, 480), noise=20.0, fwhm=3.5)
    fluxes = []
    for frame in (crowded, alone):
        table = measure_sources(frame, detect_sources(frame))
        table = table[nearest(table, x, y)]
        assert np.asarray(table["psf_flux"]) == pytest.approx(1e6, rel=6e-3)  # five sigma
        assert np.mean(table["psf_flux"]) == pytest.approx(1e6, rel=6e-4)
        assert not (table["flag_blended"] | table["flag_psf_flux"]).any()
        fluxes.append(np.asarray(table["aperture_flux_17_0"]))
    assert np.mean(fluxes[0] / fluxes[1]) == pytest.approx(1.0, abs=1e-3)
