"""The fitted PSF against the profile that drew the stars."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.images import Box
from star_field import StarField, constant_moffat, linear_moffat, star_field

from skyloom.errors import PsfError
from skyloom.images import bitmask
from skyloom.kernels.moments import shapes
from skyloom.psffit import PsfFit, PsfFitSettings, fit_psf, select_psf_stars
from skyloom.psffit.basis import PixelBasis, polynomial_terms, raw_pixel_coefficients
from skyloom.psffit.grid_model import GridModel
from skyloom.psffit.grid_shape import grid_shape


@pytest.fixture(scope="module")
def linear() -> tuple[StarField, PsfFit]:
    field = star_field(linear_moffat(600), n=90)
    return field, fit_psf(field.exposure, field.table, select_psf_stars(field.table))


def _errors(field: StarField, fit: PsfFit) -> tuple[np.ndarray, np.ndarray]:
    """Relative error of the PSF's size, and of the flux it gives to the true star, on a grid over the frame."""
    extent = field.exposure.bbox.shape[0]
    at = np.rint(np.linspace(60, extent - 60, 4))
    x, y = (a.ravel() for a in np.meshgrid(at, at))
    stamps, _, _ = fit.psf.stamps(x, y)
    half = stamps.shape[1] // 2
    size, flux = np.empty(x.size), np.empty(x.size)
    for i, model in enumerate(stamps):
        truth = field.true_stamp(x[i], y[i], model.shape[0])
        size[i] = _radius(model, half) / _radius(truth, half) - 1
        flux[i] = np.sum(model * truth) / np.sum(model**2) / truth.sum() - 1
    return size, flux


def _radius(stamp: np.ndarray, half: int) -> float:
    middle = np.array([float(half)])
    xx, yy, xy = shapes(stamp, np.zeros_like(stamp), middle, middle, 1.7, 2.0)[0][0]
    return float((xx * yy - xy**2) ** 0.25)


def test_constant_psf_has_the_true_size_and_flux() -> None:
    field = star_field(constant_moffat())
    fit = fit_psf(field.exposure, field.table, select_psf_stars(field.table))
    size, flux = _errors(field, fit)
    assert abs(np.median(size)) < 0.002
    assert np.abs(size).max() < 0.005
    assert abs(np.median(flux)) < 0.0015
    assert np.abs(flux).max() < 0.006


def test_varying_psf_has_the_true_size_and_flux(linear: tuple[StarField, PsfFit]) -> None:
    field, fit = linear
    assert fit.order >= 1
    size, flux = _errors(field, fit)
    assert abs(np.median(size)) < 0.002
    assert np.abs(size).max() < 0.01
    assert abs(np.median(flux)) < 0.0015


def test_reserved_stars_agree_and_were_not_fitted(linear: tuple[StarField, PsfFit]) -> None:
    _, fit = linear
    assert fit.reserved.sum() >= 5
    assert not np.any(fit.reserved & fit.used)
    assert abs(fit.tested.size_median) < 0.005
    assert abs(fit.fitted.size_median) < 0.002
    assert abs(fit.tested.e1_median) < 0.01


def test_same_stars_are_reserved_in_any_order(linear: tuple[StarField, PsfFit]) -> None:
    field, fit = linear
    order = np.random.default_rng(5).permutation(len(field.table))
    again = fit_psf(field.exposure, field.table[order], select_psf_stars(field.table)[order])
    np.testing.assert_array_equal(again.reserved, fit.reserved[order])


def test_star_on_a_neighbour_is_rejected_or_masked() -> None:
    field = star_field(constant_moffat(), n=40)
    stars = select_psf_stars(field.table)
    row = int(np.flatnonzero(stars)[np.argmax(field.flux[stars])])
    x, y = int(field.x[row]), int(field.y[row])
    field.exposure.image.array[y - 1 : y + 2, x + 3 : x + 6] += 0.05 * field.flux[row]
    fit = fit_psf(field.exposure, field.table, stars)
    assert not fit.used[row]
    size, _ = _errors(field, fit)
    assert abs(np.median(size)) < 0.005


def test_masked_pixels_take_no_part() -> None:
    field = star_field(constant_moffat(), n=40)
    stars = select_psf_stars(field.table)
    clean = fit_psf(field.exposure, field.table, stars)
    rng = np.random.default_rng(8)
    hot = rng.random(field.exposure.bits.shape) < 0.01
    field.exposure.image.array[hot] = 1e6
    field.exposure.bits[hot] |= bitmask("BAD")
    fit = fit_psf(field.exposure, field.table, stars)
    assert fit.used.sum() >= 0.8 * clean.used.sum()
    size, _ = _errors(field, fit)
    assert np.abs(size).max() < 0.01


