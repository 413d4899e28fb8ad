"""Resampling of image, variance and mask in one pass, from a pixel mapping given on a coarse grid.

The kernels are windowed sincs (Duchon 1979, J. Appl. Meteorol. 18, 1016).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .inner import inner_kernel
from .pixel_map import areas_of_row, nodes_of_row, positions_of_row

__all__ = ["NEGLIGIBLE_WEIGHT", "kernel_table", "resample"]

TABLE_STEPS = 1024
"""Fractional positions at which a kernel is tabulated; linear interpolation between them errs by 5e-7."""
NEGLIGIBLE_WEIGHT = 1e-3
"""Pixels without a value may carry this share of the kernel; it is handed to the others."""

_HAS_BITS = np.uint8(1)
_UNMEASURED = np.uint8(2)
_LANES = {2: 2, 4: 4, 6: 8, 8: 8, 10: 16}
"""Taps of a kernel: columns that are summed, the last ones with weight 0, so that a processor takes them at once."""


def kernel_table(order: int) -> np.ndarray:
    """Weights of a one-dimensional kernel at fractional positions 0, 1/1024, ..., 1.

    Parameters
    ----------
    order
        1 for bilinear; n >= 2 for Lanczos-n, ``sinc(x) sinc(x / n)``.

    Returns
    -------
    numpy.ndarray
        float64 ``[1025, 2 order]``; a row sums to 1, and its taps lie at ``1 - order, ..., order`` from the pixel left
        of the position.

    Notes
    -----
    Lanczos kernels are not exact on slopes: shifted by a fraction of a pixel, a star of 3 pixels FWHM is misplaced by
    up to 0.003 pixel with order 3 and by 0.0001 with order 5, one of 5 pixels by 0.011 and 0.0025.  The PSF of a warp
    carries the same displacement.
    """
    fraction = np.arange(TABLE_STEPS + 1) / TABLE_STEPS
    distance = fraction[:, None] - np.arange(1 - order, order + 1)
    if order == 1:
        weights = np.clip(1.0 - np.abs(distance), 0.0, None)
    else:
        weights = np.where(np.abs(distance) < order, np.sinc(distance) * np.sinc(distance / order), 0.0)
    weights[np.abs(weights) < 1e-14] = 0.0
    table: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
    return table


@njit(cache=True, nogil=True)
def _window_states(image: np.ndarray, variance: np.ndarray, bits: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """What the window of ``rows`` x ``columns`` pixels that starts at a pixel holds: mask bits, unmeasured pixels.

    uint8 ``[ny - rows + 1, nx - columns + 1]``; it lets windows without either take the short way.
    """
    ny, nx = image.shape
    across = np.empty((ny, nx - columns + 1), np.uint8)
    state = np.empty(nx, np.uint8)
    for r in range(ny):
        for c in range(nx):
            value = _HAS_BITS if bits[r, c] != 0 else np.uint8(0)
            if not (np.isfinite(image[r, c]) and np.isfinite(variance[r, c])):
                value |= _UNMEASURED
            state[c] = value
        for c in range(nx - columns + 1):
            across[r, c] = state[c]
        for k in range(1, columns):
            for c in range(nx - columns + 1):
                across[r, c] |= state[c + k]
    windows = np.empty((ny - rows + 1, nx - columns + 1), np.uint8)
    for r in range(ny - rows + 1):
        for c in range(nx - columns + 1):
            windows[r, c] = across[r, c]
        for k in range(1, rows):
            for c in range(nx - columns + 1):
                windows[r, c] |= across[r + k, c]
    return windows


@inner_kernel
def _handed_on(here: int, w: float, i: int, j: int, masking: tuple[float, int, int], half: int) -> int:
    """Mask bits that a source pixel of weight ``w`` at tap (j, i) hands on."""
    least, reach, grown = masking
    near = half - reach <= i < half + reach and half - reach <= j < half + reach
    return here if near and w > least else here & grown


@inner_kernel
def _careful_pixel(
    image: np.ndarray,
    variance: np.ndarray,
    bits: np.ndarray,
    corner: tuple[int, int],
    wx: np.ndarray,
    wy: np.ndarray,
    taps: int,
    rules: tuple[float, int, int],
    masking: tuple[float, int, int],
) -> tuple[float, float, int]:
    """One destination pixel whose window holds unmeasured pixels or leaves the source."""
    ny, nx = image.shape
    significant, no_data, edge = rules
    total = weight = spread = measured = lost = inside = outside = unmeasured = 0.0
    found = 0
    for j in range(taps):
        for i in range(taps):
            w = np.float64(wy[j]) * np.float64(wx[i])
            if w == 0.0:
                continue
            row, column = corner[0] + j, corner[1] + i
            if row < 0 or column < 0 or row >= ny or column >= nx:
                lost += abs(w)
                outside += abs(w)
                continue
            inside += abs(w)
            found |= _handed_on(bits[row, column], abs(w), i, j, masking, taps // 2)
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
    part = np.float32(fraction)
    for i in range(out.size):
        out[i] = table[k, i] + part * (table[k + np.uint64(1), i] - table[k, i])


# The lengths of two tuples tell the compiler how many rows and columns there are: it unrolls the rows and takes all
# columns of one at once.  Sums of so few products are good to a part in 1e6 in the planes' own float32, in any order;
# nothing is assumed about NaN.
@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def _window_sums(
    image: np.ndarray,
    variance: np.ndarray,
    at: np.uint64,
    width: np.uint64,
    table: np.ndarray,
    across: tuple[np.uint64, float],
    along: tuple[np.uint64, float],
    rows: tuple[int, ...],
    columns: tuple[int, ...],
) -> tuple[float, float]:
    """Weighted sums over the window of the flat planes that starts at position ``at``."""
    kx, ky = across[0], along[0]
    fx, fy = np.float32(across[1]), np.float32(along[1])
    nx, ny = kx + np.uint64(1), ky + np.uint64(1)
    total = spread = np.float32(0.0)
    for i in range(len(columns)):
        value = noise = np.float32(0.0)
        place = at + np.uint64(i)
        for j in range(len(rows)):
            w = table[ky, j] + fy * (table[ny, j] - table[ky, j])
            value += w * image[place]
            noise += w * w * variance[place]
            place += width
        w = table[kx, i] + fx * (table[nx, i] - table[kx, i])
        total += w * value
        spread += w * w * noise
    return total, spread  # type: ignore[return-value]


@inner_kernel
def _bits_of_window(
    bits: np.ndarray,
    corner: tuple[int, int],
    wx: np.ndarray,
    wy: np.ndarray,
    taps: int,
    masking: tuple[float, int, int],
) -> int:
    """The mask bits that the pixels of a window hand on."""
    found = 0
    for j in range(taps):
        for i in range(taps):
            w = abs(np.float64(wy[j]) * np.float64(wx[i]))
            if w > 0.0:
                found |= _handed_on(bits[corner[0] + j, corner[1] + i], w, i, j, masking, taps // 2)
    return found


@njit(cache=True, nogil=True, fastmath={"contract"})
def _resample_rows(
    source: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    origin: tuple[int, int],
    mapping: tuple[np.ndarray, np.ndarray, int, int, int],
    table: np.ndarray,
    window: tuple[tuple[int, ...], tuple[int, ...]],
    rules: tuple[float, int, int],
    masking: tuple[float, int, int],
    conserve_flux: bool,
    out: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """The loop over destination pixels; see `resample`."""
    image, variance, bits, states = source
    flat_image, flat_variance = image.ravel(), variance.ravel()
    x_nodes, y_nodes, step, first_row, first_column = mapping
    out_image, out_variance, out_bits = out
    ny, nx = image.shape
    rows, columns = out_image.shape
    width = np.uint64(nx)
    taps = len(window[0])
    wide = len(window[1])
    far_x, far_y = float(nx + taps), float(ny + taps)
    nodes = np.empty(x_nodes.shape[1])
    x, y = np.empty(first_column + columns), np.empty(first_column + columns)
    area = np.ones(first_column + columns)
    wx, wy = np.empty(wide, np.float32), np.empty(wide, np.float32)
    for r in range(rows):
        nodes_of_row(x_nodes, first_row + r, step, nodes)
        positions_of_row(nodes, step, x)
        nodes_of_row(y_nodes, first_row + r, step, nodes)
        positions_of_row(nodes, step, y)
        if conserve_flux:
            areas_of_row(x_nodes, y_nodes, first_row + r, step, area)
        for c in range(columns):
            at_x, at_y = x[first_column + c] - origin[0], y[first_column + c] - origin[1]
            if not (-16.0 < at_x < far_x and -16.0 < at_y < far_y):
                out_image[r, c], out_variance[r, c], out_bits[r, c] = np.nan, np.inf, rules[1]
                continue
            left, bottom = np.floor(at_x), np.floor(at_y)
            fx, fy = (at_x - left) * TABLE_STEPS, (at_y - bottom) * TABLE_STEPS
            kx, ky = np.uint64(fx), np.uint64(fy)
            fx, fy = fx - kx, fy - ky
            ix, iy = int(left) - taps // 2 + 1, int(bottom) - taps // 2 + 1
            inside = ix >= 0 and iy >= 0 and ix + wide <= nx and iy + taps <= ny
            state = states[np.uint64(iy), np.uint64(ix)] if inside else _UNMEASURED
            found = 0
            if state:
                _weights(table, kx, fx, wx)
                _weights(table, ky, fy, wy)
            if state & _UNMEASURED:
                value, spread, found = _careful_pixel(image, variance, bits, (iy, ix), wx, wy, taps, rules, masking)
            else:
                start = np.uint64(iy) * width + np.uint64(ix)
                value, spread = _window_sums(
                    flat_image, flat_variance, start, width, table, (kx, fx), (ky, fy), window[0], window[1]
                )
                if state:
                    found = _bits_of_window(bits, (iy, ix), wx, wy, taps, masking)
            scale = area[first_column + c]
            out_image[r, c], out_variance[r, c] = value * scale, spread * scale * scale
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
    first: tuple[int, int] = (0, 0),
    origin: tuple[int, int] = (0, 0),
    order: int = 3,
    significant_weight: float = 0.05,
    mask_order: int | None = None,
    grown: int = 0,
    no_data: int = 0,
    edge: int = 0,
    conserve_flux: bool = True,
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
        Source position, float64 ``[j, i]``, at rows and columns ``-step, 0, step, ...`` of the grid, up to at least one
        node beyond the one that ends the destination.
    step
        Distance of the nodes in destination pixels.
    shape
        Shape ``[y, x]`` of the destination.
    first
        Row and column of the grid, 0 or more, at which the destination begins.
    origin
        Position (x, y) of the first pixel of the source's arrays.
    order
        Kernel, as for `kernel_table`.
    significant_weight
        A mask bit is taken over from source pixels of larger absolute weight; where unmeasured pixels together have
        more, the result counts as unmeasured (variance +inf) but keeps its value.
    mask_order
        Mask bits are taken over instead from all pixels on which a kernel of this order, ``order`` at most, would
        have a weight.
    grown
        Bits that are taken over from every pixel with a weight.
    no_data
        Bits to set where pixels without a value, or beyond the source, have more than a negligible weight; the result
        has no value there (NaN, variance +inf).
    edge
        Bits to set where pixels beyond the source have more than a negligible weight but some lie inside.
    conserve_flux
        Whether values are multiplied by the area of the pixel on the source; else surface brightness is kept.

    Returns
    -------
    image, variance, bits
        float32, float32, int32 of ``shape``.

    Raises
    ------
    ValueError
        If the nodes do not cover the destination.
    """
    need = [-(-(begin + n) // step) + 3 for begin, n in zip(first, shape, strict=True)]
    if x_nodes.shape != y_nodes.shape or x_nodes.shape[0] < need[0] or x_nodes.shape[1] < need[1]:
        raise ValueError(f"Nodes of shape {x_nodes.shape} and {y_nodes.shape} do not cover {shape} at step {step}.")
    taps = 2 * order
    wide = _LANES[taps]
    table = np.zeros((TABLE_STEPS + 1, wide), np.float32)
    table[:, :taps] = kernel_table(order)
    out = np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.int32)
    planes = np.ascontiguousarray(image), np.ascontiguousarray(variance), np.ascontiguousarray(bits)
    states = np.zeros((0, 0), np.uint8)
    if image.shape[0] >= taps and image.shape[1] >= wide:
        states = _window_states(*planes, taps, wide)
    masking = (float(significant_weight), order, int(grown)) if mask_order is None else (0.0, mask_order, int(grown))
    _resample_rows(
        (*planes, states),
        origin,
        (x_nodes, y_nodes, step, *first),
        table,
        ((0,) * taps, (0,) * wide),
        (float(significant_weight), int(no_data), int(edge)),
        masking,
        conserve_flux,
        out,
    )
    return out
