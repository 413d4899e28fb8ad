"""Directions on the sky as unit vectors, and their projection onto the tangent planes of visits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["ARCSEC", "from_plane", "local_axes", "project", "to_degrees"]

type Floats = NDArray[np.float64]

ARCSEC = float(np.degrees(1.0) * 3600.0)
"""Arcseconds in a radian."""


def to_degrees(vectors: Floats) -> tuple[Floats, Floats]:
    """Right ascension in [0, 360) and declination, degree, of vectors ``[..., 3]`` of any length."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))


def local_axes(vectors: Floats) -> Floats:
    """Unit vectors to the east and to the north, and the direction itself: ``[..., 3, 3]``, a row each.

    At a pole east is where right ascension 90 degrees lies.
    """
    x, y, _ = np.moveaxis(vectors, -1, 0)
    across = np.hypot(x, y)
    pole = across < 1e-15
    along_x, along_y = np.where(pole, 1.0, x), np.where(pole, 0.0, y)
    length = np.where(pole, 1.0, across)
    east = np.stack([-along_y / length, along_x / length, np.zeros_like(x)], axis=-1)
    return np.stack([east, np.cross(vectors, east), vectors], axis=-2)


def project(vectors: Floats, axes: Floats, planes: Floats) -> tuple[Floats, Floats]:
    """Gnomonic projection (Calabretta & Greisen 2002, A&A 395, 1077, section 5.1.3).

    Parameters
    ----------
    vectors
        Directions ``[m, 3]``.
    axes
        Their `local_axes`, ``[m, 3, 3]``.
    planes
        `local_axes` of the points where the planes touch the sphere, ``[m, 3, 3]``.

    Returns
    -------
    position
        On the plane (to the east, to the north), arcsec, ``[m, 2]``.
    derivative
        Of it by small moves to the east and to the north, ``[m, 2, 2]``.
    """
    along = np.einsum("mij,mj->mi", planes, vectors)
    depth = along[:, 2]
    flat = along[:, :2] / depth[:, None]
    moves = np.einsum("mij,mkj->mik", planes, axes[:, :2])
    derivative = (moves[:, :2] - flat[:, :, None] * moves[:, 2:]) / depth[:, None, None]
    return ARCSEC * flat, derivative


def from_plane(position: Floats, plane: Floats) -> Floats:
    """Directions ``[..., n, 3]`` (of any length) of positions ``[..., n, 2]`` in arcsec on planes ``[..., 3, 3]``."""
    return np.asarray(plane[..., 2:, :] + position @ plane[..., :2, :] / ARCSEC, np.float64)
