"""Aperture corrections recover the factor that was put in, whatever a few stars say."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from lsst.images import Box
from lsst.images.fields import ChebyshevField

from skyloom.errors import PhotometryError
from skyloom.photometry import (
    ApertureCorrectionSettings,
    aperture_corrections,
    apply_aperture_corrections,
    flag_correction_stars,
    reference_aperture,
)

BOX = Box.factory[0:1000, 0:2000]


def factor(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """True ratio of total to PSF flux."""
    return np.asarray(1.04 + 0.01 * (x / 2000) - 0.02 * (y / 1000) ** 2)


def stars(n: int = 100, noise: float = 0.003, seed: int = 4) -> Table:
    rng = np.random.default_rng(seed)
    table = Table({"x": rng.uniform(0, 2000, n), "y": rng.uniform(0, 1000, n)})
    total = np.exp(rng.uniform(9, 12, n))
    for radius in ("6_0", "12_0"):
        table[f"aperture_flux_{radius}"] = total * (1 + noise * rng.normal(size=n))
        table[f"aperture_flux_{radius}_err"] = noise * total
        table[f"aperture_flag_{radius}"] = np.zeros(n, dtype=bool)
    table["psf_flux"] = total / factor(table["x"], table["y"])
    table["psf_flux_err"] = 0.001 * total
    table["flag_psf_flux"] = np.zeros(n, dtype=bool)
    return table


def test_field_is_the_true_factor() -> None:
    table = stars()
    correction = aperture_corrections(table, np.ones(100, dtype=bool), BOX, 1.7)["psf_flux"]
    x, y = np.meshgrid([50.0, 1000.0, 1950.0], [50.0, 500.0, 950.0])
    np.testing.assert_allclose(correction.field(x=x, y=y), factor(x, y), atol=0.003)
    assert correction.scatter == pytest.approx(0.003, rel=0.4)


def test_outliers_are_clipped() -> None:
    table = stars()
    table["aperture_flux_12_0"][::10] *= 1.5
    correction = aperture_corrections(table, np.ones(100, dtype=bool), BOX, 1.7)["psf_flux"]
    assert not correction.used[::10].any()
    assert correction.field(x=1000.0, y=500.0) == pytest.approx(factor(np.array(1000.0), np.array(500.0)), abs=0.003)


def test_few_stars_give_a_constant() -> None:
    table = stars(n=3)
    field = aperture_corrections(table, np.ones(3, dtype=bool), BOX, 1.7)["psf_flux"].field
    assert field.is_constant


def test_flagged_and_faint_stars_are_not_used() -> None:
    table = stars()
    table["flag_psf_flux"][5] = True
    table["aperture_flag_12_0"][6] = True
    table["aperture_flux_12_0_err"][7] = table["aperture_flux_12_0"][7] / 3
    correction = aperture_corrections(table, np.ones(100, dtype=bool), BOX, 1.7)["psf_flux"]
    assert not correction.used[[5, 6, 7]].any()


def test_no_star_is_an_error_with_the_count() -> None:
    with pytest.raises(PhotometryError, match="Only 0 stars") as caught:
        aperture_corrections(stars(), np.zeros(100, dtype=bool), BOX, 1.7)
    assert caught.value.metadata["n_stars"] == 0


def test_reference_aperture_follows_the_width_of_the_psf() -> None:
    columns = [f"aperture_flux_{r}" for r in ("3_0", "6_0", "12_0", "17_0")] + ["aperture_flux_6_0_err"]
    settings = ApertureCorrectionSettings()
    assert reference_aperture(columns, 0.8, settings) == "aperture_flux_6_0"
    assert reference_aperture(columns, 1.7, settings) == "aperture_flux_12_0"
    assert reference_aperture(columns, 9.0, settings) == "aperture_flux_17_0"
    fixed = ApertureCorrectionSettings(reference_radius=3.0)
    assert reference_aperture(columns, 9.0, fixed) == "aperture_flux_3_0"
    with pytest.raises(PhotometryError, match=r"No aperture of 5 pixels"):
        reference_aperture(columns, 1.0, ApertureCorrectionSettings(reference_radius=5.0))


def test_applied_once_to_flux_and_error() -> None:
    table = stars()
    before = table.copy()
    field = aperture_corrections(table, np.ones(100, dtype=bool), BOX, 1.7)["psf_flux"].field
    apply_aperture_corrections(table, {"psf_flux": field})
    expected = field(x=np.asarray(before["x"]), y=np.asarray(before["y"]))
    np.testing.assert_allclose(table["psf_flux"] / before["psf_flux"], expected)
    np.testing.assert_allclose(table["psf_flux_err"] / before["psf_flux_err"], expected)
    with pytest.raises(ValueError, match="corrected already"):
        apply_aperture_corrections(table, {"psf_flux": field})


def with_more_fluxes(table: Table) -> Table:
    """The table with a Gaussian flux that varies as the PSF flux, and a top-hat flux that does not."""
    for name, ratio in (("gaussian_flux", 0.9 * factor(table["x"], table["y"])), ("tophat_flux", np.full(100, 0.97))):
        table[name] = table["aperture_flux_12_0"] / ratio
        table[f"{name}_err"] = 0.01 * table[name]
        table[f"flag_{name}"] = np.zeros(100, dtype=bool)
    return table


def test_every_flux_of_the_table_is_corrected_and_top_hats_by_a_constant() -> None:
    table = with_more_fluxes(stars())
    found = aperture_corrections(table, np.ones(100, dtype=bool), BOX, 1.7)
    assert set(found) == {"psf_flux", "gaussian_flux", "tophat_flux"}
    assert found["tophat_flux"].field.is_constant
    assert found["tophat_flux"].field(x=3.0, y=4.0) == pytest.approx(0.97)
    x, y = np.array([50.0, 1950.0]), np.array([50.0, 950.0])
    np.testing.assert_allclose(found["gaussian_flux"].field(x=x, y=y), 0.9 * factor(x, y), atol=0.003)
    smaller = ApertureCorrectionSettings(fluxes=("aperture_flux_6_0",))
    assert set(aperture_corrections(table, np.ones(100, dtype=bool), BOX, 1.7, smaller)) == {"aperture_flux_6_0"}


def test_flux_that_may_fail_is_left_out_and_flagged() -> None:
    table = with_more_fluxes(stars())
    table["flag_gaussian_flux"][1:] = True
    found = aperture_corrections(table, np.ones(100, dtype=bool), BOX, 1.7)
    assert set(found) == {"psf_flux", "tophat_flux"}
    before = np.array(table["gaussian_flux"])
    fields = {name: correction.field for name, correction in found.items()}
    apply_aperture_corrections(table, fields, expected=("psf_flux", "gaussian_flux", "kron_flux"))
    assert np.all(table["flag_gaussian_flux_aperture_correction"])
    assert not np.any(table["flag_psf_flux_aperture_correction"])
    assert "flag_kron_flux_aperture_correction" not in table.colnames
    np.testing.assert_array_equal(table["gaussian_flux"], before)
    strict = ApertureCorrectionSettings(allow_failure=())
    with pytest.raises(PhotometryError, match="gaussian_flux") as caught:
        aperture_corrections(table, np.ones(100, dtype=bool), BOX, 1.7, strict)
    assert caught.value.metadata == {"flux": "gaussian_flux", "n_stars": 1, "n_candidates": 100, "n_min": 2}


def test_factor_that_cannot_be_is_flagged() -> None:
    table = stars()
    table["x"][0], table["x"][1] = np.nan, 1999.0
    apply_aperture_corrections(table, {"psf_flux": ChebyshevField(BOX, np.array([[0.5, -0.6]]))})
    bad = np.asarray(table["flag_psf_flux_aperture_correction"])
    assert bad[:2].all()
    np.testing.assert_array_equal(np.asarray(table["flag_psf_flux"]), bad)
    assert np.isnan(table["psf_flux"][bad]).all()
    assert np.isfinite(table["psf_flux"][~bad]).all()
    assert (table["psf_flux"][~bad] > 0).all()


def test_stars_that_made_it_are_told() -> None:
    table = stars()
    table["aperture_flux_12_0"][::10] *= 1.5
    found = aperture_corrections(table, np.ones(100, dtype=bool), BOX, 1.7)
    flag_correction_stars(table, found)
    used = np.asarray(table["calib_psf_flux_aperture_correction_used"])
    assert used.sum() == found["psf_flux"].n_stars == 90


def test_field_is_no_wavier_than_the_stars_say() -> None:
    table = stars()
    table["psf_flux"] = table["aperture_flux_12_0"] * (1 + 0.003 * np.random.default_rng(3).normal(size=100)) / 1.02
    field = aperture_corrections(table, np.ones(100, dtype=bool), BOX, 1.7)["psf_flux"].field
    assert field.is_constant
    assert field(x=3.0, y=3.0) == pytest.approx(1.02, abs=0.001)
