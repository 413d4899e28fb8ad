"""Selection of frames and visits against tables whose every row has one known fault."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from astropy.table import Table

from skyloom.errors import BadFrameError
from skyloom.skymap.polygons import convex_polygon
from skyloom.warp import (
    BestSeeingSettings,
    PsfSelectionSettings,
    SeeingQuantileSettings,
    select_best_seeing,
    select_frames,
    select_seeing_quantile,
    visit_fwhm,
)

PATCH = convex_polygon(np.array([10.0, 11.0, 11.0, 10.0]), np.array([-0.5, -0.5, 0.5, 0.5]))
GOOD = {
    "psf_sigma": 2.0,
    "pixel_scale": 0.2,
    "psf_e1_residual": 0.004,
    "psf_e2_residual": -0.003,
    "psf_size_scatter": 0.02,
    "psf_scaled_size_scatter": 0.01,
    "psf_trace_radius_range": 0.3,
    "psf_aperture_flux_range": 0.05,
    "aperture_correction_range": 0.05,
    "n_psf_stars": 40.0,
    "star_ellipticity": 0.1,
    "star_unnormalized_ellipticity": 0.5,
}
ALL = PsfSelectionSettings(max_size_scatter=0.05, max_star_unnormalized_ellipticity=2.8)
BAD = {
    "psf_sigma": (4.0, "PSF width (arcsec) 1.884 is above 1.8"),
    "psf_e1_residual": (0.0065, "residual ellipticity 0.007159 is above 0.007"),
    "psf_size_scatter": (0.06, "scatter of sizes (px) 0.06 is above 0.05"),
    "psf_scaled_size_scatter": (0.02, "relative scatter of sizes 0.02 is above 0.019"),
    "psf_trace_radius_range": (0.71, "range of PSF sizes"),
    "psf_aperture_flux_range": (0.25, "range of PSF aperture fluxes"),
    "aperture_correction_range": (0.23, "range of aperture corrections"),
    "n_psf_stars": (5.0, "number of PSF stars 5 is below 6"),
    "star_ellipticity": (0.41, "ellipticity of stars 0.41 is above 0.4"),
    "star_unnormalized_ellipticity": (2.9, "unnormalized ellipticity"),
}


def summary(rows: list[dict[str, float]], shift: float = 0.0, places: list[float] | None = None) -> Table:
    """One detector a row, with squares of half a degree whose left sides are at ``places``."""
    table = Table({name: [(GOOD | row)[name] for row in rows] for name in GOOD})
    table["detector"] = np.arange(len(rows))
    left = np.array(places or [10.2] * len(rows))[:, np.newaxis] + shift
    table["ra_corners"] = (left + np.array([0.0, 0.5, 0.5, 0.0])) % 360.0
    table["dec_corners"] = np.tile([-0.2, -0.2, 0.3, 0.3], (len(rows), 1))
    return table


@pytest.mark.parametrize("column", BAD)
def test_each_limit_is_told_by_name_and_can_be_switched_off(column: str) -> None:
    value, words = BAD[column]
    table = summary([{}, {column: value}, {column: np.nan}])
    chosen = select_frames(table, [0, 1, 2], PATCH, ALL, band="r")
    assert chosen.kept == (0,)
    assert words in chosen.left_out[1]
    assert "nan" in chosen.left_out[2]
    (setting,) = {
        one.name
        for one in dataclasses.fields(ALL)
        if one.name != "exclude_detectors"
        and 1 in select_frames(table, [1], PATCH, dataclasses.replace(ALL, **{one.name: None})).kept
    }
    off = select_frames(table, [0, 1, 2], PATCH, dataclasses.replace(ALL, **{setting: None}))
    assert off.kept == (0, 1, 2)


def test_limits_by_band_fall_back() -> None:
    settings = PsfSelectionSettings(
        min_psf_stars={"u": 3, "fallback": 30}, max_star_ellipticity={"fallback": 0.2, "u": 0.05}
    )
    table = summary([{"n_psf_stars": 10}, {}])
    assert select_frames(table, [0, 1], PATCH, settings, band="r").kept == (1,)
    assert select_frames(table, [0, 1], PATCH, settings).kept == (1,)
    in_u = select_frames(table, [0, 1], PATCH, settings, band="u")
    assert in_u.kept == ()
    assert "ellipticity" in in_u.left_out[0]
    with pytest.raises(ValueError, match="min_psf_stars needs an entry 'fallback'"):
        PsfSelectionSettings(min_psf_stars={"u": 3})


def test_places() -> None:
    # Left of the patch by a hair, touching it, well inside, right of it, and without a place.
    table = summary([{}] * 5, places=[9.4999, 9.5, 10.2, 11.0001, np.nan])
    chosen = select_frames(table, range(6), PATCH)
    assert chosen.kept == (1, 2)
    assert chosen.left_out[0] == chosen.left_out[3] == "does not overlap the patch"
    assert chosen.left_out[4] == "no finite position of its corners"
    assert chosen.left_out[5] == "no row in the visit's summary"
    assert select_frames(table, [0, 3]).kept == (0, 3)
    # A detector that touches the corner of the patch alone, and one that misses it there.
    table["ra_corners"][:2] += 1.5
    table["dec_corners"][:2] = [[0.5, 0.5, 1.0, 1.0], [0.5 + 1e-6, 0.5 + 1e-6, 1.0, 1.0]]
    table["ra_corners"][:2] = [11.0, 11.5, 11.5, 11.0]
    assert select_frames(table, [0, 1], PATCH).kept == (0,)


def test_patch_across_the_meridian() -> None:
    patch = convex_polygon(np.array([359.5, 0.5, 0.5, 359.5]), np.array([-0.5, -0.5, 0.5, 0.5]))
    chosen = select_frames(summary([{}] * 4, places=[359.7, 359.2, 0.4, 180.0]), range(4), patch)
    assert chosen.kept == (0, 1, 2)


def test_detectors_can_be_excluded_and_columns_must_be_there() -> None:
    table = summary([{}, {}])
    settings = PsfSelectionSettings(exclude_detectors=(1,))
    chosen = select_frames(table, [0, 1], PATCH, settings)
    assert (chosen.kept, dict(chosen.left_out)) == ((0,), {1: "excluded by the configuration"})
    table.remove_column("psf_trace_radius_range")
    with pytest.raises(BadFrameError, match="no column psf_trace_radius_range"):
        select_frames(table, [0], PATCH, settings)


def visits(sigmas: dict[int, list[float]]) -> dict[int, Table]:
    return {visit: summary([{"psf_sigma": sigma} for sigma in values]) for visit, values in sigmas.items()}


def test_best_seeing() -> None:
    tables = visits({1: [2.0, 3.0], 2: [1.8], 3: [1.8], 4: [4.0], 5: [np.nan, 1.5], 6: [np.nan], 7: [0.5]})
    tables[8] = summary([{"psf_sigma": 1.0}], shift=50.0)
    assert visit_fwhm(tables[1]) == pytest.approx(2.5 * 0.2 * 2.354820)
    settings = BestSeeingSettings(n_visits=3, min_psf_fwhm=0.3, max_psf_fwhm=1.5)
    chosen = select_best_seeing(tables, PATCH, settings)
    assert chosen.kept == (5, 2, 3)
    assert chosen.left_out[1] == "seeing 1.18 arcsec ranks behind the best 3"
    assert chosen.left_out[4] == "seeing 1.88 arcsec is above 1.5"
    assert chosen.left_out[6] == "no finite seeing"
    assert chosen.left_out[7] == "seeing 0.235 arcsec is below 0.3"
    assert chosen.left_out[8] == "no detector overlaps the patch"
    everything = BestSeeingSettings(n_visits=-1, min_psf_fwhm=None, max_psf_fwhm=None, confirm_overlap=False)
    assert select_best_seeing(tables, PATCH, everything).kept == (7, 8, 5, 2, 3, 1, 4)


def test_dates_and_smallest_values_of_visits() -> None:
    tables = visits({1: [2.0], 2: [1.9], 3: [1.8], 4: [1.7]})
    tables[4]["n_psf_stars"] = 3.0
    settings = BestSeeingSettings(min_mjd=61000.0, max_mjd=61010.0, min_values={"n_psf_stars": 10.0})
    chosen = select_best_seeing(tables, PATCH, settings, dates={1: 60999.0, 2: 61005.0, 3: 61011.0, 4: 61005.0})
    assert chosen.kept == (2,)
    assert "before 61000" in chosen.left_out[1]
    assert "after 61010" in chosen.left_out[3]
    assert chosen.left_out[4] == "n_psf_stars 3 is below 10"
    assert "nan" in select_best_seeing(tables, PATCH, settings).left_out[2]


@pytest.mark.parametrize(
    ("q_min", "q_max", "least", "kept"),
    [
        (0.0, 0.33, 6, range(1, 8)),
        (0.0, 0.1, 6, range(1, 7)),
        (0.5, 1.0, 6, range(11, 21)),
        (0.9, 1.0, 6, range(15, 21)),
        (0.0, 1.0, 30, range(1, 21)),
    ],
)
def test_share_of_the_visits(q_min: float, q_max: float, least: int, kept: range) -> None:
    tables = visits({visit: [1.0 + 0.1 * visit, 9.0, 0.0] for visit in range(1, 21)})
    settings = SeeingQuantileSettings(q_min=q_min, q_max=q_max, min_visits=least)
    chosen = select_seeing_quantile(tables, PATCH, settings)
    assert chosen.kept == tuple(kept)
    assert set(chosen.kept) | set(chosen.left_out) == set(tables)
