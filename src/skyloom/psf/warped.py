"""`WarpedPsf`: the point-spread function of an image that was carried to another pixel grid."""

from __future__ import annotations

import math
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, override

import numpy as np
from lsst.images import Bounds, Box, Image, SkyProjection
from lsst.images.psfs import PointSpreadFunction

from skyloom.errors import PsfError
from skyloom.kernels.psf_stamps import resampled_stamps, stamp_sigmas
from skyloom.kernels.resample import kernel_table

from .stamps import Stamps, as_positions, centred_box, psf_stamps, stamp_box, stamp_origins

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "WARP_ORDER",
    "WarpedPsf",
    "check_maps",
    "local_maps",
    "maps_from_sky",
    "sky_around",
    "warped_size",
    "warped_stamps",
]

WARP_ORDER = 3
"""Order of the kernel with which images are warped unless another is chosen: Lanczos-3."""

_STEP = 8.0
"""Half the base, in destination pixels, of the differences that give the local affine map: about a PSF's reach."""
_MAX_STRETCH = 200.0
"""Largest row sum of the local affine map."""


class WarpedPsf(PointSpreadFunction):
    """A point-spread function seen on another pixel grid, to which its image was warped.

    The stamp of a star is what the warp makes of the source's stamp at the star's own fraction of a pixel; the map
    between the grids is taken as affine over a stamp.

    Parameters
    ----------
    psf
        Point-spread function on the source grid.
    source_projection, destination_projection
        Sky projections of the two grids.
    bounds
        Where the function holds, on the destination grid.
    warp_order
        Kernel of the warp: 1 for bilinear, n >= 2 for Lanczos-n.
    """

    def __init__(
        self,
        psf: PointSpreadFunction,
        source_projection: SkyProjection[Any],
        destination_projection: SkyProjection[Any],
        bounds: Bounds,
        warp_order: int = WARP_ORDER,
    ) -> None:
        if warp_order < 1:
            raise ValueError(f"No kernel has order {warp_order}.")
        self._psf = psf
        self._source = source_projection
        self._destination = destination_projection
        self._bounds = bounds
        self._warp_order = warp_order

    @property
    @override
    def bounds(self) -> Bounds:
        return self._bounds

    @cached_property
    def size(self) -> int:
        """Side of the stamps, px."""
        box = self._bounds.bbox
        middle = np.array([0.5 * (box.x.min + box.x.max)]), np.array([0.5 * (box.y.min + box.y.max)])
        _, _, jacobian = local_maps(self._source, self._destination, *middle)
        return warped_size(self._psf.kernel_bbox.x.size, jacobian[0])

    @cached_property
    @override
    def kernel_bbox(self) -> Box:
        return centred_box(self.size)

    def stamps(self, x: ArrayLike, y: ArrayLike, *, centred: bool = False) -> Stamps:
        """Stamps of unit sum at positions x, y of the destination grid; see `psf_stamps`."""
        x, y = as_positions(x, y)
        u, v, jacobian = local_maps(self._source, self._destination, x, y)
        x0, y0, dx, dy = stamp_origins(x, y, self.size, centred)
        return warped_stamps(self._psf, u, v, jacobian, dx, dy, self.size, self._warp_order), x0, y0

    @override
    def compute_kernel_image(self, *, x: float, y: float) -> Image:
        return Image(self.stamps(x, y, centred=True)[0][0], bbox=self.kernel_bbox)

    @override
    def compute_stellar_image(self, *, x: float, y: float) -> Image:
        return Image(self.stamps(x, y)[0][0], bbox=self.compute_stellar_bbox(x=x, y=y))

    @override
    def compute_stellar_bbox(self, *, x: float, y: float) -> Box:
        return stamp_box(x, y, self.size)

    def sigma(self, x: float, y: float) -> float:
        """Determinant radius of the adaptive second moments at (x, y), px."""
        return float(stamp_sigmas(self.stamps(x, y, centred=True)[0])[0])


