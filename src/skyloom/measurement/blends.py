"""Positions of blended sources, freed from the pull of their neighbours."""

from __future__ import annotations

import numpy as np
from astropy.table import Table
from lsst.images.psfs import PointSpreadFunction

from skyloom.kernels.moments import centroids_without_neighbours
from skyloom.kernels.psf_flux import fit_stamps
from skyloom.psf import psf_stamps

from .frame import Frame, Peaks
from .settings import MeasurementSettings

__all__ = ["recentre_blends"]


def recentre_blends(
    table: Table, frame: Frame, peaks: Peaks, psf: PointSpreadFunction, window: float, settings: MeasurementSettings
) -> None:
    """Measure the centroids of blended sources again, with PSF models of their neighbours taken off.

    Fluxes and positions improve each other in a few rounds.  Where a new centroid fails, the old one stays.

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
    rows = np.flatnonzero(peaks.blended)
    if rows.size == 0:
        return
    _, counts = np.unique(peaks.footprint[rows], return_counts=True)
    start = np.concatenate([[0], np.cumsum(counts)])
    x, y = np.asarray(table["x"])[rows], np.asarray(table["y"])[rows]
    for _ in range(settings.blend_rounds):
        stamps, x0, y0 = psf_stamps(psf, x, y)
        x0, y0 = x0 - frame.x0, y0 - frame.y0
        pixels = (frame.image, frame.variance)
        flux, *_ = fit_stamps(*pixels, frame.unusable, stamps, x0, y0, start, settings.max_blend)
        at = peaks.x[rows].astype(float), peaks.y[rows].astype(float)
        position, flags = centroids_without_neighbours(
            *pixels, stamps, x0, y0, flux, *at, window, settings.max_centroid_shift
        )
        good = flags == 0
        x[good], y[good] = position[good, 0] + frame.x0, position[good, 1] + frame.y0
        done = rows[good]
        table["x"][done], table["y"][done] = x[good], y[good]
        table["x_err"][done], table["y_err"][done] = position[good, 2], position[good, 3]
        table["flag_centroid"][done] = False
