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


def test_rows_have_epochs_of_their_own_and_errors_grow():
    table = stars(
        [10.0, 20.0, 30.0], [0.0, 0.0, 60.0], pm_ra=[1000.0] * 3, pm_dec=[0.0] * 3, ra_err=[3.0, 3.0, 3.0],
        dec_err=[1.0] * 3, pm_ra_err=[0.4, np.nan, 0.4], pm_dec_err=[0.0, 0.0, 0.0],
    )  # fmt: skip
    table["epoch"] = [2006.0, 2011.0, np.nan]
    table["parallax"] = 700.0
    moved = propagate(table, 2016.0)
    offset = separation_arcsec(moved["ra"], moved["dec"], table["ra"], table["dec"])
    assert offset == pytest.approx([10.0, 5.0, 0.0], abs=1e-6)  # the parallax moves nothing
    assert moved["ra_err"] == pytest.approx([5.0, 3.0, 3.0])
    assert moved["dec_err"] == pytest.approx([1.0, 1.0, 1.0])
    assert moved["epoch"][:2].tolist() == [2016.0, 2016.0]
    table["pm_ra"], table["pm_ra"].unit = np.radians(1.0 / 3600.0), u.rad / u.yr
    assert separation_arcsec(*(propagate(table, 2016.0)[name] for name in ("ra", "dec")), table["ra"], table["dec"])[
        0
    ] == pytest.approx(10.0, abs=1e-6)
    table["pm_ra"].unit = u.km / u.s
    with pytest.raises(RefcatError, match="none of proper motion"):
        propagate(table, 2016.0)


def test_catalogues_without_proper_motions():
    table = stars([10.0], [20.0])
    table.remove_columns(["pm_ra", "pm_dec"])
    assert propagate(table, 2050.0)["ra"][0] == 10.0
    with pytest.raises(RefcatError, match="no column pm_ra, pm_dec"):
        propagate(table, 2050.0, required=True)
    strict = ShardedCatalogue(sharded(table), require_proper_motion=True)
    assert len(strict(10.0, 20.0, 0.1, None)) == 1
    with pytest.raises(RefcatError, match="proper motions are required"):
        strict(10.0, 20.0, 0.1, 2050.0)


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


def test_holes_are_named_and_the_rest_serves(caplog):
    rng = np.random.default_rng(1)
    table = stars(rng.uniform(9.0, 11.0, 2000), rng.uniform(-1.0, 1.0, 2000))
    table["ra"][5] = np.nan
    shards = sharded(table[np.isfinite(table["ra"])])
    touched = set(circle_shards(10.0, 0.0, 0.7))
    gone, absent = sorted(touched & set(shards))[:2]

    def fail():
        raise FileNotFoundError(f"{gone}.parquet")

    del shards[absent]
    catalogue = ShardedCatalogue({**shards, gone: fail})
    found = catalogue(10.0, 0.0, 0.7, 2020.0)
    inside = separation_arcsec(table["ra"], table["dec"], 10.0, 0.0) <= 0.7 * 3600.0
    left = inside & ~np.isin(shard_ids(np.nan_to_num(table["ra"]), table["dec"]), [gone, absent])
    assert set(found["id"]) == set(np.flatnonzero(left))
    assert found.meta["unreadable_shards"] == [gone]
    assert absent in found.meta["absent_shards"]
    assert str(gone) in caplog.text
    with pytest.raises(RefcatError, match=f"can be read: {gone}"):
        ShardedCatalogue({gone: fail})(10.0, 0.0, 0.7, None)


@pytest.mark.parametrize(("ra", "dec"), [(0.0, 0.0), (359.9999, 45.0), (120.0, 89.95), (7.0, -90.0)])
def test_circles_over_ra_0_and_the_poles(ra, dec):
    rng = np.random.default_rng(2)
    angle, far = rng.uniform(0.0, 2.0 * np.pi, 3000), 2.0 * np.sqrt(rng.random(3000))
    around = SkyCoord(ra * u.deg, dec * u.deg).directional_offset_by(angle * u.rad, far * u.deg)
    table = stars(around.ra.deg, around.dec.deg)
    found = ShardedCatalogue(sharded(table))(ra, dec, 1.0, None)
    assert set(found["id"]) == set(np.flatnonzero(far <= 1.0))


def test_shards_without_their_columns_are_refused():
    table = stars([10.0], [20.0])
    table.remove_column("dec")
    (shard,) = shard_ids([10.0], [20.0])
    with pytest.raises(RefcatError, match=f"shard {shard} of the reference catalogue has no column dec"):
        ShardedCatalogue({int(shard): lambda: table})(10.0, 20.0, 0.1, None)


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