def warped_size(size: int, jacobian: NDArray[np.float64]) -> int:
    """Odd side of the stamps that hold warped ones of side ``size``; ``jacobian`` as in `local_maps`."""
    shrink = float(np.linalg.svd(jacobian, compute_uv=False).min())
    # Not beyond what rounding makes of equal scales.
    return int(2 * math.ceil((size // 2) / shrink - 1e-3) + 1)


@cache
def _table(order: int) -> NDArray[np.float64]:
    """The kernel of the warp."""
    return kernel_table(order)


def local_maps(
    source: SkyProjection[Any], destination: SkyProjection[Any], x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Where destination positions fall on the source grid, and the map about them.

    Returns
    -------
    u, v
        Source positions (x, y), px.
    jacobian
        ``[n, 2, 2]``: derivatives of the source (x, y) by the destination (x, y).

    Raises
    ------
    PsfError
        If a position is not on the source's part of the sky, or the grids differ too much for a PSF to be carried over.
    """
    u, v, jacobian = maps_from_sky(source, *sky_around(destination, x, y))
    check_maps(u, v, jacobian)
    return u, v, jacobian


def sky_around(
    destination: SkyProjection[Any], x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sky positions ``[5, n]`` of n positions and of four places about each, as `maps_from_sky` takes them."""
    steps_x, steps_y = np.array([0.0, _STEP, -_STEP, 0.0, 0.0]), np.array([0.0, 0.0, 0.0, _STEP, -_STEP])
    sky = destination.pixel_to_sky_transform.apply_forward(x=x + steps_x[:, np.newaxis], y=y + steps_y[:, np.newaxis])
    return np.asarray(sky.x), np.asarray(sky.y)


def maps_from_sky(
    source: SkyProjection[Any], first: NDArray[np.float64], second: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """What `local_maps` returns, unchecked, from the positions of `sky_around`."""
    pixel = source.pixel_to_sky_transform.apply_inverse(x=first, y=second)
    u, v = np.asarray(pixel.x), np.asarray(pixel.y)
    jacobian = np.empty((u.shape[1], 2, 2))
    for row, part in enumerate((u, v)):
        jacobian[:, row, 0] = (part[1] - part[2]) / (2.0 * _STEP)
        jacobian[:, row, 1] = (part[3] - part[4]) / (2.0 * _STEP)
    return u[0], v[0], jacobian


def check_maps(u: NDArray[np.float64], v: NDArray[np.float64], jacobian: NDArray[np.float64]) -> None:
    """Refuse maps through which no PSF can be carried."""
    if not (np.isfinite(u).all() and np.isfinite(v).all() and np.isfinite(jacobian).all()):
        raise PsfError("a position lies outside the sky projection of the PSF.", cure="Ask inside its bounds.")
    largest = float(np.abs(jacobian).sum(axis=2).max(initial=0.0))
    if largest > _MAX_STRETCH:
        raise PsfError(
            f"a pixel covers {largest:.0f} pixels of the frame from end to end: its PSF cannot be carried over.",
            cure="Look at the WCS of the frame, or choose a finer pixel grid.",
        )


def warped_stamps(
    psf: PointSpreadFunction,
    u: NDArray[np.float64],
    v: NDArray[np.float64],
    jacobian: NDArray[np.float64],
    dx: NDArray[np.float64],
    dy: NDArray[np.float64],
    size: int,
    warp_order: int,
) -> NDArray[np.float64]:
    """Stamps ``[n, size, size]`` of unit sum of point sources at source positions (u, v).

    ``dx``, ``dy`` are the offsets of the sources from the middle pixels of the destination stamps; ``jacobian`` is
    that of `local_maps`, ``warp_order`` that of `WarpedPsf`.

    Raises
    ------
    PsfError
        If the source's function has no positive flux at one of the positions.
    """
    source, x0, y0 = psf_stamps(psf, u, v)
    radius = size // 2
    stamps: NDArray[np.float64] = resampled_stamps(
        np.ascontiguousarray(source),
        u - x0,
        v - y0,
        np.ascontiguousarray(jacobian),
        -radius - dx,
        -radius - dy,
        size,
        _table(warp_order),
    )
    if not np.isfinite(stamps[:, 0, 0]).all():
        raise PsfError("a warped PSF has no positive flux.", cure="Look at the PSF of the input frame.")
    return stamps
