"""Gaussian-weighted centroids and adaptive second moments of stars and galaxies."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = [
    "CENTROID_FAILED",
    "CENTROID_INCOMPLETE",
    "CENTROID_WANDERED",
    "centroids",
    "centroids_without_neighbours",
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
SHAPE_REACH = 16.0  # squared Mahalanobis distance at which the weight is cut off: a matched source is down by e^-16
MAX_SHAPE_SIGMA = 30.0  # px
MIN_SHAPE_VARIANCE = 0.1  # px^2: narrower than that, sums over pixels no longer stand for integrals


@njit(cache=True, nogil=True)
def _usable(value: float, variance: float) -> bool:
    return math.isfinite(value) and 0.0 <= variance < math.inf


@njit(cache=True, nogil=True)
def _window_sums(image: np.ndarray, variance: np.ndarray, x: float, y: float, sigma: float, sums: np.ndarray) -> float:
    """Weighted sums about (x, y): 0 flux, 1 and 2 first moments, 3 and 4 slopes, 5 and 6 noise of the first moments.

    Returns the share of the weight that fell on unusable pixels or outside.
    """
    radius = WINDOW_SIGMAS * sigma
    sums[:] = 0.0
    lost, whole = 0.0, 0.0
    for iy in range(math.ceil(y - radius), math.floor(y + radius) + 1):
        for ix in range(math.ceil(x - radius), math.floor(x + radius) + 1):
            dx, dy = ix - x, iy - y
            r2 = dx * dx + dy * dy
            if r2 > radius * radius:
                continue
            weight = math.exp(-0.5 * r2 / (sigma * sigma))
            whole += weight
            inside = 0 <= iy < image.shape[0] and 0 <= ix < image.shape[1]
            if not inside or not _usable(image[iy, ix], variance[iy, ix]):
                lost += weight
                continue
            signal = weight * image[iy, ix]
            sums[0] += signal
            sums[1] += signal * dx
            sums[2] += signal * dy
            sums[3] += signal * (1.0 - dx * dx / (sigma * sigma))
            sums[4] += signal * (1.0 - dy * dy / (sigma * sigma))
            noise = weight * weight * variance[iy, ix]
            sums[5] += noise * dx * dx
            sums[6] += noise * dy * dy
    return lost / whole


@njit(cache=True, nogil=True)
def _step(moment: float, slope: float, flux: float) -> float:
    """Newton step of one axis; the slope is bounded, so that noise cannot make the step leap."""
    return moment / min(max(slope, 0.2 * flux), flux)


@njit(cache=True, nogil=True)
def _centroid(
    image: np.ndarray, variance: np.ndarray, x0: float, y0: float, sigma: float, max_shift: float, out: np.ndarray
) -> int:
    """Centroid and error of one source into ``out`` (x, y, x_err, y_err); returns flags."""
    x, y = x0, y0
    sums = np.zeros(7)
    converged = False
    lost = 0.0
    for _ in range(MAX_CENTROID_STEPS):
        lost = _window_sums(image, variance, x, y, sigma, sums)
        if not sums[0] > 0.0:
            return CENTROID_FAILED
        dx, dy = _step(sums[1], sums[3], sums[0]), _step(sums[2], sums[4], sums[0])
        x, y = x + dx, y + dy
        if math.hypot(x - x0, y - y0) > max_shift:
            return CENTROID_WANDERED
        if max(abs(dx), abs(dy)) < CENTROID_PRECISION:
            converged = True
            break
    if not converged:
        return CENTROID_FAILED
    out[0], out[1] = x, y
    out[2] = math.sqrt(sums[5]) / max(sums[3], 0.2 * sums[0])
    out[3] = math.sqrt(sums[6]) / max(sums[4], 0.2 * sums[0])
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
    for i in range(x.size):
        position[i, 0], position[i, 1], position[i, 2], position[i, 3] = x[i], y[i], np.nan, np.nan
        flags[i] = _centroid(image, variance, x[i], y[i], sigma, max_shift, position[i])
    return position, flags


@njit(cache=True, nogil=True)
def _add_stamp(image: np.ndarray, stamp: np.ndarray, x0: int, y0: int, factor: float) -> None:
    """Add ``factor`` times a stamp whose first pixel is (x0, y0) to the part of an image that it covers."""
    if factor == 0.0:  # the stamp may be of NaN
        return
    for y in range(max(0, y0), min(image.shape[0], y0 + stamp.shape[0])):
        for x in range(max(0, x0), min(image.shape[1], x0 + stamp.shape[1])):
            image[y, x] += factor * stamp[y - y0, x - x0]


@njit(cache=True, nogil=True)
def centroids_without_neighbours(
    image: np.ndarray,
    variance: np.ndarray,
    stamps: np.ndarray,
    x0: np.ndarray,
    y0: np.ndarray,
    flux: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    sigma: float,
    max_shift: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Centroids as of `centroids`, each with the models of all other listed sources taken off the image.

    Parameters
    ----------
    image, variance
        ``[y, x]``.
    stamps, x0, y0
        ``[source, y, x]`` PSF of each source, and its first column and row in the image.
    flux
        Flux of each source; one that is not finite or negative counts as 0.
    x, y, sigma, max_shift
        As of `centroids`.
    """
    light = np.where(np.isfinite(flux) & (flux > 0.0), flux, 0.0)
    residual = image.copy()
    for i in range(x.size):
        _add_stamp(residual, stamps[i], x0[i], y0[i], -light[i])
    position = np.empty((x.size, 4))
    flags = np.zeros(x.size, np.int32)
    for i in range(x.size):
        _add_stamp(residual, stamps[i], x0[i], y0[i], light[i])
        position[i, 0], position[i, 1], position[i, 2], position[i, 3] = x[i], y[i], np.nan, np.nan
        flags[i] = _centroid(residual, variance, x[i], y[i], sigma, max_shift, position[i])
        _add_stamp(residual, stamps[i], x0[i], y0[i], -light[i])
    return position, flags


