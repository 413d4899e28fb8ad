"""The size of a point-spread function in one number."""

from __future__ import annotations

import numpy as np
from lsst.images.psfs import PointSpreadFunction

from skyloom.errors import PsfError
from skyloom.kernels.moments import adaptive_moments

__all__ = ["psf_sigma_at"]


def psf_sigma_at(psf: PointSpreadFunction, x: float, y: float) -> float:
    """Determinant radius of a PSF at a position, px: fourth root of the determinant of its adaptive moments.

    Raises
    ------
    PsfError
        If no Gaussian matches the PSF there.
    """
    kernel = psf.compute_kernel_image(x=x, y=y)
    stamp = np.asarray(kernel.array, dtype=np.float64)
    xx, yy, xy = adaptive_moments(stamp, -float(kernel.bbox.x.start), -float(kernel.bbox.y.start), 2.0)
    determinant = xx * yy - xy * xy
    if not determinant > 0:
        raise PsfError(f"The PSF at ({x:.1f}, {y:.1f}) has no size: moments {xx:.3g}, {yy:.3g}, {xy:.3g} px^2.")
    return float(determinant**0.25)
