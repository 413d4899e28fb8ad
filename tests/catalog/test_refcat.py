from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.time import Time

from skyloom.catalog import (
    ShardedCatalogue,
    circle_shards,
    filter_flux,
    propagate,
    reference_table,
    separation_arcsec,
    shard_ids,
)
from skyloom.catalog.magnitudes import VEGA_OFFSETS, ab_offset, magnitudes_to_njy
from skyloom.errors import RefcatError


def stars(ra, dec, *, epoch=2016.0, filters=("r",), **columns):
    n = len(ra)
    values = {"id": np.arange(n), "ra": np.asarray(ra), "dec": np.asarray(dec), "epoch": np.full(n, epoch)}
    return reference_table(
        {**values, **{name: np.asarray(column) for name, column in columns.items()}}, filters=filters
    )


@pytest.mark.parametrize(("ra", "dec"), [(10.0, 20.0), (359.99999, -60.0), (200.0, 89.999), (33.0, -89.9999)])
def test_proper_motion_agrees_with_astropy(ra, dec):
    pm_ra, pm_dec = -4000.0, 10000.0
    table = stars([ra], [dec], pm_ra=[pm_ra], pm_dec=[pm_dec])
    moved = propagate(table, 2056.0)
    start = SkyCoord(
        ra * u.deg,
        dec * u.deg,
        pm_ra_cosdec=pm_ra * u.mas / u.yr,
        pm_dec=pm_dec * u.mas / u.yr,
        distance=10 * u.pc,
        radial_velocity=0 * u.km / u.s,
        obstime=Time(2016.0, format="jyear", scale="tdb"),
    )
    expected = start.apply_space_motion(Time(2056.0, format="jyear", scale="tdb"))
    assert separation_arcsec(moved["ra"], moved["dec"], expected.ra.deg, expected.dec.deg)[0] < 1e-3
    assert separation_arcsec(moved["ra"], moved["dec"], ra, dec)[0] > 400.0
    assert moved["epoch"][0] == 2056.0
    assert table["ra"][0] == ra


def test_unknown_proper_motions_stay():
    moved = propagate(stars([10.0, 20.0], [0.0, 5.0], pm_ra=[np.nan, 1000.0], pm_dec=[0.0, 0.0]), 2017.0)
    assert separation_arcsec(moved["ra"], moved["dec"], [10.0, 20.0], [0.0, 5.0]) == pytest.approx([0.0, 1.0], abs=1e-9)


def sharded(table):
    shard = shard_ids(table["ra"], table["dec"])
    return {int(n): (lambda n=n: table[shard == n]) for n in np.unique(shard)}


def test_a_circle_over_shards_with_holes_and_doubles():
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(-2.0, 2.0, 4000) % 360.0, rng.uniform(-2.0, 2.0, 4000)
    table = stars(ra, dec)
    shards = sharded(table)
    inside = separation_arcsec(ra, dec, 0.1, 0.2) <= 3600.0
    catalogue = ShardedCatalogue(shards)
    assert set(catalogue(0.1, 0.2, 1.0, None)["id"]) == set(np.flatnonzero(inside))
    hole = next(n for n in shards if np.any(inside & (shard_ids(ra, dec) == n)))
    left = ShardedCatalogue({n: read for n, read in shards.items() if n != hole})(0.1, 0.2, 1.0, None)
    assert set(left["id"]) == set(np.flatnonzero(inside & (shard_ids(ra, dec) != hole)))
    other = next(n for n in shards if n != hole)
    doubled = {**shards, other: lambda: table[np.isin(shard_ids(ra, dec), [hole, other])]}
    assert np.array_equal(ShardedCatalogue(doubled)(0.1, 0.2, 1.0, None)["id"], np.flatnonzero(inside))
    assert len(catalogue(180.0, 0.0, 1.0, 2020.0)) == 0


def test_a_star_that_moves_into_the_circle_is_found():
    table = stars([10.0], [0.1 + 20.0 / 3600.0], pm_ra=[0.0], pm_dec=[-1000.0])
    catalogue = ShardedCatalogue(sharded(table))
    assert len(catalogue(10.0, 0.0, 0.1, 2016.0)) == 0
    assert len(catalogue(10.0, 0.0, 0.1, 2046.0)) == 1


def test_shards_of_two_catalogues_do_not_mix():
    one, other = circle_shards(10.0, 20.0, 0.5)[:2]
    catalogue = ShardedCatalogue({one: lambda: stars([10.0], [20.0]), other: lambda: stars([1.0], [2.0], filters="G")})
    with pytest.raises(RefcatError, match="different columns"):
        catalogue(10.0, 20.0, 0.5, None)


def test_fluxes_by_filter():
    table = stars([1.0], [2.0], filters=["g", "r"], flux_r=[5.0])
    assert filter_flux(table, "r") == [5.0]
    assert np.isnan(filter_flux(table, None))
    with pytest.raises(RefcatError, match="no filter 'z'"):
        filter_flux(table, "z")
    assert table["flux_r"].unit == u.nJy


def test_magnitudes_become_nanojansky():
    flux, error = magnitudes_to_njy(
        np.array([31.4, 20.0, 99.0, -9999.0, np.nan]), np.array([0.1, -1, 0.1, 0.1, 0.1]), 0.0
    )
    np.testing.assert_allclose(flux[:2], [1.0, u.Magnitude(20.0, u.ABmag).to_value(u.nJy)], rtol=1e-3)
    assert np.all(np.isnan(flux[2:]))
    assert error[0] == pytest.approx(0.1 * np.log(10.0) / 2.5)
    assert np.all(np.isnan(error[1:]))


def test_vega_offsets():
    assert ab_offset("g", "AB", {}) == 0.0
    assert ab_offset("G", "Vega", {}) == VEGA_OFFSETS["G"]
    assert ab_offset("G", "Vega", {"G": 0.2}) == 0.2
    with pytest.raises(RefcatError, match="'clear'"):
        ab_offset("clear", "Vega", {})
