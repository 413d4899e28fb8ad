"""Which coefficients of detectors and groups are free, and their numbers in the list of unknowns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skyloom.images.polynomial_terms import n_terms

__all__ = ["FreeTerms", "free_groups", "nearest_to_middle", "numbered", "prior_of"]

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int32]
type Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class FreeTerms:
    """Numbers of the coefficients among the unknowns, -1 for a coefficient that is held."""

    chip: Integers
    """Of each detector's coefficients, ``[chips, n]``."""
    group: Integers
    """Of each group's coefficients, ``[groups, n]``."""
    count: int
    """Number of unknowns."""
    n_chip: int
    """Those of the detectors, which come first."""

    def columns(self, chip: Integers, group: Integers) -> Integers:
        """Numbers of the unknowns that measurements depend on, ``[m, t]``."""
        return np.concatenate([self.chip[chip], self.group[group]], axis=1)

    def spread(self, step: Floats, numbers: Integers) -> Floats:
        """A step of the unknowns as one of coefficients; 0 for those that are held."""
        padded = np.append(step, 0.0)
        return padded[numbers]


def prior_of(free: FreeTerms, moved: tuple[Floats, Floats], sigma: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Inverse variances of the unknowns, and these times how far they are to go back to where they began.

    Parameters
    ----------
    free
        The unknowns.
    moved
        How far the coefficients of detectors and groups have moved, shaped as those of ``free``.
    sigma
        How far they may be expected to, of shapes that broadcast to the same.
    """
    information, offset = np.zeros(free.count), np.zeros(free.count)
    for numbers, distance, error in zip((free.chip, free.group), moved, sigma, strict=True):
        is_free = numbers >= 0
        weight = 1.0 / np.broadcast_to(error, numbers.shape)[is_free] ** 2
        information[numbers[is_free]] = weight
        offset[numbers[is_free]] = -weight * distance[is_free]
    return information, offset


def numbered(chip_free: Flags, group_free: Flags) -> FreeTerms:
    """Number the free coefficients, detectors first.

    Parameters
    ----------
    chip_free, group_free
        Whether a coefficient is free, ``[chips, n]`` and ``[groups, n]``.
    """
    whole = np.concatenate([chip_free.ravel(), group_free.ravel()])
    numbers = np.where(whole, np.cumsum(whole) - 1, -1).astype(np.int32)
    return FreeTerms(
        chip=numbers[: chip_free.size].reshape(chip_free.shape),
        group=numbers[chip_free.size :].reshape(group_free.shape),
        count=int(whole.sum()),
        n_chip=int(chip_free.sum()),
    )


def free_groups(n_stars: Integers, order: int, stars_per_term: float) -> Flags:
    """Terms of a polynomial that each group has stars enough for, ``[groups, terms]``: whole orders only."""
    free = np.zeros((len(n_stars), n_terms(order)), bool)
    for group, count in enumerate(n_stars):
        supported = max((k for k in range(order + 1) if n_terms(k) * stars_per_term <= count), default=0)
        free[group, : n_terms(supported)] = count > 0
    return free


def nearest_to_middle(u: Floats, v: Floats) -> int:
    """Number of the detector whose place (u, v) is nearest to the middle of the camera; it is held."""
    return int(np.argmin(np.hypot(u, v)))
