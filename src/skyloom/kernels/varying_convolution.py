"""Convolution of image, variance and mask with a kernel that changes over the frame.

The frame is cut into blocks; within one the kernel changes linearly along x and stays the same along y.  Sums over the
kernel go seven taps at a time, so that the compiler makes vector code of them.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .inner import inner_kernel

__all__ = ["TAPS_AT_ONCE", "chebyshev_terms", "convolve_varying", "kernel_at"]

TAPS_AT_ONCE = 7
"""Rows of kernels are padded with zeros to a multiple of this."""
NO_CHANGE = 1e-7
"""A kernel that changes over a block by less than this part of its peak is taken as constant."""
SPARSE = 100
"""Up to so many flagged pixels in a block their weights are added one by one."""
SQUARED_TAIL = 1e-4
"""Share of the sum of the squared kernel that may lie outside the part of it with which variances are convolved."""


@njit(cache=True, nogil=True)
def chebyshev_terms(x: float, y: float, order: int) -> np.ndarray:
    """``T_i(x) T_j(y)`` with ``i + j <= order``, i outer; ``[(order + 1) (order + 2) / 2]``."""
    across, along = np.ones(order + 1), np.ones(order + 1)
    if order > 0:
        across[1], along[1] = x, y
    for k in range(2, order + 1):
        across[k] = 2.0 * x * across[k - 1] - across[k - 2]
        along[k] = 2.0 * y * along[k - 1] - along[k - 2]
    terms = np.empty((order + 1) * (order + 2) // 2)
    term = 0
    for i in range(order + 1):
        for j in range(order + 1 - i):
            terms[term] = across[i] * along[j]
            term += 1
    return terms


@njit(cache=True, nogil=True)
def kernel_at(coefficients: np.ndarray, order: int, x: float, y: float) -> np.ndarray:
    """The kernel ``[n, n]`` at a position scaled to -1 ... 1, from coefficients ``[term, n, n]``."""
    terms = chebyshev_terms(x, y, order)
    kernel = np.zeros(coefficients.shape[1:])
    values = kernel.ravel()
    for term in range(terms.size):
        part = coefficients[term].ravel()
        for k in range(values.size):
            values[k] += terms[term] * part[k]
    return kernel


@njit(cache=True, nogil=True, fastmath={"contract"}, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _add_seven(total: np.ndarray, row: np.ndarray, taps: np.ndarray) -> None:
    """Add seven neighbouring taps of a kernel's row to a row of sums."""
    k0, k1, k2, k3, k4, k5, k6 = taps[0], taps[1], taps[2], taps[3], taps[4], taps[5], taps[6]
    for x in range(total.size):
        total[x] += (
            k0 * row[x]
            + k1 * row[x + 1]
            + k2 * row[x + 2]
            + k3 * row[x + 3]
            + k4 * row[x + 4]
            + k5 * row[x + 5]
            + k6 * row[x + 6]
        )


@inner_kernel
def _correlate(tile: np.ndarray, weights: np.ndarray, margin: int, out: np.ndarray) -> None:
    """Sums of a tile under weights ``[rows, padded columns]`` that start ``margin`` pixels within its corner."""
    height, width = out.shape
    for y in range(height):
        total = out[y]
        total[:] = 0.0
        for j in range(weights.shape[0]):
            row = tile[margin + y + j]
            for i in range(0, weights.shape[1], TAPS_AT_ONCE):
                start = margin + i
                _add_seven(total, row[start : start + width + TAPS_AT_ONCE - 1], weights[j, i : i + TAPS_AT_ONCE])


@inner_kernel
def _padded(kernel: np.ndarray) -> np.ndarray:
    """A kernel in float32, its rows padded with zeros."""
    n = kernel.shape[0]
    columns = (n + TAPS_AT_ONCE - 1) // TAPS_AT_ONCE * TAPS_AT_ONCE
    weights = np.zeros((n, columns), np.float32)
    for j in range(n):
        for i in range(n):
            weights[j, i] = kernel[j, i]
    return weights


@inner_kernel
def _squared(kernel: np.ndarray) -> np.ndarray:
    """The squared kernel, cut to the smallest centred part outside of which next to nothing lies."""
    n = kernel.shape[0]
    square = kernel * kernel
    whole = square.sum()
    margin = 0
    while margin < n // 2:
        inner = square[margin + 1 : n - margin - 1, margin + 1 : n - margin - 1]
        if inner.sum() < (1.0 - SQUARED_TAIL) * whole:
            break
        margin += 1
    core: np.ndarray = square[margin : n - margin, margin : n - margin].copy()
    return core


