"""The cells of all detectors of a camera in one list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from skyloom.errors import BadFrameError

from .sky_cells import SkyCells

__all__ = ["CameraCells"]


@dataclass(frozen=True, kw_only=True, eq=False)
class CameraCells:
    """Cells as 1-d arrays, one detector after the other, those of a detector row by row."""

    detectors: tuple[int, ...]
    shapes: tuple[tuple[int, int], ...]
    """Rows and columns of cells of each detector."""
    owner: np.ndarray
    """Index of the detector of each cell."""
    x: np.ndarray
    y: np.ndarray
    """Centres in the focal plane, mm."""
    level: np.ndarray
    """Electrons; 0 where not known."""
    weight: np.ndarray
    """Share of the pixels that show sky, 0 where the level is not known."""
    side: float
    """Of a typical cell, mm."""
    extent: tuple[tuple[float, float], tuple[float, float]]
    """First and last x, first and last y of the detectors, mm."""
    pixel_noise: float
    """Typical scatter of the sky's pixels, electrons."""

    @classmethod
    def of(cls, cells: Mapping[int, SkyCells]) -> CameraCells:
        """Those of some detectors, by their ids.

        Raises
        ------
        BadFrameError
            If there is none, or none of their cells is known.
        """
        detectors = tuple(sorted(cells))
        each = [cells[one] for one in detectors]
        if not any(np.isfinite(one.level).any() for one in each):
            raise BadFrameError("no detector shows sky.", cure="Look at the masks of the frames.")
        places = [one.places() for one in each]
        known = [np.isfinite(one.level) for one in each]
        corners = np.concatenate([_corners(one) for one in each])
        return cls(
            detectors=detectors,
            shapes=tuple((one.level.shape[0], one.level.shape[1]) for one in each),
            owner=np.repeat(np.arange(len(each)), [one.level.size for one in each]),
            x=_flat(x for x, _ in places),
            y=_flat(y for _, y in places),
            level=_flat(np.where(there, one.level, 0.0) for one, there in zip(each, known, strict=True)),
            weight=_flat(np.where(there, one.fraction, 0.0) for one, there in zip(each, known, strict=True)),
            side=float(np.median([_side(one) for one in each])),
            extent=((corners[:, 0].min(), corners[:, 0].max()), (corners[:, 1].min(), corners[:, 1].max())),
            pixel_noise=float(np.nanmedian(_flat(one.noise for one in each))),
        )

    def split(self, values: np.ndarray) -> dict[int, np.ndarray]:
        """Values of the cells as a mesh ``[cell_y, cell_x]`` a detector."""
        parts = np.split(values, np.cumsum([ny * nx for ny, nx in self.shapes])[:-1])
        return {one: part.reshape(shape) for one, part, shape in zip(self.detectors, parts, self.shapes, strict=True)}

    def join(self, meshes: Mapping[int, np.ndarray]) -> np.ndarray:
        """The values of meshes ``[cell_y, cell_x]`` as one list; detectors without a mesh get NaN."""
        return _flat(
            meshes[one] if one in meshes else np.full(shape, np.nan)
            for one, shape in zip(self.detectors, self.shapes, strict=True)
        )


def _flat(meshes: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.asarray(one, np.float64).ravel() for one in meshes])


def _side(cells: SkyCells) -> float:
    """Mean side of the cells, mm."""
    return cells.placement.pixel_mm * float(np.sqrt(cells.box.area / cells.level.size))


def _corners(cells: SkyCells) -> np.ndarray:
    """Places of the outer corners of the detector, mm, ``[corner, 2]``."""
    y, x = ((side.min - 0.5, side.max + 0.5) for side in (cells.box.y, cells.box.x))
    pixels = np.array([(a, b) for a in x for b in y])
    return np.column_stack(cells.placement.focal_plane(pixels[:, 0], pixels[:, 1]))
