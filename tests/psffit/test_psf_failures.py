"""What a fit does with too little, and with pixels and stars that are none; and that it is the same every time."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from star_field import StarField, constant_moffat, star_field

from skyloom.errors import PsfError
from skyloom.images import bitmask
from skyloom.psffit import PsfFit, PsfFitSettings, fit_psf, select_psf_stars


@pytest.fixture(scope="module")
def stars() -> StarField:
    return star_field(constant_moffat(), n=40)


@pytest.fixture(scope="module")
def clean(stars: StarField) -> PsfFit:
    return fit_psf(stars.exposure, stars.table, select_psf_stars(stars.table))


def test_no_candidate_is_an_error(stars: StarField) -> None:
    with pytest.raises(PsfError, match="No candidate"):
        fit_psf(stars.exposure, stars.table, np.zeros(40, dtype=bool))


def test_candidates_without_a_place_are_an_error(stars: StarField) -> None:
    table = stars.table.copy()
    table["x"] = np.nan
    with pytest.raises(PsfError, match="No candidate"):
        fit_psf(stars.exposure, table, np.ones(40, dtype=bool))


def test_candidates_that_are_holes_are_counted(stars: StarField) -> None:
    exposure = stars.exposure.copy()
    chosen = select_psf_stars(stars.table)
    for row in np.flatnonzero(chosen)[2:]:
        x, y = round(stars.table["x"][row]), round(stars.table["y"][row])
        exposure.bits[max(y - 6, 0) : y + 7, max(x - 6, 0) : x + 7] |= bitmask("BAD")
    with pytest.raises(PsfError, match=rf"of {chosen.sum()} candidates .* of their pixels in the median") as caught:
        fit_psf(exposure, stars.table, chosen)
    assert caught.value.metadata["n_usable"] < 3


def test_three_stars_make_a_constant_psf_and_it_is_said(
    stars: StarField, clean: PsfFit, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = clean.used & (np.cumsum(clean.used) <= 3)
    with caplog.at_level(logging.WARNING):
        fit = fit_psf(stars.exposure, stars.table, chosen)
    assert fit.order == 0
    assert fit.metadata["order_wanted"] == 2
    assert "3 stars bear a PSF of order 0" in caplog.text
    truth = stars.true_stamp(300.0, 300.0, fit.psf.size)
    stamp = fit.psf.stamps(300.0, 300.0, centred=True)[0][0]
    assert np.abs(stamp - truth / truth.sum()).max() < 0.02 * truth.max()


def test_nan_pixels_and_stars_at_the_edge_take_no_part(stars: StarField, clean: PsfFit) -> None:
    exposure, table = stars.exposure.copy(), stars.table.copy()
    chosen = select_psf_stars(table)
    row = int(np.flatnonzero(clean.used)[0])
    x, y = round(table["x"][row]), round(table["y"][row])
    exposure.image.array[y - 1 : y + 2, x - 1 : x + 2] = np.nan
    edge = int(np.flatnonzero(clean.used)[1])
    table["x"][edge] = 1.0
    fit = fit_psf(exposure, table, chosen)
    assert not fit.used[row]
    assert not fit.used[edge]
    assert np.isfinite(fit.psf.coefficients).all()
    assert fit.used.sum() >= clean.used.sum() - 4


def test_a_galaxy_among_the_candidates_is_rejected(stars: StarField, clean: PsfFit) -> None:
    """A third of the light of one star spread twice as wide."""
    exposure = stars.exposure.copy()
    chosen = select_psf_stars(stars.table)
    row = int(np.flatnonzero(clean.used)[np.argmax(stars.flux[clean.used])])
    y, x = np.mgrid[: exposure.image.array.shape[0], : exposure.image.array.shape[1]]
    radius2 = (x - stars.x[row]) ** 2 + (y - stars.y[row]) ** 2
    exposure.image.array[...] += 0.3 * stars.flux[row] * np.exp(-0.5 * radius2 / 3.0**2) / (2 * np.pi * 9.0)
    fit = fit_psf(exposure, stars.table, chosen)
    assert fit.rejected[row]
    assert fit.metadata["n_rejected"] == fit.rejected.sum()


def test_another_seed_reserves_other_stars(stars: StarField) -> None:
    chosen = select_psf_stars(stars.table)
    first, again, other = (
        fit_psf(stars.exposure, stars.table, chosen, PsfFitSettings(reserve_seed=seed)).reserved for seed in (0, 0, 7)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert other.any()
    none = fit_psf(stars.exposure, stars.table, chosen, PsfFitSettings(reserve_fraction=0.0))
    assert not none.reserved.any()


def test_threads_do_not_change_the_psf(stars: StarField) -> None:
    limits = pytest.importorskip("threadpoolctl")
    chosen = select_psf_stars(stars.table)
    coefficients = []
    for n_threads in (1, 2):
        with limits.threadpool_limits(n_threads):
            coefficients.append(fit_psf(stars.exposure, stars.table, chosen).psf.coefficients)
    assert np.array_equal(*coefficients)


def test_saturated_core_is_no_star(stars: StarField) -> None:
    exposure = stars.exposure.copy()
    chosen = select_psf_stars(stars.table)
    row = int(np.flatnonzero(chosen)[0])
    x, y = round(stars.table["x"][row]), round(stars.table["y"][row])
    exposure.bits[y - 2 : y + 3, x - 2 : x + 3] |= bitmask("SAT")
    fit = fit_psf(exposure, stars.table, chosen)
    assert not fit.used[row]
    assert not fit.reserved[row]
