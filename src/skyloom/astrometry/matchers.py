"""Three ways to lay detections upon references; each gives a similarity, which is refined and judged alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from skyloom.kernels.pattern_match import Similarity, find_similarity, point_grid
from skyloom.kernels.pinwheel_match import PinwheelMatch, find_pinwheels, pinwheel_table
from skyloom.kernels.triangle_match import find_mirrored_similarity, triangles

__all__ = ["MATCHERS", "SearchLimits", "match_optimistic", "match_pairs", "match_pessimistic"]

type Floats = NDArray[np.float64]

_MAX_SEEDS = 60
_TRIANGLE_NEIGHBOURS = 30.0
"""References wanted within the longest side of a triangle."""
_N_SPOKES = 5
_SOFTENINGS = 5
_MIN_MATCHES, _MIN_FRACTION = 30, 0.3
_PAIRED = 4000
"""Most references whose pairs are held."""
_CONSENSUS_REFERENCES, _HUBS, _POINTS = 1000, 150, 6
_NONE = Similarity(complex(1.0, 0.0), complex(0.0, 0.0), 0.0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class SearchLimits:
    """Within what a matcher searches; lengths in pixel."""

    max_shift: float
    scale_error: float
    rotation_error: float
    """Radian."""
    tolerance: float
    """Matching distance."""
    width: float
    height: float
    """Size of the frame."""
    enough: float
    """Number of matches that leaves no doubt."""


def match_pairs(u: Floats, v: Floats, x: Floats, y: Floats, limits: SearchLimits) -> Similarity:
    """Every map that two pairs of stars alike suggest is tried: stands any contamination.

    Parameters
    ----------
    u, v
        Detections, brightest first, pixel about the centre of the frame.
    x, y
        References, brightest first, in the same frame.
    limits
        How far apart the two may be.
    """
    return find_similarity(
        u,
        v,
        point_grid(x, y, 2.0 * limits.tolerance),
        n_seed=_MAX_SEEDS,
        max_shift=limits.max_shift,
        scale_error=limits.scale_error,
        rotation_error=limits.rotation_error,
        tolerance=limits.tolerance,
        min_baseline=0.15 * max(limits.width, limits.height),
        enough=limits.enough,
    )


def match_optimistic(u: Floats, v: Floats, x: Floats, y: Floats, limits: SearchLimits) -> Similarity:
    """Triangles alike in shape and size (Tabur 2007, PASA 24, 189); parameters as for `match_pairs`.

    The search ends with the first map that leaves no doubt.
    """
    area = max(float(np.ptp(x)) * float(np.ptp(y)), 1.0)
    reach = math.sqrt(_TRIANGLE_NEIGHBOURS * area / (math.pi * len(x)))
    largest = min(math.hypot(limits.width, limits.height), reach)
    found = find_mirrored_similarity(
        u,
        v,
        triangles(u, v, min_side=0.3 * largest, max_side=largest, tolerance=limits.tolerance / 3.0),
        point_grid(x, y, 2.0 * limits.tolerance),
        max_shift=limits.max_shift,
        scale_error=limits.scale_error,
        rotation_error=limits.rotation_error,
        mirror=False,
        tolerance=limits.tolerance,
        enough=limits.enough,
    )
    return Similarity(found.factor, found.shift, found.score, found.n_matched, found.n_tried)


def match_pessimistic(u: Floats, v: Floats, x: Floats, y: Floats, limits: SearchLimits) -> Similarity:
    """Pinwheels that must agree with one another (`find_pinwheels`); parameters as for `match_pairs`.

    The matching distance begins at what tells the patterns of either list apart and is doubled four times where
    nothing is found; three pinwheels must agree, one in a field of few stars.
    """
    x, y = x[:_PAIRED], y[:_PAIRED]
    if min(len(u), len(x)) <= _POINTS:
        return _NONE
    few = len(x) < _CONSENSUS_REFERENCES and min(len(x), len(u)) < _HUBS + _POINTS
    start = max(1.0, min(_unlike(u, v), _unlike(x, y)))
    table = pinwheel_table(x, y, max_length=1.1 * math.hypot(limits.width, limits.height), cell=2.0 * limits.tolerance)
    tried = 0
    for softening in range(_SOFTENINGS):
        found = find_pinwheels(
            u,
            v,
            table,
            max_shift=limits.max_shift + limits.scale_error * math.hypot(limits.width, limits.height),
            max_rotation=limits.rotation_error,
            max_distance=start * 2.0**softening,
            max_stretch=limits.scale_error,
            min_matches=min(_MIN_MATCHES, int(_MIN_FRACTION * min(len(u), len(x)))),
            n_bright=_HUBS,
            n_match=_POINTS,
            n_check=_POINTS,
            n_agree=1 if few else 3,
        )
        tried += found.n_tried
        if found.pattern >= 0:
            return _as_similarity(found, tried)
    return _NONE


def _unlike(x: Floats, y: Floats) -> float:
    """A fifth of the smallest difference between the spokes of any two pinwheels of a list, pixel."""
    hubs = np.arange(len(x) - _N_SPOKES)
    there = hubs[:, None] + np.arange(1, _N_SPOKES + 1)
    spokes = np.sort(np.hypot(x[there] - x[hubs, None], y[there] - y[hubs, None]), axis=1)
    if len(spokes) < 2:
        return math.inf
    distance, _ = cKDTree(spokes).query(spokes, k=2)
    return float(distance[:, 1].min()) / _N_SPOKES


def _as_similarity(found: PinwheelMatch, tried: int) -> Similarity:
    """The rotation, scale and shift nearest to the affine map that was found."""
    (a, b, e), (c, d, f) = found.matrix
    factor = complex(0.5 * (a + d), 0.5 * (c - b))
    return Similarity(factor, complex(e, f), float(len(found.source)), len(found.source), tried)


MATCHERS: dict[str, Callable[[Floats, Floats, Floats, Floats, SearchLimits], Similarity]] = {
    "pairs": match_pairs,
    "pessimistic": match_pessimistic,
    "optimistic": match_optimistic,
}
"""Matchers by their name in the settings."""
