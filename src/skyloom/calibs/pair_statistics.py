"""Level, variance and covariances of one amplifier in a pair of flats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from skyloom.kernels.statistics import clipped_mean, truncation_factor

__all__ = ["PairStatistics", "masked_covariances", "pair_statistics"]

_BLOCK = 32
_FEWEST_PIXELS = 100
_SURFACE_TERMS = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class PairStatistics:
    """What a pair of flats tells of one amplifier."""

    levels_adu: tuple[float, float]
    """Mean of each of the two."""
    level_adu: float
    """Level at which a frame has the covariances."""
    covariances_adu2: np.ndarray
    """Of one frame, ``[rows apart, columns apart]``; the first is the variance."""
    pixels: int
    """Pixels that they were measured with."""


def pair_statistics(first: np.ndarray, second: np.ndarray, *, lags: int, n_sigma: float) -> PairStatistics | None:
    """Measure a pair of flats.

    The second is scaled to the level of the first by their ratio r, so that what the pixels' responses differ by drops
    out of the difference, and a surface of the second degree is taken off, for the lamp may have moved.  The difference
    then has 1 + r^2 times the covariances of a frame of the level (first + r^2 second) / (1 + r^2) (Janesick 2001,
    Scientific Charge-Coupled Devices, chapter 2).

    Parameters
    ----------
    first, second
        ADU above the bias ``[y, x]`` of one amplifier, not a number where unusable.
    lags
        Covariances are measured up to this many rows and columns.
    n_sigma
        Pixels further than this from the mean, in either frame or in the difference, in units of the scatter, do not
        count.

    Returns
    -------
    statistics
        None where there are not enough usable pixels, or no light: a level below the scatter of a pixel.
    """
    usable = np.isfinite(first) & np.isfinite(second)
    for frame in (first, second):
        usable &= _within(frame, usable, n_sigma)
    if usable.sum() < _FEWEST_PIXELS:
        return None
    levels = float(np.mean(first[usable], dtype=np.float64)), float(np.mean(second[usable], dtype=np.float64))
    if min(levels) <= 0:
        return None
    ratio = levels[0] / levels[1]
    difference = np.where(usable, np.asarray(first, np.float64) - ratio * second, 0.0)
    difference -= _surface(difference, usable)
    usable &= _within(difference, usable, n_sigma)
    covariances = masked_covariances(difference, usable, lags) / (1.0 + ratio**2)
    covariances[0, 0] /= truncation_factor(n_sigma) ** 2
    covariances += _SURFACE_TERMS / usable.sum() * covariances[0, 0]  # which the surface took from each lag
    level = (levels[0] + ratio**2 * levels[1]) / (1.0 + ratio**2)
    if level**2 < covariances[0, 0]:
        return None
    return PairStatistics(
        levels_adu=levels,
        level_adu=level,
        covariances_adu2=covariances,
        pixels=int(usable.sum()),
    )


def _within(pixels: np.ndarray, usable: np.ndarray, n_sigma: float) -> np.ndarray:
    """Bool: pixels within so many sigma of the mean of the usable ones."""
    centre, scatter, _ = clipped_mean(pixels[usable], n_sigma)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(pixels - centre) <= n_sigma * scatter)


def _surface(image: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Polynomial of the second degree ``[y, x]`` through the means of blocks of the usable pixels."""
    starts = [np.arange(0, length, _BLOCK) for length in image.shape]
    counts, sums = (
        np.add.reduceat(np.add.reduceat(values, starts[0], axis=0), starts[1], axis=1)
        for values in (usable.astype(np.float64), np.where(usable, image, 0.0))
    )
    lines = [np.linspace(-1.0, 1.0, length) for length in image.shape]
    centres = [
        np.add.reduceat(line, first) / np.diff([*first, len(line)]) for line, first in zip(lines, starts, strict=True)
    ]
    y, x = np.meshgrid(*centres, indexing="ij")
    known = counts > 0
    weight = np.sqrt(counts[known])
    terms = np.array([np.ones_like(y), x, x * x, y, y * y, x * y])[:, known]
    means = sums[known] / counts[known]
    level, tilt_x, bend_x, tilt_y, bend_y, twist = np.linalg.lstsq((terms * weight).T, means * weight, rcond=None)[0]
    column, row = lines[0][:, None], lines[1][None, :]
    return np.asarray((level + tilt_x * row + bend_x * row**2) + column * (tilt_y + bend_y * column + twist * row))


def masked_covariances(residual: np.ndarray, usable: np.ndarray, lags: int) -> np.ndarray:
    """Mean products of pixels some rows and columns apart, by Fourier transforms.

    Parameters
    ----------
    residual
        Deviations from the mean, ``[y, x]``.
    usable
        Bool ``[y, x]``; only pairs of usable pixels count.
    lags
        Largest number of rows and columns.

    Returns
    -------
    covariances
        float64 ``[rows apart, columns apart]``, each the mean of both diagonals' directions.
    """
    if lags == 0:
        return np.array([[np.mean(residual[usable] ** 2)]])
    shape = [fft.next_fast_len(length + lags, real=True) for length in residual.shape]
    sums, counts = (
        _folded(fft.irfft2(np.abs(fft.rfft2(values, shape)) ** 2, shape), lags)
        for values in (np.where(usable, residual, 0.0), usable.astype(np.float64))
    )
    return np.asarray(sums / np.maximum(np.rint(counts), 1.0))


def _folded(correlation: np.ndarray, lags: int) -> np.ndarray:
    """Sum of the lags to the right and to the left."""
    right = correlation[: lags + 1, : lags + 1]
    left = correlation[: lags + 1, -np.arange(lags + 1)]
    return np.asarray(right + left)
