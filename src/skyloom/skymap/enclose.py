"""Circles around groups of neighbouring frames, for tracts to enclose."""

from __future__ import annotations

import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from .discrete import TractCircle
from .polygons import convex_polygon, unit_vectors

__all__ = ["enclosing_circles"]

MAX_RADIUS_DEG = 10.0
"""Beyond it a tangent plane stretches pixels by more than 3 per cent."""


def enclosing_circles(
    ra: np.ndarray, dec: np.ndarray, *, max_gap: float = 3.0, margin: float = 0.0, rotation: float = 0.0
) -> tuple[TractCircle, ...]:
    """One circle around each group of frames whose centres are within a distance of each other, or through others.

    Parameters
    ----------
    ra, dec
        Corners of the frames in degrees, ``[n, 4]``.
    max_gap
        Degrees from one centre to the next in a group, at most.
    margin
        Degrees by which a circle exceeds the frames.
    rotation
        Angle of the pixel grids of the tracts, degrees.  As these reach a radius along the axes of the sky, rotated
        ones need a larger circle to hold the same frames.

    Raises
    ------
    ValueError
        If there is no frame, or a group is too wide for a tangent plane.
    """
    if len(ra) == 0:
        raise ValueError("There is no frame to enclose.")
    centres = KDTree(unit_vectors(ra, dec).mean(axis=1))
    links = centres.sparse_distance_matrix(centres, 2.0 * np.sin(np.radians(max_gap) / 2.0))
    count, group = connected_components(links, directed=False)
    angle = np.radians(rotation)
    stretch = 1.0 / max(abs(np.cos(angle)), abs(np.sin(angle)))
    return tuple(_circle(ra[group == number], dec[group == number], margin, stretch) for number in range(count))


def _circle(ra: np.ndarray, dec: np.ndarray, margin: float, stretch: float) -> TractCircle:
    """A circle about the centre of the hull of some corners, its numbers rounded outwards to 1e-4 degrees."""
    centre = convex_polygon(ra, dec).getCentroid()
    x, y, z = centre.x(), centre.y(), centre.z()
    ra0 = round(float(np.degrees(np.arctan2(y, x))) % 360.0, 4)
    dec0 = round(float(np.degrees(np.arcsin(z))), 4)
    chord = np.linalg.norm(unit_vectors(ra, dec) - unit_vectors(np.array(ra0), np.array(dec0)), axis=-1)
    radius = float(np.degrees(2.0 * np.arcsin(chord.max() / 2.0))) + margin
    if radius > MAX_RADIUS_DEG:
        raise ValueError(
            f"The frames spread over {radius:.1f} degrees from ({ra0}, {dec0}): too wide for a tangent plane."
        )
    return TractCircle(ra=ra0, dec=dec0, radius=np.ceil(radius * stretch * 1e4) / 1e4)
