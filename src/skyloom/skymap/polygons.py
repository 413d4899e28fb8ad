"""Regions on the sphere from positions on the sky."""

from __future__ import annotations

import numpy as np
from lsst.sphgeom import ConvexPolygon, LonLat, UnitVector3d

__all__ = ["convex_polygon", "unit_vectors"]


def convex_polygon(ra: np.ndarray, dec: np.ndarray) -> ConvexPolygon:
    """The convex hull on the sphere of positions in degrees (any shape, at least three of them)."""
    points = zip(np.ravel(ra), np.ravel(dec), strict=True)
    return ConvexPolygon([UnitVector3d(LonLat.fromDegrees(float(r) % 360.0, float(d))) for r, d in points])


def unit_vectors(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Cartesian unit vectors, shape ``(..., 3)``, of positions in degrees."""
    longitude, latitude = np.radians(ra), np.radians(dec)
    across = np.cos(latitude)
    return np.stack([across * np.cos(longitude), across * np.sin(longitude), np.sin(latitude)], axis=-1)
