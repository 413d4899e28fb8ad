"""`MatchingKernel`: a kernel that turns a frame's PSF into a model everywhere, and how it is found."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from lsst.images import Box, Interval
from lsst.images.psfs import PointSpreadFunction
from scipy.signal import fftconvolve

from skyloom.errors import PsfError
from skyloom.kernels.psf_stamps import stamp_sigmas
from skyloom.kernels.varying_convolution import chebyshev_terms, kernel_at
from skyloom.psf import model_psf, psf_stamps

from .match_basis import kernel_solver
from .match_settings import PsfMatchSettings

__all__ = ["MatchingKernel", "fit_matching_kernel"]

_REACH = 3.3
"""Half a kernel's side in units of the sigma of the Gaussian that would do for Gaussian PSFs."""
_BLOCK_ROWS, _BLOCK_COLUMNS = (4, 32), (16, 128)
"""Smallest and largest rows and columns of a block."""
_PHASES = 3
"""Places on a pixel along each axis over which the PSF is averaged."""
_WELL_DETERMINED = 0.02
"""Least ratio of the singular values of the polynomials' terms at the positions."""
_ADVICE_STEP, _ADVICE_STEPS = 1.03, 60


@dataclass(frozen=True, kw_only=True, eq=False)
class MatchingKernel:
    """A kernel whose pixels are Chebyshev polynomials of the position; it has unit sum everywhere."""

    coefficients: np.ndarray
    """``[term, n, n]``; terms ``T_i(x) T_j(y)`` with ``i + j <= order``, i outer, x and y from -1 to 1 over `box`."""
    order: int
    box: Box
    residual: float
    """Largest difference of a matched PSF from the model where they were compared, in units of the model's peak.  For
    a warp about 0.004 with Lanczos-3 and 0.0015 with Lanczos-5: by so much does a star depend on its place on a
    pixel."""
    noise_gain: float
    """Largest ratio of the variances of white noise after and before."""
    n_cells: int
    """Number of positions at which kernels were found."""

    @property
    def size(self) -> int:
        """Side of the kernel, px."""
        return int(self.coefficients.shape[1])

    @property
    def scaling(self) -> tuple[float, float, float, float]:
        """``(ax, bx, ay, by)``: the polynomials' arguments are ``ax + bx x`` and ``ay + by y``."""
        across, along = _span(self.box.x), _span(self.box.y)
        return -1.0 - 2.0 * self.box.x.start / across, 2.0 / across, -1.0 - 2.0 * self.box.y.start / along, 2.0 / along

    def at(self, x: float, y: float) -> np.ndarray:
        """The kernel ``[n, n]`` at a position."""
        ax, bx, ay, by = self.scaling
        kernel: np.ndarray = kernel_at(self.coefficients, self.order, ax + bx * x, ay + by * y)
        return kernel

    def block(self, tolerance: float) -> tuple[int, int]:
        """Rows over which the kernel may stay the same, and columns over which it may change linearly.

        What it does in truth differs from that by about ``tolerance`` of its peak at most.
        """
        ends = np.linspace(-1.0, 1.0, 5)
        kernels = np.array([[kernel_at(self.coefficients, self.order, x, y) for x in ends] for y in ends])
        peak = np.abs(kernels).max()
        step_y, step_x = (_span(side) / (len(ends) - 1) for side in (self.box.y, self.box.x))
        slope = np.abs(np.diff(kernels, axis=0)).max() / peak / step_y
        bend = np.abs(np.diff(kernels, n=2, axis=1)).max() / peak / step_x**2
        rows = 2.0 * tolerance / slope if slope > 0.0 else np.inf
        columns = math.sqrt(8.0 * tolerance / bend) if bend > 0.0 else np.inf
        return _power_of_two(rows, *_BLOCK_ROWS), _power_of_two(columns, *_BLOCK_COLUMNS)


def fit_matching_kernel(
    psf: PointSpreadFunction, box: Box, x: np.ndarray, y: np.ndarray, settings: PsfMatchSettings
) -> MatchingKernel:
    """Find the kernel that turns a PSF into the model.

    Parameters
    ----------
    psf
        The frame's.
    box
        Pixels over which the kernel is wanted.
    x, y
        Positions at which kernels are found, px.
    settings
        The model, and how to match.

    Raises
    ------
    PsfError
        If a matched star would differ from the model by more than ``settings.max_residual``, or the noise would grow;
        mostly since the frame's PSF is broader than the model.  The error says which width would do.
    """
    phases = _stamps_of_phases(psf, x, y)
    stamps = phases.mean(axis=1)
    size, width = kernel_size(stamps, settings)
    kernels, target = cell_kernels(stamps, size, width, settings)
    order, design = _affordable_design(box, x, y, settings.spatial_order)
    coefficients = np.linalg.lstsq(design, kernels.reshape(len(x), -1), rcond=None)[0]
    fitted = (design @ coefficients).reshape(kernels.shape)
    gains = np.sum(fitted**2, axis=(1, 2))
    _check(stamps, (x, y), _residuals(stamps, fitted, target), gains, settings)
    residual = max(float(_residuals(phases[:, k], fitted, target).max()) for k in range(phases.shape[1]))
    return MatchingKernel(
        coefficients=np.ascontiguousarray(coefficients.reshape(-1, size, size)),
        order=order,
        box=box,
        residual=residual,
        noise_gain=float(gains.max()),
        n_cells=len(x),
    )


