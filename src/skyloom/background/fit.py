"""`fit_background`: the sky of a frame as a smooth field, with its level and noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import astropy.units as u
import numpy as np
from lsst.images import Box
from lsst.images.fields import ChebyshevField, Field, SplineField

from skyloom.errors import BadFrameError
from skyloom.images.mask_planes import bitmask
from skyloom.kernels.background import mesh_statistics, render_akima

from .chebyshev import chebyshev, render_chebyshev
from .mesh import add_border, cell_edges, fill_missing, smooth_mesh

__all__ = ["Background", "BackgroundSettings", "fit_background"]

PLANE_CELLS = 4  # cells a side under the plane that stands in for a mesh on a small frame


@dataclass(frozen=True)
class BackgroundSettings:
    """Knobs of the background."""

    bin_size: int = 128
    """Wanted side of a mesh cell, px."""
    clip_sigma: float = 3.0
    """Pixels further than that from the cell's mean are left out, in units of the cell's scatter."""
    clip_iterations: int = 10
    ignored_planes: tuple[str, ...] = ("BAD", "SAT", "INTRP", "CR", "NO_DATA", "DETECTED", "DETECTED_NEGATIVE")
    """Pixels with one of these planes are no sky."""
    min_cell_fraction: float = 0.2
    """A cell with a smaller share of usable pixels is filled from its neighbours."""
    median_size: int = 1
    """Side of the median filter over cells (odd); 1 for none, 3 against halos and unmasked galaxies."""
    model: Literal["spline", "chebyshev"] = "spline"
    """Surface that joins the cells: an Akima spline through all, or a polynomial that smooths them."""
    order: int = 6
    """Highest total power of the polynomial; it is lowered to one less than the cells along the shorter side."""
    weighted: bool = True
    """Whether the polynomial weighs cells by the standard error of their mean, or all alike."""


@dataclass(frozen=True)
class Background:
    """A fitted background."""

    field: Field
    """Sky, in the unit of the image."""
    sky_level: float
    """Median of the cells, in the unit of the image."""
    sky_noise: float
    """Median scatter of single sky pixels about the cell's mean, in the unit of the image."""
    cell_level: np.ndarray
    """``[cell_y, cell_x]`` clipped mean of each cell, before filling and filtering; NaN where too few pixels."""
    cell_noise: np.ndarray
    """``[cell_y, cell_x]`` scatter of the pixels of each cell; NaN where too few pixels."""

    def render(self) -> np.ndarray:
        """The sky at every pixel, ``[y, x]`` float32."""
        field = self.field
        if isinstance(field, ChebyshevField):
            return render_chebyshev(field)
        if isinstance(field, SplineField) and np.isfinite(field.data).all():  # as field.render, but compiled
            box = field.bounds.bbox
            nodes = (np.array(part, dtype=np.float64) for part in (field.data, field.y, field.x))
            return np.asarray(render_akima(*nodes, box.y.min, box.x.min, box.y.size, box.x.size))
        return np.asarray(self.field.render(dtype=np.float32).array)


