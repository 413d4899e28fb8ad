"""Nearest matches between two lists of positions, on the sky and in pixels, with k-d trees."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from .htm import unit_vectors

__all__ = ["match_pixels", "match_sky", "separation_arcsec"]

type Matches = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]

_ARCSEC = np.degrees(1.0) * 3600.0


def separation_arcsec(ra1: ArrayLike, dec1: ArrayLike, ra2: ArrayLike, dec2: ArrayLike) -> NDArray[np.float64]:
    """Angular distance of positions in degree, pairwise, arcsec; accurate at every distance (Vincenty 1975)."""
    ra1, dec1, ra2, dec2 = (np.radians(np.asarray(angle, np.float64)) for angle in (ra1, dec1, ra2, dec2))
    turn = ra2 - ra1
    across = np.hypot(
        np.cos(dec2) * np.sin(turn), np.cos(dec1) * np.sin(dec2) - np.sin(dec1) * np.cos(dec2) * np.cos(turn)
    )
    along = np.sin(dec1) * np.sin(dec2) + np.cos(dec1) * np.cos(dec2) * np.cos(turn)
    return np.asarray(np.arctan2(across, along) * _ARCSEC)


def match_sky(
    ra1: ArrayLike, dec1: ArrayLike, ra2: ArrayLike, dec2: ArrayLike, radius_arcsec: float, *, mutual: bool = True
) -> Matches:
    """Match positions on the sky, in degree.

    Parameters
    ----------
    ra1, dec1, ra2, dec2
        The two lists; positions that are not finite match nothing.
    radius_arcsec
        Largest distance of a match.
    mutual
        Keep a pair only where each is the other's nearest, so that a row occurs once; else every row of the first
        list gets its nearest of the second.

    Returns
    -------
    first, second
        Rows of the two lists, ascending in the first.
    distance
        Distance of each pair, arcsec.
    """
    chord = 2.0 * np.sin(0.5 * radius_arcsec / _ARCSEC)
    first, second = _match(unit_vectors(ra1, dec1), unit_vectors(ra2, dec2), chord, mutual)
    ra1, dec1, ra2, dec2 = (np.asarray(angle, np.float64) for angle in (ra1, dec1, ra2, dec2))
    return first, second, separation_arcsec(ra1[first], dec1[first], ra2[second], dec2[second])


def match_pixels(
    x1: ArrayLike, y1: ArrayLike, x2: ArrayLike, y2: ArrayLike, radius_px: float, *, mutual: bool = True
) -> Matches:
    """Match positions in pixels, as `match_sky` does on the sky; distances in pixel."""
    points1 = np.stack([np.asarray(x1, np.float64), np.asarray(y1, np.float64)], axis=-1)
    points2 = np.stack([np.asarray(x2, np.float64), np.asarray(y2, np.float64)], axis=-1)
    first, second = _match(points1, points2, radius_px, mutual)
    return first, second, np.linalg.norm(points1[first] - points2[second], axis=1)


def _match(
    points1: NDArray[np.float64], points2: NDArray[np.float64], radius: float, mutual: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of nearest pairs within a radius."""
    rows1 = np.flatnonzero(np.isfinite(points1).all(axis=1))
    rows2 = np.flatnonzero(np.isfinite(points2).all(axis=1))
    if len(rows1) == 0 or len(rows2) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    distance, there = cKDTree(points2[rows2]).query(points1[rows1])
    keep = distance <= radius
    if mutual:
        _, back = cKDTree(points1[rows1]).query(points2[rows2])
        keep &= back[there] == np.arange(len(rows1))
    return rows1[keep].astype(np.int64), rows2[there[keep]].astype(np.int64)
