"""Fluxes of sources in ellipses that are given, such as those of another band."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from skyloom.catalog.columns import float_column
from skyloom.images.exposure import Exposure
from skyloom.images.footprints import FootprintSet
from skyloom.images.source_pixels import SourcePixels
from skyloom.kernels.own_ellipses import own_ellipse_sums
from skyloom.kernels.source_pass import PsfModels
from skyloom.psf import psf_stamps

from .frame import Frame, Peaks
from .own_light import cover_sources, own_pixels
from .settings import MeasurementSettings

__all__ = ["measure_ellipses"]

CHUNK = 256
"""Rows whose PSF stamps are in memory together."""


def measure_ellipses(
    exposure: Exposure,
    footprints: FootprintSet,
    table: Table,
    moments: np.ndarray,
    radius: np.ndarray,
    settings: MeasurementSettings,
    *,
    light: SourcePixels | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sum the light of each source in an ellipse, measured on an image in which all others are replaced by noise.

    Parameters
    ----------
    exposure, footprints, settings, light
        As of `skyloom.measurement.measure_sources`; the exposure has a PSF.
    table
        What that measured, before fluxes are corrected: a row a peak.
    moments
        ``[row, 3]``: Ixx, Iyy, Ixy, px^2, which give the shapes.
    radius
        Of the circles of the same area, px.
    seed
        Of the noise.

    Returns
    -------
    flux, error
        In the unit of the image; NaN where the moments are those of no ellipse.
    flag
        Bool: some of the ellipse is unusable or outside the image, or there is none.
    """
    frame = Frame.of(exposure, settings.unusable_planes)
    peaks = Peaks.of(footprints, frame)
    cover_sources(frame, peaks, light, seed)
    pixels = own_pixels(frame, peaks, light)
    x, y, psf_flux = (float_column(table, name) for name in ("x", "y", "psf_flux"))
    flux, error, flag = np.empty(x.size), np.empty(x.size), np.empty(x.size, bool)
    for first in range(0, x.size, CHUNK):
        rows = slice(first, first + CHUNK)
        assert exposure.psf is not None
        stamps, x0, y0 = psf_stamps(exposure.psf, x[rows], y[rows])
        models = PsfModels(stamps, x0 - frame.x0, y0 - frame.y0, psf_flux[rows])
        own = pixels._replace(owner=pixels.owner[rows])
        at = x[rows] - frame.x0, y[rows] - frame.y0
        sums = own_ellipse_sums(frame.planes, own, models, *at, moments[rows], radius[rows])
        flux[rows], error[rows], flag[rows] = sums
    return flux, error, flag
