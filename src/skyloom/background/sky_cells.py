"""`bin_sky`: the sky of one detector in cells, of which the sky of a whole camera is fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np

from skyloom.errors import BadFrameError
from skyloom.images.mask_planes import bitmask
from skyloom.kernels.background import mesh_statistics
from skyloom.kernels.components import dilate_disk

from .mesh import cell_edges
from .render import render_field

if TYPE_CHECKING:
    from lsst.images import Box
    from lsst.images.cameras import Detector
    from lsst.images.fields import Field
    from numpy.typing import ArrayLike

    from skyloom.images.exposure import Exposure

__all__ = ["Placement", "SkyBinSettings", "SkyCells", "bin_sky"]

_FAR = 1000.0
"""Pixels between the places at which the map to the focal plane is asked."""


@dataclass(frozen=True, kw_only=True)
class SkyBinSettings:
    """Knobs of the cells."""

    bin_size: int = 128
    """Wanted side of a cell, px."""
    clip_sigma: float = 3.0
    """Pixels further than that from the cell's mean are left out, in units of the cell's scatter."""
    clip_iterations: int = 10
    ignored_planes: tuple[str, ...] = (
        "BAD",
        "SAT",
        "INTRP",
        "CR",
        "NO_DATA",
        "DETECTED",
        "DETECTED_NEGATIVE",
        "STREAK",
        "VIGNETTED",
    )
    """Pixels with one of these planes are no sky."""
    grow: int = 6
    """Sources grow by so many pixels: their wings are no sky either."""
    min_cell_fraction: float = 0.1
    """A cell with a smaller share of usable pixels is not known."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where the pixels of a detector lie in the focal plane; a detector is rigid, so that the map is affine."""

    origin: tuple[float, float]
    """x and y of the centre of pixel (0, 0), mm."""
    along_x: tuple[float, float]
    """Step in x and y from a pixel to the one right of it, mm."""
    along_y: tuple[float, float]
    """Step in x and y from a pixel to the one above it, mm."""

    @classmethod
    def of(cls, detector: Detector) -> Placement:
        """That of a detector of a camera."""
        places = np.array([[0.0, 0.0], [_FAR, 0.0], [0.0, _FAR]])
        mapped = detector.to_focal_plane.apply_forward(x=places[:, 0], y=places[:, 1])
        (x0, x1, x2), (y0, y1, y2) = (np.asarray(one, np.float64).tolist() for one in (mapped.x, mapped.y))
        return cls(
            origin=(x0, y0),
            along_x=((x1 - x0) / _FAR, (y1 - y0) / _FAR),
            along_y=((x2 - x0) / _FAR, (y2 - y0) / _FAR),
        )

    def focal_plane(self, x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Place (mm) of pixels x, y."""
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        first, second = (self.origin[i] + self.along_x[i] * x + self.along_y[i] * y for i in (0, 1))
        return first, second

    @property
    def pixel_mm(self) -> float:
        """Side of a pixel."""
        return float(np.hypot(*self.along_x))


@dataclass(frozen=True, kw_only=True, eq=False)
class SkyCells:
    """The sky of one detector in a mesh of cells; all values in electrons."""

    level: np.ndarray
    """``[cell_y, cell_x]`` clipped mean; NaN where too few pixels show sky."""
    noise: np.ndarray
    """``[cell_y, cell_x]`` scatter of the pixels."""
    count: np.ndarray
    """``[cell_y, cell_x]`` number of pixels that show sky."""
    box: Box
    """Of the detector."""
    placement: Placement

    @property
    def y(self) -> np.ndarray:
        """Centres of the rows of cells, px."""
        return _centres(self.box.y.size, self.level.shape[0]) + self.box.y.min

    @property
    def x(self) -> np.ndarray:
        """Centres of the columns of cells, px."""
        return _centres(self.box.x.size, self.level.shape[1]) + self.box.x.min

    @property
    def fraction(self) -> np.ndarray:
        """``[cell_y, cell_x]`` share of the pixels that show sky."""
        sides = [_edges(size, n) for size, n in zip(self.box.shape, self.level.shape, strict=True)]
        return np.asarray(self.count / np.outer(*(np.diff(edges) for edges in sides)))

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Centres of the cells in the focal plane, mm, each ``[cell_y, cell_x]``."""
        y, x = np.meshgrid(self.y, self.x, indexing="ij")
        return self.placement.focal_plane(x, y)


def bin_sky(
    exposure: Exposure,
    background: Field | None = None,
    *,
    flat_ratio: np.ndarray | None = None,
    settings: SkyBinSettings | None = None,
) -> SkyCells:
    """Bin the sky of a calibrated frame, as it was before its own background was taken off.

    The cells are in electrons, for the zero points of the detectors scatter by more than their skies do: in nJy the
    sky would have steps from one detector to the next.

    Parameters
    ----------
    exposure
        In nJy with its photometric calibration, or in electrons; left as it is.
    background
        What was subtracted from it, in the unit of the exposure; None where nothing was.
    flat_ratio
        ``[y, x]``: what the frame was divided by after flat fielding, where it was: the background was fitted before.
    settings
        Knobs; the defaults where not given.

    Raises
    ------
    BadFrameError
        If the exposure lacks detector or calibration, the background is of another unit or no cell shows sky.
    """
    settings = settings or SkyBinSettings()
    if exposure.detector is None:
        raise BadFrameError("the frame does not say of which detector it is.", cure="Give a calibrated frame.")
    image = _electrons(exposure, background, flat_ratio)
    edges = [cell_edges(size, settings.bin_size) for size in image.shape]
    level, noise, count = mesh_statistics(
        image, _bits(exposure, settings), 1, *edges, settings.clip_sigma, settings.clip_iterations
    )
    cells = SkyCells(
        level=level, noise=noise, count=count, box=exposure.bbox, placement=Placement.of(exposure.detector)
    )
    poor = cells.fraction < settings.min_cell_fraction
    level[poor] = noise[poor] = np.nan
    if poor.all():
        raise BadFrameError(
            f"no cell has {settings.min_cell_fraction:.0%} of its pixels unmasked.",
            cure="Look at the mask of the frame.",
        )
    return cells


def _electrons(exposure: Exposure, background: Field | None, flat_ratio: np.ndarray | None) -> np.ndarray:
    """The frame with all of its sky, float32 ``[y, x]``, in the flat field in which the sky was fitted."""
    image = np.array(exposure.image.array, np.float32)
    if flat_ratio is not None:
        image *= flat_ratio
    if background is not None:
        if background.unit != exposure.unit:
            raise BadFrameError(f"the frame is in {exposure.unit}, its background in {background.unit}.")
        image += render_field(background, exposure.bbox)
    if exposure.unit != u.electron:
        if exposure.photo_calib is None:
            raise BadFrameError("the frame has no photometric calibration.", cure="Calibrate the frame first.")
        image /= exposure.photo_calib.scale_pixels(exposure.bbox)
    return image


def _bits(exposure: Exposure, settings: SkyBinSettings) -> np.ndarray:
    """``[y, x]`` int32, 1 where a pixel is no sky."""
    sources = bitmask("DETECTED", "DETECTED_NEGATIVE") & bitmask(*settings.ignored_planes)
    ignored = (exposure.bits & bitmask(*settings.ignored_planes)) != 0
    if sources and settings.grow:
        ignored |= dilate_disk((exposure.bits & sources) != 0, settings.grow)
    return np.asarray(ignored, np.int32)


def _edges(size: int, n: int) -> np.ndarray:
    """Edges of n cells, as `skyloom.background.mesh.cell_edges` has them."""
    return np.arange(n + 1, dtype=np.int64) * size // n


def _centres(size: int, n: int) -> np.ndarray:
    edges = _edges(size, n)
    return np.asarray(edges[:-1] + (np.diff(edges) - 1) / 2)
