"""Resampling of image, variance and mask in one pass, from a pixel mapping given on a coarse grid.

The kernels are windowed sincs (Duchon 1979, J. Appl. Meteorol. 18, 1016); between its nodes the mapping is a cubic.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .inner import inner_kernel

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


@inner_kernel
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


@inner_kernel
def _nodes_of_row(nodes: np.ndarray, row: int, step: int, out: np.ndarray) -> None:
    """Interpolate a mapping along y at one destination row."""
    j = row // step
    w0, w1, w2, w3 = _cubic((row - j * step) / step)
    for i in range(out.size):
        out[i] = w0 * nodes[j, i] + w1 * nodes[j + 1, i] + w2 * nodes[j + 2, i] + w3 * nodes[j + 3, i]


@inner_kernel
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


@inner_kernel
def _area_at(x: np.ndarray, y: np.ndarray, j: int, i: int, step: int) -> float:
    """Area on the source of a destination pixel at a node, from the nodes around it."""
    xx, xy = x[j, i + 1] - x[j, i - 1], x[j + 1, i] - x[j - 1, i]
    yx, yy = y[j, i + 1] - y[j, i - 1], y[j + 1, i] - y[j - 1, i]
    return float(abs(xx * yy - xy * yx) / (4.0 * step * step))


@inner_kernel
def _areas_of_row(x: np.ndarray, y: np.ndarray, row: int, step: int, out: np.ndarray) -> None:
    """Area on the source of every destination pixel of a row, linear between the nodes."""
    j = row // step
    t = (row - j * step) / step
    right = (1.0 - t) * _area_at(x, y, j + 1, 1, step) + t * _area_at(x, y, j + 2, 1, step)
    for start in range(0, out.size, step):
        i = start // step + 2
        left = right
        right = (1.0 - t) * _area_at(x, y, j + 1, i, step) + t * _area_at(x, y, j + 2, i, step)
        slope = (right - left) / step
        for k in range(min(step, out.size - start)):
            out[start + k] = left + slope * k


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


@inner_kernel
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
    total = weight = spread = measured = lost = inside = outside = unmeasured = 0.0
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
            inside += abs(w)
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
    if outside > NEGLIGIBLE_WEIGHT and inside > NEGLIGIBLE_WEIGHT:
        found |= edge
    if lost > NEGLIGIBLE_WEIGHT:
        return np.nan, np.inf, found | no_data
    if unmeasured > significant:
        return total / weight, np.inf, found
    return total / weight, spread / (measured * measured), found


@inner_kernel
def _weights(table: np.ndarray, k: np.uint64, fraction: float, out: np.ndarray) -> None:
    """The kernel between entries ``k`` and ``k + 1`` of its table."""
    for i in range(out.size):
        out[i] = table[k, i] + fraction * (table[k + np.uint64(1), i] - table[k, i])


# Unrolled by hand, with unsigned indices into flat planes, sums of 36 products in the planes' own float32 and these
# contracted to fused multiply-adds, this takes half the time of the general loop below; contraction assumes nothing
# about NaN.
@njit(cache=True, nogil=True, fastmath={"contract"})
def _six_taps(
    image: np.ndarray,
    variance: np.ndarray,
    at: np.uint64,
    width: np.uint64,
    table: np.ndarray,
    across: tuple[np.uint64, float],
    along: tuple[np.uint64, float],
) -> tuple[float, float]:
    """Weighted sums over 6 x 6 pixels of the flat planes from position ``at`` on."""
    k, f = across
    n = k + np.uint64(1)
    w0 = np.float32(table[k, 0] + f * (table[n, 0] - table[k, 0]))
    w1 = np.float32(table[k, 1] + f * (table[n, 1] - table[k, 1]))
    w2 = np.float32(table[k, 2] + f * (table[n, 2] - table[k, 2]))
    w3 = np.float32(table[k, 3] + f * (table[n, 3] - table[k, 3]))
    w4 = np.float32(table[k, 4] + f * (table[n, 4] - table[k, 4]))
    w5 = np.float32(table[k, 5] + f * (table[n, 5] - table[k, 5]))
    v0, v1, v2, v3, v4, v5 = w0 * w0, w1 * w1, w2 * w2, w3 * w3, w4 * w4, w5 * w5
    k, f = along
    n = k + np.uint64(1)
    total = spread = np.float32(0.0)
    p0 = at
    for j in range(6):
        w = np.float32(table[k, j] + f * (table[n, j] - table[k, j]))
        p1, p2, p3 = p0 + np.uint64(1), p0 + np.uint64(2), p0 + np.uint64(3)
        p4, p5 = p0 + np.uint64(4), p0 + np.uint64(5)
        total += w * (
            w0 * image[p0] + w1 * image[p1] + w2 * image[p2] + w3 * image[p3] + w4 * image[p4] + w5 * image[p5]
        )
        spread += (w * w) * (
            v0 * variance[p0]
            + v1 * variance[p1]
            + v2 * variance[p2]
            + v3 * variance[p3]
            + v4 * variance[p4]
            + v5 * variance[p5]
        )
        p0 += width
    return total, spread  # type: ignore[return-value]


@inner_kernel
def _many_taps(
    image: np.ndarray, variance: np.ndarray, corner: tuple[int, int], wx: np.ndarray, wy: np.ndarray
) -> tuple[float, float]:
    """Weighted sums over a window that starts at ``corner`` (y, x)."""
    total = spread = 0.0
    for j in range(wy.size):
        along = along2 = 0.0
        for i in range(wx.size):
            along += wx[i] * image[corner[0] + j, corner[1] + i]
            along2 += wx[i] * wx[i] * variance[corner[0] + j, corner[1] + i]
        total += wy[j] * along
        spread += wy[j] * wy[j] * along2
    return total, spread


@inner_kernel
def _bits_of_window(
    bits: np.ndarray, corner: tuple[int, int], wx: np.ndarray, wy: np.ndarray, significant: float
) -> int:
    """OR of the mask bits of the pixels whose weight is significant."""
    found = 0
    for j in range(wy.size):
        for i in range(wx.size):
            if abs(wy[j] * wx[i]) > significant:
                found |= bits[corner[0] + j, corner[1] + i]
    return found


@njit(cache=True, nogil=True, fastmath={"contract"})
def _resample_rows(
    source: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    mapping: tuple[np.ndarray, np.ndarray, int],
    table: np.ndarray,
    rules: tuple[float, int, int],
    out: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """The loop over destination pixels; see `resample`."""
    image, variance, bits, windows = source
    flat_image, flat_variance = image.ravel(), variance.ravel()
    x_nodes, y_nodes, step = mapping
    out_image, out_variance, out_bits = out
    ny, nx = image.shape
    rows, columns = out_image.shape
    significant, no_data, _ = rules
    width = np.uint64(nx)
    taps = table.shape[1]
    far_x, far_y = float(nx + taps), float(ny + taps)
    nodes = np.empty(x_nodes.shape[1])
    x, y, area = np.empty(columns), np.empty(columns), np.empty(columns)
    wx, wy = np.empty(taps), np.empty(taps)
    for r in range(rows):
        _nodes_of_row(x_nodes, r, step, nodes)
        _positions_of_row(nodes, step, x)
        _nodes_of_row(y_nodes, r, step, nodes)
        _positions_of_row(nodes, step, y)
        _areas_of_row(x_nodes, y_nodes, r, step, area)
        for c in range(columns):
            if not (-16.0 < x[c] < far_x and -16.0 < y[c] < far_y):
                out_image[r, c], out_variance[r, c], out_bits[r, c] = np.nan, np.inf, no_data
                continue
            left, bottom = np.floor(x[c]), np.floor(y[c])
            fx, fy = (x[c] - left) * TABLE_STEPS, (y[c] - bottom) * TABLE_STEPS
            kx, ky = np.uint64(fx), np.uint64(fy)
            fx, fy = fx - kx, fy - ky
            ix, iy = int(left) - taps // 2 + 1, int(bottom) - taps // 2 + 1
            inside = ix >= 0 and iy >= 0 and ix + taps <= nx and iy + taps <= ny
            state = windows[np.uint64(iy), np.uint64(ix)] if inside else _UNMEASURED
            found = 0
            if state == 0 and taps == 6:
                at = np.uint64(iy) * width + np.uint64(ix)
                value, spread = _six_taps(flat_image, flat_variance, at, width, table, (kx, fx), (ky, fy))
            else:
                _weights(table, kx, fx, wx)
                _weights(table, ky, fy, wy)
                if state & _UNMEASURED:
                    value, spread, found = _careful_pixel(image, variance, bits, (iy, ix), wx, wy, rules)
                else:
                    value, spread = _many_taps(image, variance, (iy, ix), wx, wy)
                    found = _bits_of_window(bits, (iy, ix), wx, wy, significant)
            out_image[r, c], out_variance[r, c] = value * area[c], spread * area[c] * area[c]
            out_bits[r, c] = found


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
    planes = (np.ascontiguousarray(image), np.ascontiguousarray(variance), np.ascontiguousarray(bits), windows)
    _resample_rows(planes, (x_nodes, y_nodes, step), table, rules, out)
    return out
