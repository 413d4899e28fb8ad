"""Shards of the sky: the triangles of the hierarchical triangular mesh (Kunszt, Szalay & Thakar 2001)."""

from __future__ import annotations

import numpy as np
from lsst.sphgeom import Angle, Circle, HtmPixelization, LonLat, UnitVector3d
from numpy.typing import ArrayLike, NDArray

__all__ = ["SHARD_LEVEL", "circle_shards", "shard_ids", "unit_vectors"]

SHARD_LEVEL = 7
"""Level of the shards of a reference catalogue: triangles of about 0.6 degrees, 131072 of them on the sky."""


def unit_vectors(ra_deg: ArrayLike, dec_deg: ArrayLike) -> NDArray[np.float64]:
    """Unit vectors of directions in degree; shape [n, 3]."""
    ra, dec = np.radians(np.asarray(ra_deg, np.float64)), np.radians(np.asarray(dec_deg, np.float64))
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def shard_ids(ra_deg: ArrayLike, dec_deg: ArrayLike, level: int = SHARD_LEVEL) -> NDArray[np.int64]:
    """Ids of the triangles that hold positions (degree, ICRS), shape [n]; numbered as the butler's htm dimensions."""
    index = HtmPixelization(level).index
    points = unit_vectors(np.atleast_1d(ra_deg), np.atleast_1d(dec_deg)).tolist()
    return np.fromiter((index(UnitVector3d(x, y, z)) for x, y, z in points), np.int64, count=len(points))


def circle_shards(ra_deg: float, dec_deg: float, radius_deg: float, level: int = SHARD_LEVEL) -> list[int]:
    """Ids of all triangles that may touch a circle, ascending."""
    centre = UnitVector3d(LonLat.fromDegrees(ra_deg, dec_deg))
    circle = Circle(centre, Angle.fromDegrees(min(radius_deg, 180.0)))
    ranges = HtmPixelization(level).envelope(circle)
    return [shard for begin, end in ranges for shard in range(begin, end)]
