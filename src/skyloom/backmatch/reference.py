"""Which visit the others are matched to: one with a flat sky, low noise and many superpixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from skyloom.errors import BadFrameError

from .cell_sums import CellSums
from .settings import ReferenceWeights

__all__ = ["VisitQuality", "choose_reference", "judge_visit"]

_OF_A_PLANE = 3


@dataclass(frozen=True, kw_only=True)
class VisitQuality:
    """What is asked of a visit that others are to be matched to."""

    n_superpixels: int
    """Measured ones."""
    chi2_dof: float
    """Of the measured superpixels about a plane, per degree of freedom; NaN where there are too few."""
    variance: float
    """Mean variance of a pixel, nJy^2; NaN where nothing was measured."""
    cost: float = np.nan
    """See `choose_reference`; the least is chosen."""


def judge_visit(sums: CellSums, min_fraction: float) -> VisitQuality:
    """Look at the measured superpixels of a visit.

    The plane is fitted with weights 1 / variance of the value.  Superpixels overlap, so that neighbours have three
    quarters of their noise in common: that makes chi2 scatter more, and leaves its mean as it is.
    """
    known = sums.measured(min_fraction)
    means = sums.superpixels
    n = int(known.sum())
    if n == 0:
        return VisitQuality(n_superpixels=0, chi2_dof=np.nan, variance=np.nan)
    value, error2 = means.value[known], means.error2[known]
    chi2 = np.nan
    if n > _OF_A_PLANE:
        x, y = ((at[known] - np.mean(at[known])) / max(float(np.ptp(at[known])), 1.0) for at in (means.x, means.y))
        basis = np.stack([np.ones(n), x, y], axis=-1)
        root = 1.0 / np.sqrt(error2)
        found, *_ = np.linalg.lstsq(basis * root[:, np.newaxis], value * root, rcond=1e-9)
        chi2 = float(np.sum((root * (value - basis @ found)) ** 2) / (n - _OF_A_PLANE))
    return VisitQuality(n_superpixels=n, chi2_dof=chi2, variance=float(np.mean(means.variance[known])))


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
