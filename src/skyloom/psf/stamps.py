"""Stamps and widths of any point-spread function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from lsst.images import Box
from lsst.images.psfs import GaussianPointSpreadFunction, PiffWrapper

from skyloom.errors import PsfError
from skyloom.kernels.psf_stamps import gaussian_stamps, stamp_sigmas

if TYPE_CHECKING:
    from lsst.images.psfs import PointSpreadFunction
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "StampedPsf",
    "Stamps",
    "as_positions",
    "centred_box",
    "psf_sigma",
    "psf_stamps",
    "stamp_box",
    "stamp_origins",
]

type Stamps = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]
"""Stamps ``[n, size, size]`` and the pixel (x0[n], y0[n]) of the first of each."""


@runtime_checkable
class StampedPsf(Protocol):
    """A point-spread function that makes many stamps in one call."""

    def stamps(self, x: ArrayLike, y: ArrayLike, *, centred: bool = False) -> Stamps:
        """Stamps at positions x, y; see `psf_stamps`."""
        ...


@runtime_checkable
class PatchyPsf(Protocol):
    """A point-spread function that is not known everywhere within its bounds."""

    def typical_position(self) -> tuple[float, float]:
        """A position (x, y) at which it is known, px."""
        ...


def psf_stamps(psf: PointSpreadFunction, x: ArrayLike, y: ArrayLike, centred: bool = False) -> Stamps:
    """Images of point sources at positions x, y, all of one odd size.

    Parameters
    ----------
    psf
        Any point-spread function of `lsst.images` or skyloom.
    x, y
        Positions, px; scalars count as one position.
    centred
        Whether the source sits at the centre of the stamp's middle pixel instead of at (x, y).  The pixel
        (x0, y0) is then that of the stamp about (0, 0).

    Returns
    -------
    stamps
        Float64 ``[n, size, size]``, each of unit sum; NaN where the function is not known.
    x0, y0
        Position of the first pixel of each stamp.
    """
    if isinstance(psf, StampedPsf):
        return psf.stamps(x, y, centred=centred)
    if isinstance(psf, PiffWrapper) and (ours := _as_pixel_grid(psf)) is not None:
        return ours.stamps(x, y, centred=centred)
    x, y = as_positions(x, y)
    size = psf.kernel_bbox.x.size
    x0, y0, dx, dy = stamp_origins(x, y, size, centred)
    if isinstance(psf, GaussianPointSpreadFunction):
        return gaussian_stamps(psf.sigma, size, dx, dy), x0, y0
    stamps = np.empty((len(x), size, size))
    for n, (at_x, at_y) in enumerate(zip(x, y, strict=True)):
        image = psf.compute_kernel_image(x=at_x, y=at_y) if centred else psf.compute_stellar_image(x=at_x, y=at_y)
        stamps[n] = image.array
        x0[n], y0[n] = image.bbox.x.start, image.bbox.y.start
    return stamps, x0, y0


def psf_sigma(psf: PointSpreadFunction, x: float | None = None, y: float | None = None) -> float:
    """Determinant radius of the second moments, px, at (x, y) or at a typical position: the middle of the bounds, or
    for a function that is not known there the nearest position at which it is.

    The adaptive moments do not converge on a function much narrower than two pixels (FWHM); its width is then that of
    the Gaussian of the same effective area.

    Raises
    ------
    PsfError
        If there is no stamp there.
    """
    typical_x, typical_y = _typical_position(psf)
    at_x, at_y = typical_x if x is None else x, typical_y if y is None else y
    stamps, _, _ = psf_stamps(psf, at_x, at_y, centred=True)
    sigma = float(stamp_sigmas(stamps)[0])
    if not sigma > 0.0:
        sigma = float(np.sqrt(1.0 / (4.0 * np.pi * np.sum(stamps[0] ** 2))))
    if not sigma > 0.0:
        raise PsfError(f"the PSF has no width at x = {at_x:.1f}, y = {at_y:.1f}.", cure="Fit it again.")
    return sigma


def _typical_position(psf: PointSpreadFunction) -> tuple[float, float]:
    if isinstance(psf, PatchyPsf):
        return psf.typical_position()
    box = psf.bounds.bbox
    return 0.5 * (box.x.min + box.x.max), 0.5 * (box.y.min + box.y.max)


def _as_pixel_grid(wrapper: PiffWrapper) -> StampedPsf | None:
    """The Piff PSF as one of ours, where it is one: faster, and right at half-integer positions."""
    from .piff_form import from_piff

    try:
        return from_piff(wrapper)
    except PsfError:
        return None


def as_positions(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions as 1-d float64 arrays of one length."""
    first, second = np.broadcast_arrays(np.atleast_1d(np.asarray(x, np.float64)), np.asarray(y, np.float64))
    return first.flatten(), second.flatten()  # copies: what was broadcast is not writable


def stamp_origins(
    x: NDArray[np.float64], y: NDArray[np.float64], size: int, centred: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """First pixels of stamps about positions (halves round up), and the positions' offsets from the middle pixels."""
    radius = size // 2
    if centred:
        origin = np.full(len(x), -radius, np.int64)
        return origin, origin.copy(), np.zeros(len(x)), np.zeros(len(x))
    column, row = np.floor(x + 0.5), np.floor(y + 0.5)
    return column.astype(np.int64) - radius, row.astype(np.int64) - radius, x - column, y - row


def centred_box(size: int) -> Box:
    """The box of ``size`` pixels square about (0, 0)."""
    radius = size // 2
    return Box.factory[-radius : radius + 1, -radius : radius + 1]


def stamp_box(x: float, y: float, size: int) -> Box:
    """The box of the stamp of a point source at (x, y)."""
    radius = size // 2
    column, row = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
    return Box.factory[row - radius : row + radius + 1, column - radius : column + radius + 1]
