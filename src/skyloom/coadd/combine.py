"""`combine_box`: the samples of the pixels of a box made into one value each, all warps at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from lsst.images import Box
from lsst.images import NoOverlapError as OutsideError

from skyloom.images import MASK_SCHEMA, SpanSet, bitmask
from skyloom.kernels import stack_statistics as kernel
from skyloom.kernels.left_out import forget_variances, mark_left_out
from skyloom.kernels.stack import STRUCTURE_RADIUS, combine_stack
from skyloom.kernels.stack_statistics import stack_statistics

from .alternate_masks import AlternateMasks, apply_alternate_mask
from .inputs import CoaddInput
from .settings import CoaddSettings, ErrorSource, Statistic

__all__ = [
    "LEFT_OUT",
    "SOURCES",
    "combine_box",
    "mask_map",
    "propagation",
    "read_planes",
    "relative_weights",
    "settle_planes",
]

_NEVER = 2.0
_BITS = len(MASK_SCHEMA.names)
LEFT_OUT = (bitmask("REJECTED"), bitmask("EDGE"), bitmask("SENSOR_EDGE"))
"""Flags of `mark_left_out`, for `mask_map` to hand on: an interpolated pixel, of infinite variance, is rejected no less
than a bad one; at the edge of a detector SENSOR_EDGE tells, whatever becomes of EDGE itself."""
SOURCES = {
    ErrorSource.INPUTS: kernel.FROM_INPUTS,
    ErrorSource.MOSAIC: kernel.MOSAIC,
    ErrorSource.SCATTER: kernel.FROM_SCATTER,
}
"""What the kernels call the sources of errors."""
_ROOTS = {Statistic.STDEV: "VARIANCE", Statistic.STDEVCLIP: "VARIANCECLIP"}
_CLIPPING = (Statistic.MEANCLIP, Statistic.VARIANCECLIP, Statistic.STDEVCLIP)

type Combined = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Image, variance, mask bits and number of samples ``[y, x]``."""


def combine_box(
    inputs: Sequence[CoaddInput],
    box: Box,
    reached: Box,
    settings: CoaddSettings,
    alternate_masks: AlternateMasks | None = None,
) -> Combined:
    """Image, variance, mask bits and number of samples ``[y, x]`` of a box of a coadd.

    Parameters
    ----------
    inputs
        Weighted warps.
    box
        Pixels to combine.
    reached
        Pixels of the coadd that any input reaches: those beyond ``box`` may be read, too.
    settings
        How to combine.
    alternate_masks
        What else is masked in single warps.
    """
    if settings.statistic is Statistic.CLIPPED:
        combined = _clip(inputs, box, reached, settings, alternate_masks or {})
    else:
        combined = _combine(inputs, box, settings, alternate_masks or {})
    settle_planes(*combined[:3])
    return combined


def _clip(
    inputs: Sequence[CoaddInput], box: Box, reached: Box, settings: CoaddSettings, masks: AlternateMasks
) -> Combined:
    """The mean without outliers that are told from structure: it looks at what surrounds a pixel."""
    margin = STRUCTURE_RADIUS if settings.iterations > 0 else 0
    wide = box.padded(margin).intersection(reached)
    bad = bitmask(*settings.bad_planes)
    image, variance, bits = _read_stack(inputs, wide, masks, bad)
    rows = (box.y.start - wide.y.start, box.y.stop - wide.y.start)
    columns = slice(box.x.start - wide.x.start, box.x.stop - wide.x.start)
    combined = combine_stack(
        image,
        variance,
        bits,
        relative_weights(inputs),
        bad,
        tuple(bitmask(name) for name in ("NO_DATA", "EDGE", "REJECTED", "CLIPPED", "SENSOR_EDGE")),
        propagation(settings),
        (settings.n_sigma, settings.iterations, settings.structure),
        rows,
    )
    if masks:
        masked = np.bitwise_or.reduce(bits[:, slice(*rows)], axis=0) & bad & bitmask("CLIPPED")
        combined[2][...] |= masked
    combined[2][...] &= ~bitmask(*settings.remove_planes)
    one, other, third, fourth = (np.ascontiguousarray(plane[:, columns]) for plane in combined)
    return one, other, third, fourth


