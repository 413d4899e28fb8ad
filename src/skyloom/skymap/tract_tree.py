"""`TractTree`: which centres of tracts are near to directions."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

__all__ = ["TractTree", "circles_around", "separation"]

_TIE = 1e-13
"""Chords on the unit sphere that differ by less are equal."""


class TractTree:
    """Centres of tracts, searched by direction.

    Parameters
    ----------
    centres
        Unit vectors, ``[n, 3]``.
    """

    def __init__(self, centres: np.ndarray) -> None:
        self._tree = KDTree(centres)

    def nearest(self, directions: np.ndarray) -> np.ndarray:
        """Number of the centre nearest to each unit vector (``[..., 3]``), the lowest where several are; int32."""
        count = self._tree.n
        distance, number = self._tree.query(directions, k=[*range(1, min(4, count) + 1)])
        tied = distance <= distance[..., :1] + _TIE
        nearest: np.ndarray = np.where(tied, number, count).min(axis=-1).astype(np.int32)
        return nearest

    def within(self, directions: np.ndarray, radius: np.ndarray) -> dict[int, list[int]]:
        """For each centre within a radius (degrees, ``[m]``) of a direction (``[m, 3]``), of which ones; sorted."""
        near: dict[int, list[int]] = {}
        chord = 2.0 * np.sin(np.radians(np.minimum(radius, 180.0)) / 2.0) + _TIE
        for index, numbers in enumerate(self._tree.query_ball_point(directions, chord)):
            for number in numbers:
                near.setdefault(int(number), []).append(index)
        return dict(sorted(near.items()))


def circles_around(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directions (``[m, 3]``) and radii (degrees) of circles that hold outlines, unit vectors ``[m, k, 3]``."""
    middle: np.ndarray = corners.mean(axis=1)
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    return middle, separation(np.linalg.norm(corners - middle[:, np.newaxis], axis=2).max(axis=1))


def separation(chord: np.ndarray) -> np.ndarray:
    """Degrees between unit vectors from the length of the chord between them."""
    angle: np.ndarray = np.degrees(2.0 * np.arcsin(np.minimum(chord / 2.0, 1.0)))
    return angle
