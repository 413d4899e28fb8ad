"""Undo the brighter-fatter effect: charge that is already in a pixel turns away some of what arrives later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from skyloom.errors import BadFrameError
from skyloom.kernels.brighter_fatter import convolve_padded, move_back

__all__ = ["BrighterFatterChange", "BrighterFatterMethod", "BrighterFatterSettings", "correct_brighter_fatter"]

BrighterFatterMethod = Literal["COULTON18", "FLUX_CONSERVING"]


@dataclass(frozen=True, kw_only=True)
class BrighterFatterSettings:
    """How the brighter-fatter effect is undone."""

    method: BrighterFatterMethod = "COULTON18"
    """The differential form with its product rule written out, or the charge that crosses each side of each pixel,
    which keeps the total."""
    max_iterations: int = 10
    """Passes, at most."""
    threshold: float = 1000.0
    """Passes end when the sum of the absolute changes over the image is below this (electrons)."""


@dataclass(frozen=True, kw_only=True)
class BrighterFatterChange:
    """What the correction did."""

    iterations: int
    """Passes made."""
    last_change: float
    """Sum of the absolute changes of the last pass (electrons); NaN where there was none."""
    converged: bool
    """Whether that is below the threshold."""


def correct_brighter_fatter(
    image: np.ndarray, kernel: np.ndarray, settings: BrighterFatterSettings, *, file: str | None = None
) -> BrighterFatterChange:
    """Move charge back to where it would be without the charge around it.

    To the image F is added 1/2 div(F grad(K * F)), with F on the right side from the pass before (Coulton et al. 2018,
    AJ 155, 258).

    Parameters
    ----------
    image
        Electrons, float32 ``[y, x]``, changed in place.  Pixels that are not finite stay so and count as the mean of
        the others; unusable pixels should be interpolated beforehand, for their neighbours' sake.
    kernel
        K ``[y, x]`` per electron, both sides odd, applied as it is.  Its minimum is in the middle: it is minus the
        potential that an electron raises.
    settings
        Method and convergence.
    file
        Where the kernel comes from, for errors.

    Notes
    -----
    Half a kernel and one pixel at each edge, where the kernel reaches beyond the image, are left alone by COULTON18;
    FLUX_CONSERVING takes the mean level to go on there.

    Raises
    ------
    BadFrameError
        If the kernel has an even side, is not all finite, or would pull charge towards charge.
    """
    _check_kernel(kernel, file)
    finite = np.isfinite(image)
    if not finite.any():
        return BrighterFatterChange(iterations=0, last_change=np.nan, converged=True)
    # A constant has no field, and small numbers leave small rounding errors.
    level = np.float32(np.mean(image, where=finite, dtype=np.float64))
    half = kernel.shape[0] // 2, kernel.shape[1] // 2
    weights = np.ascontiguousarray(kernel, dtype=np.float32)
    deviation = np.zeros([length + 2 * side + 2 for length, side in zip(image.shape, half, strict=True)], np.float32)
    inner = deviation[half[0] + 1 : -half[0] - 1, half[1] + 1 : -half[1] - 1]
    np.subtract(image, level, out=inner, where=finite)
    potential = np.empty([length + 2 for length in image.shape], np.float32)
    conserving = settings.method == "FLUX_CONSERVING"
    margin = (0, 0) if conserving else (half[0] + 1, half[1] + 1)
    change, iterations, converged = np.nan, 0, False
    while iterations < settings.max_iterations and not converged:
        convolve_padded(deviation, weights, potential)
        change = move_back(image, level, deviation, potential, margin, conserving)
        converged = bool(change < settings.threshold)
        iterations += 1
    np.add(image, inner - (image - level), out=image, where=finite)
    return BrighterFatterChange(iterations=iterations, last_change=float(change), converged=converged)


def _check_kernel(kernel: np.ndarray, file: str | None) -> None:
    if kernel.ndim != 2 or any(length % 2 == 0 for length in kernel.shape) or not np.isfinite(kernel).all():
        size = " x ".join(str(length) for length in kernel.shape)
        raise BadFrameError(
            f"the brighter-fatter kernel is {size} pixels, or not all numbers; both sides have to be odd.",
            file=file,
            cure="Give a kernel with a pixel in its middle.",
        )
    y, x = kernel.shape[0] // 2 + 1, kernel.shape[1] // 2 + 1
    around = np.pad(kernel, 1)
    neighbours = (around[y - 1, x] + around[y + 1, x] + around[y, x - 1] + around[y, x + 1]) / 4
    if around[y, x] > neighbours:
        raise BadFrameError(
            f"the brighter-fatter kernel is {around[y, x]:.3g} in its middle and {neighbours:.3g} next to it: it would "
            "make stars wider still.",
            file=file,
            cure="Change its sign: a potential has to be given with a minus.",
        )
