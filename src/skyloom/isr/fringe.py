"""Take off the fringes of night-sky lines that interfere in a thin detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from skyloom.errors import BadFrameError
from skyloom.images.mask_planes import bitmask

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FringeFit", "FringeFrame", "FringeSettings", "measure_fringes", "subtract_fringes"]

_SIGMA_OF_QUARTILES = 0.741301109252802
_CHUNK = 256
"""Boxes that are copied out of an image at a time."""
_TOLERANCE = 0.02
"""Relative change of the amplitudes at which they are final."""


@dataclass(frozen=True, kw_only=True)
class FringeSettings:
    """How the strength of the fringes in an image is found."""

    positions: int = 30000
    """Places at which the contrast is measured."""
    small_radius: int = 3
    """Half the side of the box that sees a fringe (pixels)."""
    large_radius: int = 30
    """Half the side of the box about it that averages over fringes (pixels)."""
    n_sigma: float = 3.0
    """Contrasts further than this from the rest, or from the fit, are left out (stars, mostly)."""
    iterations: int = 20
    """How often to look for such contrasts, at most."""
    passes: int = 5
    """How often to measure, from the second time on what the fit before has left, at most."""
    ignored_planes: tuple[str, ...] = ("SAT",)
    """Pixels of the image with one of these planes do not count."""
    pedestal: bool = False
    """Whether a fringe frame has a level of its own, to be taken off first: else it goes with the fringes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FringeFrame:
    """The pattern of one component; all arrays ``[y, x]`` of the image's shape, never changed."""

    pattern: np.ndarray
    """Any unit; what is not a number is not subtracted."""
    variance: np.ndarray | None = None
    """In that unit squared; None for no noise."""
    unusable: np.ndarray | None = None
    """Bool: pixels that tell nothing about the strength; None for none."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FringeFit:
    """Strengths of the components of the fringes."""

    amplitudes: np.ndarray
    """One a fringe frame (float64): image over pattern; all zero where nothing could be measured."""
    rms: float
    """Scatter of the contrasts about the fit (from the quartiles, unit of the image); NaN without any."""
    samples: int
    """Contrasts that the fit kept."""


def measure_fringes(
    image: np.ndarray, bits: np.ndarray, fringes: Sequence[FringeFrame], settings: FringeSettings, seed: int
) -> FringeFit:
    """Find how strong each fringe pattern is in an image.

    The contrast at random places, the median of a small box less that of a large one about it, is fitted by the sum of
    the contrasts of the patterns at the same places.  The median of a sum is not the sum of the medians, and noise
    makes it another, so that the first fit may be off by a fifth: the fit is made again to what it leaves, until
    nothing of the patterns remains.

    Parameters
    ----------
    image, bits
        Pixels and mask bits ``[y, x]``.
    fringes
        The patterns.
    settings
        Boxes and rejection.
    seed
        Of the places: the number of the exposure, so that a frame always gives the same result.

    Raises
    ------
    BadFrameError
        If the image cannot hold the large box, or a pattern has another shape.
    """
    _check_shapes(image, fringes, settings)
    rng = np.random.default_rng(seed)
    margin = settings.large_radius
    x = rng.integers(margin, image.shape[1] - margin, settings.positions)
    y = np.sort(rng.integers(margin, image.shape[0] - margin, settings.positions))  # neighbours in memory together
    ignored = (bits & bitmask(*settings.ignored_planes)) != 0
    patterns = [
        _contrasts(fringe.pattern, ignored if fringe.unusable is None else ignored | fringe.unusable, y, x, settings)
        for fringe in fringes
    ]
    amplitudes, remaining = np.zeros(len(fringes)), image
    for _ in range(settings.passes):
        fit = _fit(_contrasts(remaining, ignored, y, x, settings), np.column_stack(patterns), settings)
        amplitudes += fit.amplitudes
        if np.abs(fit.amplitudes).max() <= _TOLERANCE * np.abs(amplitudes).max():
            break
        remaining = image.copy()
        _subtract(remaining, amplitudes, fringes)
    return FringeFit(amplitudes=amplitudes, rms=fit.rms, samples=fit.samples)


def subtract_fringes(
    image: np.ndarray,
    variance: np.ndarray,
    bits: np.ndarray,
    fringes: Sequence[FringeFrame],
    settings: FringeSettings,
    seed: int,
) -> FringeFit:
    """Measure the fringes of an image and take them off it, in place; the variance grows by that of the patterns.

    Parameters and errors as of `measure_fringes`; ``variance`` is ``[y, x]``, in the unit of the image squared.
    """
    fit = measure_fringes(image, bits, fringes, settings, seed)
    if fit.samples == 0:
        return fit
    _subtract(image, fit.amplitudes, fringes, [_level(fringe) if settings.pedestal else 0.0 for fringe in fringes])
    for amplitude, fringe in zip(fit.amplitudes.tolist(), fringes, strict=True):
        if fringe.variance is not None:
            usable = np.isfinite(fringe.pattern) & np.isfinite(fringe.variance)
            np.add(variance, amplitude**2 * fringe.variance, out=variance, where=usable, casting="same_kind")
    return fit


def _subtract(
    image: np.ndarray, amplitudes: np.ndarray, fringes: Sequence[FringeFrame], levels: Sequence[float] | None = None
) -> None:
    """Take patterns, less a level of each, off an image in place."""
    for amplitude, fringe, level in zip(amplitudes.tolist(), fringes, levels or [0.0] * len(fringes), strict=True):
        usable = np.isfinite(fringe.pattern)
        np.subtract(image, amplitude * (fringe.pattern - level), out=image, where=usable, casting="same_kind")


def _check_shapes(image: np.ndarray, fringes: Sequence[FringeFrame], settings: FringeSettings) -> None:
    rows, columns = image.shape
    for number, fringe in enumerate(fringes, start=1):
        if fringe.pattern.shape != image.shape:
            raise BadFrameError(
                f"fringe frame {number} is {fringe.pattern.shape[0]} x {fringe.pattern.shape[1]} pixels (rows x "
                f"columns), the trimmed detector is {rows} x {columns}.",
                cure="Import trimmed fringe frames of this detector with 'skyloom calibs import'.",
            )
    if min(rows, columns) <= 2 * settings.large_radius:
        raise BadFrameError(
            f"the image is {rows} x {columns} pixels (rows x columns), fringes are measured in boxes of "
            f"{2 * settings.large_radius} pixels.",
            cure="Choose a smaller 'large_radius', or leave the fringes out.",
        )


def _contrasts(
    image: np.ndarray, ignored: np.ndarray, y: np.ndarray, x: np.ndarray, settings: FringeSettings
) -> np.ndarray:
    usable = np.where(ignored | ~np.isfinite(image), np.float32(np.nan), image)
    small, large = (_box_medians(usable, y, x, radius) for radius in (settings.small_radius, settings.large_radius))
    return np.asarray(small - large)


def _box_medians(image: np.ndarray, y: np.ndarray, x: np.ndarray, radius: int) -> np.ndarray:
    """Medians (float64) of the numbers in boxes of ``2 radius`` pixels about each position; NaN for none at all."""
    boxes = sliding_window_view(image, (2 * radius, 2 * radius))
    middle = 2 * radius * radius
    medians = np.empty(len(y))
    for first in range(0, len(y), _CHUNK):
        part = slice(first, first + _CHUNK)
        values = boxes[y[part] - radius, x[part] - radius].reshape(-1, 2 * middle)
        holed = np.isnan(values.sum(axis=1))
        whole, some = np.flatnonzero(~holed), np.flatnonzero(holed)
        # Finding one place is much faster than sorting, or than finding two.
        parted = np.partition(values[whole], middle, axis=1)
        medians[first + whole] = _mean_of_two(parted[:, :middle].max(axis=1), parted[:, middle])
        ordered = np.sort(values[some], axis=1)  # NaN last, and so the "middle" of nothing is NaN
        row, number = np.arange(len(some)), np.isfinite(ordered).sum(axis=1)
        medians[first + some] = _mean_of_two(ordered[row, np.maximum(number - 1, 0) // 2], ordered[row, number // 2])
    return medians


def _mean_of_two(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * (lower.astype(np.float64) + upper))


def _fit(observed: np.ndarray, patterns: np.ndarray, settings: FringeSettings) -> FringeFit:
    """Least squares of ``observed`` by the columns of ``patterns`` ``[position, component]``, outliers left out."""
    nothing = FringeFit(amplitudes=np.zeros(patterns.shape[1]), rms=np.nan, samples=0)
    table = np.column_stack([observed, patterns])
    table = table[np.isfinite(table).all(axis=1)]
    if not len(table):
        return nothing
    near = np.abs(table - np.median(table, axis=0)) <= settings.n_sigma * _scatter(table)
    table = table[near.all(axis=1)]
    for _ in range(settings.iterations):
        if not len(table):
            return nothing
        residual = table[:, 0] - table[:, 1:] @ _solve(table)
        good = np.abs(residual) <= settings.n_sigma * _scatter(residual)
        if good.all():
            break
        table = table[good]
    if not len(table):
        return nothing
    amplitudes = _solve(table)
    rms = float(_scatter(table[:, 0] - table[:, 1:] @ amplitudes))
    return FringeFit(amplitudes=amplitudes, rms=rms, samples=len(table))


def _solve(table: np.ndarray) -> np.ndarray:
    """Factors of the later columns that give the first; the smallest ones where several do (singular values)."""
    return np.asarray(np.linalg.lstsq(table[:, 1:], table[:, 0], rcond=None)[0])


def _scatter(values: np.ndarray) -> np.ndarray:
    low, high = np.percentile(values, [25, 75], axis=0)
    return np.asarray(_SIGMA_OF_QUARTILES * (high - low))


def _level(fringe: FringeFrame) -> float:
    """Median of the usable pixels."""
    usable = np.isfinite(fringe.pattern)
    if fringe.unusable is not None:
        usable &= ~fringe.unusable
    return float(np.median(fringe.pattern[usable])) if usable.any() else 0.0
