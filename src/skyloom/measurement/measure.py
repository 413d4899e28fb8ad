"""`measure_sources`: one row of the source table for each peak."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from skyloom.catalog.ids import IdGenerator
from skyloom.catalog.sources import make_source_table
from skyloom.images.exposure import Exposure
from skyloom.images.footprints import FootprintSet
from skyloom.images.projection import pixel_to_radec
from skyloom.images.source_pixels import SourcePixels
from skyloom.kernels.source_pass import LightPixels, measure_positions
from skyloom.psf import psf_sigma as psf_sigma_of

from .blends import recentre_blends
from .flags import set_pixel_flags
from .fluxes import set_fluxes
from .frame import Frame, Peaks
from .own_light import cover_sources, own_pixels
from .settings import MeasurementSettings

__all__ = ["measure_sources"]


def measure_sources(
    exposure: Exposure,
    footprints: FootprintSet,
    settings: MeasurementSettings | None = None,
    id_generator: IdGenerator | None = None,
    *,
    psf_sigma: float | None = None,
    light: SourcePixels | None = None,
    sky_sources: FootprintSet | None = None,
    positions: tuple[np.ndarray, np.ndarray] | None = None,
) -> Table:
    """Measure every peak of every footprint on a background-subtracted exposure.

    Each source is measured on an image in which the footprints of all others are replaced by noise.

    Parameters
    ----------
    exposure
        Left as it is.  With a PSF the PSF fluxes are measured, with a projection the sky positions.
    footprints
        As detected; their ids become those of their first sources.
    settings
        Knobs; the defaults where not given.
    id_generator
        Makes the source ids; 1, 2, ... where not given.  Its catalogue id is the seed of the noise.
    psf_sigma
        Width of the PSF for the centroid window, px; that of the exposure's PSF where not given, or of the
        settings before there is one.
    light
        The light of each peak, in the order of the rows.  Without it the peaks of a footprint share all its pixels.
    sky_sources
        Places without a source, of `place_sky_sources`, measured there and listed last; their ids become those of
        their rows.
    positions
        Columns and rows, px, at which the peaks are measured, in their order; without them each source is centred.

    Returns
    -------
    astropy.table.Table
        The columns of `skyloom.catalog.sources`, a row a peak: footprints in order, in each the brightest peak
        first.  Fluxes are in the unit of the image.
    """
    settings = settings or MeasurementSettings()
    generator = id_generator or IdGenerator(0, 0)
    frame = Frame.of(exposure, settings.unusable_planes)
    everything = footprints if sky_sources is None else _joined(footprints, sky_sources)
    peaks = Peaks.of(everything, frame)
    table = make_source_table(len(peaks), exposure.unit, settings.aperture_radii, settings.plugins)
    if psf_sigma is None:
        psf_sigma = settings.psf_sigma if exposure.psf is None else psf_sigma_of(exposure.psf)
    _set_ids(table, peaks, generator, len(footprints))
    cover_sources(frame, peaks, light, generator.catalog_id)
    pixels = own_pixels(frame, peaks, light)
    window = max(psf_sigma, settings.min_window_sigma)
    if positions is not None:
        table["x"][:], table["y"][:] = positions
        table["peak_value"][:] = frame.planes.image[peaks.y, peaks.x]
    else:
        _set_centroids(table, frame, peaks, pixels, window, settings)
        if exposure.psf is not None:
            recentre_blends(table, frame, peaks, exposure.psf, window, settings)
    set_fluxes(table, frame, peaks, pixels, exposure.psf, psf_sigma, settings)
    set_pixel_flags(table, frame, peaks, np.asarray(table["x"]) - frame.x0, np.asarray(table["y"]) - frame.y0)
    if exposure.projection is not None and len(table):
        table["ra"][:], table["dec"][:] = pixel_to_radec(exposure.projection, table["x"], table["y"])
    first_ids = np.asarray(table["source_id"])[peaks.group_start[:-1]]
    footprints.ids[:] = first_ids[: len(footprints)]
    if sky_sources is not None:
        sky_sources.ids[:] = first_ids[len(footprints) :]
    return table


def _joined(footprints: FootprintSet, others: FootprintSet) -> FootprintSet:
    """The footprints of both sets."""
    return FootprintSet([*footprints, *others], footprints.bbox)


def _set_ids(table: Table, peaks: Peaks, generator: IdGenerator, n_footprints: int) -> None:
    """Number the rows; all rows of a blend, the first included, point to its first.  Later footprints are sky."""
    table["source_id"][:] = generator.ids(len(peaks))
    table["flag_blended"][:] = peaks.blended
    sky = peaks.footprint >= n_footprints
    table["flag_sky_source"][:], table["is_primary"][:] = sky, ~sky
    table["is_isolated"][:] = ~sky & ~peaks.blended
    first = np.asarray(table["source_id"])[peaks.group_start[peaks.footprint]] if len(peaks) else 0
    table["parent_id"][:] = np.where(peaks.blended, first, 0)


def _set_centroids(
    table: Table, frame: Frame, peaks: Peaks, pixels: LightPixels, window: float, settings: MeasurementSettings
) -> None:
    """Fill positions, their errors and the value at the peak; sky sources stay where they were put."""
    x, y = peaks.x.astype(float), peaks.y.astype(float)
    source = ~np.asarray(table["flag_sky_source"])
    place = pixels._replace(owner=pixels.owner[source])
    position, flags = measure_positions(frame.planes, place, x[source], y[source], window, settings.max_centroid_shift)
    x[source], y[source] = position[:, 0], position[:, 1]
    table["x"][:], table["y"][:] = x + frame.x0, y + frame.y0
    table["x_err"][source], table["y_err"][source] = position[:, 2], position[:, 3]
    table["flag_centroid"][source] = flags != 0
    table["peak_value"][:] = frame.planes.image[peaks.y, peaks.x]
