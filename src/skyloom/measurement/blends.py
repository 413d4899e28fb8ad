"""Positions of blended sources, freed from the pull of their neighbours."""

from __future__ import annotations

import numpy as np
from astropy.table import Table
from lsst.images.psfs import PointSpreadFunction

from skyloom.kernels.blend_centroids import centroids_without_neighbours
from skyloom.kernels.psf_flux import fit_stamps
from skyloom.psf import psf_stamps

from .frame import Frame, Peaks
from .settings import MeasurementSettings

__all__ = ["recentre_blends"]


def recentre_blends(
    table: Table, frame: Frame, peaks: Peaks, psf: PointSpreadFunction, window: float, settings: MeasurementSettings
) -> None:
    """Measure the centroids of blended sources again, with PSF models of their neighbours taken off.

    Fluxes and positions improve each other in a few rounds, in which only blends that still move take part.  Where a
    new centroid fails, the old one stays.

    Parameters
    ----------
    table
        The source table; positions, their errors and flags of blended rows are modified in place.
    frame, peaks
        The pixels and the footprints.
    psf
        Makes the models.
    window
        Width of the centroid window, px.
    settings
        Knobs of the measurement.
    """
    groups = np.flatnonzero(np.diff(peaks.group_start) > 1)
    for _ in range(settings.blend_rounds):
        if groups.size == 0:
            return
        counts = np.diff(peaks.group_start)[groups]
        start = np.concatenate([[0], np.cumsum(counts)])
        rows = np.repeat(peaks.group_start[groups] - start[:-1], counts) + np.arange(start[-1])
        moved = _recentre(table, frame, peaks, psf, window, settings, groups, start, rows)
        groups = groups[np.maximum.reduceat(moved, start[:-1]) > settings.blend_precision]


def _recentre(
    table: Table,
    frame: Frame,
    peaks: Peaks,
    psf: PointSpreadFunction,
    window: float,
    settings: MeasurementSettings,
    groups: np.ndarray,
    start: np.ndarray,
    rows: np.ndarray,
) -> np.ndarray:
    """One round for some groups, whose rows are given; how far each row moved, px."""
    planes = frame.planes
    x, y = np.asarray(table["x"])[rows], np.asarray(table["y"])[rows]
    stamps, x0, y0 = psf_stamps(psf, x, y)
    x0, y0 = x0 - frame.x0, y0 - frame.y0
    owned = peaks.owned(groups)
    pixels = (planes.image, planes.variance, planes.state)
    flux, *_ = fit_stamps(*pixels, stamps, x0, y0, start, settings.max_blend, owned)
    at = peaks.x[rows].astype(float), peaks.y[rows].astype(float)
    position, flags = centroids_without_neighbours(
        tuple(planes), stamps, x0, y0, flux, start, owned, *at, window, settings.max_centroid_shift
    )
    good = flags == 0
    new_x, new_y = position[:, 0] + frame.x0, position[:, 1] + frame.y0
    moved = np.where(good, np.hypot(new_x - x, new_y - y), 0.0)
    done = rows[good]
    table["x"][done], table["y"][done] = new_x[good], new_y[good]
    table["x_err"][done], table["y_err"][done] = position[good, 2], position[good, 3]
    table["flag_centroid"][done] = False
    return moved