def _stamps_of_phases(psf: PointSpreadFunction, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Stamps ``[position, phase, y, x]`` of stars that lie on all parts of a pixel: a warp treats them differently."""
    shifts = (np.arange(_PHASES) - 0.5 * (_PHASES - 1)) / _PHASES
    shift_x, shift_y = (grid.ravel() for grid in np.meshgrid(shifts, shifts))
    at_x, at_y = (x[:, np.newaxis] + shift_x).ravel(), (y[:, np.newaxis] + shift_y).ravel()
    stamps, _, _ = psf_stamps(psf, at_x, at_y, centred=True)
    if not np.isfinite(stamps).all():
        raise PsfError("the PSF is not known in all parts of the frame.", cure="Match each detector by itself.")
    return stamps.reshape(len(x), _PHASES**2, *stamps.shape[1:])


def kernel_size(stamps: np.ndarray, settings: PsfMatchSettings) -> tuple[int, float]:
    """Side of the kernels, and the sigma of the Gaussian that would do for the narrowest stamp, px."""
    sigmas = stamp_sigmas(np.ascontiguousarray(stamps))
    # Where the adaptive moments do not converge the function is narrower than a pixel.
    narrowest = float(np.nan_to_num(sigmas, nan=0.5).min())
    wanted = settings.model.fwhm / (2.0 * math.sqrt(2.0 * math.log(2.0)))
    width = math.sqrt(max(wanted**2 - narrowest**2, 1.0))
    size = settings.kernel_size
    if size is None:
        model = settings.model
        spread = 0.5 * (1.0 + model.wing_fwhm_factor) if model.wing else 1.0
        wide = 2 * math.ceil(_REACH * width * spread) + 1
        size = min(max(wide, settings.kernel_size_min), settings.kernel_size_max)
    return size, width


def cell_kernels(
    stamps: np.ndarray, size: int, width: float, settings: PsfMatchSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Kernels ``[cell, size, size]`` of all stamps, and the model on the pixels that stamp and kernel reach."""
    side = stamps.shape[1] + size - 1
    bounds = Box.from_shape((side, side))
    target = psf_stamps(model_psf(settings.model, bounds, side), 0.0, 0.0, centred=True)[0][0]
    solve = kernel_solver(settings, size, width)
    return np.array([solve(stamp, target) for stamp in stamps]), target


def _residuals(stamps: np.ndarray, kernels: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Largest difference of each matched stamp from the model, in units of the model's peak."""
    matched = fftconvolve(stamps, kernels, mode="full", axes=(1, 2))
    worst: np.ndarray = np.abs(matched - target).max(axis=(1, 2)) / target.max()
    return worst


def _check(
    stamps: np.ndarray,
    positions: tuple[np.ndarray, np.ndarray],
    residuals: np.ndarray,
    gains: np.ndarray,
    settings: PsfMatchSettings,
) -> None:
    poor = np.maximum(residuals / settings.max_residual, gains / settings.max_noise_gain)
    worst = int(np.argmax(poor))
    if poor[worst] <= 1.0:
        return
    width = _possible_width(stamps[worst], settings)
    cure = f"Choose a model of at least {width:.1f} px." if width else "Choose a broader model, or a larger kernel."
    raise PsfError(
        f"at x = {positions[0][worst]:.0f}, y = {positions[1][worst]:.0f} the PSF cannot be turned into the model of "
        f"FWHM {settings.model.fwhm:.2f} px: it would miss it by {residuals[worst]:.1%} of its peak, and the variance "
        f"would change by a factor of {gains[worst]:.2g}.",
        cure=cure,
    )


def _possible_width(stamp: np.ndarray, settings: PsfMatchSettings) -> float | None:
    """The narrowest model that a stamp can be turned into, FWHM in px rounded up to a tenth; None for none."""
    fwhm = settings.model.fwhm
    for _ in range(_ADVICE_STEPS):
        fwhm *= _ADVICE_STEP
        trial = replace(settings, model=replace(settings.model, fwhm=fwhm, size=None))
        size, width = kernel_size(stamp[np.newaxis], trial)
        kernels, target = cell_kernels(stamp[np.newaxis], size, width, trial)
        good = _residuals(stamp[np.newaxis], kernels, target)[0] <= 0.8 * settings.max_residual
        if good and np.sum(kernels**2) <= 0.8 * settings.max_noise_gain:
            return math.ceil(10.0 * fwhm) / 10.0
    return None


def _affordable_design(box: Box, x: np.ndarray, y: np.ndarray, order: int) -> tuple[int, np.ndarray]:
    """The order, lowered until the positions determine all terms well, and the terms ``[position, term]``."""
    while order > 0:
        design = _design(box, x, y, order)
        values = np.linalg.svd(design, compute_uv=False)
        if len(design) >= design.shape[1] and values.min() > _WELL_DETERMINED * values.max():
            return order, design
        order -= 1
    return 0, _design(box, x, y, 0)


def _design(box: Box, x: np.ndarray, y: np.ndarray, order: int) -> np.ndarray:
    """Terms of the polynomials ``[position, term]``."""
    across = 2.0 * (x - box.x.start) / _span(box.x) - 1.0
    along = 2.0 * (y - box.y.start) / _span(box.y) - 1.0
    return np.array([chebyshev_terms(u, v, order) for u, v in zip(across, along, strict=True)])


def _span(side: Interval) -> float:
    """Distance of the first and the last pixel of a side."""
    return float(max(side.size - 1, 1))


def _power_of_two(number: float, least: int, most: int) -> int:
    """The power of two below a number, within limits that are powers of two."""
    clipped = min(max(number, float(least)), float(most))
    return int(2 ** math.floor(math.log2(clipped)))
