"""`CoaddPsf`: the point-spread function of a weighted mean of warped images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, override

import numpy as np
from lsst.images import Bounds, Box, Image, SkyProjection
from lsst.images.psfs import PointSpreadFunction

from skyloom.errors import PsfError
from skyloom.kernels.psf_stamps import stamp_sigmas

from .component import CoaddPsfComponent
from .stamps import Stamps, as_positions, centred_box, psf_stamps, stamp_box, stamp_origins
from .warped import check_maps, local_maps, maps_from_sky, sky_around, warped_size, warped_stamps

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["CoaddPsf"]

_GRID = 65
"""Positions a side, an odd number so that the middle is one, at which an input is looked for."""
_OUTLINE = 33
"""Positions a side of an input's box that are followed to the coadd's pixels."""
_MARGIN = 8.0
"""Pixels by which what they enclose there is taken larger than it is."""


type Contribution = tuple[
    CoaddPsfComponent, NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]
]
"""An input; which of the positions it covers; its own positions (x, y) there, and the maps about them as in
`local_maps`."""


class CoaddPsf(PointSpreadFunction):
    """The weighted mean of the inputs' functions, each warped to the coadd's pixels as its image was.

    At a position, only the inputs contribute that have a pixel there (Jee & Tyson 2011, PASP 123, 596; the stack of
    warped models of Bosch et al. 2018, PASJ 70, S5).  Where detectors of one visit overlap the first one counts, as in
    its warp.

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
        number = np.zeros(len(x), np.int64)
        for _, at, _, _, _ in self.contributions(x, y):
            number[at] += 1
        return number

    def inputs_at(self, x: float, y: float) -> tuple[CoaddPsfComponent, ...]:
        """The inputs that contribute at one position, by visit and detector."""
        return tuple(part for part, *_ in self.contributions(*as_positions(x, y)))

    def contributions(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> Iterator[Contribution]:
        """Every input that has a pixel at any of the positions x, y, with what follows from where."""
        first, second = sky_around(self._projection, x, y)
        taken: dict[int, NDArray[np.bool_]] = {}
        for part, (left, right, bottom, top) in zip(self._components, self._reaches, strict=True):
            near = np.flatnonzero((x >= left) & (x <= right) & (y >= bottom) & (y <= top))
            if not near.size:
                continue
            u, v, jacobian = maps_from_sky(part.projection, first[:, near], second[:, near])
            before = taken.setdefault(part.visit, np.zeros(len(x), bool))
            inside = part.covers(u, v) & ~before[near]
            before[near[inside]] = True
            if inside.any():
                yield part, near[inside], u[inside], v[inside], jacobian[inside]

    def typical_position(self) -> tuple[float, float]:
        """Of a grid of positions over the bounds, the one with inputs that is nearest to their middle."""
        box = self._bounds.bbox
        return self._nearest_covered(0.5 * (box.x.min + box.x.max), 0.5 * (box.y.min + box.y.max))

    def average_position(self) -> tuple[float, float]:
        """Mean of the positions of all pixels under the weights of the inputs that they have.

        It can lie in a gap between inputs: then it is the nearest position, of a grid, that has any.
        """
        x, y, weight = self._grid
        total = weight.sum()
        if not total > 0.0:
            return self.typical_position()
        return self._nearest_covered(float((weight * x).sum() / total), float((weight * y).sum() / total))

    @cached_property
    def _grid(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Positions (x, y) of a grid over the bounds, and the weight of the inputs there."""
        box = self._bounds.bbox
        x, y = (
            axis.ravel() for axis in np.meshgrid(*(np.linspace(side.min, side.max, _GRID) for side in (box.x, box.y)))
        )
        weight = np.zeros(len(x))
        for part, at, *_ in self.contributions(x, y):
            weight[at] += part.weight
        return x, y, weight

    def _nearest_covered(self, x: float, y: float) -> tuple[float, float]:
        """A position itself where it has an input or none has, else the nearest of the grid that has one."""
        grid_x, grid_y, weight = self._grid
        covered = np.flatnonzero(weight > 0.0)
        if not covered.size or self.n_inputs(x, y)[0]:
            return x, y
        best = covered[np.argmin(np.hypot(grid_x[covered] - x, grid_y[covered] - y))]
        return float(grid_x[best]), float(grid_y[best])

    def stamps(self, x: ArrayLike, y: ArrayLike, *, centred: bool = False) -> Stamps:
        """Stamps of unit sum at positions x, y, of NaN where no input contributes; see `psf_stamps`."""
        x, y = as_positions(x, y)
        x0, y0, dx, dy = stamp_origins(x, y, self.size, centred)
        total, weights = np.zeros((len(x), self.size, self.size)), np.zeros(len(x))
        in_place = {id(part): known for part, known in zip(self._components, self._in_place, strict=True)}
        for part, at, u, v, jacobian in self.contributions(x, y):
            if in_place[id(part)]:
                own = self._widened(psf_stamps(part.psf, x[at], y[at], centred)[0])
            else:
                check_maps(u, v, jacobian)
                own = warped_stamps(part.psf, u, v, jacobian, dx[at], dy[at], self.size, part.warp_order)
            total[at] += part.weight * own
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

    @cached_property
    def _in_place(self) -> tuple[bool, ...]:
        """Of each input, whether its own pixels are the coadd's, as those of a matched warp: nothing was resampled."""
        return tuple(part.projection == self._projection for part in self._components)

    def _widened(self, stamps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Stamps with as many zeros around them as the coadd's size takes."""
        margin = (self.size - stamps.shape[1]) // 2
        return np.pad(stamps, ((0, 0), (margin, margin), (margin, margin)))

    @cached_property
    def _reaches(self) -> list[tuple[float, float, float, float]]:
        """Left, right, bottom and top of what each input covers of the coadd, or a little more."""
        return [self._reach_of(part) for part in self._components]

    def _reach_of(self, part: CoaddPsfComponent) -> tuple[float, float, float, float]:
        edge = np.linspace(-0.5, 0.5, _OUTLINE)
        half = np.full(_OUTLINE, 0.5)
        across, along = np.concatenate([edge, edge, -half, half]), np.concatenate([-half, half, edge, edge])
        box = part.bbox
        sky = part.projection.pixel_to_sky_transform.apply_forward(
            x=0.5 * (box.x.min + box.x.max) + across * box.x.size, y=0.5 * (box.y.min + box.y.max) + along * box.y.size
        )
        pixel = self._projection.pixel_to_sky_transform.apply_inverse(x=np.asarray(sky.x), y=np.asarray(sky.y))
        x, y = np.asarray(pixel.x), np.asarray(pixel.y)
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            return -np.inf, np.inf, -np.inf, np.inf
        return float(x.min()) - _MARGIN, float(x.max()) + _MARGIN, float(y.min()) - _MARGIN, float(y.max()) + _MARGIN

    def _size_of(self, part: CoaddPsfComponent) -> int:
        """Side of one input's stamps on the coadd's pixels."""
        box = part.bbox
        middle = part.projection.pixel_to_sky_transform.apply_forward(
            x=np.array([0.5 * (box.x.min + box.x.max)]), y=np.array([0.5 * (box.y.min + box.y.max)])
        )
        here = self._projection.pixel_to_sky_transform.apply_inverse(x=np.asarray(middle.x), y=np.asarray(middle.y))
        _, _, jacobian = local_maps(part.projection, self._projection, np.asarray(here.x), np.asarray(here.y))
        return warped_size(part.psf.kernel_bbox.x.size, jacobian[0])
