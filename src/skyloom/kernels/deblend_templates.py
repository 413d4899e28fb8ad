"""Symmetric templates: what a source would look like if it were the same on both sides of its peak."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel

__all__ = [
    "NO_MIRROR",
    "OTHER_MIRROR",
    "favour_round",
    "make_monotone",
    "smooth_faint",
    "symmetric_centre",
    "symmetric_template",
]

NOISE_MARGIN = 1.5
"""Two pixels that differ by less than this many sigma are taken as equal."""

LEAST_ROUND = 0.1
"""What a template keeps where it is not the same a quarter turn away: enough for later rounds to find it again."""

OUTSIDE, PAIRED, OTHER_MIRROR, NO_MIRROR = 0, 1, 2, 3
"""What a pixel of a template was made of: nothing, itself and its point mirror, a line mirror, itself alone."""


@inner_kernel
def _symmetric_value(first: float, second: float, first_variance: float, second_variance: float, mean: bool) -> float:
    """The mean of two values that agree within the noise; the lesser, with a margin, of two that do not.

    The plain minimum of two noisy values is low by 0.56 sigma.  With ``mean`` set it is always their mean.  Weights are
    inverse variances.
    """
    if second < first:
        first, second = second, first
        first_variance, second_variance = second_variance, first_variance
    total = first_variance + second_variance
    part = first_variance / total if total > 0.0 else 0.5
    if mean:
        return first + part * (second - first)
    return first + part * min(second - first, NOISE_MARGIN * math.sqrt(total))


@njit(cache=True, nogil=True)
def symmetric_centre(image: np.ndarray, inside: np.ndarray, x: int, y: int, radius: float) -> tuple[int, int]:
    """Twice the centre (x, y), to half a pixel, about which the image near a peak is most symmetric.

    Parameters
    ----------
    image
        ``[y, x]``.
    inside
        ``[y, x]`` bool: pixels to look at.
    x, y
        The peak's pixel.
    radius
        Distance from the centre up to which pixels are compared, px.
    """
    best, best_x, best_y = -1.0, 2 * x, 2 * y
    reach = math.ceil(radius)
    for change in range(9):
        # the peak itself first, so that it wins a draw
        twice_x, twice_y = 2 * x + (change + 1) % 3 - 1, 2 * y + (change // 3 + 1) % 3 - 1
        lesser, mean = 0.0, 0.0
        for row in range(max(y - reach, 0), min(y + reach + 1, image.shape[0])):
            for column in range(max(x - reach, 0), min(x + reach + 1, image.shape[1])):
                mirror_x, mirror_y = twice_x - column, twice_y - row
                if math.hypot(column - 0.5 * twice_x, row - 0.5 * twice_y) > radius or not inside[row, column]:
                    continue
                if not (0 <= mirror_y < image.shape[0] and 0 <= mirror_x < image.shape[1]):
                    continue
                if inside[mirror_y, mirror_x]:
                    lesser += min(image[row, column], image[mirror_y, mirror_x])
                    mean += 0.5 * (image[row, column] + image[mirror_y, mirror_x])
        if mean > 0.0 and lesser / mean > best:
            best, best_x, best_y = lesser / mean, twice_x, twice_y
    return best_x, best_y


@inner_kernel
def _missing(known: np.ndarray, seen: tuple[int, int, int, int], row: int, column: int) -> bool:
    """Whether nothing was measured at a place: off the frame (its part of the box given), or not known."""
    if not (seen[0] <= row < seen[1] and seen[2] <= column < seen[3]):
        return True
    if not (0 <= row < known.shape[0] and 0 <= column < known.shape[1]):
        return False
    return not known[row, column]


@njit(cache=True, nogil=True)
def symmetric_template(
    image: np.ndarray,
    variance: np.ndarray,
    inside: np.ndarray,
    known: np.ndarray,
    seen: tuple[int, int, int, int],
    twice_x: int,
    twice_y: int,
    x0: int,
    y0: int,
    mean: bool,
    template: np.ndarray,
    made_of: np.ndarray,
) -> None:
    """Fill a template with the lesser of each pixel and its mirror through the centre; 0 where that is no source.

    Where the mirror was not measured (beyond the edge of the frame, or missing) a mirror across a line through the
    centre takes its place, and where that was not either the pixel stands alone.

    Parameters
    ----------
    image, variance
        ``[y, x]`` over the box of the footprint.
    inside
        ``[y, x]`` bool: pixels of the footprint.
    known
        ``[y, x]`` bool: pixels that were measured.
    seen
        First and one past the last row, and the same of the columns, of the frame, in coordinates of the box.
    twice_x, twice_y
        Twice the centre.
    x0, y0
        First pixel of the template in the box.
    mean
        Take the mean of both pixels instead.
    template, made_of
        ``[y, x]``, filled: the template, which may be negative, and the kind of each pixel.
    """
    height, width = inside.shape
    for j in range(template.shape[0]):
        for i in range(template.shape[1]):
            row, column = y0 + j, x0 + i
            template[j, i], made_of[j, i] = 0.0, OUTSIDE
            if not (inside[row, column] and known[row, column]):
                continue
            mirrors = ((twice_y - row, twice_x - column), (twice_y - row, column), (row, twice_x - column))
            template[j, i], made_of[j, i] = image[row, column], NO_MIRROR
            for kind in range(3):
                mirror_row, mirror_column = mirrors[kind]
                if _missing(known, seen, mirror_row, mirror_column):
                    continue
                within = 0 <= mirror_row < height and 0 <= mirror_column < width
                if within and inside[mirror_row, mirror_column]:
                    made_of[j, i] = PAIRED if kind == 0 else OTHER_MIRROR
                    template[j, i] = _symmetric_value(
                        image[row, column],
                        image[mirror_row, mirror_column],
                        variance[row, column],
                        variance[mirror_row, mirror_column],
                        mean,
                    )
                else:
                    template[j, i], made_of[j, i] = 0.0, OUTSIDE
                break


@njit(cache=True, nogil=True)
def favour_round(
    image: np.ndarray,
    variance: np.ndarray,
    inside: np.ndarray,
    known: np.ndarray,
    twice_x: int,
    twice_y: int,
    x0: int,
    y0: int,
    template: np.ndarray,
    made_of: np.ndarray,
) -> None:
    """Lower a template, at most to `LEAST_ROUND` of it, where less light lies a quarter turn away; in place.

    Neighbours on both sides look as if they belonged to the source between them, but seldom do four stand around it.
    The arguments are those of `symmetric_template`.
    """
    height, width = inside.shape
    for j in range(template.shape[0]):
        for i in range(template.shape[1]):
            if made_of[j, i] != PAIRED:
                continue
            # a quarter turn about a centre between pixels along one axis alone ends between pixels: take the next
            row = (twice_y + 2 * (x0 + i) - twice_x) // 2
            column = (twice_x - 2 * (y0 + j) + twice_y) // 2
            other_row, other_column = twice_y - row, twice_x - column
            if not (0 <= row < height and 0 <= column < width and inside[row, column] and known[row, column]):
                continue
            if not (0 <= other_row < height and 0 <= other_column < width):
                continue
            if not (inside[other_row, other_column] and known[other_row, other_column]):
                continue
            turned = _symmetric_value(
                image[row, column],
                image[other_row, other_column],
                variance[row, column],
                variance[other_row, other_column],
                False,
            )
            if turned < template[j, i]:
                spread = 0.5 * (variance[row, column] + variance[other_row, other_column])
                lower = _symmetric_value(turned, template[j, i], spread, variance[y0 + j, x0 + i], False)
                template[j, i] = max(lower, LEAST_ROUND * template[j, i])


@njit(cache=True, nogil=True)
def smooth_faint(
    template: np.ndarray, made_of: np.ndarray, variance: np.ndarray, x0: int, y0: int, half: int, below: float
) -> None:
    """Replace the pixels of a template below so many sigma by the median of the square about them, in place.

    The core is left as it is: a median would blunt it.  So are zeros: the template does not grow.
    """
    height, width = template.shape
    values = np.empty((2 * half + 1) ** 2, template.dtype)
    raw = template.copy()
    for j in range(height):
        for i in range(width):
            if raw[j, i] == 0.0 or raw[j, i] > below * math.sqrt(variance[y0 + j, x0 + i]):
                continue
            count = 0
            for row in range(max(j - half, 0), min(j + half + 1, height)):
                for column in range(max(i - half, 0), min(i + half + 1, width)):
                    if made_of[row, column] != OUTSIDE:
                        value, place = raw[row, column], count
                        while place > 0 and values[place - 1] > value:
                            values[place] = values[place - 1]
                            place -= 1
                        values[place] = value
                        count += 1
            template[j, i] = 0.5 * (values[(count - 1) // 2] + values[count // 2])


@njit(cache=True, nogil=True)
def make_monotone(template: np.ndarray, made_of: np.ndarray, centre_x: int, centre_y: int, ramp: float) -> None:
    """Let a template nowhere rise from its centre outward, and not fall below 0; in place.

    Each pixel is bounded by the value one step nearer to the centre on the ray to it, between two pixels already
    bounded.  Where a pixel stands alone the bound falls besides by the factor ``ramp`` a step.

    Parameters
    ----------
    template, made_of
        ``[y, x]``, as `symmetric_template` fills them.
    centre_x, centre_y
        Twice the centre, from the first pixel of the template.
    ramp
        Factor a step, 1 for no ramp.
    """
    height, width = template.shape
    farthest = max(abs(centre_x), abs(centre_y), abs(2 * width - 2 - centre_x), abs(2 * height - 2 - centre_y))
    for ring in range(farthest + 1):
        # doubled coordinates: the pixels at the larger of both distances ring / 2 from the centre
        for side in range(-ring, ring + 1, max(2 * ring, 1)):
            if (centre_x + side) % 2 == 0 and 0 <= centre_x + side < 2 * width:
                i = (centre_x + side) // 2
                first = max((centre_y - ring + 1) // 2, 0)
                last = min((centre_y + ring) // 2, height - 1)
                for j in range(first, last + 1):
                    _bound(template, made_of, j, i, 2 * j - centre_y, side, True, ramp)
            if (centre_y + side) % 2 == 0 and 0 <= centre_y + side < 2 * height:
                j = (centre_y + side) // 2
                first = max((centre_x - ring + 1) // 2, 0)
                last = min((centre_x + ring) // 2, width - 1)
                for i in range(first, last + 1):
                    _bound(template, made_of, j, i, side, 2 * i - centre_x, False, ramp)


@inner_kernel
def _bound(
    template: np.ndarray, made_of: np.ndarray, j: int, i: int, down: int, right: int, along_x: bool, ramp: float
) -> None:
    """Bound one pixel, at (down, right) half pixels from the centre, by the ray's value one step further in."""
    template[j, i] = max(template[j, i], 0.0)
    main, cross = (right, down) if along_x else (down, right)
    if abs(main) <= 1:
        return
    step = 1 if main > 0 else -1
    at = cross * (abs(main) - 2) / abs(main)  # half pixels from the centre, on the line one pixel nearer
    shift = 0.5 * (at - cross)  # pixels from this one
    low = math.floor(shift)
    part = shift - low
    if along_x:
        first = _value(template, j + low, i - step)
        second = _value(template, j + low + 1, i - step)
    else:
        first = _value(template, j - step, i + low)
        second = _value(template, j - step, i + low + 1)
    limit = (1.0 - part) * first + (part * second if part > 0.0 else 0.0)
    if made_of[j, i] == NO_MIRROR:
        limit *= ramp
    template[j, i] = min(template[j, i], limit)


@njit(cache=True, nogil=True)
def _value(template: np.ndarray, j: int, i: int) -> float:
    if 0 <= j < template.shape[0] and 0 <= i < template.shape[1]:
        return float(template[j, i])
    return 0.0
