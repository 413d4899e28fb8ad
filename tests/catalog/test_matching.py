from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from skyloom.catalog import match_pixels, match_sky, separation_arcsec


def test_separations_agree_with_astropy():
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0.0, 360.0, (2, 200)), np.degrees(np.arcsin(rng.uniform(-1.0, 1.0, (2, 200))))
    ra[1, :100], dec[1, :100] = ra[0, :100] + 1e-6, dec[0, :100] - 1e-6
    expected = SkyCoord(ra[0], dec[0], unit="deg").separation(SkyCoord(ra[1], dec[1], unit="deg")).arcsec
    np.testing.assert_allclose(separation_arcsec(ra[0], dec[0], ra[1], dec[1]), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("ra0", "dec0"), [(0.0, 10.0), (210.0, 89.999)])
def test_sky_matches_find_the_partners(ra0, dec0):
    rng = np.random.default_rng(2)
    near = SkyCoord(ra0 * u.deg, dec0 * u.deg).directional_offset_by(
        rng.uniform(0, 360, 100) * u.deg, rng.uniform(20, 2000, 100) * u.arcsec
    )
    moved = near.directional_offset_by(rng.uniform(0, 360, 100) * u.deg, np.linspace(0.0, 2.0, 100) * u.arcsec)
    order = rng.permutation(100)
    first, second, distance = match_sky(near.ra.deg, near.dec.deg, moved.ra.deg[order], moved.dec.deg[order], 1.0)
    assert np.all(order[second] == first)
    assert 45 <= len(first) <= 51
    np.testing.assert_allclose(distance, np.linspace(0.0, 2.0, 100)[first], atol=1e-6)


def test_mutual_matches_use_a_row_once():
    x1, x2 = [0.0, 0.4, 10.0, np.nan], [0.1, 10.2, 50.0]
    first, second, distance = match_pixels(x1, np.zeros(4), x2, np.zeros(3), 1.0)
    assert first.tolist() == [0, 2]
    assert second.tolist() == [0, 1]
    np.testing.assert_allclose(distance, [0.1, 0.2])
    first, second, _ = match_pixels(x1, np.zeros(4), x2, np.zeros(3), 1.0, mutual=False)
    assert first.tolist() == [0, 1, 2]
    assert second.tolist() == [0, 0, 1]


def test_empty_lists_match_nothing():
    for result in match_sky([], [], [1.0], [2.0], 1.0), match_pixels([1.0], [1.0], [], [], 5.0):
        assert [len(column) for column in result] == [0, 0, 0]
