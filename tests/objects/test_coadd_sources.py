"""Sources of simulated coadds against the truth."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest
from astropy.table import Table, vstack
from lsst.images.fields import ChebyshevField

from objects.coadd_scene import FRAME, coadd, sky_map, truth
from skyloom.catalog.matching import match_pixels
from skyloom.errors import BadFrameError
from skyloom.images import bitmask
from skyloom.images.photo_calib import njy_to_ab_magnitude
from skyloom.objects import CoaddDetections, CoaddSourceSettings, detect_on_coadd, measure_on_coadd, prepare_coadd
from skyloom.psf import CoaddPsf

PATCHES = range(4)


def measure(patch: int, settings: CoaddSourceSettings | None = None) -> tuple[Table, CoaddDetections]:
    settings, exposure = settings or CoaddSourceSettings(), coadd(patch)
    found = detect_on_coadd(exposure, settings)
    return measure_on_coadd(exposure, found, sky_map().tract(0).patch(patch), sky_map(), settings), found


@cache
def all_sources() -> Table:
    return vstack([measure(patch)[0] for patch in PATCHES])


@cache
def matched() -> tuple[Table, np.ndarray]:
    """Primary sources that are true ones, and which these are."""
    primary = all_sources()[np.asarray(all_sources()["is_primary"])]
    here, there, _ = match_pixels(primary["x"], primary["y"], truth().x, truth().y, 2.0)
    return primary[here], there


def of_stars(least: float, most: float) -> tuple[Table, np.ndarray]:
    """Unflagged primary stars within a range of true signal-to-noise ratio, and their true fluxes."""
    table, which = matched()
    flux = truth().flux["r"][which]
    quality = flux / np.median(table["psf_flux_err"])
    chosen = ~truth().galaxy[which] & (quality > least) & (quality < most)
    chosen &= ~np.asarray(table["flag_psf_flux"] | table["flag_edge"])
    return table[chosen], flux[chosen]


def test_fluxes_of_bright_stars_are_true_to_a_millimagnitude() -> None:
    table, flux = of_stars(100.0, np.inf)
    assert len(table) > 100
    offset = -2.5 * np.log10(np.asarray(table["psf_flux"]) / flux)
    assert abs(offset.mean()) < 2e-3
    np.testing.assert_allclose(table["psf_mag"] - njy_to_ab_magnitude(flux), offset, atol=1e-9)
    expected = 2.5 / np.log(10) * table["psf_flux_err"] / table["psf_flux"]
    np.testing.assert_allclose(table["psf_mag_err"], expected, rtol=1e-6)


def test_errors_are_those_of_the_true_noise() -> None:
    table, flux = of_stars(15.0, np.inf)
    pull = np.asarray((table["psf_flux"] - flux) / table["psf_flux_err"])
    assert len(pull) > 200
    assert 0.9 < pull.std() < 1.1
    place = [np.asarray((table[name] - of_places(table, name)) / table[f"{name}_err"]) for name in "xy"]
    assert 0.9 < np.std(place) < 1.1


def of_places(table: Table, name: str) -> np.ndarray:
    """True positions of matched sources."""
    _, there, _ = match_pixels(table["x"], table["y"], truth().x, truth().y, 2.0)
    return getattr(truth(), name)[there]


def test_without_scaling_the_errors_are_too_small() -> None:
    table, found = measure(0)
    plain, before = measure(0, CoaddSourceSettings(scale_variance=False))
    assert 1.08 < found.noise_ratio < 1.25
    assert before.variance_factor == 1.0
    assert found.variance_factor == pytest.approx(found.noise_ratio**2)
    ratio = np.median(table["psf_flux_err"]) / np.median(plain["psf_flux_err"])
    assert ratio == pytest.approx(found.noise_ratio, rel=0.01)
    assert len(plain) >= len(table)


def test_the_noise_that_was_scaled_is_that_of_places_without_a_source() -> None:
    table = all_sources()
    sky = table[np.asarray(table["flag_sky_source"]) & ~np.asarray(table["flag_psf_flux"])]
    pull = np.asarray(sky["psf_flux"] / sky["psf_flux_err"])
    assert len(pull) > 60
    assert 0.8 < pull.std() < 1.2
    assert abs(pull.mean()) < 4.0 / np.sqrt(len(pull))


def test_all_bright_sources_are_found_and_nothing_else() -> None:
    table, which = matched()
    quality = truth().flux["r"] / np.median(table["psf_flux_err"])
    wanted = np.flatnonzero((quality > 8.0) & ~truth().galaxy)
    assert np.isin(wanted, which).mean() > 0.99
    assert np.sum(all_sources()["is_primary"]) - len(table) <= 2


def test_galaxies_are_told_from_stars() -> None:
    table, which = matched()
    flux = truth().flux["r"][which]
    bright, galaxy = flux > 5000.0, truth().galaxy[which]
    assert np.sum(bright & galaxy) > 8
    assert np.min(table["extendedness"][bright & galaxy]) > 0.5
    assert np.max(table["extendedness"][bright & ~galaxy]) < 0.1
    kron = np.asarray(table["kron_flux"] / flux)[bright & galaxy]
    assert 0.94 < np.median(kron) < 1.0


def test_each_source_is_primary_on_one_patch() -> None:
    table = all_sources()
    quality = truth().flux["r"] / np.median(table["psf_flux_err"])
    wanted = np.flatnonzero((quality > 15.0) & ~truth().galaxy)
    near = (np.abs(truth().x[wanted] - 299.5) < 40.0) | (np.abs(truth().y[wanted] - 299.5) < 40.0)
    assert near.sum() > 40  # in two patches or four
    sources = table[~np.asarray(table["flag_sky_source"])]
    distance = np.hypot(
        np.subtract.outer(truth().x[wanted], sources["x"]), np.subtract.outer(truth().y[wanted], sources["y"])
    )
    listed = np.sum(distance < 1.5, axis=1)
    assert (listed[near] >= 2).all()
    assert np.array_equal(np.sum((distance < 1.5) & np.asarray(sources["is_primary"]), axis=1), np.ones(len(wanted)))
    assert not np.any(sources["is_primary"] & ~sources["is_inner_patch"])


def test_ids_are_unique_over_patches_and_the_same_again() -> None:
    ids = np.asarray(all_sources()["source_id"])
    assert len(np.unique(ids)) == len(ids)
    again, _ = measure(2)
    first = all_sources()[np.asarray(all_sources()["patch"]) == 2]
    assert np.array_equal(again["source_id"], first["source_id"])
    np.testing.assert_array_equal(again["psf_flux"], first["psf_flux"])


def test_fluxes_get_the_aperture_corrections_of_the_inputs() -> None:
    exposure, settings, patch = coadd(0), CoaddSourceSettings(), sky_map().tract(0).patch(0)
    field = ChebyshevField(FRAME, np.array([[1.04]]))
    parts = [dataclasses.replace(part, aperture_corrections={"psf_flux": field}) for part in exposure.psf.components]
    exposure.psf = CoaddPsf(parts, exposure.psf.projection, exposure.psf.bounds)
    table = measure_on_coadd(exposure, detect_on_coadd(exposure, settings), patch, sky_map(), settings)
    plain, _ = measure(0)
    np.testing.assert_allclose(table["psf_flux"], 1.04 * plain["psf_flux"], rtol=1e-6)
    np.testing.assert_allclose(table["psf_flux_err"], 1.04 * plain["psf_flux_err"], rtol=1e-6)
    brighter = np.asarray(plain["psf_mag"] - table["psf_mag"])[np.asarray(plain["psf_flux"]) > 0]
    np.testing.assert_allclose(brighter, 2.5 * np.log10(1.04), atol=1e-6)
    np.testing.assert_array_equal(table["kron_flux"], plain["kron_flux"])
    assert np.all(table["flag_kron_flux_aperture_correction"])  # no input knows one
    assert set(table["n_inputs"]) == {4}


def test_every_column_has_its_description() -> None:
    table = all_sources()
    assert not [name for name in table.colnames if not table[name].description]
    units = {name: str(table[name].unit) for name in ("x", "ra", "psf_flux", "kron_flux_err", "psf_mag", "ixx")}
    assert units == {
        "x": "pix",
        "ra": "deg",
        "psf_flux": "nJy",
        "kron_flux_err": "nJy",
        "psf_mag": "mag",
        "ixx": "pix2",
    }


def test_a_wide_background_is_subtracted_and_faint_extended_light_stays() -> None:
    exposure = coadd(0)
    rows, columns = np.indices(exposure.image.array.shape)
    exposure.image.array[...] += 40.0
    blob = 3.0 * np.exp(-((rows - 150.0) ** 2 + (columns - 160.0) ** 2) / (2 * 25.0**2))
    exposure.image.array[...] += blob.astype(np.float32)
    before = exposure.image.array.copy()
    found = detect_on_coadd(exposure, CoaddSourceSettings())
    sky = found.background["sky"].field.render(exposure.bbox).array
    np.testing.assert_allclose(before - exposure.image.array, sky, rtol=0, atol=1e-2)
    assert abs(np.median(sky) - 40.0) < 0.5
    assert sky[150, 160] - np.median(sky) < 1.0  # of 3
    kept = coadd(0)
    none = detect_on_coadd(kept, CoaddSourceSettings(subtract_background=False))
    assert not none.background["sky"].field.render(kept.bbox).array.any()
    assert np.array_equal(kept.image.array, coadd(0).image.array)
    again = coadd(0)
    prepare_coadd(again, found.background, found.variance_factor)
    np.testing.assert_allclose(again.variance.array, exposure.variance.array, rtol=1e-6)
    unknown = coadd(0)
    prepare_coadd(unknown, None, None)
    np.testing.assert_allclose(unknown.variance.array, kept.variance.array, rtol=1e-6)


def test_a_coadd_whose_background_cannot_be_fitted_says_so_and_goes_on() -> None:
    exposure = coadd(0)
    gone = np.ones(exposure.image.array.shape, bool)
    gone[100:125, 100:125] = False
    exposure.image.array[gone], exposure.variance.array[gone] = np.nan, np.inf
    exposure.bits[gone] |= bitmask("NO_DATA")
    found = detect_on_coadd(exposure, CoaddSourceSettings())
    assert "background cell" in found.failure
    assert len(found.footprints) > 0


def test_no_sources_give_an_empty_table() -> None:
    exposure = coadd(0)
    exposure.image.array[...] = np.random.default_rng(1).normal(0.0, 1e-3, exposure.image.array.shape)
    found = detect_on_coadd(exposure, CoaddSourceSettings())
    table = measure_on_coadd(exposure, found, sky_map().tract(0).patch(0), sky_map(), CoaddSourceSettings())
    assert len(found.footprints) == 0
    assert np.all(table["flag_sky_source"])
    assert not np.any(table["is_primary"])
    assert set(table.colnames) == set(all_sources().colnames)


def test_a_coadd_without_psf_is_refused() -> None:
    exposure = coadd(0)
    exposure.psf = None
    with pytest.raises(BadFrameError, match="has no psf"):
        detect_on_coadd(exposure, CoaddSourceSettings())
    nothing = coadd(0)
    nothing.image.array[...] = np.nan
    with pytest.raises(BadFrameError, match="finite value"):
        detect_on_coadd(nothing, CoaddSourceSettings())
