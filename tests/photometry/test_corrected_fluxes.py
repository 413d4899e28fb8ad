"""Corrected PSF fluxes of drawn stars are their total fluxes, and zero points those that they were drawn with."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from moffat_frame import DrawnFrame, MoffatFrame, flux_errors, weighted_bias

from skyloom.calibrate import CalibratedFrame, CalibrateSettings, calibrate_frame
from skyloom.photometry import ColourTerm, ZeroPointSettings

SETTINGS = CalibrateSettings(
    photometry=ZeroPointSettings(spatial_order=2, colour_terms=(ColourTerm(filter_name="r", secondary="g", c1=0.2),)),
)
EVEN = MoffatFrame(n_stars=30, seed=3, colour_term=0.2)
UNEVEN = MoffatFrame(n_stars=120, gradient=(0.15, -0.2), shape=(1200, 1200), cloud_mag=0.2, colour_term=0.2, seed=2)


@pytest.fixture(scope="module", params=[EVEN, UNEVEN], ids=["even", "uneven"])
def both(request: pytest.FixtureRequest) -> tuple[DrawnFrame, CalibratedFrame]:
    drawn = request.param.draw()
    return drawn, calibrate_frame(drawn.exposure.copy(), drawn.loader, SETTINGS)


def test_flux_is_the_total_one(both: tuple[DrawnFrame, CalibratedFrame]) -> None:
    drawn, frame = both
    errors = flux_errors(frame.sources, drawn.truth)
    assert len(errors) > 0.95 * drawn.drawn.n_stars
    assert abs(weighted_bias(errors)) < 0.002
    assert frame.aperture_corrections["psf_flux"].light_outside == pytest.approx(0.0022, rel=0.6)
    right = np.asarray(errors["x"]) > drawn.drawn.shape[1] / 2
    for half in (right, ~right):
        assert abs(weighted_bias(errors[half])) < 0.004


def test_zero_point_is_the_true_one_all_over_the_frame(both: tuple[DrawnFrame, CalibratedFrame]) -> None:
    drawn, frame = both
    width = drawn.drawn.shape[1]
    x = np.linspace(0.1, 0.9, 5) * width
    found = 31.4 - 2.5 * np.log10(frame.photo_calib.scale(x, np.full(5, 0.5 * width)) * np.ones(5))
    true = drawn.drawn.zero_point_mag - drawn.drawn.cloud_mag * (x / width - 0.5)
    np.testing.assert_allclose(found, true, atol=0.008)
    assert np.mean(found - true) == pytest.approx(0.0, abs=0.005)
    assert (frame.photo_calib.spatial is None) == (drawn.drawn.cloud_mag == 0.0)


def test_pixels_and_sky_follow_the_zero_point_over_the_frame(both: tuple[DrawnFrame, CalibratedFrame]) -> None:
    drawn, frame = both
    exposure, before = frame.exposure, drawn.exposure
    y, x = np.mgrid[: before.bbox.shape[0] : 50, : before.bbox.shape[1] : 50]
    scale = frame.photo_calib.scale(x, y)
    assert exposure.unit == u.nJy
    np.testing.assert_allclose(exposure.variance.array[y, x], before.variance.array[y, x] * scale**2, rtol=1e-4)
    sky = exposure.backgrounds["sky"].field.render(exposure.bbox).array[y, x]
    restored = (exposure.image.array[y, x] + sky) / scale
    np.testing.assert_allclose(restored, before.image.array[y, x], rtol=1e-4, atol=0.2)
    fluxes = np.asarray(frame.sources["psf_flux"]) * frame.photo_calib.scale(frame.sources["x"], frame.sources["y"])
    np.testing.assert_allclose(frame.sources["psf_flux_njy"], fluxes)
