"""Exact quantiles of millions of float32 pixels by counting, without sorting or copying them."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["pixel_quantiles"]

_HALF = 1 << 16


@njit(cache=True, nogil=True)
def _rank_key(word: int) -> int:
    """A key (0 to 2^32 - 1) that sorts as the float32 with the bit pattern ``word`` does."""
    return word ^ 0xFFFFFFFF if word & 0x80000000 else word | 0x80000000


@njit(cache=True, nogil=True)
def _upper_counts(words: np.ndarray, bits: np.ndarray, ignored: int, above: int) -> np.ndarray:
    """How many usable pixels have each upper half of the key; usable ones have keys beyond ``above``."""
    counts = np.zeros(_HALF, np.int64)
    for y in range(words.shape[0]):
        for x in range(words.shape[1]):
            word = np.int64(words[y, x])
            if bits[y, x] & ignored == 0 and word & 0x7F800000 != 0x7F800000:
                key = _rank_key(word)
                if key > above:
                    counts[key >> 16] += 1
    return counts


@njit(cache=True, nogil=True)
def _lower_counts(words: np.ndarray, bits: np.ndarray, ignored: int, above: int, wanted: np.ndarray) -> np.ndarray:
    """The same of the lower half ``[place, half]``, for upper halves whose place in ``wanted`` is not -1."""
    counts = np.zeros((wanted.max() + 1, _HALF), np.int64)
    for y in range(words.shape[0]):
        for x in range(words.shape[1]):
            word = np.int64(words[y, x])
            if bits[y, x] & ignored == 0 and word & 0x7F800000 != 0x7F800000:
                key = _rank_key(word)
                place = wanted[key >> 16]
                if place >= 0 and key > above:
                    counts[place, key & 0xFFFF] += 1
    return counts


def pixel_quantiles(
    image: np.ndarray,
    bits: np.ndarray,
    ignored: int,
    fractions: tuple[float, ...],
    *,
    above: float = -math.inf,
) -> tuple[np.ndarray, int]:
    """Quantiles of the finite pixels that have none of the ``ignored`` mask bits, as `numpy.quantile` has them.

    Two passes count the pixels by the upper, then by the lower half of their bit pattern (a radix selection), whatever
    the number of quantiles.

    Parameters
    ----------
    image
        float32 ``[y, x]``.
    bits
        Mask bits ``[y, x]``.
    ignored
        Integer of the mask planes to leave out; 0 for none.
    fractions
        0 to 1.
    above
        Pixels up to this value are left out.

    Returns
    -------
    quantiles
        float64, one a fraction; NaN where no pixel counts.
    count
        Pixels that count.
    """
    words = image.view(np.uint32)
    least = _rank_key(int(np.array([above], np.float32).view(np.uint32)[0]))
    upper = _upper_counts(words, bits, ignored, least)
    number = int(upper.sum())
    if number == 0:
        return np.full(len(fractions), math.nan), 0
    places = [fraction * (number - 1) for fraction in fractions]
    ranks = sorted({rank for place in places for rank in (math.floor(place), math.ceil(place))})
    ends = np.cumsum(upper)
    halves = np.searchsorted(ends, ranks, side="right")
    distinct = np.unique(halves)
    wanted = np.full(_HALF, -1, np.int8)
    wanted[distinct] = np.arange(len(distinct))
    lower = np.cumsum(_lower_counts(words, bits, ignored, least, wanted), axis=1)
    found = [
        _value(int(half), int(np.searchsorted(lower[wanted[half]], rank - (ends[half] - upper[half]), side="right")))
        for rank, half in zip(ranks, halves, strict=True)
    ]
    values = dict(zip(ranks, found, strict=True))
    quantiles = []
    for place in places:
        low, high = values[math.floor(place)], values[math.ceil(place)]
        quantiles.append(low + (high - low) * (place - math.floor(place)))
    return np.array(quantiles), number


def _value(upper: int, lower: int) -> float:
    """The float32 with a key of these halves."""
    key = upper << 16 | lower
    word = key & 0x7FFFFFFF if key & 0x80000000 else key ^ 0xFFFFFFFF
    return float(np.array([word], np.uint32).view(np.float32)[0])