@inner_kernel
def _shares(flags: np.ndarray, number: int, kernel: np.ndarray, tile: np.ndarray, share: np.ndarray) -> None:
    """For every pixel of a block, the sum of the kernel ``[n, n]`` over the pixels of its window that are flagged.

    ``number`` is how many are; ``tile`` is overwritten.
    """
    n = kernel.shape[0]
    height, width = share.shape
    share[:] = 0.0
    if number == 0:
        return
    if number > SPARSE:
        for row in range(height + n - 1):
            for column in range(width + n - 1):
                tile[row, column] = flags[row, column]
        _correlate(tile, _padded(kernel), 0, share)
        return
    for row in range(height + n - 1):
        for column in range(width + n - 1):
            if not flags[row, column]:
                continue
            first_x, last_x = max(0, column - n + 1), min(width, column + 1)
            for y in range(max(0, row - n + 1), min(height, row + 1)):
                for x in range(first_x, last_x):
                    share[y, x] += kernel[row - y, column - x]


@inner_kernel
def _load(
    planes: tuple[np.ndarray, np.ndarray, np.ndarray],
    corner: tuple[int, int],
    tiles: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    size: tuple[int, int],
) -> tuple[int, int, int, int]:
    """Copy a block and what its windows reach; the number of missing and of unmeasured pixels, OR and AND of bits."""
    image, variance, bits = planes
    value, noise, missing, unmeasured, flags = tiles
    n_missing, n_unmeasured, any_bits, all_bits = 0, 0, 0, -1
    for j in range(size[0]):
        row = corner[0] + j
        for i in range(size[1]):
            column = corner[1] + i
            inside = 0 <= row < image.shape[0] and 0 <= column < image.shape[1]
            held = inside and np.isfinite(image[row, column])
            known = held and np.isfinite(variance[row, column])
            value[j, i] = image[row, column] if held else np.float32(0.0)
            noise[j, i] = variance[row, column] if known else np.float32(0.0)
            missing[j, i], unmeasured[j, i] = not held, held and not known
            n_missing += not held
            n_unmeasured += held and not known
            flags[j, i] = bits[row, column] if inside else 0
            any_bits |= flags[j, i]
            all_bits &= flags[j, i]
    return n_missing, n_unmeasured, any_bits, all_bits


@inner_kernel
def _hand_on_bits(
    flags: np.ndarray,
    planes: tuple[int, int],
    weights: np.ndarray,
    limits: np.ndarray,
    work: tuple[np.ndarray, np.ndarray, np.ndarray],
    out: np.ndarray,
) -> None:
    """Set the bits of the planes whose pixels make up more than their limit of the kernel."""
    any_bits, all_bits = planes
    flagged, tile, share = work
    n = weights.shape[0]
    largest = weights.max()
    out[:] = all_bits
    for plane in range(limits.size):
        bit = 1 << plane
        if not any_bits & bit or all_bits & bit:
            continue
        number = 0
        for row in range(out.shape[0] + n - 1):
            for column in range(out.shape[1] + n - 1):
                flagged[row, column] = flags[row, column] & bit != 0
                number += flagged[row, column]
        if number * largest <= limits[plane]:
            continue
        _shares(flagged, number, weights, tile, share)
        for y in range(out.shape[0]):
            for x in range(out.shape[1]):
                if share[y, x] > limits[plane]:
                    out[y, x] |= bit


@inner_kernel
def _kernel_of_block(
    coefficients: np.ndarray,
    order: int,
    scaling: tuple[float, float, float, float],
    corner: tuple[int, int],
    block: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray]:
    """The mirrored kernel in the middle of a block, and its change by column."""
    y = scaling[2] + scaling[3] * (corner[0] + 0.5 * (block[0] - 1))
    left = scaling[0] + scaling[1] * corner[1]
    right = left + scaling[1] * (block[1] - 1)
    first, last = kernel_at(coefficients, order, left, y), kernel_at(coefficients, order, right, y)
    middle = 0.5 * (first + last)
    slope = (last - first) / max(block[1] - 1, 1)
    return middle[::-1, ::-1].copy(), slope[::-1, ::-1].copy()