def _combine(inputs: Sequence[CoaddInput], box: Box, settings: CoaddSettings, masks: AlternateMasks) -> Combined:
    """A documented statistic of the samples."""
    bad, removed = bitmask(*settings.bad_planes), bitmask(*settings.remove_planes)
    image, variance, bits = _read_stack(inputs, box, masks, bad)
    counts = None
    if settings.statistic in _CLIPPING or removed & bad:
        counts = np.sum((bits & bad == 0) & np.isfinite(image) & np.isfinite(variance), axis=0, dtype=np.int32)
    for part in zip(image, variance, bits, strict=True):
        mark_left_out(*part, bad, removed, LEFT_OUT)
    name = _ROOTS.get(settings.statistic, str(settings.statistic))
    value, error, mask, used = stack_statistics(
        image,
        variance,
        bits,
        relative_weights(inputs),
        (False, bad),
        (getattr(kernel, name), SOURCES[settings.error_source]),
        (settings.sigma_clip, settings.clip_iter),
        propagation(settings),
        (bitmask("NO_DATA"), bitmask("CLIPPED")),
        mask_map(bad),
    )
    if settings.statistic in _ROOTS:
        with np.errstate(invalid="ignore", divide="ignore"):
            error, value = error / (4.0 * value), np.sqrt(value)
    return value, error, mask, used if counts is None else counts


def settle_planes(image: np.ndarray, variance: np.ndarray, bits: np.ndarray) -> None:
    """Say where the PSF is not exact, and what is not known: no variance of 0 or NaN stays, and no value without one.

    A pixel without value, or with a variance of 0, is missing: NaN, variance +inf, NO_DATA.
    """
    bits[(bits & bitmask("REJECTED", "CLIPPED", "SENSOR_EDGE")) != 0] |= bitmask("INEXACT_PSF")
    missing = np.isnan(image) | (variance == 0.0)
    bits[missing] |= bitmask("NO_DATA")
    image[missing] = np.nan
    variance[missing | np.isnan(variance)] = np.inf


def _read_stack(
    inputs: Sequence[CoaddInput], box: Box, masks: AlternateMasks, bad: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, variance and mask bits ``[n, y, x]`` of all inputs inside a box."""
    shape = (len(inputs), *box.shape)
    stack = np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.int32)
    for n, part in enumerate(inputs):
        read_planes(part, box, masks.get(part.visit, {}), bad, (stack[0][n], stack[1][n], stack[2][n]))
    return stack


def read_planes(
    part: CoaddInput,
    box: Box,
    planes: Mapping[str, SpanSet],
    bad: int,
    out: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Image, variance and mask bits ``[y, x]`` of an input inside a box, with the planes of its alternate mask.

    A variance that is not positive becomes +inf.
    """
    image, variance, bits = out
    try:
        here = part.bbox.intersection(box)
    except OutsideError:
        here = None
    if here != box:
        image[...], variance[...], bits[...] = np.nan, np.inf, bitmask("NO_DATA")
    if here is not None:
        at = here.slice_within(box)
        image[at], variance[at], bits[at] = part.planes(here)
        forget_variances(variance[at])
    if planes:
        apply_alternate_mask(bits, box, planes, bad)


def relative_weights(inputs: Sequence[CoaddInput]) -> np.ndarray:
    """Weights (float64) over a power of two near the largest: their squares neither overflow nor vanish."""
    weights = np.array([part.weight for part in inputs])
    scaled: np.ndarray = np.ldexp(weights, -int(np.frexp(weights.max())[1]))
    return scaled


def mask_map(bad: int) -> np.ndarray:
    """What is set where a sample was left out and any sample has some bits: int32 ``[k, 2]``, those and these.

    Samples have SENSOR_EDGE by `LEFT_OUT` alone: EDGE of a sample that is used says nothing about those that are not.
    """
    other = bitmask("NO_DATA", "EDGE", "SENSOR_EDGE", "CLIPPED")
    pairs = [
        (bad & ~other | bitmask("REJECTED"), bitmask("REJECTED")),
        (bitmask("SENSOR_EDGE"), bitmask("SENSOR_EDGE")),
        (bitmask("CLIPPED"), bitmask("CLIPPED")),
    ]
    return np.array(pairs, np.int32)


def propagation(settings: CoaddSettings) -> np.ndarray:
    """Propagation threshold of every bit of the mask; more than one where it is never propagated."""
    thresholds = np.full(_BITS, _NEVER)
    for name, threshold in settings.propagation_thresholds.items():
        thresholds[bitmask(name).bit_length() - 1] = threshold
    return thresholds
