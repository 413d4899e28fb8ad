"""Take off what amplifiers pick up from others that are read at the same time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from skyloom.errors import BadFrameError
from skyloom.images.mask_planes import bitmask
from skyloom.kernels.crosstalk import crosstalk_signals
from skyloom.kernels.order_statistics import pixel_quantiles

from .crosstalk_matrix import CountUnit, CrosstalkMatrix
from .read_order import TrimmedDetector

__all__ = ["CrosstalkResult", "CrosstalkSettings", "correct_crosstalk", "correct_crosstalk_between"]

_ROWS_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class CrosstalkSettings:
    """How crosstalk is taken off and marked; levels are in the unit of the image."""

    background: Literal["NONE", "AMPLIFIER", "DETECTOR"] = "NONE"
    """What is taken off the sources before: nothing, the median of each amplifier, or that of the whole detector."""
    source_level: float = 45000.0
    """Where a source is this far above the median of its detector, its victims become CROSSTALK; +inf for never."""
    signal_level: float = math.inf
    """Where the crosstalk is this far from its median over the victim amplifier, the victim becomes CROSSTALK."""
    quadratic: bool = False
    """Use the quadratic coefficients too."""
    orders: int = 1
    """1 reads the sources as they are, with crosstalk in them; 2 reads them as order 1 would correct them, and so on.
    What is left falls with every order by about the ratio times the number of amplifiers."""


@dataclass(frozen=True, kw_only=True)
class CrosstalkResult:
    """What was done."""

    marked: int
    """Pixels of the detector that are CROSSTALK now."""
    missing: tuple[str, ...] = ()
    """Detectors whose crosstalk was left in because their image was not there."""


def correct_crosstalk(
    detector: TrimmedDetector, matrix: CrosstalkMatrix, settings: CrosstalkSettings, *, unit: CountUnit = "ADU"
) -> CrosstalkResult:
    """Take off the crosstalk among the amplifiers of a detector.

    Pixels at the same distance from the read-out corners of their amplifiers are read at the same time: each loses its
    ratio times each of the others.  Pixels that are not finite disturb no other.

    Parameters
    ----------
    detector
        Image, variance and bits change in place.
    matrix
        For all amplifiers, none of which disturbs itself.
    settings
        How.
    unit
        Unit of the image.  Where the coefficients are of the other one, the gains of the layouts convert them.

    Raises
    ------
    BadFrameError
        If the matrix or the corners are not those of the detector, its amplifiers differ in shape, or no amplifier has
        the gain that is needed.  The detector is untouched then.
    """
    pair = _prepared(detector, detector, matrix.within_detector(), settings, unit)
    _correct(pair, settings, settings.orders)
    return CrosstalkResult(marked=_marked(detector))


def correct_crosstalk_between(
    detector: TrimmedDetector,
    sources: Mapping[str, TrimmedDetector],
    matrices: Mapping[str, CrosstalkMatrix],
    settings: CrosstalkSettings,
    *,
    unit: CountUnit = "ADU",
) -> CrosstalkResult:
    """Take off the crosstalk that comes from other detectors.

    Parameters
    ----------
    detector
        Image, variance and bits change in place.
    sources
        By name, other detectors of the exposure, in the same unit; they do not change.
    matrices
        By the name of a source detector, coefficients from its amplifiers to those of this one.
    settings, unit
        As for `correct_crosstalk`, but always of first order.

    Raises
    ------
    BadFrameError
        As for `correct_crosstalk`.
    """
    present = [name for name in matrices if name in sources]
    for pair in [_prepared(detector, sources[name], matrices[name], settings, unit) for name in present]:
        _correct(pair, settings, 1)
    return CrosstalkResult(marked=_marked(detector), missing=tuple(name for name in matrices if name not in sources))


def _marked(detector: TrimmedDetector) -> int:
    return int(np.count_nonzero(detector.bits & bitmask("CROSSTALK")))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pair:
    """Amplifiers of a source and of a target detector in read order, and the coefficients between them."""

    source_image: np.ndarray
    source_mask: np.ndarray
    """The source detector as a whole, ``[y, x]``."""
    sources: list[np.ndarray]
    source_bits: list[np.ndarray]
    source_variances: list[np.ndarray]
    """Empty where there is no variance."""
    targets: list[np.ndarray]
    target_bits: list[np.ndarray]
    target_variances: list[np.ndarray]
    """Likewise."""
    linear: np.ndarray
    quadratic: np.ndarray
    """``[source, target]``, for counts as those of the images."""


def _prepared(
    target: TrimmedDetector,
    source: TrimmedDetector,
    matrix: CrosstalkMatrix,
    settings: CrosstalkSettings,
    unit: CountUnit,
) -> _Pair:
    """See that all fits together, and lay it out."""
    source.check_names(matrix.sources)
    target.check_names(matrix.targets)
    sources = source.amplifiers(source.image, matrix.sources)
    targets = target.amplifiers(target.image, matrix.targets)
    shapes = {view.shape for view in (*sources, *targets)}
    if len(shapes) > 1:
        raise BadFrameError(
            f"amplifiers of different shapes, {sorted(shapes)}, are not read at the same time.",
            cure="Switch the correction of crosstalk off for this detector.",
        )
    matrix = matrix.in_unit(unit, source.gains(matrix.sources), target.gains(matrix.targets))
    return _Pair(
        source_image=source.image,
        source_mask=source.bits,
        sources=sources,
        source_bits=source.amplifiers(source.bits, matrix.sources),
        source_variances=source.amplifiers(source.variance, matrix.sources),
        targets=targets,
        target_bits=target.amplifiers(target.bits, matrix.targets),
        target_variances=target.amplifiers(target.variance, matrix.targets),
        linear=matrix.ratios(),
        quadratic=matrix.squared_ratios() * settings.quadratic,
    )


def _correct(pair: _Pair, settings: CrosstalkSettings, orders: int) -> None:
    """Correct the targets, a few rows of all amplifiers at a time."""
    backgrounds, bright = _levels(pair, settings)
    keep_signals = math.isfinite(settings.signal_level)
    signals = np.zeros((len(pair.targets) if keep_signals else 0, *pair.targets[0].shape), np.float32)
    for first in range(0, len(pair.targets[0]), _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        counts = np.stack([view[rows] for view in pair.sources])
        if math.isfinite(bright):  # else not even infinite pixels are bright
            _mark_victims(pair, counts >= bright, rows)
        _add_variance(pair, counts, backgrounds, rows)
        signal = crosstalk_signals(counts, backgrounds, pair.linear, pair.quadratic, orders)
        for view, part in zip(pair.targets, signal, strict=True):
            view[rows] -= part
        if keep_signals:
            signals[:, rows] = signal
    for bits, one in zip(pair.target_bits, signals, strict=False):
        bits[np.abs(one - np.median(one)) >= settings.signal_level] |= bitmask("CROSSTALK")


def _levels(pair: _Pair, settings: CrosstalkSettings) -> tuple[np.ndarray, float]:
    """Backgrounds of the source amplifiers, and the counts from which a source pixel is bright."""
    whole, bright = 0.0, math.inf
    if settings.background == "DETECTOR" or math.isfinite(settings.source_level):
        whole = _median(pair.source_image, pair.source_mask)
        bright = whole + settings.source_level
    if settings.background == "AMPLIFIER":
        medians = [_median(view, bits) for view, bits in zip(pair.sources, pair.source_bits, strict=True)]
        return np.array(medians), bright
    return np.full(len(pair.sources), whole if settings.background == "DETECTOR" else 0.0), bright


def _median(image: np.ndarray, bits: np.ndarray) -> float:
    """Median over the finite pixels that are not BAD; 0 without any."""
    (median,), count = pixel_quantiles(np.asarray(image, np.float32), bits, bitmask("BAD"), (0.5,))
    return float(median) if count else 0.0


def _mark_victims(pair: _Pair, bright: np.ndarray, rows: slice) -> None:
    """Mark the pixels that bright source pixels ``[source, y, x]`` disturb."""
    if not bright.any():
        return
    linked = (pair.linear != 0) | (pair.quadratic != 0)
    for bits, disturbing in zip(pair.target_bits, linked.T, strict=True):
        bits[rows][bright[disturbing].any(axis=0)] |= bitmask("CROSSTALK")


def _add_variance(pair: _Pair, counts: np.ndarray, backgrounds: np.ndarray, rows: slice) -> None:
    """Add the variance of the crosstalk: that of a source times the square of the derivative, c + 2 q x."""
    if not (pair.source_variances and pair.target_variances):
        return
    light = counts.astype(np.float64) - backgrounds[:, None, None]
    light[~np.isfinite(light)] = 0.0
    variance = np.stack([view[rows] for view in pair.source_variances]).astype(np.float64)
    variance[~np.isfinite(variance)] = 0.0
    added = _combined(pair.linear**2, variance)
    if pair.quadratic.any():
        added += _combined(4.0 * pair.linear * pair.quadratic, light * variance)
        added += _combined(4.0 * pair.quadratic**2, light**2 * variance)
    for view, part in zip(pair.target_variances, added, strict=True):
        view[rows] += part


def _combined(ratios: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sums ``[target, y, x]`` over the sources of ratios ``[source, target]`` times counts ``[source, y, x]``."""
    return np.asarray(np.tensordot(ratios, counts, axes=(0, 0)))
