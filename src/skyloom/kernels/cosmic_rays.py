"""Pixels that stand out more sharply than a point source can."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel

__all__ = ["find_sharp_pixels", "grow_sharp_pixels", "peak_widths", "sharpest_ratios"]

_CORE = 0.05  # pixels of a stamp below this share of its maximum are no part of a star's core


@inner_kernel
def _touches(bits: np.ndarray, y: int, x: int, wanted: int) -> bool:
    """Whether a pixel inside the border or one of its eight neighbours has one of the bits."""
    for yy in range(y - 1, y + 2):
        for xx in range(x - 1, x + 2):
            if bits[yy, xx] & wanted != 0:
                return True
    return False


@inner_kernel
def _level_without(
    image: np.ndarray,
    variance: np.ndarray,
    bits: np.ndarray,
    unusable: int,
    at: tuple[int, int],
    ratios: np.ndarray,
    limits: tuple[float, float],
) -> float:
    """What a pixel would hold without the hit that made it too sharp for a star; NaN where it is not.

    ``limits`` are the height above a pair of opposite neighbours, and the margin of the ratio, both in sigma.  Pairs
    with an unusable pixel are passed over.
    """
    y, x = at
    value, sigma = image[y, x], math.sqrt(variance[y, x])
    level = math.nan
    for k in range(4):
        dy, dx = (1, 0, 1, 1)[k], (0, 1, 1, -1)[k]
        if (bits[y + dy, x + dx] | bits[y - dy, x - dx]) & unusable != 0:
            continue
        mean = 0.5 * (image[y + dy, x + dx] + image[y - dy, x - dx])
        if value - mean >= limits[0] * sigma:
            sigma_mean = 0.5 * math.sqrt(variance[y + dy, x + dx] + variance[y - dy, x - dx])
            if ratios[k] * (value - limits[1] * sigma) > mean + limits[1] * sigma_mean and not level <= mean:
                level = mean
    return level


@njit(cache=True, nogil=True)
def find_sharp_pixels(
    image: np.ndarray,
    variance: np.ndarray,
    bits: np.ndarray,
    unusable: int,
    saturated: int,
    ratios: np.ndarray,
    limits: tuple[float, float],
    places: np.ndarray,
) -> int:
    """Pixels that no star can have made, in the order of rows; they are levelled at once, so that the pixels of a
    track do not hide each other.

    Parameters
    ----------
    image
        ``[y, x]`` above the sky; found pixels get the smallest mean of a pair that gave them away.
    variance, bits
        ``[y, x]``.
    unusable
        Pixels with one of these bits are not judged, nor taken to judge others.
    saturated
        Pixels that touch one with these bits are not judged: bleeds have sharp edges.
    ratios
        ``[cell_y, cell_x, 4]`` of `sharpest_ratios`, of equal parts of the frame.
    limits
        Height above a pair of opposite neighbours, and margin of the ratio, both in sigma.
    places
        ``[n, 2]`` for the row and column of what is found.

    Returns
    -------
    int
        Number of pixels found; -1 when they are more than ``places`` holds.
    """
    height, width = image.shape
    rows, columns = ratios.shape[:2]
    square = limits[0] * limits[0]
    count = 0
    for y in range(1, height - 1):
        row = ratios[y * rows // height]
        for x in range(1, width - 1):
            lowest = min(min(image[y, x - 1], image[y, x + 1]), min(image[y - 1, x], image[y + 1, x]))
            rise = image[y, x] - lowest
            if not (rise > 0.0 and rise * rise >= square * variance[y, x]):
                continue
            if bits[y, x] & unusable != 0 or _touches(bits, y, x, saturated):
                continue
            level = _level_without(image, variance, bits, unusable, (y, x), row[x * columns // width], limits)
            if math.isnan(level):
                continue
            if count == places.shape[0]:
                return -1
            places[count, 0], places[count, 1] = y, x
            image[y, x] = level
            count += 1
    return count


@njit(cache=True, nogil=True)
def grow_sharp_pixels(
    image: np.ndarray,
    variance: np.ndarray,
    bits: np.ndarray,
    unusable: int,
    saturated: int,
    ratios: np.ndarray,
    limits: tuple[float, float],
    places: np.ndarray,
    known: int,
    passes: int,
    hit: np.ndarray,
) -> int:
    """Find more such pixels beside those that are known, under weaker limits.

    As `find_sharp_pixels`, with these differences.

    Parameters
    ----------
    image, variance, bits, unusable, saturated, ratios, limits
        See there; the known pixels are levelled.
    places
        ``[n, 2]``; those that are known come first, those that are found follow.
    known
        How many are known.
    passes
        How far it goes from the known pixels, in pixels.
    hit
        Bool ``[y, x]``: the known pixels; those that are added are set.

    Returns
    -------
    int
        Number of pixels, with the known ones; -1 when they are more than ``places`` holds.
    """
    height, width = image.shape
    rows, columns = ratios.shape[:2]
    first, last, count = 0, known, known
    for _ in range(passes):
        for i in range(first, last):
            for y in range(max(1, places[i, 0] - 1), min(height - 1, places[i, 0] + 2)):
                for x in range(max(1, places[i, 1] - 1), min(width - 1, places[i, 1] + 2)):
                    if hit[y, x] or bits[y, x] & unusable != 0 or _touches(bits, y, x, saturated):
                        continue
                    own = ratios[y * rows // height, x * columns // width]
                    level = _level_without(image, variance, bits, unusable, (y, x), own, limits)
                    if math.isnan(level):
                        continue
                    if count == places.shape[0]:
                        return -1
                    places[count, 0], places[count, 1] = y, x
                    image[y, x] = level
                    hit[y, x] = True
                    count += 1
        first, last = last, count
    return count


@njit(cache=True, nogil=True)
def sharpest_ratios(stamps: np.ndarray) -> np.ndarray:
    """The smallest ratios of the mean of opposite neighbours to a pixel that any of the stamps has.

    Parameters
    ----------
    stamps
        ``[n, y, x]`` of point sources, at several places between the pixels.

    Returns
    -------
    numpy.ndarray
        Four ratios: along y, along x, and along the two diagonals.  Pixels above a twentieth of the stamp's maximum
        count; a ratio is 0 where the neighbours are not positive.
    """
    ratios = np.ones(4)
    for n in range(stamps.shape[0]):
        least = _CORE * stamps[n].max()
        for y in range(1, stamps.shape[1] - 1):
            for x in range(1, stamps.shape[2] - 1):
                value = stamps[n, y, x]
                if not value > least:
                    continue
                for k in range(4):
                    dy, dx = (1, 0, 1, 1)[k], (0, 1, 1, -1)[k]
                    mean = 0.5 * (stamps[n, y + dy, x + dx] + stamps[n, y - dy, x - dx])
                    ratios[k] = min(ratios[k], max(mean, 0.0) / value)
    return ratios


@njit(cache=True, nogil=True)
def peak_widths(
    image: np.ndarray, variance: np.ndarray, bits: np.ndarray, unusable: int, limits: tuple[float, float]
) -> np.ndarray:
    """Widths of the bright local maxima of an image from the curvature of its logarithm.

    Of a Gaussian, 2 ln I(0) - ln I(-1) - ln I(1) is 1 / sigma^2 wherever its centre falls on the pixel.

    Parameters
    ----------
    image
        ``[y, x]`` above the sky.
    variance, bits
        ``[y, x]``.
    unusable
        Maxima that touch a pixel with one of these bits do not count.
    limits
        Least height of the maximum, and of its four direct neighbours, in sigma.

    Returns
    -------
    numpy.ndarray
        ``[n, 3]``: sigma^2 along y and x, px^2, and height of the maximum in sigma of its noise.
    """
    height, width = image.shape
    found = np.empty((1000, 3))
    count = 0
    square = limits[0] * limits[0]
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            value = image[y, x]
            if not (value > 0.0 and value * value >= square * variance[y, x]):
                continue
            up, down, left, right = image[y - 1, x], image[y + 1, x], image[y, x - 1], image[y, x + 1]
            least = limits[1] * math.sqrt(variance[y, x])
            if not (least < min(min(up, down), min(left, right)) and value >= max(max(up, down), max(left, right))):
                continue
            if value * value == up * down or value * value == left * right or _touches(bits, y, x, unusable):
                continue
            if count == found.shape[0]:
                found = np.concatenate((found, np.empty_like(found)))
            found[count, 0] = 1.0 / math.log(value * value / (up * down))
            found[count, 1] = 1.0 / math.log(value * value / (left * right))
            found[count, 2] = value / math.sqrt(variance[y, x])
            count += 1
    return found[:count]
