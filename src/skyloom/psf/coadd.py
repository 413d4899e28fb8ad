"""`CoaddPsf`: the point-spread function of a weighted mean of warped images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, override

import numpy as np
from lsst.images import Bounds, Box, Image, SkyProjection
from lsst.images.psfs import PointSpreadFunction

from skyloom.errors import PsfError
from skyloom.kernels.psf_stamps import stamp_sigmas

from .stamps import Stamps, as_positions, centred_box, stamp_box, stamp_origins
from .warped import local_maps, warped_size, warped_stamps

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["CoaddPsf", "CoaddPsfComponent", "Region"]

_GRID = 65
"""Positions a side, an odd number so that the middle is one, at which an input is looked for."""


class Region(Protocol):
    """A set of pixels, such as `skyloom.images.SpanSet`."""

    def contains(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Whether the pixels nearest to positions x, y belong to the set."""
        ...


@dataclass(frozen=True, kw_only=True)
class CoaddPsfComponent:
    """One input of a coadd: a detector of a visit."""

    visit: int
    detector: int
    weight: float
    """Weight of the input's pixels in the mean."""
    psf: PointSpreadFunction
    """Point-spread function on the input's own pixels."""
    projection: SkyProjection[Any]
    """Sky projection of the input's own pixels."""
    bbox: Box
    """Pixels of the input that were warped."""
    valid: Region | None = None
    """The part of ``bbox``, on the input's own pixels, that contributed; None for all of it."""

    def __post_init__(self) -> None:
        if not self.weight > 0.0:
            raise ValueError(f"The weight of visit {self.visit}, detector {self.detector} is {self.weight}.")

    def covers(self, u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether positions on the input's pixels lie on a pixel that contributed."""
        box = self.bbox
        inside = (u >= box.x.start - 0.5) & (u < box.x.stop - 0.5) & (v >= box.y.start - 0.5) & (v < box.y.stop - 0.5)
        if self.valid is not None:
            inside[inside] = self.valid.contains(u[inside], v[inside])
        return inside


class CoaddPsf(PointSpreadFunction):
    """The weighted mean of the inputs' functions, each warped to the coadd's pixels with Lanczos-3.

    At a position, only the inputs contribute that have a pixel there (Jee & Tyson 2011, PASP 123, 596; the stack of
    warped models of Bosch et al. 2018, PASJ 70, S5).

    Parameters
    ----------
    components
        The inputs, in any order: results do not depend on it, for they are kept sorted by visit and detector.
    projection
        Sky projection of the coadd's pixels.
    bounds
        The coadd's pixels.
    """

    def __init__(self, components: Iterable[CoaddPsfComponent], projection: SkyProjection[Any], bounds: Bounds) -> None:
        self._components = tuple(sorted(components, key=lambda part: (part.visit, part.detector)))
        self._projection = projection
        self._bounds = bounds
        if not self._components:
            raise ValueError("A coadd's PSF needs at least one input.")

    @classmethod
    def combine(cls, parts: Sequence[tuple[CoaddPsf, float]], bounds: Bounds | None = None) -> CoaddPsf:
        """The function of a weighted mean of images on one grid, from their own functions and their weights.

        Raises
        ------
        ValueError
            If the images are not on one grid.
        """
        first = parts[0][0]
        if any(psf.projection != first.projection for psf, _ in parts):
            raise ValueError("The images are not on one pixel grid.")
        components = [replace(part, weight=part.weight * weight) for psf, weight in parts for part in psf.components]
        return cls(components, first.projection, first.bounds if bounds is None else bounds)

    @property
    def components(self) -> tuple[CoaddPsfComponent, ...]:
        """The inputs, by visit and detector."""
        return self._components

    @property
    def projection(self) -> SkyProjection[Any]:
        """Sky projection of the coadd's pixels."""
        return self._projection

    @property
    @override
    def bounds(self) -> Bounds:
        return self._bounds

    @cached_property
    def size(self) -> int:
        """Side of the stamps, px: that of the widest input."""
        return max(self._size_of(part) for part in self._components)

    @cached_property
    @override
    def kernel_bbox(self) -> Box:
        return centred_box(self.size)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CoaddPsf):
            return NotImplemented
        same = self._projection == other._projection and self._bounds == other._bounds
        return same and self._components == other._components

    __hash__ = None  # type: ignore[assignment]

    def n_inputs(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.int64]:
        """Number of inputs that contribute at positions x, y."""
        x, y = as_positions(x, y)
        return np.sum([self._covers(part, x, y) for part in self._components], axis=0, dtype=np.int64)

    def typical_position(self) -> tuple[float, float]:
        """Of a grid of positions over the bounds, the one with inputs that is nearest to their middle."""
        box = self._bounds.bbox
        middle_x, middle_y = 0.5 * (box.x.min + box.x.max), 0.5 * (box.y.min + box.y.max)
        grid = (np.linspace(side.min, side.max, _GRID) for side in (box.x, box.y))
        x, y = (axis.ravel() for axis in np.meshgrid(*grid))
        covered = np.flatnonzero(self.n_inputs(x, y) > 0)
        if not covered.size:
            return middle_x, middle_y
        best = covered[np.argmin(np.hypot(x[covered] - middle_x, y[covered] - middle_y))]
        return float(x[best]), float(y[best])

    def stamps(self, x: ArrayLike, y: ArrayLike, *, centred: bool = False) -> Stamps:
        """Stamps of unit sum at positions x, y, of NaN where no input contributes; see `psf_stamps`."""
        x, y = as_positions(x, y)
        x0, y0, dx, dy = stamp_origins(x, y, self.size, centred)
        total, weights = np.zeros((len(x), self.size, self.size)), np.zeros(len(x))
        for part in self._components:
            at = np.flatnonzero(self._covers(part, x, y))
            if not at.size:
                continue
            u, v, jacobian = local_maps(part.projection, self._projection, x[at], y[at])
            total[at] += part.weight * warped_stamps(part.psf, u, v, jacobian, dx[at], dy[at], self.size)
            weights[at] += part.weight
        total[weights == 0.0] = np.nan
        weights[weights == 0.0] = 1.0
        return total / weights[:, np.newaxis, np.newaxis], x0, y0

    @override
    def compute_kernel_image(self, *, x: float, y: float) -> Image:
        return Image(self._stamp(x, y, centred=True), bbox=self.kernel_bbox)

    @override
    def compute_stellar_image(self, *, x: float, y: float) -> Image:
        return Image(self._stamp(x, y, centred=False), bbox=self.compute_stellar_bbox(x=x, y=y))

    @override
    def compute_stellar_bbox(self, *, x: float, y: float) -> Box:
        return stamp_box(x, y, self.size)

    def sigma(self, x: float, y: float) -> float:
        """Determinant radius of the adaptive second moments at (x, y), px."""
        return float(stamp_sigmas(self._stamp(x, y, centred=True)[np.newaxis])[0])

    def _stamp(self, x: float, y: float, *, centred: bool) -> NDArray[np.float64]:
        """One stamp ``[y, x]``."""
        stamp: NDArray[np.float64] = self.stamps(x, y, centred=centred)[0][0]
        if np.isnan(stamp[0, 0]):
            raise PsfError(
                f"no input of the coadd covers x = {x:.1f}, y = {y:.1f}.",
                cure="Ask where the coadd has data (its mask, or n_inputs of its PSF).",
            )
        return stamp

    def _covers(self, part: CoaddPsfComponent, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether an input has a pixel at positions of the coadd."""
        sky = self._projection.pixel_to_sky_transform.apply_forward(x=x, y=y)
        pixel = part.projection.pixel_to_sky_transform.apply_inverse(x=np.asarray(sky.x), y=np.asarray(sky.y))
        return part.covers(np.asarray(pixel.x), np.asarray(pixel.y))

    def _size_of(self, part: CoaddPsfComponent) -> int:
        """Side of one input's stamps on the coadd's pixels."""
        box = part.bbox
        middle = part.projection.pixel_to_sky_transform.apply_forward(
            x=np.array([0.5 * (box.x.min + box.x.max)]), y=np.array([0.5 * (box.y.min + box.y.max)])
        )
        here = self._projection.pixel_to_sky_transform.apply_inverse(x=np.asarray(middle.x), y=np.asarray(middle.y))
        _, _, jacobian = local_maps(part.projection, self._projection, np.asarray(here.x), np.asarray(here.y))
        return warped_size(part.psf.kernel_bbox.x.size, jacobian[0])