def fit_background(
    image: np.ndarray,
    mask_bits: np.ndarray,
    *,
    settings: BackgroundSettings | None = None,
    box: Box | None = None,
    unit: u.UnitBase | None = None,
) -> Background:
    """Fit the sky of an image that is left as it is.

    Clipped means of the unmasked pixels of a mesh of cells are joined by Akima splines (Akima 1970, J. ACM 17, 589)
    along rows and columns, and continued straight from the outer cell centres to the edges, or smoothed by a Chebyshev
    polynomial.  A frame of less than one and a half bins along a side gets a plane.

    Parameters
    ----------
    image, mask_bits
        ``[y, x]`` pixels and bits of the mask schema; pixels that are not finite are ignored.
    settings
        Knobs; the defaults where not given.
    box
        Bounding box of the image; from (0, 0) where not given.
    unit
        Of the image, recorded in the field.

    Raises
    ------
    BadFrameError
        If no cell has enough usable pixels.
    """
    settings = settings or BackgroundSettings()
    box = box or Box.from_shape(image.shape)
    y_edges, x_edges = cell_edges(image.shape[0], settings.bin_size), cell_edges(image.shape[1], settings.bin_size)
    small = min(y_edges.size, x_edges.size) < 3
    if small:
        y_edges, x_edges = (cell_edges(size, max(1, size // PLANE_CELLS)) for size in image.shape)
    level, noise, error = _cells(image, mask_bits, y_edges, x_edges, settings)
    y, x = (edges[:-1] + (np.diff(edges) - 1) / 2 for edges in (y_edges, x_edges))
    y, x = y + box.y.min, x + box.x.min
    field: Field
    if small:
        field = _plane(level, y, x, box, unit)
    elif settings.model == "chebyshev":
        field = chebyshev(level, error if settings.weighted else None, y, x, box, settings.order, unit)
    else:
        field = _akima(level, y, x, box, unit, settings.median_size)
    return Background(
        field=field,
        sky_level=float(np.nanmedian(level)),
        sky_noise=float(np.nanmedian(noise)),
        cell_level=level,
        cell_noise=noise,
    )


def _cells(
    image: np.ndarray, bits: np.ndarray, y_edges: np.ndarray, x_edges: np.ndarray, settings: BackgroundSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Level, scatter and standard error of the level of each cell, NaN where too few pixels are usable."""
    ignored = bitmask(*settings.ignored_planes)
    level, noise, count = mesh_statistics(
        np.ascontiguousarray(image),
        np.ascontiguousarray(bits),
        ignored,
        y_edges,
        x_edges,
        settings.clip_sigma,
        settings.clip_iterations,
    )
    area = np.outer(np.diff(y_edges), np.diff(x_edges))
    poor = count < settings.min_cell_fraction * area
    level[poor] = noise[poor] = np.nan
    if poor.all():
        raise BadFrameError(
            f"No background cell has {settings.min_cell_fraction:.0%} of its pixels unmasked; "
            f"{count.sum() / area.sum():.1%} of the frame is usable.",
            cure="Look at the mask of the frame, or lower min_cell_fraction.",
            usable_fraction=float(count.sum() / area.sum()),
        )
    return level, noise, noise / np.sqrt(np.maximum(count, 1))


def _akima(
    level: np.ndarray, y: np.ndarray, x: np.ndarray, box: Box, unit: u.UnitBase | None, median_size: int
) -> Field:
    """The spline through all cells."""
    mesh = smooth_mesh(fill_missing(level), median_size)
    nodes, y_nodes, x_nodes = add_border(
        mesh, y, x, (box.y.min - 0.5, box.y.max + 0.5), (box.x.min - 0.5, box.x.max + 0.5)
    )
    return SplineField(box, nodes, y=y_nodes, x=x_nodes, unit=unit)


def _plane(level: np.ndarray, y: np.ndarray, x: np.ndarray, box: Box, unit: u.UnitBase | None) -> Field:
    """The plane through the known cells; the mean where they do not span one."""
    rows, columns = np.nonzero(np.isfinite(level))
    values = level[rows, columns]
    v = (y[rows] - (box.y.min + box.y.max) / 2) * 2 / box.y.size
    h = (x[columns] - (box.x.min + box.x.max) / 2) * 2 / box.x.size
    design = np.column_stack([np.ones_like(v), v, h])
    coefficients = np.zeros((2, 2))
    if np.linalg.matrix_rank(design, tol=1e-3) == 3 and values.size > 3:
        solution = np.linalg.lstsq(design, values, rcond=None)[0]
        coefficients[0, 0], coefficients[1, 0], coefficients[0, 1] = solution
    else:
        coefficients[0, 0] = values.mean()
    return ChebyshevField(box, coefficients, unit=unit)
