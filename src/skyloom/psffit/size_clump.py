"""Which of the bright clean sources share one size: two ways to find the clump of the stars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .select import SelectionSettings

__all__ = ["densest_clump", "smallest_cluster"]

_N_CLUSTERS = 4
_CLUSTER_STEP = 0.3
"""Distance of the first guesses of the clusters' centres, in units of the smallest."""
_MANY = 8
"""So many sources tell their own scatter."""
_MAX_ROUNDS = 100
_N_CLIPS = 10


def densest_clump(
    x: np.ndarray, y: np.ndarray, width: np.ndarray, bright: np.ndarray, settings: SelectionSettings
) -> tuple[np.ndarray, float]:
    """Members of the window of sizes that holds the stars, clipped about a plane in x and y.

    Parameters
    ----------
    x, y
        Positions, px.
    width
        Root mean second moment of each source, px.
    bright
        ``bool[n]``: sources that may be members.

    Returns
    -------
    members
        ``bool[n]``.
    centre
        Central width of the window, px.
    """
    centre = _clump_width(width[bright], settings)
    expected = np.full(width.size, centre)
    tolerance = settings.width_tolerance
    members = bright & (np.abs(width / centre - 1) < settings.window)
    for _ in range(5):
        if members.sum() < 2:
            break
        expected = _smooth_width(x, y, width, members)
        deviation = width / expected - 1
        # A few stars that agree by chance must not throw out the others: hence the floor and the small-sample term.
        # Galaxies that got in lie above: the scatter below is that of the stars.
        below = deviation[members & (deviation <= 0)]
        typical = np.median(np.abs(deviation[members]))
        if below.size >= _MANY:
            typical = min(typical, np.median(np.abs(below)))
        spread = 1.4826 * typical * (1 + 4 / members.sum())
        limit = np.clip(settings.n_sigma * spread, 0.03, tolerance)
        members = bright & (np.abs(deviation) < limit)
    return members, centre


def _clump_width(widths: np.ndarray, settings: SelectionSettings) -> float:
    """Median of the widths in the window of constant relative width that holds the stars.

    Galaxies may outnumber them, but are larger: of all windows that hold more sources than any near them, and not much
    fewer than the most populous, it is the one of the smallest widths.
    """
    ordered = np.sort(widths)
    ratio = (1 + settings.window) / (1 - settings.window)
    last = np.searchsorted(ordered, ordered * ratio, side="right")
    count = last - np.arange(ordered.size)
    for start in range(ordered.size):
        near = (ordered > ordered[start] / ratio) & (ordered < ordered[start] * ratio)
        enough = count[start] >= max(settings.clump_fraction * count.max(), min(settings.n_min, count.max()))
        if enough and count[start] >= count[near].max():
            return float(np.median(ordered[start : last[start]]))
    raise AssertionError("the most populous window is one of those")


def _smooth_width(x: np.ndarray, y: np.ndarray, width: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Width that a star at each source's place should have: a plane through many members, the median of few."""
    if members.sum() < 12:
        return np.full(width.size, np.median(width[members]))
    terms = np.stack([np.ones_like(x), x - x[members].mean(), y - y[members].mean()], axis=1)
    plane, *_ = np.linalg.lstsq(terms[members], width[members], rcond=None)
    expected: np.ndarray = terms @ plane
    return np.asarray(np.maximum(expected, 0.3 * float(np.median(width[members]))))


def smallest_cluster(width: np.ndarray, bright: np.ndarray, settings: SelectionSettings) -> tuple[np.ndarray, float]:
    """Members of the cluster of the smallest sizes among four found by k-medians, clipped.

    Blind to where the sources lie: it fits a PSF that hardly changes over the frame.

    Parameters
    ----------
    width, bright
        As of `densest_clump`.

    Returns
    -------
    members, centre
        As of `densest_clump`.
    """
    widths = width[bright]
    low = np.sort(widths)[widths.size // 10]
    cluster = _k_medians(widths, low * (1.0 + _CLUSTER_STEP * np.arange(_N_CLUSTERS)))
    inside = cluster == cluster.min()
    centre = float(np.median(widths[inside]))
    for _ in range(_N_CLIPS):
        if inside.sum() < 5:
            break
        centre = float(np.median(widths[inside]))
        lower, upper = np.percentile(widths[inside], [25, 75])
        spread = min(float(np.std(widths[inside])), 0.741 * float(upper - lower))
        kept = inside & (np.abs(widths - centre) < max(settings.n_sigma_clusters * spread, 1e-3 * centre))
        if kept.sum() == inside.sum() or spread < settings.width_tolerance * centre:
            inside = kept
            break
        inside = kept
    members = np.zeros(width.size, dtype=bool)
    members[np.flatnonzero(bright)[inside]] = True
    return members, centre


def _k_medians(values: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Index of the nearest centre of each value, when the centres are the medians of their values."""
    nearest = np.full(values.size, -1)
    for _ in range(_MAX_ROUNDS):
        found = np.argmin(np.abs(values[:, None] - centres[None, :]), axis=1)
        if np.array_equal(found, nearest):
            break
        nearest = found
        # An empty cluster is given up.
        centres = np.array(
            [np.median(values[found == k]) if np.any(found == k) else np.inf for k in range(len(centres))]
        )
    return nearest