@inner_kernel
def _workspace(
    block: tuple[int, int], n: int
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Tiles of a block and what its windows reach, room to work in, and sums over the block."""
    tall, wide = block[0] + n - 1, block[1] + n - 1 + TAPS_AT_ONCE
    tiles = (
        np.zeros((tall, wide), np.float32),
        np.zeros((tall, wide), np.float32),
        np.zeros((tall, wide), np.bool_),
        np.zeros((tall, wide), np.bool_),
        np.zeros((tall, wide), np.int32),
    )
    scratch = np.zeros((tall, wide), np.bool_), np.zeros((tall, wide), np.float32), np.zeros(block, np.float32)
    sums = (
        np.zeros(block, np.float32),
        np.zeros(block, np.float32),
        np.zeros(block, np.float32),
        np.zeros(block, np.float32),
        np.zeros(block, np.float32),
    )
    return tiles, scratch, sums


@inner_kernel
def _sum_block(
    tiles: tuple[np.ndarray, ...],
    kernels: tuple[np.ndarray, np.ndarray, np.ndarray],
    numbers: tuple[int, int],
    scratch: tuple[np.ndarray, np.ndarray, np.ndarray],
    sums: tuple[np.ndarray, ...],
) -> None:
    """Sums under the kernel of a block: values, variances, missing pixels (by strength and signed), unmeasured ones."""
    kernel, slope, strength = kernels
    value, spread, lost, signed, unknown = sums
    _, indicator, change = scratch
    columns = value.shape[1]
    _correlate(tiles[0], _padded(kernel), 0, value)
    if np.abs(slope).max() * columns > NO_CHANGE * np.abs(kernel).max():
        _correlate(tiles[0], _padded(slope), 0, change)
        for y in range(value.shape[0]):
            for x in range(columns):
                value[y, x] += np.float32(x - 0.5 * (columns - 1)) * change[y, x]
    square = _squared(kernel)
    _correlate(tiles[1], _padded(square), (kernel.shape[0] - square.shape[0]) // 2, spread)
    _shares(tiles[2], numbers[0], strength, indicator, lost)
    _shares(tiles[2], numbers[0], kernel, indicator, signed)
    _shares(tiles[3], numbers[1], strength, indicator, unknown)


@inner_kernel
def _store_block(
    tiles: tuple[np.ndarray, ...],
    sums: tuple[np.ndarray, ...],
    found: np.ndarray,
    rules: tuple[float, float, int],
    corner: tuple[int, int],
    out: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Write a block's results; missing pixels stay missing."""
    value, spread, lost, signed, unknown = sums
    missing_limit, unmeasured_limit, no_data = rules
    half = (tiles[0].shape[0] - value.shape[0]) // 2
    rows = min(value.shape[0], out[0].shape[0] - corner[0])
    columns = min(value.shape[1], out[0].shape[1] - corner[1])
    for y in range(rows):
        for x in range(columns):
            row, column = corner[0] + y, corner[1] + x
            if tiles[2][y + half, x + half]:
                out[2][row, column] = found[y, x] | no_data | tiles[4][y + half, x + half]
            elif lost[y, x] > missing_limit:
                out[2][row, column] = found[y, x] | no_data
            else:
                present, measured = 1.0 - signed[y, x], 1.0 - signed[y, x] - unknown[y, x]
                out[0][row, column] = value[y, x] / present
                if unknown[y, x] <= unmeasured_limit:
                    out[1][row, column] = spread[y, x] / (measured * measured)
                out[2][row, column] = found[y, x]


@njit(cache=True, nogil=True)
def convolve_varying(
    planes: tuple[np.ndarray, np.ndarray, np.ndarray],
    coefficients: np.ndarray,
    order: int,
    scaling: tuple[float, float, float, float],
    block: tuple[int, int],
    limits: np.ndarray,
    rules: tuple[float, float, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Convolve the three planes of a frame with a kernel that changes as Chebyshev polynomials of the position.

    Parameters
    ----------
    planes
        Image and variance float32 and mask int32, all ``[y, x]``.  A pixel without a value is not finite, one without
        a measurement has a variance that is not finite.
    coefficients
        Of the kernel, float64 ``[term, n, n]`` with n odd; terms as in `chebyshev_terms`.
    order
        Order of the polynomials.
    scaling
        ``(ax, bx, ay, by)``: the polynomials' arguments are ``ax + bx * column`` and ``ay + by * row``.
    block
        Rows over which the kernel stays the same, and columns over which it changes linearly.
    limits
        For every plane of the mask, the share of the kernel from which on its pixels hand it on.
    rules
        Share of missing pixels above which the result is missing, and of unmeasured ones above which it is unmeasured;
        the bit of missing pixels.

    Returns
    -------
    image, variance, bits
        Float32, float32, int32 ``[y, x]``.  Missing pixels stay missing.
    """
    height, width = planes[0].shape
    n = coefficients.shape[1]
    out = (
        np.full((height, width), np.nan, np.float32),
        np.full((height, width), np.inf, np.float32),
        np.empty((height, width), np.int32),
    )
    tiles, scratch, sums = _workspace(block, n)
    found = np.empty(block, np.int32)
    size = (block[0] + n - 1, block[1] + n - 1)
    for top in range(0, height, block[0]):
        for left in range(0, width, block[1]):
            n_missing, n_unmeasured, any_bits, all_bits = _load(planes, (top - n // 2, left - n // 2), tiles, size)
            if n_missing == size[0] * size[1]:
                found[:] = all_bits
            else:
                kernel, slope = _kernel_of_block(coefficients, order, scaling, (top, left), block)
                strength = np.abs(kernel)
                strength /= strength.sum()
                _sum_block(tiles, (kernel, slope, strength), (n_missing, n_unmeasured), scratch, sums)
                _hand_on_bits(tiles[4], (any_bits, all_bits), strength, limits, scratch, found)
            _store_block(tiles, sums, found, rules, (top, left), out)
    return out
