"""How probable it is that stars of a frame fall on catalogue stars by chance."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, kendalltau

__all__ = ["log10_chance", "log10_flux_chance", "log10_product", "search_volume"]

type Floats = NDArray[np.float64]

_LEAST_FLUX_CHANCE = 1e-12
"""Fluxes alone are not trusted farther: their chance is that of independent pairs."""


def search_volume(
    *, max_shift: float, scale_error: float, rotation_error: float, tolerance: float, half: float
) -> float:
    """Number of distinguishable maps within the errors of a guess.

    Parameters
    ----------
    max_shift, tolerance, half
        Largest shift, matching distance, and half the size of the frame, all in pixel.
    scale_error, rotation_error
        Largest relative error of the scale; largest rotation, radian.
    """
    shifts = max(1.0, (max_shift / tolerance) ** 2)
    turns = max(1.0, rotation_error * half / tolerance)
    scales = max(1.0, scale_error * half / tolerance)
    return shifts * turns * scales


def log10_chance(n_matched: int, n_tried: int, probability: float, *, n_parameters: int, volume: float) -> float:
    """Logarithm of the probability that some map of ``volume`` matches so many of ``n_tried`` stars by chance.

    The binomial tail of ``n_tried`` independent stars that each meet a catalogue star with ``probability``; a fit of
    ``n_parameters`` can always bring half as many stars onto partners, which therefore prove nothing.

    Returns
    -------
    log10_chance
        Never above 0.
    """
    free = math.ceil(n_parameters / 2)
    matched, tried = n_matched - free, n_tried - free
    if matched <= 0 or tried <= 0:
        return 0.0
    tail = float(binom.logsf(matched - 1, tried, min(max(probability, 1e-12), 1.0))) / math.log(10.0)
    if not np.isfinite(tail):
        tail = -300.0
    return min(0.0, tail + math.log10(volume))


def log10_flux_chance(flux: Floats, reference_flux: Floats) -> float:
    """Logarithm of the probability that the fluxes of chance pairs agree as well in their order.

    From Kendall's (1938, Biometrika 30, 81) rank correlation, which asks nothing of the distribution of the fluxes; 0
    where fewer than five pairs have both.
    """
    known = np.isfinite(flux) & np.isfinite(reference_flux)
    if known.sum() < 5:
        return 0.0
    probability = float(kendalltau(flux[known], reference_flux[known], alternative="greater").pvalue)
    return math.log10(max(probability, _LEAST_FLUX_CHANCE)) if math.isfinite(probability) else 0.0


def log10_product(first: float, second: float) -> float:
    """Logarithm of the probability that the product of two independent probabilities is as small as theirs.

    P(p q < x) = x (1 - ln x) (Fisher 1932, Statistical Methods for Research Workers, sect. 21.1); arguments and result
    are decadic logarithms.
    """
    both = first + second
    return both + math.log10(1.0 - both * math.log(10.0))
