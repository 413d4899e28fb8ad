"""Positions, directions and regions on the sphere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from lsst.sphgeom import ConvexPolygon, LonLat, UnitVector3d

if TYPE_CHECKING:
    from astropy.wcs import WCS
    from lsst.images import Box

__all__ = ["box_polygon", "convex_polygon", "displaced", "positions_of", "unit_vectors"]


def convex_polygon(ra: np.ndarray, dec: np.ndarray) -> ConvexPolygon:
    """The convex hull on the sphere of positions in degrees (any shape, at least three of them)."""
    points = zip(np.ravel(ra), np.ravel(dec), strict=True)
    return ConvexPolygon([UnitVector3d(LonLat.fromDegrees(float(r) % 360.0, float(d))) for r, d in points])


def box_polygon(wcs: WCS, box: Box) -> ConvexPolygon:
    """The hull on the sky of the corners of a box of pixels, to the outer edges of its pixels."""
    x = np.array([box.x.start, box.x.stop, box.x.stop, box.x.start]) - 0.5
    y = np.array([box.y.start, box.y.start, box.y.stop, box.y.stop]) - 0.5
    return convex_polygon(*wcs.wcs_pix2world(x, y, 0))


def unit_vectors(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Cartesian unit vectors, shape ``(..., 3)``, of positions in degrees."""
    longitude, latitude = np.radians(ra), np.radians(dec)
    across = np.cos(latitude)
    return np.stack([across * np.cos(longitude), across * np.sin(longitude), np.sin(latitude)], axis=-1)


def positions_of(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions in degrees, right ascension in [0, 360), of vectors of any length, shape ``(..., 3)``."""
    x, y, z = np.moveaxis(np.asarray(vectors, float), -1, 0)
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))


def displaced(ra: np.ndarray, dec: np.ndarray, bearing: np.ndarray, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Positions at a distance along great circles from others, all in degrees; bearing 0 is east, 90 is north.

    The bearings (``[m]``) are the last axis of the result, after those of the positions.
    """
    longitude, latitude = np.radians(ra)[..., np.newaxis], np.radians(dec)[..., np.newaxis]
    angle = np.radians(bearing)[:, np.newaxis]
    zero = np.zeros_like(longitude)
    east = np.stack([-np.sin(longitude), np.cos(longitude), zero], axis=-1)
    across = -np.sin(latitude)
    north = np.stack([across * np.cos(longitude), across * np.sin(longitude), np.cos(latitude)], axis=-1)
    there = np.cos(np.radians(distance)) * unit_vectors(ra, dec)[..., np.newaxis, :]
    return positions_of(there + np.sin(np.radians(distance)) * (np.cos(angle) * east + np.sin(angle) * north))
