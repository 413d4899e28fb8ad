"""Gaussian-weighted centroids and adaptive second moments of stars and galaxies."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel

__all__ = [
    "CENTROID_FAILED",
    "CENTROID_INCOMPLETE",
    "CENTROID_WANDERED",
    "adapt_shape",
    "centroid",
    "centroids",
    "ellipse_row",
    "finite_image",
    "shapes",
]

CENTROID_FAILED = 1
CENTROID_WANDERED = 2
CENTROID_INCOMPLETE = 4

MAX_CENTROID_STEPS = 50
CENTROID_PRECISION = 1e-5  # px
MAX_LOST_WEIGHT = 0.02  # of the weight of the window, in unusable pixels: one pixel near the core shifts by 0.1 px
WINDOW_SIGMAS = 4.0
MAX_SHAPE_STEPS = 50
MAX_LOST_SHAPE_WEIGHT = 0.05
SHAPE_PRECISION = 1e-6
FIRST_SHAPE_STEPS = 10  # later the precision is COARSE_SHAPE_PRECISION: a pixel at the cut may come and go for ever
COARSE_SHAPE_PRECISION = 1e-4
SHAPE_REACH = 16.0  # squared Mahalanobis distance at which the weight is cut off: a matched source is down by e^-16
MAX_SHAPE_SIGMA = 30.0  # px
MIN_SHAPE_VARIANCE = 0.1  # px^2: narrower than that, sums over pixels no longer stand for integrals


@njit(cache=True, nogil=True)
def finite_image(image: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """A copy of an image with NaN where the value is not finite, or the variance not finite or negative."""
    finite = np.empty(image.shape, image.dtype)
    for y in range(image.shape[0]):
        row, values, spread = finite[y], image[y], variance[y]
        for x in range(row.size):
            usable = math.isfinite(values[x]) and 0.0 <= spread[x] < math.inf
            row[x] = values[x] if usable else np.nan
    return finite


@inner_kernel
def _gaussian_column(first: int, count: int, centre: float, sigma: float, weight: np.ndarray) -> None:
    """Fill ``weight`` with a Gaussian about ``centre`` at ``count`` pixels from ``first`` on."""
    for k in range(count):
        weight[k] = math.exp(-0.5 * ((first + k - centre) / sigma) ** 2)


@inner_kernel
def _window_sums(image: np.ndarray, x: float, y: float, sigma: float, weight: np.ndarray, sums: np.ndarray) -> float:
    """Weighted sums about (x, y): 0 flux, 1 and 2 first moments, 3 and 4 slopes.

    ``weight`` is work space of two rows.  Returns the share of the weight that fell on unusable pixels or outside.
    """
    radius = WINDOW_SIGMAS * sigma
    first_x, first_y = math.ceil(x - radius), math.ceil(y - radius)
    wide, high = math.floor(x + radius) + 1 - first_x, math.floor(y + radius) + 1 - first_y
    _gaussian_column(first_x, wide, x, sigma, weight[0])
    _gaussian_column(first_y, high, y, sigma, weight[1])
    sums[:] = 0.0
    lost, whole, inverse = 0.0, 0.0, 1.0 / (sigma * sigma)
    for j in range(high):
        iy = first_y + j
        dy = iy - y
        half = math.sqrt(max(radius * radius - dy * dy, 0.0))
        flux, first, second, row_lost, row_whole = 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(max(math.ceil(x - half) - first_x, 0), min(math.floor(x + half) + 1 - first_x, wide)):
            ix = first_x + k
            row_whole += weight[0, k]
            inside = 0 <= iy < image.shape[0] and 0 <= ix < image.shape[1]
            if not inside or math.isnan(image[iy, ix]):
                row_lost += weight[0, k]
                continue
            dx = ix - x
            signal = weight[0, k] * image[iy, ix]
            flux += signal
            first += signal * dx
            second += signal * dx * dx
        w = weight[1, j]
        lost, whole = lost + w * row_lost, whole + w * row_whole
        sums[0] += w * flux
        sums[1] += w * first
        sums[2] += w * dy * flux
        sums[3] += w * (flux - second * inverse)
        sums[4] += w * flux * (1.0 - dy * dy * inverse)
    return lost / whole


@inner_kernel
def _window_noise(
    image: np.ndarray, variance: np.ndarray, x: float, y: float, sigma: float, weight: np.ndarray
) -> tuple[float, float]:
    """Variances of the two first moments of the window whose weights are in ``weight``."""
    radius = WINDOW_SIGMAS * sigma
    first_x, first_y = math.ceil(x - radius), math.ceil(y - radius)
    noise_x, noise_y = 0.0, 0.0
    for iy in range(max(first_y, 0), min(math.floor(y + radius) + 1, image.shape[0])):
        dy = iy - y
        half = math.sqrt(max(radius * radius - dy * dy, 0.0))
        for ix in range(max(math.ceil(x - half), 0), min(math.floor(x + half) + 1, image.shape[1])):
            if math.isnan(image[iy, ix]):
                continue
            dx = ix - x
            noise = (weight[0, ix - first_x] * weight[1, iy - first_y]) ** 2 * variance[iy, ix]
            noise_x += noise * dx * dx
            noise_y += noise * dy * dy
    return noise_x, noise_y


@inner_kernel
def _step(moment: float, slope: float, flux: float) -> float:
    """Newton step of one axis; the slope is bounded, so that noise cannot make the step leap."""
    return moment / min(max(slope, 0.2 * flux), flux)


@njit(cache=True, nogil=True)
def centroid(
    image: np.ndarray, variance: np.ndarray, x0: float, y0: float, sigma: float, max_shift: float, out: np.ndarray
) -> int:
    """Centroid and error of one source into ``out`` (x, y, x_err, y_err), see `centroids`; returns the flags.

    Pixels that are NaN in the image are left out; where it fails, ``out`` stays as it is.
    """
    x, y = x0, y0
    sums = np.zeros(5)
    weight = np.empty((2, int(2.0 * WINDOW_SIGMAS * sigma) + 3))
    converged = False
    lost = 0.0
    for _ in range(MAX_CENTROID_STEPS):
        lost = _window_sums(image, x, y, sigma, weight, sums)
        if not sums[0] > 0.0:
            return CENTROID_FAILED
        dx, dy = _step(sums[1], sums[3], sums[0]), _step(sums[2], sums[4], sums[0])
        if max(abs(dx), abs(dy)) < CENTROID_PRECISION:
            converged = True
            break
        x, y = x + dx, y + dy
        if math.hypot(x - x0, y - y0) > max_shift:
            return CENTROID_WANDERED
    if not converged:
        return CENTROID_FAILED
    noise_x, noise_y = _window_noise(image, variance, x, y, sigma, weight)
    out[0], out[1] = x + dx, y + dy
    out[2] = math.sqrt(noise_x) / max(sums[3], 0.2 * sums[0])
    out[3] = math.sqrt(noise_y) / max(sums[4], 0.2 * sums[0])
    return CENTROID_INCOMPLETE if lost > MAX_LOST_WEIGHT else 0


@njit(cache=True, nogil=True)
def centroids(
    image: np.ndarray, variance: np.ndarray, x: np.ndarray, y: np.ndarray, sigma: float, max_shift: float
) -> tuple[np.ndarray, np.ndarray]:
    """Iterative Gaussian-weighted centroids.

    The centre is where the first moment under a round Gaussian window of fixed width, centred there, vanishes: for
    a symmetric star it has no bias, and for a window as wide as the star it is as good as a fit of the profile.

    Parameters
    ----------
    image, variance
        ``[y, x]``; pixels that are not finite in either are left out.
    x, y
        Starting positions (peaks), px.
    sigma
        Width of the window, px.
    max_shift
        A centre further than that from its start is given up, px.

    Returns
    -------
    position
        ``[source, 4]``: x, y, their errors.  Where it failed: the start, NaN errors.
    flags
        Sum of `CENTROID_FAILED`, `CENTROID_WANDERED`, `CENTROID_INCOMPLETE`; 0 is good.
    """
    position = np.empty((x.size, 4))
    flags = np.zeros(x.size, np.int32)
    finite = finite_image(image, variance)
    for i in range(x.size):
        position[i, 0], position[i, 1], position[i, 2], position[i, 3] = x[i], y[i], np.nan, np.nan
        flags[i] = centroid(finite, variance, x[i], y[i], sigma, max_shift, position[i])
    return position, flags


@njit(cache=True, nogil=True)
def ellipse_row(a: float, b: float, c: float, dy: float, reach: float) -> tuple[float, float]:
    """Range of dx in which ``a dx^2 + 2 b dx dy + c dy^2 <= reach``; the first is the greater where there is none."""
    root = (b * dy) ** 2 - a * (c * dy * dy - reach)
    if root < 0.0:
        return 1.0, 0.0
    half = math.sqrt(root)
    return (-b * dy - half) / a, (-b * dy + half) / a


@inner_kernel
def _shape_sums(image: np.ndarray, state: np.ndarray, sums: np.ndarray) -> float:
    """Sums of flux, first and second moments under the Gaussian of ``state`` (x, y, xx, yy, xy).

    Along a row the Gaussian and its ratio from pixel to pixel are both carried on by a product.  Returns the share of
    the weight that fell on unusable pixels or outside.
    """
    x, y, xx, yy, xy = state[0], state[1], state[2], state[3], state[4]
    determinant = xx * yy - xy * xy
    a, b, c = yy / determinant, -xy / determinant, xx / determinant
    reach_y = math.sqrt(SHAPE_REACH * yy)
    sums[:] = 0.0
    lost, whole, fall = 0.0, 0.0, math.exp(-a)
    for iy in range(math.ceil(y - reach_y), math.floor(y + reach_y) + 1):
        dy = iy - y
        low, high = ellipse_row(a, b, c, dy, SHAPE_REACH)
        first, last = math.ceil(x + low), math.floor(x + high)
        dx = first - x
        weight = math.exp(-0.5 * (a * dx * dx + 2.0 * b * dx * dy + c * dy * dy))
        ratio = math.exp(-0.5 * (a * (2.0 * dx + 1.0) + 2.0 * b * dy))
        flux, moment, square = 0.0, 0.0, 0.0
        if first >= 0 and last < image.shape[1] and 0 <= iy < image.shape[0]:
            row = image[iy, first : last + 1]
            for k in range(row.size):
                whole += weight
                value = row[k]
                if math.isnan(value):
                    lost += weight
                else:
                    signal = weight * value
                    flux += signal
                    moment += signal * dx
                    square += signal * dx * dx
                dx += 1.0
                weight *= ratio
                ratio *= fall
        else:
            for ix in range(first, last + 1):
                whole += weight
                if 0 <= iy < image.shape[0] and 0 <= ix < image.shape[1] and not math.isnan(image[iy, ix]):
                    signal = weight * image[iy, ix]
                    flux += signal
                    moment += signal * (ix - x)
                    square += signal * (ix - x) ** 2
                else:
                    lost += weight
                weight *= ratio
                ratio *= fall
        sums[0] += flux
        sums[1] += moment
        sums[2] += flux * dy
        sums[3] += square
        sums[4] += flux * dy * dy
        sums[5] += moment * dy
    return lost / whole if whole > 0.0 else 1.0


@inner_kernel
def _matched(state: np.ndarray, cxx: float, cyy: float, cxy: float, out: np.ndarray) -> bool:
    """The Gaussian whose product with the weight has the covariance c: the inverse of (c^-1 - weight^-1).

    Where noise makes that no Gaussian, twice c, which has the same fixed point, is taken.  False when c is none.
    """
    determinant = cxx * cyy - cxy * cxy
    if cxx <= 0.0 or cyy <= 0.0 or determinant <= 0.0:
        return False
    weight = state[2] * state[3] - state[4] * state[4]
    a = cyy / determinant - state[3] / weight
    b = cxx / determinant - state[2] / weight
    c = -cxy / determinant + state[4] / weight
    inverse = a * b - c * c
    out[0], out[1], out[2] = 2.0 * cxx, 2.0 * cyy, 2.0 * cxy
    if a > 0.0 and b > 0.0 and inverse > 0.0:
        xx, yy, xy = b / inverse, a / inverse, -c / inverse
        if max(xx, yy) < 4.0 * max(state[2], state[3]):
            out[0], out[1], out[2] = xx, yy, xy
    return True


@njit(cache=True, nogil=True)
def adapt_shape(image: np.ndarray, state: np.ndarray, max_shift: float) -> bool:
    """Iterate the Gaussian ``state`` (x, y, xx, yy, xy) until it matches, see `shapes`; False when it does not.

    Pixels that are NaN get no weight.
    """
    sums = np.zeros(6)
    shape = np.zeros(3)
    x0, y0 = state[0], state[1]
    for step in range(MAX_SHAPE_STEPS):
        lost = _shape_sums(image, state, sums)
        if not sums[0] > 0.0 or lost > MAX_LOST_SHAPE_WEIGHT:
            return False
        mx, my = sums[1] / sums[0], sums[2] / sums[0]
        good = _matched(
            state, sums[3] / sums[0] - mx * mx, sums[4] / sums[0] - my * my, sums[5] / sums[0] - mx * my, shape
        )
        if not good:
            return False
        state[0] += 2.0 * mx
        state[1] += 2.0 * my
        size = shape[0] + shape[1]
        change = (abs(shape[0] - state[2]) + abs(shape[1] - state[3]) + abs(shape[2] - state[4])) / size
        state[2], state[3], state[4] = shape[0], shape[1], shape[2]
        determinant = state[2] * state[3] - state[4] * state[4]
        if not (determinant > MIN_SHAPE_VARIANCE**2 and size < 2.0 * MAX_SHAPE_SIGMA**2):
            return False
        if math.hypot(state[0] - x0, state[1] - y0) > max_shift:
            return False
        precision = SHAPE_PRECISION if step < FIRST_SHAPE_STEPS else COARSE_SHAPE_PRECISION
        if change < precision and max(abs(mx), abs(my)) < CENTROID_PRECISION:
            return True
    return False


@njit(cache=True, nogil=True)
def shapes(
    image: np.ndarray, variance: np.ndarray, x: np.ndarray, y: np.ndarray, sigma: float, max_shift: float
) -> tuple[np.ndarray, np.ndarray]:
    """Adaptive second moments: those of the elliptical Gaussian that matches the source best.

    Weight and source are matched by iteration (Bernstein & Jarvis 2002, AJ 123, 583; Hirata & Seljak 2003, MNRAS
    343, 459), so that the moments of a Gaussian are its true ones although the sums are weighted.

    Parameters
    ----------
    image, variance
        ``[y, x]``; pixels that are not finite in either get no weight.
    x, y
        Centroids, px.
    sigma
        First width of the weight, px.
    max_shift
        A match whose centre moves further than that is given up, px.

    Returns
    -------
    moments
        ``[source, 3]``: Ixx, Iyy, Ixy in px^2; NaN where there is no match.
    failed
        Bool, one a source.
    """
    moments = np.full((x.size, 3), np.nan)
    failed = np.zeros(x.size, np.bool_)
    state = np.empty(5)
    finite = finite_image(image, variance)
    for i in range(x.size):
        state[0], state[1] = x[i], y[i]
        state[2], state[3], state[4] = sigma * sigma, sigma * sigma, 0.0
        failed[i] = not adapt_shape(finite, state, max_shift)
        if not failed[i]:
            moments[i, :] = state[2:]
    return moments, failed