@njit(cache=True, nogil=True)
def _shape_sums(image: np.ndarray, state: np.ndarray, sums: np.ndarray, usable: np.ndarray) -> float:
    """Sums of flux, first and second moments under the Gaussian of ``state`` (x, y, xx, yy, xy).

    Returns the share of the weight that fell on unusable pixels or outside.
    """
    x, y, xx, yy, xy = state[0], state[1], state[2], state[3], state[4]
    determinant = xx * yy - xy * xy
    reach_x, reach_y = math.sqrt(SHAPE_REACH * xx), math.sqrt(SHAPE_REACH * yy)
    sums[:] = 0.0
    lost, whole = 0.0, 0.0
    for iy in range(math.ceil(y - reach_y), math.floor(y + reach_y) + 1):
        for ix in range(math.ceil(x - reach_x), math.floor(x + reach_x) + 1):
            dx, dy = ix - x, iy - y
            r2 = (yy * dx * dx - 2.0 * xy * dx * dy + xx * dy * dy) / determinant
            if r2 > SHAPE_REACH:
                continue
            weight = math.exp(-0.5 * r2)
            whole += weight
            inside = 0 <= iy < image.shape[0] and 0 <= ix < image.shape[1]
            if not inside or not _usable(image[iy, ix], usable[iy, ix]):
                lost += weight
                continue
            signal = weight * image[iy, ix]
            sums[0] += signal
            sums[1] += signal * dx
            sums[2] += signal * dy
            sums[3] += signal * dx * dx
            sums[4] += signal * dy * dy
            sums[5] += signal * dx * dy
    return lost / whole if whole > 0.0 else 1.0


@njit(cache=True, nogil=True)
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
def _adapt(image: np.ndarray, usable: np.ndarray, state: np.ndarray, max_shift: float) -> bool:
    """Iterate the Gaussian ``state`` (x, y, xx, yy, xy) until it matches; False when it does not."""
    sums = np.zeros(6)
    shape = np.zeros(3)
    x0, y0 = state[0], state[1]
    for _ in range(MAX_SHAPE_STEPS):
        lost = _shape_sums(image, state, sums, usable)
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
        if change < SHAPE_PRECISION and max(abs(mx), abs(my)) < CENTROID_PRECISION:
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
    for i in range(x.size):
        state[0], state[1] = x[i], y[i]
        state[2], state[3], state[4] = sigma * sigma, sigma * sigma, 0.0
        failed[i] = not _adapt(image, variance, state, max_shift)
        if not failed[i]:
            moments[i, :] = state[2:]
    return moments, failed