def test_ten_stars_are_enough() -> None:
    field = star_field(constant_moffat(), n=11, flux_range=(2e4, 1e5))
    fit = fit_psf(field.exposure, field.table, select_psf_stars(field.table))
    assert fit.order == 0
    assert fit.reserved.sum() == 0
    size, flux = _errors(field, fit)
    assert np.abs(size).max() < 0.02
    assert np.abs(flux).max() < 0.02


@pytest.mark.parametrize("fwhm", [1.5, 2.0])
def test_undersampled_stars_still_give_a_psf(fwhm: float) -> None:
    field = star_field(constant_moffat(fwhm=fwhm), sigma=1.0)
    fit = fit_psf(field.exposure, field.table, select_psf_stars(field.table))
    stamps, _, _ = fit.psf.stamps([300.0], [300.0])
    assert np.isfinite(stamps).all()
    assert stamps[0].max() > 0.1


def test_wings_are_held_by_the_prior() -> None:
    field = star_field(constant_moffat(), n=12, flux_range=(5e3, 1e4))
    stars = select_psf_stars(field.table)
    held = fit_psf(field.exposure, field.table, stars)
    free = fit_psf(field.exposure, field.table, stars, PsfFitSettings(prior_relative=100.0, prior_floor=1.0))
    truth = field.true_stamp(300.0, 300.0, held.psf.size)

    def wing_error(fit: PsfFit) -> float:
        stamp = fit.psf.stamps([300.0], [300.0], centred=True)[0][0]
        half = stamp.shape[0] // 2
        far = np.hypot(*np.mgrid[-half : half + 1, -half : half + 1]) > 5
        return float(np.sqrt(np.mean((stamp - truth)[far] ** 2)))

    assert wing_error(held) < 0.5 * wing_error(free)


def test_no_usable_star_is_an_error_with_counts() -> None:
    field = star_field(constant_moffat(), n=5)
    field.exposure.bits[...] |= bitmask("SAT")
    with pytest.raises(PsfError, match="Only 0 of 5") as caught:
        fit_psf(field.exposure, field.table, np.ones(5, dtype=bool))
    assert caught.value.metadata["n_candidates"] == 5


def test_candidates_without_flux_are_an_error() -> None:
    field = star_field(constant_moffat(), n=5)
    field.exposure.image.array[...] = -1.0
    with pytest.raises(PsfError, match="no flux"):
        fit_psf(field.exposure, field.table, np.ones(5, dtype=bool))


def test_scaled_and_raw_polynomials_agree() -> None:
    rng = np.random.default_rng(2)
    basis = PixelBasis(x_centre=512.0, y_centre=300.0, scale=512.0, order=2)
    scaled = rng.normal(size=(6, 3, 3))
    x, y = rng.uniform(0, 1024, (2, 7))
    raw = raw_pixel_coefficients(scaled, basis)
    expected = np.tensordot(basis.terms(x, y), scaled, axes=1)
    np.testing.assert_allclose(np.tensordot(polynomial_terms(x, y, 2), raw, axes=1), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("oversampling", [1, 2, 3])
def test_fit_and_evaluation_share_their_interpolation(oversampling: int) -> None:
    rng = np.random.default_rng(4)
    shape = grid_shape(21, oversampling)
    n_places = oversampling * (-(-shape.n // oversampling))
    edge = 6 * oversampling
    grids = np.pad(
        rng.uniform(0.1, 1.0, (3, shape.n - 2 * edge, shape.n - 2 * edge)), ((0, 0), (edge, edge), (edge, edge))
    )
    bounds = Box.factory[0:100, 0:100]
    model = GridModel(shape.to_places(grids, n_places), PixelBasis.over(bounds, 1), shape)
    x, y = np.array([50.3, 20.5, 7.0]), np.array([49.6, 30.0, 80.5])
    stamps, x0, y0 = model.psf(bounds).stamps(x, y)
    mine = model.stamps(x, y, model.taps(x - x0 - 10, y - y0 - 10), 21)
    np.testing.assert_allclose(mine / mine.sum(axis=(1, 2), keepdims=True), stamps, atol=1e-12)
