"""`measure_sources`: one row of the source table for each peak."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from skyloom.catalog.ids import IdGenerator
from skyloom.catalog.sources import make_source_table
from skyloom.images.exposure import Exposure
from skyloom.images.footprints import FootprintSet
from skyloom.images.projection import pixel_to_radec
from skyloom.kernels.moments import centroids, shapes
from skyloom.psf import psf_sigma as psf_sigma_of

from .blends import recentre_blends
from .flags import set_pixel_flags
from .fluxes import set_aperture_fluxes, set_psf_fluxes
from .frame import Frame, Peaks
from .settings import MeasurementSettings

__all__ = ["measure_sources"]


def measure_sources(
    exposure: Exposure,
    footprints: FootprintSet,
    settings: MeasurementSettings | None = None,
    id_generator: IdGenerator | None = None,
    *,
    psf_sigma: float | None = None,
) -> Table:
    """Measure every peak of every footprint on a background-subtracted exposure.

    Parameters
    ----------
    exposure
        Left as it is.  With a PSF the PSF fluxes are measured, with a projection the sky positions.
    footprints
        As detected; their ids become those of their first sources.
    settings
        Knobs; the defaults where not given.
    id_generator
        Makes the source ids; 1, 2, ... where not given.
    psf_sigma
        Width of the PSF for the centroid window, px; that of the exposure's PSF where not given, or of the
        settings before there is one.

    Returns
    -------
    astropy.table.Table
        The columns of `skyloom.catalog.sources`, a row a peak: footprints in order, in each the brightest peak
        first.  Fluxes are in the unit of the image.
    """
    settings = settings or MeasurementSettings()
    frame = Frame.of(exposure, settings.unusable_planes)
    peaks = Peaks.of(footprints, frame)
    table = make_source_table(len(peaks), exposure.unit, settings.aperture_radii)
    if psf_sigma is None:
        psf_sigma = settings.psf_sigma if exposure.psf is None else psf_sigma_of(exposure.psf)
    _set_ids(table, peaks, id_generator or IdGenerator(0, 0))
    window = max(psf_sigma, settings.min_window_sigma)
    _set_centroids(table, frame, peaks, window, settings)
    if exposure.psf is not None:
        recentre_blends(table, frame, peaks, exposure.psf, window, settings)
    x, y = np.asarray(table["x"]) - frame.x0, np.asarray(table["y"]) - frame.y0
    _set_shapes(table, frame, x, y, psf_sigma, settings)
    set_pixel_flags(table, frame, peaks, x, y)
    set_aperture_fluxes(table, frame, x, y, settings.aperture_radii)
    set_psf_fluxes(table, frame, peaks, exposure.psf, settings)
    if exposure.projection is not None and len(table):
        table["ra"], table["dec"] = pixel_to_radec(exposure.projection, table["x"], table["y"])
    footprints.ids[:] = table["source_id"][peaks.group_start[:-1]]
    return table


def _set_ids(table: Table, peaks: Peaks, generator: IdGenerator) -> None:
    """Number the rows; all rows of a blend, the first included, point to its first."""
    table["source_id"] = generator.ids(len(peaks))
    table["flag_blended"] = peaks.blended
    first = np.asarray(table["source_id"])[peaks.group_start[peaks.footprint]] if len(peaks) else 0
    table["parent_id"] = np.where(peaks.blended, first, 0)


def _set_centroids(table: Table, frame: Frame, peaks: Peaks, window: float, settings: MeasurementSettings) -> None:
    """Fill positions, their errors and the value at the peak."""
    position, flags = centroids(
        frame.image, frame.variance, peaks.x.astype(float), peaks.y.astype(float), window, settings.max_centroid_shift
    )
    table["x"], table["y"] = position[:, 0] + frame.x0, position[:, 1] + frame.y0
    table["x_err"], table["y_err"] = position[:, 2], position[:, 3]
    table["flag_centroid"] = flags != 0
    table["peak_value"] = frame.image[peaks.y, peaks.x]


def _set_shapes(
    table: Table, frame: Frame, x: np.ndarray, y: np.ndarray, sigma: float, settings: MeasurementSettings
) -> None:
    """Fill the adaptive moments; (x, y) are centroids in array coordinates."""
    moments, failed = shapes(frame.image, frame.variance, x, y, sigma, settings.max_shape_shift)
    table["ixx"], table["iyy"], table["ixy"] = moments[:, 0], moments[:, 1], moments[:, 2]
    table["flag_shape"] = failed
