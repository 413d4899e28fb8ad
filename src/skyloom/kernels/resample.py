"""Resampling of image, variance and mask in one pass, from a pixel mapping given on a coarse grid.

The kernels are windowed sincs (Duchon 1979, J. Appl. Meteorol. 18, 1016); between its nodes the mapping is a cubic.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit

__all__ = ["NEGLIGIBLE_WEIGHT", "kernel_table", "mapping_at", "resample"]

TABLE_STEPS = 1024
"""Fractional positions at which a kernel is tabulated; linear interpolation between them errs by 5e-7."""
NEGLIGIBLE_WEIGHT = 1e-3
"""Pixels without a value may carry this share of the kernel; it is handed to the others."""
SNAP = 2.0**20
"""Positions are rounded to 1 / SNAP pixel, so that a shift by whole pixels returns the pixels as they are."""

_HAS_BITS = np.uint8(1)
_UNMEASURED = np.uint8(2)


def kernel_table(order: int) -> np.ndarray:
    """Weights of a one-dimensional kernel at fractional positions 0, 1/1024, ..., 1.

    Parameters
    ----------
    order
        1 for bilinear; n >= 2 for Lanczos-n, ``sinc(x) sinc(x / n)``.

    Returns
    -------
    numpy.ndarray
        float64 ``[1025, taps]``; a row sums to 1, and its taps lie at ``1 - taps / 2, ..., taps / 2`` from the pixel
        left of the position.

    Notes
    -----
    Lanczos kernels are not exact on slopes: shifted by a fraction of a pixel, a star of 3 pixels FWHM is misplaced by
    up to 0.003 pixel with order 3 and by 0.0001 with order 5, one of 5 pixels by 0.011 and 0.0025.  The PSF of a warp
    carries the same displacement.
    """
    fraction = np.arange(TABLE_STEPS + 1) / TABLE_STEPS
    half = max(order, 3)
    distance = fraction[:, None] - np.arange(1 - half, half + 1)
    if order == 1:
        weights = np.clip(1.0 - np.abs(distance), 0.0, None)
    else:
        weights = np.where(np.abs(distance) < order, np.sinc(distance) * np.sinc(distance / order), 0.0)
    weights[np.abs(weights) < 1e-14] = 0.0
    table: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
    return table


@njit(cache=True, nogil=True)
def _cubic(t: float) -> tuple[float, float, float, float]:
    """Lagrange's weights of four equidistant nodes at ``t`` between the middle two; largest error at t = 1/2."""
    return (
        -t * (t - 1.0) * (t - 2.0) / 6.0,
        (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0,
        -(t + 1.0) * t * (t - 2.0) / 2.0,
        (t + 1.0) * t * (t - 1.0) / 6.0,
    )


@njit(cache=True, nogil=True)
def mapping_at(nodes: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A mapping interpolated at positions in units of the grid step.

    Parameters
    ----------
    nodes
        Values float64 ``[j, i]`` at steps -1, 0, 1, ... of both axes.
    x, y
        Positions float64 ``[n]``, from 0 to the last node but one.
    """
    value = np.empty(x.size)
    for n in range(x.size):
        i, j = int(x[n]), int(y[n])
        across, along = _cubic(x[n] - i), _cubic(y[n] - j)
        total = 0.0
        for b in range(4):
            for a in range(4):
                total += along[b] * across[a] * nodes[j + b, i + a]
        value[n] = total
    return value


@njit(cache=True, nogil=True)
def _nodes_of_row(nodes: np.ndarray, row: int, step: int, out: np.ndarray) -> None:
    """Interpolate a mapping along y at one destination row."""
    j = row // step
    w0, w1, w2, w3 = _cubic((row - j * step) / step)
    for i in range(out.size):
        out[i] = w0 * nodes[j, i] + w1 * nodes[j + 1, i] + w2 * nodes[j + 2, i] + w3 * nodes[j + 3, i]


@njit(cache=True, nogil=True)
def _positions_of_row(nodes: np.ndarray, step: int, out: np.ndarray) -> None:
    """Interpolate a row's nodes along x at every destination pixel, rounded to 1 / SNAP."""
    for start in range(0, out.size, step):
        i = start // step
        p0, p1, p2, p3 = nodes[i], nodes[i + 1], nodes[i + 2], nodes[i + 3]
        c1 = p2 - p0 / 3.0 - p1 / 2.0 - p3 / 6.0
        c2 = (p0 + p2) / 2.0 - p1
        c3 = (p3 - p0) / 6.0 + (p1 - p2) / 2.0
        for k in range(min(step, out.size - start)):
            t = k / step
            out[start + k] = np.floor((((c3 * t + c2) * t + c1) * t + p1) * SNAP + 0.5) / SNAP


@njit(cache=True, nogil=True)
def _areas_of_row(x: np.ndarray, y: np.ndarray, row: int, step: int, out: np.ndarray) -> None:
    """Area on the source of the destination pixels at the grid's columns of one row."""
    j = row // step
    t = (row - j * step) / step
    for i in range(out.size):
        area = 0.0
        for b in range(2):
            n, m = j + 1 + b, i + 1
            xx, xy = x[n, m + 1] - x[n, m - 1], x[n + 1, m] - x[n - 1, m]
            yx, yy = y[n, m + 1] - y[n, m - 1], y[n + 1, m] - y[n - 1, m]
            area += (t if b else 1.0 - t) * abs(xx * yy - xy * yx)
        out[i] = area / (4.0 * step * step)


@njit(cache=True, nogil=True)
def _window_states(image: np.ndarray, variance: np.ndarray, bits: np.ndarray, taps: int) -> np.ndarray:
    """What the window of ``taps`` x ``taps`` pixels that starts at a pixel holds: mask bits, unmeasured pixels.

    uint8 ``[ny - taps + 1, nx - taps + 1]``; it lets windows without either take the short way.
    """
    ny, nx = image.shape
    across = np.empty((ny, nx - taps + 1), np.uint8)
    state = np.empty(nx, np.uint8)
    for r in range(ny):
        for c in range(nx):
            value = _HAS_BITS if bits[r, c] != 0 else np.uint8(0)
            if not (np.isfinite(image[r, c]) and np.isfinite(variance[r, c])):
                value |= _UNMEASURED
            state[c] = value
        for c in range(nx - taps + 1):
            across[r, c] = state[c]
        for k in range(1, taps):
            for c in range(nx - taps + 1):
                across[r, c] |= state[c + k]
    windows = np.empty((ny - taps + 1, nx - taps + 1), np.uint8)
    for r in range(ny - taps + 1):
        for c in range(nx - taps + 1):
            windows[r, c] = across[r, c]
        for k in range(1, taps):
            for c in range(nx - taps + 1):
                windows[r, c] |= across[r + k, c]
    return windows


@njit(cache=True, nogil=True)
def _careful_pixel(
    image: np.ndarray,
    variance: np.ndarray,
    bits: np.ndarray,
    corner: tuple[int, int],
    wx: np.ndarray,
    wy: np.ndarray,
    rules: tuple[float, int, int],
) -> tuple[float, float, int]:
    """One destination pixel whose window holds unmeasured pixels or leaves the source."""
    ny, nx = image.shape
    significant, no_data, edge = rules
    total = weight = spread = measured = lost = outside = unmeasured = 0.0
    found = 0
    for j in range(wy.size):
        for i in range(wx.size):
            w = wy[j] * wx[i]
            if w == 0.0:
                continue
            row, column = corner[0] + j, corner[1] + i
            if row < 0 or column < 0 or row >= ny or column >= nx:
                lost += abs(w)
                outside += abs(w)
                continue
            if abs(w) > significant:
                found |= bits[row, column]
            if not np.isfinite(image[row, column]):
                lost += abs(w)
                continue
            total += w * image[row, column]
            weight += w
            if np.isfinite(variance[row, column]):
                spread += w * w * variance[row, column]
                measured += w
            else:
                unmeasured += abs(w)
    if outside > NEGLIGIBLE_WEIGHT:
        found |= edge
    if lost > NEGLIGIBLE_WEIGHT:
        return np.nan, np.inf, found | no_data
    if unmeasured > significant:
        return total / weight, np.inf, found
    return total / weight, spread / (measured * measured), found


def _row_resampler(taps: int) -> Callable[..., None]:
    """The loop over destination pixels for kernels of a fixed number of taps, which the compiler unrolls."""

    @njit(cache=True, nogil=True)
    def plain_pixel(
        image: np.ndarray,
        variance: np.ndarray,
        row: np.uint64,
        column: np.uint64,
        wx: np.ndarray,
        wy: np.ndarray,
        wx2: np.ndarray,
    ) -> tuple[float, float]:
        total = spread = 0.0
        for j in range(taps):
            along = along2 = 0.0
            for i in range(taps):
                along += wx[i] * image[row + np.uint64(j), column + np.uint64(i)]
                along2 += wx2[i] * variance[row + np.uint64(j), column + np.uint64(i)]
            total += wy[j] * along
            spread += wy[j] * wy[j] * along2
        return total, spread

    @njit(cache=True, nogil=True)
    def resample_rows(
        source: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
        mapping: tuple[np.ndarray, np.ndarray, int],
        table: np.ndarray,
        rules: tuple[float, int, int],
        out: tuple[np.ndarray, np.ndarray, np.ndarray],
    ) -> None:
        image, variance, bits, windows = source
        x_nodes, y_nodes, step = mapping
        significant, no_data, _ = rules
        ny, nx = image.shape
        rows, columns = out[0].shape
        nodes = np.empty(x_nodes.shape[1])
        x, y = np.empty(columns), np.empty(columns)
        areas = np.empty(x_nodes.shape[1] - 2)
        wx, wy, wx2 = np.empty(taps), np.empty(taps), np.empty(taps)
        for r in range(rows):
            _nodes_of_row(x_nodes, r, step, nodes)
            _positions_of_row(nodes, step, x)
            _nodes_of_row(y_nodes, r, step, nodes)
            _positions_of_row(nodes, step, y)
            _areas_of_row(x_nodes, y_nodes, r, step, areas)
            for c in range(columns):
                if not (-taps < x[c] < nx + taps and -taps < y[c] < ny + taps):
                    out[0][r, c], out[1][r, c], out[2][r, c] = np.nan, np.inf, no_data
                    continue
                left, bottom = np.floor(x[c]), np.floor(y[c])
                fx, fy = (x[c] - left) * TABLE_STEPS, (y[c] - bottom) * TABLE_STEPS
                kx, ky = np.uint64(fx), np.uint64(fy)
                fx, fy = fx - kx, fy - ky
                for i in range(taps):
                    a, b = table[kx, i], table[ky, i]
                    wx[i] = a + fx * (table[kx + np.uint64(1), i] - a)
                    wy[i] = b + fy * (table[ky + np.uint64(1), i] - b)
                    wx2[i] = wx[i] * wx[i]
                ix, iy = int(left) - taps // 2 + 1, int(bottom) - taps // 2 + 1
                found = 0
                inside = ix >= 0 and iy >= 0 and ix + taps <= nx and iy + taps <= ny
                state = windows[iy, ix] if inside else _UNMEASURED
                if state & _UNMEASURED:
                    value, spread, found = _careful_pixel(image, variance, bits, (iy, ix), wx, wy, rules)
                else:
                    value, spread = plain_pixel(image, variance, np.uint64(iy), np.uint64(ix), wx, wy, wx2)
                    if state & _HAS_BITS:
                        for j in range(taps):
                            for i in range(taps):
                                if abs(wy[j] * wx[i]) > significant:
                                    found |= bits[iy + j, ix + i]
                cell = c // step
                area = areas[cell] + (areas[cell + 1] - areas[cell]) * ((c - cell * step) / step)
                out[0][r, c], out[1][r, c], out[2][r, c] = value * area, spread * area * area, found

    return resample_rows  # type: ignore[no-any-return]


_BY_TAPS = {taps: _row_resampler(taps) for taps in (6, 8, 10)}


def resample(
    image: np.ndarray,
    variance: np.ndarray,
    bits: np.ndarray,
    x_nodes: np.ndarray,
    y_nodes: np.ndarray,
    step: int,
    shape: tuple[int, int],
    *,
    order: int = 3,
    significant_weight: float = 0.05,
    no_data: int = 0,
    edge: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Resample the three planes of a frame; flux is conserved by the area that each pixel covers on the source.

    Parameters
    ----------
    image, variance
        float32 ``[y, x]``; a pixel without a value is not finite, one without a measurement has a variance that is
        not finite.
    bits
        Mask int32 ``[y, x]``.
    x_nodes, y_nodes
        Source position, in array pixels, float64 ``[j, i]`` at destination rows and columns ``-step, 0, step, ...``
        up to at least one node beyond the one that ends the destination.
    step
        Distance of the nodes in destination pixels.
    shape
        Shape ``[y, x]`` of the destination.
    order
        Kernel, as for `kernel_table`.
    significant_weight
        A mask bit is taken over from source pixels of larger absolute weight; where unmeasured pixels together have
        more, the result counts as unmeasured (variance +inf) but keeps its value.
    no_data
        Bits to set where pixels without a value, or beyond the source, have more than a negligible weight; the result
        has no value there (NaN, variance +inf).
    edge
        Bits to set where pixels beyond the source have more than a negligible weight but some lie inside.

    Returns
    -------
    image, variance, bits
        float32, float32, int32 of ``shape``.

    Raises
    ------
    ValueError
        If the nodes do not cover the destination.
    """
    need = [-(-n // step) + 3 for n in shape]
    if x_nodes.shape != y_nodes.shape or x_nodes.shape[0] < need[0] or x_nodes.shape[1] < need[1]:
        raise ValueError(f"Nodes of shape {x_nodes.shape} and {y_nodes.shape} do not cover {shape} at step {step}.")
    table = kernel_table(order)
    taps = table.shape[1]
    out = np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.int32)
    windows = np.zeros((0, 0), np.uint8)
    if min(image.shape) >= taps:
        windows = _window_states(image, variance, bits, taps)
    rules = float(significant_weight), int(no_data), int(edge)
    _BY_TAPS[taps]((image, variance, bits, windows), (x_nodes, y_nodes, step), table, rules, out)
    return out
