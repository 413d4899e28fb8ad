"""Matching kernels of one position: what turns the stamp of a PSF into that of another."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import as_strided
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.linalg import cho_factor, cho_solve
from scipy.signal import fftconvolve

from .match_settings import PsfMatchSettings

__all__ = ["KernelSolver", "gaussian_basis", "kernel_solver"]


class KernelSolver(Protocol):
    """Finds the kernel that turns one stamp into another."""

    def __call__(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Kernel ``[n, n]`` of unit sum.

        ``source`` is ``[s, s]`` of unit sum, nothing outside; ``target`` is ``[s + n - 1, s + n - 1]``.
        """
        ...


def kernel_solver(settings: PsfMatchSettings, size: int, width: float) -> KernelSolver:
    """The solver that the settings ask for, of kernels of ``size`` pixels.

    ``width`` is the sigma of the Gaussian that turns the one PSF into the other, were both Gaussians, px.
    """
    if settings.basis == "pixels":
        return _PixelSolver(size, settings.roughness_penalty)
    scale = width if settings.scale_with_widths else 1.0
    sigmas = [scale * sigma for sigma in settings.gaussian_sigmas]
    return _BasisSolver(gaussian_basis(size, sigmas, settings.gaussian_degrees), settings.max_condition_number)


class _PixelSolver:
    """Least squares in all pixels of the kernel, with a penalty on its Laplacian (Becker et al. 2012, MNRAS 425, 1341).

    The normal matrix holds the autocorrelation of the source, and one Lagrange multiplier keeps the sum.
    """

    def __init__(self, size: int, penalty: float) -> None:
        self._size = size
        self._penalty = penalty

    def __call__(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        n = self._size
        factor = cho_factor(self._normal_matrix(source), lower=True, overwrite_a=True, check_finite=False)
        right = fftconvolve(target, source[::-1, ::-1], mode="valid").ravel()
        free, sums = cho_solve(factor, np.stack([right, np.ones(n * n)], axis=1), check_finite=False).T
        kernel = free + sums * ((1.0 - free.sum()) / sums.sum())
        return _of_unit_sum(kernel.reshape(n, n))

    def _normal_matrix(self, source: np.ndarray) -> np.ndarray:
        """``[n n, n n]``: autocorrelation of the source and of the Laplacian at the distances of two pixels."""
        n = self._size
        side = next_fast_len(source.shape[0] + n, real=True)
        laplacian = np.zeros((side, side))
        laplacian[0, 0] = 4.0
        laplacian[[0, 0, 1, -1], [1, -1, 0, 0]] = -1.0
        power = np.abs(rfft2(source, (side, side))) ** 2 + self._penalty * np.abs(rfft2(laplacian)) ** 2
        distances = np.arange(1 - n, n)
        near = np.ascontiguousarray(irfft2(power, (side, side))[np.ix_(distances, distances)])
        across, along = near.strides
        matrix = as_strided(near[n - 1 :, n - 1 :], (n, n, n, n), (across, along, -across, -along))
        return matrix.reshape(n * n, n * n)


class _BasisSolver:
    """Least squares in a few functions, of which the first alone has a sum (Alard & Lupton 1998, ApJ 503, 325)."""

    def __init__(self, basis: np.ndarray, max_condition_number: float) -> None:
        self._basis = basis
        self._max_condition_number = max_condition_number

    def __call__(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        parts = fftconvolve(self._basis, source[np.newaxis], mode="full", axes=(1, 2)).reshape(len(self._basis), -1)
        wanted = target.ravel() - parts[0]
        values, vectors = np.linalg.eigh(parts[1:] @ parts[1:].T)
        kept = values > values.max(initial=0.0) / self._max_condition_number
        inverse = np.divide(1.0, values, where=kept, out=np.zeros_like(values))
        weights = vectors @ (inverse * (vectors.T @ (parts[1:] @ wanted)))
        return _of_unit_sum(self._basis[0] + np.tensordot(weights, self._basis[1:], 1))


def gaussian_basis(size: int, sigmas: list[float], degrees: tuple[int, ...]) -> np.ndarray:
    """Gaussians times ``u^j v^k``, ``j + k <= degree``, with u and v from -1 to 1 across the kernel; ``[i, y, x]``.

    The first has unit sum; all others have none, and unit norm.
    """
    offset = np.arange(size) - size // 2
    u = offset / (size // 2)
    basis: list[np.ndarray] = []
    for sigma, degree in zip(sigmas, degrees, strict=True):
        profile = np.exp(-0.5 * (offset / sigma) ** 2)
        powers = [(j, k) for j in range(degree + 1) for k in range(degree + 1 - j)]
        basis += [np.outer(profile * u**k, profile * u**j) for j, k in powers]
    basis[0] /= basis[0].sum()
    for i, part in enumerate(basis[1:], 1):
        total = part.sum()
        whole = part / total - basis[0] if abs(total) > 1e-10 * np.abs(part).sum() else part
        basis[i] = whole / np.sqrt(np.sum(whole**2))
    return np.array(basis)


def _of_unit_sum(kernel: np.ndarray) -> np.ndarray:
    """Take away what rounding left."""
    total: float = kernel.sum()
    return kernel / total
