"""An image in which sources are replaced by noise, and each put back while it is measured.

Two planes are worked on: ``image`` with NaN where it is unusable, and ``state``, `UNUSABLE` there and `COVERED` where
noise stands in place of a source.  Sources are runs of pixels with their values, as of
`skyloom.images.source_pixels.SourcePixels`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel

__all__ = [
    "COVERED",
    "UNUSABLE",
    "add_wings",
    "cover",
    "fill_covered",
    "put_in",
    "span_values",
    "take_out",
    "take_wings",
    "working_planes",
]

UNUSABLE = 1
COVERED = 2


@njit(cache=True, nogil=True)
def working_planes(
    image: np.ndarray, variance: np.ndarray, bits: np.ndarray, unusable_bits: int
) -> tuple[np.ndarray, np.ndarray]:
    """A copy of an image to work on, and its state.

    Parameters
    ----------
    image, variance
        ``[y, x]`` float32.
    bits
        ``[y, x]`` mask integers.
    unusable_bits
        Pixels with one of these bits are unusable, as are those without a finite value and variance.

    Returns
    -------
    work, state
        ``[y, x]`` float32 and uint8.
    """
    work = np.empty(image.shape, np.float32)
    state = np.empty(image.shape, np.uint8)
    for y in range(image.shape[0]):
        values, spread, mask, into, flags = image[y], variance[y], bits[y], work[y], state[y]
        for x in range(values.size):
            usable = (mask[x] & unusable_bits) == 0 and math.isfinite(values[x]) and 0.0 <= spread[x] < math.inf
            into[x] = values[x] if usable else np.nan
            flags[x] = 0 if usable else UNUSABLE
    return work, state


@inner_kernel
def _scrambled(seed: int, x: int, y: int) -> np.uint64:
    """A pseudo-random integer of a pixel: the mixing of SplitMix64 (Steele, Lea & Flood 2014), once a coordinate."""
    z = np.uint64(seed)
    for part in (np.uint64(x), np.uint64(y)):
        z += part * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return z


@njit(cache=True, nogil=True)
def cover(state: np.ndarray, y: np.ndarray, x0: np.ndarray, x1: np.ndarray) -> None:
    """Declare the usable pixels of spans (inside the image, x1 exclusive) covered."""
    for i in range(y.size):
        flags = state[y[i]]
        for x in range(x0[i], x1[i]):
            flags[x] = COVERED if flags[x] == 0 else flags[x]


@njit(cache=True, nogil=True)
def fill_covered(
    work: np.ndarray,
    state: np.ndarray,
    y: np.ndarray,
    x0: np.ndarray,
    x1: np.ndarray,
    noise: np.ndarray,
    seed: int,
    origin_x: int,
    origin_y: int,
) -> None:
    """Put noise in place of the covered pixels of spans.

    The noise of a pixel is a function of the seed and its position alone, whatever the order of the spans.

    Parameters
    ----------
    work, state
        As of `working_planes`; the first is modified in place.
    y, x0, x1
        Spans inside the image, x1 exclusive.
    noise
        Values of which each pixel takes one, all with equal chance; their number is a power of two.
    seed
        Of the pseudo-random choice.
    origin_x, origin_y
        Position of the first pixel, which the positions count from.
    """
    last = np.uint64(noise.size - 1)
    for i in range(y.size):
        values, flags = work[y[i]], state[y[i]]
        for x in range(x0[i], x1[i]):
            if flags[x] == COVERED:
                values[x] = noise[_scrambled(seed, x + origin_x, y[i] + origin_y) & last]


@njit(cache=True, nogil=True)
def span_values(image: np.ndarray, y: np.ndarray, x0: np.ndarray, x1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Place of the first value of each span, and the values of the image along all of them."""
    start = np.zeros(y.size + 1, np.int64)
    for i in range(y.size):
        start[i + 1] = start[i] + x1[i] - x0[i]
    values = np.empty(start[-1], image.dtype)
    for i in range(y.size):
        values[start[i] : start[i + 1]] = image[y[i], x0[i] : x1[i]]
    return start[:-1], values


@njit(cache=True, nogil=True)
def put_in(
    work: np.ndarray,
    state: np.ndarray,
    y: np.ndarray,
    x0: np.ndarray,
    x1: np.ndarray,
    value_start: np.ndarray,
    values: np.ndarray,
    saved: np.ndarray,
) -> None:
    """Put the values of one source into its covered pixels; what stood there goes to ``saved``, as long as its values.

    Unusable pixels stay so, and a value that is not finite is left out.
    """
    n = 0
    for i in range(y.size):
        row, flags = work[y[i]], state[y[i]]
        k = value_start[i]
        for x in range(x0[i], x1[i]):
            saved[n] = row[x]
            if flags[x] == COVERED and math.isfinite(values[k]):
                row[x] = values[k]
                flags[x] = 0
            n += 1
            k += 1


@njit(cache=True, nogil=True)
def take_out(
    work: np.ndarray, state: np.ndarray, y: np.ndarray, x0: np.ndarray, x1: np.ndarray, saved: np.ndarray
) -> None:
    """Undo `put_in`."""
    n = 0
    for i in range(y.size):
        row, flags = work[y[i]], state[y[i]]
        for x in range(x0[i], x1[i]):
            if flags[x] == 0:
                row[x] = saved[n]
                flags[x] = COVERED
            n += 1


@njit(cache=True, nogil=True)
def add_wings(
    work: np.ndarray, state: np.ndarray, stamp: np.ndarray, x0: int, y0: int, flux: float, saved: np.ndarray
) -> None:
    """Add a source's model to the covered pixels: the light that it has where neighbours were replaced by noise.

    Parameters
    ----------
    work, state
        As of `working_planes`, with the source put in; ``work`` is modified in place.
    stamp, x0, y0
        ``[y, x]`` PSF, and the pixel of its first.
    flux
        Of the model.
    saved
        Of the size of the stamp; filled with what stood in the covered pixels.
    """
    n = 0
    left, right = max(0, x0), min(work.shape[1], x0 + stamp.shape[1])
    if left >= right:
        return
    for y in range(max(0, y0), min(work.shape[0], y0 + stamp.shape[0])):
        flags, values, model = state[y, left:right], work[y, left:right], stamp[y - y0, left - x0 : right - x0]
        for k in range(flags.size):
            if flags[k] == COVERED:
                saved[n] = values[k]
                values[k] += flux * model[k]
                n += 1


@njit(cache=True, nogil=True)
def take_wings(work: np.ndarray, state: np.ndarray, size: int, x0: int, y0: int, saved: np.ndarray) -> None:
    """Undo `add_wings` with a stamp of ``size`` pixels a side."""
    n = 0
    left, right = max(0, x0), min(work.shape[1], x0 + size)
    if left >= right:
        return
    for y in range(max(0, y0), min(work.shape[0], y0 + size)):
        flags, values = state[y, left:right], work[y, left:right]
        for k in range(flags.size):
            if flags[k] == COVERED:
                values[k] = saved[n]
                n += 1
