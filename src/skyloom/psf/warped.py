"""`WarpedPsf`: the point-spread function of an image that was carried to another pixel grid."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any, override

import numpy as np
from lsst.images import Bounds, Box, Image, SkyProjection
from lsst.images.psfs import PointSpreadFunction

from skyloom.errors import PsfError
from skyloom.kernels.psf_stamps import resampled_stamps, stamp_sigmas

from .stamps import Stamps, as_positions, centred_box, psf_stamps, stamp_box, stamp_origins

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["WarpedPsf", "local_maps", "warped_size", "warped_stamps"]

_STEP = 8.0
"""Half the base, in destination pixels, of the differences that give the local affine map: about a PSF's reach."""


class WarpedPsf(PointSpreadFunction):
    """A point-spread function seen on another pixel grid, to which its image was warped with Lanczos-3.

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
    """

    def __init__(
        self,
        psf: PointSpreadFunction,
        source_projection: SkyProjection[Any],
        destination_projection: SkyProjection[Any],
        bounds: Bounds,
    ) -> None:
        self._psf = psf
        self._source = source_projection
        self._destination = destination_projection
        self._bounds = bounds

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
        return warped_stamps(self._psf, u, v, jacobian, dx, dy, self.size), x0, y0

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
        If a position is not on the source's part of the sky.
    """
    steps_x, steps_y = np.array([0.0, _STEP, -_STEP, 0.0, 0.0]), np.array([0.0, 0.0, 0.0, _STEP, -_STEP])
    sky = destination.pixel_to_sky_transform.apply_forward(x=x + steps_x[:, np.newaxis], y=y + steps_y[:, np.newaxis])
    pixel = source.pixel_to_sky_transform.apply_inverse(x=np.asarray(sky.x), y=np.asarray(sky.y))
    u, v = np.asarray(pixel.x), np.asarray(pixel.y)
    if not (np.isfinite(u).all() and np.isfinite(v).all()):
        raise PsfError("a position lies outside the sky projection of the PSF.", cure="Ask inside its bounds.")
    jacobian = np.empty((len(x), 2, 2))
    for row, part in enumerate((u, v)):
        jacobian[:, row, 0] = (part[1] - part[2]) / (2.0 * _STEP)
        jacobian[:, row, 1] = (part[3] - part[4]) / (2.0 * _STEP)
    return u[0], v[0], jacobian


def warped_stamps(
    psf: PointSpreadFunction,
    u: NDArray[np.float64],
    v: NDArray[np.float64],
    jacobian: NDArray[np.float64],
    dx: NDArray[np.float64],
    dy: NDArray[np.float64],
    size: int,
) -> NDArray[np.float64]:
    """Stamps ``[n, size, size]`` of unit sum of point sources at source positions (u, v).

    ``dx``, ``dy`` are the offsets of the sources from the middle pixels of the destination stamps; ``jacobian`` is
    that of `local_maps`.

    Raises
    ------
    PsfError
        If the source's function has no positive flux at one of the positions.
    """
    source, x0, y0 = psf_stamps(psf, u, v)
    radius = size // 2
    stamps: NDArray[np.float64] = resampled_stamps(
        np.ascontiguousarray(source), u - x0, v - y0, np.ascontiguousarray(jacobian), -radius - dx, -radius - dy, size
    )
    if not np.isfinite(stamps[:, 0, 0]).all():
        raise PsfError("a warped PSF has no positive flux.", cure="Look at the PSF of the input frame.")
    return stamps
