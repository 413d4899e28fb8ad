"""Normal equations of one elliptical Moffat profile under many stars of different fluxes."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .inner import inner_kernel

__all__ = ["moffat_equations", "moffat_grid"]


@inner_kernel
def _add_profile(parameters: np.ndarray, x: float, y: float, share: float, out: np.ndarray) -> None:
    """Add ``share`` of the profile, 1 at its centre, and of its derivatives by the four parameters, at an offset."""
    u, v = x * math.exp(-parameters[0]), y * math.exp(-parameters[1])
    coupling = math.tanh(parameters[2])
    beta_less_one = math.exp(parameters[3])
    radius2 = u * u + v * v + 2.0 * coupling * u * v
    logarithm = math.log1p(radius2)
    value = math.exp(-(1.0 + beta_less_one) * logarithm)
    slope = -(1.0 + beta_less_one) * value / (1.0 + radius2)
    out[0] += share * value
    out[1] -= share * slope * 2.0 * (u * u + coupling * u * v)
    out[2] -= share * slope * 2.0 * (v * v + coupling * u * v)
    out[3] += share * slope * 2.0 * u * v * (1.0 - coupling * coupling)
    out[4] -= share * value * logarithm * beta_less_one


@inner_kernel
def _pixel(parameters: np.ndarray, x: float, y: float, nodes: np.ndarray, out: np.ndarray) -> None:
    """Profile and derivatives averaged over a pixel by Gauss-Legendre quadrature."""
    out[:] = 0.0
    for i in range(nodes.shape[1]):
        for j in range(nodes.shape[1]):
            _add_profile(parameters, x + nodes[0, i], y + nodes[0, j], nodes[1, i] * nodes[1, j], out)


@njit(cache=True, nogil=True)
def moffat_grid(parameters: np.ndarray, n: int, oversampling: int, nodes: np.ndarray) -> np.ndarray:
    """The profile over pixels centred on ``n`` points a side, ``oversampling`` a pixel, ``[y, x]``."""
    grid = np.empty((n, n))
    out = np.empty(5)
    for row in range(n):
        for column in range(n):
            x, y = (column - n // 2) / oversampling, (row - n // 2) / oversampling
            _pixel(parameters, x, y, nodes, out)
            grid[row, column] = out[0]
    return grid


@njit(cache=True, nogil=True)
def moffat_equations(
    parameters: np.ndarray,
    data: np.ndarray,
    usable: np.ndarray,
    sky_variance: np.ndarray,
    gain: np.ndarray,
    dx: np.ndarray,
    dy: np.ndarray,
    model_error: float,
    nodes: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Newton equations of the profile, with the flux of every star taken out of them.

    Parameters
    ----------
    parameters
        Logarithms of the axis scales along x and y, the arctanh of their coupling, the logarithm of ``beta - 1``.
    data, usable
        Stamps ``[star, y, x]``.
    sky_variance, gain
        Variance of a pixel without the star, and flux a unit of variance that the star adds, ``[star]``.
    dx, dy
        Offsets of the stars from the centres of their middle pixels.
    model_error
        Error of the profile as a fraction of its value.
    nodes
        Places, in pixels from the middle, and shares of the nodes over a pixel along one axis, ``[2, node]``.

    Returns
    -------
    normal, target
        ``[4, 4]`` and ``[4]``.
    """
    normal, target = np.zeros((4, 4)), np.zeros(4)
    size = data.shape[1]
    half = size // 2
    design = np.empty((size, size, 5))
    projected = np.empty(4)
    for s in range(data.shape[0]):
        product, square = 0.0, 0.0
        for row in range(size):
            for column in range(size):
                if usable[s, row, column]:
                    _pixel(parameters, column - half - dx[s], row - half - dy[s], nodes, design[row, column])
                    product += design[row, column, 0] * data[s, row, column]
                    square += design[row, column, 0] ** 2
        if not product > 0.0:
            continue
        for _ in range(2):  # the weights need a flux, and the flux wants the weights
            flux, product, square = product / square, 0.0, 0.0
            projected[:] = 0.0
            for row in range(size):
                for column in range(size):
                    if usable[s, row, column]:
                        signal = flux * design[row, column, 0]
                        noise = sky_variance[s] + signal / gain[s] + (model_error * signal) ** 2
                        weighted = design[row, column, 0] / noise
                        product += weighted * data[s, row, column]
                        square += weighted * design[row, column, 0]
                        for a in range(4):
                            projected[a] += weighted * design[row, column, a + 1]
        weight_flux = flux
        flux = product / square
        if not flux > 0.0:
            continue
        projected /= square
        for row in range(size):
            for column in range(size):
                if not usable[s, row, column]:
                    continue
                profile = design[row, column, 0]
                signal = weight_flux * profile
                weight = 1.0 / (sky_variance[s] + signal / gain[s] + (model_error * signal) ** 2)
                residual = data[s, row, column] - flux * profile
                for a in range(4):
                    slope_a = flux * (design[row, column, a + 1] - projected[a] * profile)
                    target[a] += weight * slope_a * residual
                    for b in range(a + 1):
                        slope_b = flux * (design[row, column, b + 1] - projected[b] * profile)
                        normal[a, b] += weight * slope_a * slope_b
    for a in range(4):
        for b in range(a):
            normal[b, a] = normal[a, b]
    return normal, target
