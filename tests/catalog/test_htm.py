from __future__ import annotations

import numpy as np
from lsst.sphgeom import HtmPixelization, LonLat, UnitVector3d

from skyloom.catalog import circle_shards, separation_arcsec, shard_ids


def test_ids_are_those_of_sphgeom():
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0.0, 360.0, 300), np.degrees(np.arcsin(rng.uniform(-1.0, 1.0, 300)))
    htm = HtmPixelization(7)
    expected = [htm.index(UnitVector3d(LonLat.fromDegrees(a, d))) for a, d in zip(ra, dec, strict=True)]
    np.testing.assert_array_equal(shard_ids(ra, dec), expected)
    assert np.all((shard_ids(ra, dec) >= 131072) & (shard_ids(ra, dec) < 262144))
    np.testing.assert_array_equal(shard_ids(ra - 360.0, dec), expected)


def test_a_circle_is_covered_by_its_shards():
    rng = np.random.default_rng(2)
    for ra0, dec0 in ((0.0, 0.0), (45.0, 89.9), (359.9, -45.0)):
        ra, dec = (ra0 + rng.uniform(-180, 180, 20000)) % 360.0, np.clip(dec0 + rng.uniform(-1.2, 1.2, 20000), -90, 90)
        inside = separation_arcsec(ra, dec, ra0, dec0) < 3600.0
        assert inside.sum() > 10
        assert set(shard_ids(ra[inside], dec[inside])) <= set(circle_shards(ra0, dec0, 1.0))
        assert len(circle_shards(ra0, dec0, 1.0)) < 80
