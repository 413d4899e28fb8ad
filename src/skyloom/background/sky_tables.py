"""The sky of a detector in cells as a table, and the figures of the sky of a visit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Column, Table
from lsst.images import Box

from skyloom.errors import BadFrameError

from .sky_cells import Placement, SkyCells

if TYPE_CHECKING:
    from .focal_plane import DetectorSky, VisitSky

__all__ = ["from_cells_table", "to_cells_table", "visit_sky_table"]

_COLUMNS = ("row", "column", "level", "noise", "count", "box", "placement")
_FIGURES: dict[str, tuple[type, str | None, str]] = {
    "detector": (np.int64, None, "detector id"),
    "sky_level": (np.float64, "electron", "median of the sky on the detector"),
    "offset": (np.float64, "electron", "level of the detector's own, beyond smooth sky and pattern"),
    "residual_rms": (np.float64, "electron", "scatter of the cells about the sky, masked ones left out"),
    "residual_median": (np.float64, "electron", "median of the cells above the sky, masked ones left out"),
    "n_cells": (np.int64, None, "cells that show sky"),
    "bright_fraction": (np.float64, None, "share of them in which extended light was masked"),
    "dark_fraction": (np.float64, None, "share of them in which a shadow was masked"),
    "flag_odd": (np.bool_, None, "its level stands apart from its neighbours'"),
    "flag_no_sky_frame": (np.bool_, None, "there is no sky frame of the detector"),
    "visit_sky_level": (np.float64, "electron", "median of the smooth sky, of all detectors"),
    "visit_pattern_strength": (np.float64, "electron", "what the sky frames were multiplied by, on all detectors"),
    "visit_pattern_strength_err": (np.float64, "electron", "standard error of that"),
    "visit_scatter": (np.float64, "electron", "scatter of the cells about the sky, of all detectors"),
    "visit_bright_fraction": (np.float64, None, "share of all cells in which extended light was masked"),
    "visit_largest_step": (np.float64, "electron", "largest step left between neighbouring detectors"),
}
"""Name of a column: its type, unit and description."""


def to_cells_table(cells: SkyCells) -> Table:
    """One row a cell; box and placement of the detector are repeated in each, for tables keep nothing beside rows."""
    rows, columns = np.indices(cells.level.shape)
    y, x = np.meshgrid(cells.y, cells.x, indexing="ij")
    table = Table()
    table["row"] = Column(rows.ravel(), description="row of cells")
    table["column"] = Column(columns.ravel(), description="column of cells")
    table["x"] = Column(x.ravel(), unit="pix", description="centre of the cell")
    table["y"] = Column(y.ravel(), unit="pix", description="centre of the cell")
    table["level"] = Column(cells.level.ravel(), unit="electron", description="clipped mean of the sky")
    table["noise"] = Column(cells.noise.ravel(), unit="electron", description="scatter of the pixels")
    table["count"] = Column(cells.count.ravel(), description="pixels that show sky")
    box, place = cells.box, cells.placement
    sides = [box.y.start, box.y.stop, box.x.start, box.x.stop]
    table["box"] = Column(np.tile(sides, (len(table), 1)), unit="pix", description="of the detector: y0, y1, x0, x1")
    words = "x, y of pixel (0, 0) in the focal plane; steps in x, y to the pixel right of it, and above it"
    affine = [*place.origin, *place.along_x, *place.along_y]
    table["placement"] = Column(np.tile(affine, (len(table), 1)), unit="mm", description=words)
    return table


def from_cells_table(table: Table) -> SkyCells:
    """The cells of `to_cells_table`.

    Raises
    ------
    BadFrameError
        If it is another table.
    """
    missing = [name for name in _COLUMNS if name not in table.colnames]
    if missing or not len(table):
        raise BadFrameError(f"the table of sky cells lacks {', '.join(missing) or 'rows'}.", cure="Make it anew.")
    shape = int(np.max(table["row"])) + 1, int(np.max(table["column"])) + 1
    y0, y1, x0, x1 = (int(side) for side in np.asarray(table["box"])[0])
    place = np.asarray(table["placement"], np.float64)[0].tolist()
    level, noise, count = (np.asarray(table[name]).reshape(shape) for name in ("level", "noise", "count"))
    return SkyCells(
        level=level.astype(np.float64),
        noise=noise.astype(np.float64),
        count=count.astype(np.int64),
        box=Box.factory[y0:y1, x0:x1],
        placement=Placement(origin=(place[0], place[1]), along_x=(place[2], place[3]), along_y=(place[4], place[5])),
    )


def visit_sky_table(sky: VisitSky) -> Table:
    """The figures of the sky of a visit, one row a detector; those of the whole camera are the same in each."""
    common = {
        "visit_sky_level": sky.level,
        "visit_pattern_strength": sky.strength,
        "visit_pattern_strength_err": sky.strength_error,
        "visit_scatter": sky.scatter,
        "visit_bright_fraction": sky.bright_fraction,
        "visit_largest_step": sky.largest_step,
    }
    rows = [common | _figures(detector, one) for detector, one in sorted(sky.detectors.items())]
    table = Table()
    for name, (kind, unit, description) in _FIGURES.items():
        table[name] = Column(np.array([row[name] for row in rows], kind), unit=unit, description=description)
    return table


def _figures(detector: int, one: DetectorSky) -> dict[str, float | bool]:
    known = np.isfinite(one.cells.level)
    residual = one.residual[known & ~one.bright & ~one.dark]
    middle = float(np.median(residual)) if residual.size else np.nan
    return {
        "detector": detector,
        "sky_level": float(np.median(one.model)),
        "offset": one.offset,
        "residual_rms": 1.4826 * float(np.median(np.abs(residual - middle))) if residual.size else np.nan,
        "residual_median": middle,
        "n_cells": int(known.sum()),
        "bright_fraction": float(np.mean(one.bright[known])) if known.any() else 0.0,
        "dark_fraction": float(np.mean(one.dark[known])) if known.any() else 0.0,
        "flag_odd": one.odd,
        "flag_no_sky_frame": one.frame is None,
    }
