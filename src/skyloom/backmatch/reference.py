"""Which visit the others are matched to: one with a flat sky, low noise and many superpixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from skyloom.errors import BadFrameError

from .cell_sums import CellSums
from .settings import ReferenceWeights

__all__ = ["VisitQuality", "choose_reference", "judge_visit", "judge_visits"]

_OF_A_PLANE = 3
_ROUNDS = 5
"""Of planes and what is common, in turn."""


@dataclass(frozen=True, kw_only=True)
class VisitQuality:
    """What is asked of a visit that others are to be matched to."""

    n_superpixels: int
    """Measured ones."""
    chi2_dof: float
    """Of the measured superpixels about a plane, less what all visits show, per degree of freedom; NaN where there are
    too few."""
    variance: float
    """Mean variance of a pixel, nJy^2; NaN where nothing was measured."""
    cost: float = np.nan
    """See `choose_reference`; the least is chosen."""


def judge_visit(sums: CellSums, min_fraction: float, common: CommonLight | None = None) -> VisitQuality:
    """Look at the measured superpixels of a visit.

    The plane is fitted with weights 1 / variance of the value.  Superpixels overlap, so that neighbours have three
    quarters of their noise in common: that makes chi2 scatter more, and leaves its mean as it is.

    Parameters
    ----------
    sums
        The pixels of the visit.
    min_fraction
        As for `CellSums.measured`.
    common
        What is taken off first, of which the visit itself is a part.
    """
    known = sums.measured(min_fraction)
    means = sums.superpixels
    n = int(known.sum())
    if n == 0:
        return VisitQuality(n_superpixels=0, chi2_dof=np.nan, variance=np.nan)
    value, error2 = means.value[known], means.error2[known]
    left, chi2 = error2, np.nan
    if common is not None:
        value, left = value - common.value[known], error2 - common.error2[known]
    if n > _OF_A_PLANE:
        beyond = value - _plane_through(sums, known, value)
        chi2 = float(np.sum(beyond**2 / left) / (n - _OF_A_PLANE))
    return VisitQuality(n_superpixels=n, chi2_dof=chi2, variance=float(np.mean(means.variance[known])))


def judge_visits(levels: Mapping[int, CellSums], min_fraction: float) -> dict[int, VisitQuality]:
    """Look at all visits, by visit; sources, which all show alike, do not count as crooked skies."""
    common = _common_light(levels, min_fraction)
    return {visit: judge_visit(sums, min_fraction, common) for visit, sums in levels.items()}


@dataclass(frozen=True, kw_only=True, eq=False)
class CommonLight:
    """What visits have in common beyond their planes, ``[row, column]``; 0 where one of them is alone."""

    value: np.ndarray
    """nJy."""
    error2: np.ndarray
    """Its variance, nJy^2."""


def _common_light(levels: Mapping[int, CellSums], min_fraction: float) -> CommonLight | None:
    """The weighted mean of the visits, each less a plane, by planes and means in turn."""
    known = {visit: sums.measured(min_fraction) for visit, sums in levels.items()}
    able = [visit for visit, one in known.items() if one.sum() > _OF_A_PLANE]
    if len(able) < 2:
        return None
    value = np.array([np.where(known[visit], levels[visit].superpixels.value, 0.0) for visit in able])
    weight = np.array([np.where(known[visit], 1.0 / levels[visit].superpixels.error2, 0.0) for visit in able])
    total = np.where((weight > 0).sum(axis=0) > 1, weight.sum(axis=0), np.inf)
    mean = np.zeros(total.shape)
    for _ in range(_ROUNDS):
        beyond = np.zeros(value.shape)
        for one, visit, own in zip(beyond, able, value, strict=True):
            at = known[visit]
            one[at] = own[at] - _plane_through(levels[visit], at, (own - mean)[at])
        mean = (weight * beyond).sum(axis=0) / total
    return CommonLight(value=mean, error2=1.0 / total)


def _plane_through(sums: CellSums, known: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The plane through values of the known superpixels, at their places."""
    means = sums.superpixels
    x, y = ((at[known] - np.mean(at[known])) / max(float(np.ptp(at[known])), 1.0) for at in (means.x, means.y))
    basis = np.stack([np.ones(x.size), x, y], axis=-1)
    root = 1.0 / np.sqrt(means.error2[known])
    found, *_ = np.linalg.lstsq(basis * root[:, np.newaxis], value * root, rcond=1e-9)
    return np.asarray(basis @ found)


def choose_reference(
    qualities: Mapping[int, VisitQuality], weights: ReferenceWeights
) -> tuple[int, dict[int, VisitQuality]]:
    """The visit of the least cost, the first on ties, and the qualities with their costs.

    The cost is w_chi2 chi2 / max(chi2) + w_variance variance / max(variance) + w_coverage min(n) / n, n being the
    number of measured superpixels.  A visit that measures none is out of the question; one of which chi2 is not known
    gets the worst value.

    Raises
    ------
    BadFrameError
        If no visit measures a superpixel.
    """
    able = {visit: one for visit, one in sorted(qualities.items()) if one.n_superpixels > 0}
    if not able:
        raise BadFrameError("no warp has a superpixel with enough usable pixels.", cure="Look at their masks.")
    chi2 = np.array([one.chi2_dof for one in able.values()])
    variance = np.array([one.variance for one in able.values()])
    n = np.array([one.n_superpixels for one in able.values()], float)
    cost = weights.chi2 * _over_largest(chi2) + weights.variance * _over_largest(variance)
    cost += weights.coverage * n.min() / n
    judged = {
        visit: VisitQuality(
            n_superpixels=one.n_superpixels, chi2_dof=one.chi2_dof, variance=one.variance, cost=float(each)
        )
        for (visit, one), each in zip(able.items(), cost, strict=True)
    }
    return list(able)[int(np.argmin(cost))], {**qualities, **judged}


def _over_largest(values: np.ndarray) -> np.ndarray:
    """Values over the largest; NaN counts as that, and all count 0 where none is positive."""
    known = np.isfinite(values)
    largest = values[known].max() if known.any() else 0.0
    return np.where(known, values / largest, 1.0) if largest > 0 else np.zeros(values.size)
