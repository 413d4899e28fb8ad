"""PSF fluxes, and all that is measured on the own light of each source."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from astropy.table import Table
from lsst.images.psfs import PointSpreadFunction

from skyloom.catalog.sources import aperture_name
from skyloom.kernels.psf_flux import fit_stamps, stamp_residuals
from skyloom.kernels.source_pass import (
    FLAGS,
    VALUES,
    LightPixels,
    Plugins,
    PsfModels,
    measure_sources_alone,
    psf_shapes,
)
from skyloom.psf import psf_stamps

from .extendedness import Columns, set_extendedness
from .frame import Frame, Peaks
from .settings import MeasurementSettings

__all__ = ["set_fluxes"]

CHUNK = 256
"""Rows, about, whose PSF stamps are in memory together; a blend is never divided."""


class _Chunk(NamedTuple):
    """Footprints in sequence, and their rows."""

    groups: np.ndarray
    rows: slice
    start: np.ndarray
    """Index of the first row of each footprint within the chunk, and the number of rows."""


def set_fluxes(
    table: Table,
    frame: Frame,
    peaks: Peaks,
    pixels: LightPixels,
    psf: PointSpreadFunction | None,
    psf_sigma: float,
    settings: MeasurementSettings,
) -> None:
    """Fill shapes, fluxes and their flags from the positions in the table.

    Without a PSF the columns that need one stay NaN and are flagged.

    Parameters
    ----------
    table
        Modified in place.
    frame, peaks
        The pixels, sources replaced by noise, and the footprints.
    pixels
        What each source gets back while it is measured.
    psf, psf_sigma
        The PSF, and its width, px.
    settings
        Knobs of the measurement.
    """
    table["flag_psf_flux"] = True
    columns = {name: np.asarray(table[name]) for name in table.colnames}
    for chunk in _chunks(peaks):
        rows = {name: values[chunk.rows] for name, values in columns.items()}
        models = _no_models() if psf is None else _set_psf_fluxes(rows, frame, peaks, chunk, psf, settings)
        _set_own_fluxes(rows, frame, pixels._replace(owner=pixels.owner[chunk.rows]), models, psf_sigma, settings)
        if "psf_shape" in settings.plugins:
            x, y = rows["x"] - frame.x0, rows["y"] - frame.y0
            known = models.flux.size > 0
            moments, gaussian = psf_shapes(models, x, y, psf_sigma) if known else (None, None)
            set_extendedness(rows, moments, gaussian)


def _chunks(peaks: Peaks) -> list[_Chunk]:
    """Footprints in sequence of about `CHUNK` rows each."""
    ends = peaks.group_start[1:]
    edges = np.unique(np.concatenate([[0], np.flatnonzero(np.diff(ends // CHUNK)) + 1, [ends.size]]))
    chunks = []
    for first, last in pairwise(edges):
        a, b = int(peaks.group_start[first]), int(peaks.group_start[last])
        chunks.append(_Chunk(np.arange(first, last), slice(a, b), peaks.group_start[first : last + 1] - a))
    return chunks


def _no_models() -> PsfModels:
    nothing = np.empty(0, np.int64)
    return PsfModels(np.empty((0, 1, 1)), nothing, nothing, np.empty(0))


def _set_psf_fluxes(
    rows: Columns, frame: Frame, peaks: Peaks, chunk: _Chunk, psf: PointSpreadFunction, settings: MeasurementSettings
) -> PsfModels:
    """Fill the PSF flux columns, the peaks of a footprint fitted together; the models that were fitted."""
    stamps, x0, y0 = psf_stamps(psf, rows["x"], rows["y"])
    x0, y0 = x0 - frame.x0, y0 - frame.y0
    pixels = (frame.planes.image, frame.planes.variance, frame.planes.state)
    owned = peaks.owned(chunk.groups)
    flux, error, coverage, alone = fit_stamps(*pixels, stamps, x0, y0, chunk.start, settings.max_blend, owned)
    chi2, count = stamp_residuals(*pixels, stamps, x0, y0, chunk.start, flux, owned)
    rows["psf_flux"][:], rows["psf_flux_err"][:] = flux, error
    rows["psf_flux_chi2"][:], rows["psf_flux_pixels"][:] = chi2, count
    rows["flag_psf_flux_alone"][:] = alone
    rows["flag_psf_flux"][:] = ~(np.isfinite(flux) & (coverage >= settings.min_psf_coverage))
    return PsfModels(stamps, x0, y0, flux)


def _set_own_fluxes(
    rows: Columns,
    frame: Frame,
    pixels: LightPixels,
    models: PsfModels,
    psf_sigma: float,
    settings: MeasurementSettings,
) -> None:
    """Fill what is measured on the own light of each source."""
    measured = settings.plugins
    radii = list(settings.aperture_radii)
    if "tophat_flux" in measured:
        radius = settings.tophat_radius
        radii += [radius, radius * settings.tophat_inner, radius * settings.tophat_outer]
    plugins = Plugins(
        gaussian="gaussian_flux" in measured or "psf_shape" in measured,
        tophat="tophat_flux" in measured,
        kron="kron_flux" in measured,
        blendedness="blendedness" in measured,
        local_variance="local_variance" in measured,
        sigma=float(psf_sigma),
        max_shape_shift=float(settings.max_shape_shift),
        tophat_inner=float(settings.tophat_inner),
        tophat_outer=float(settings.tophat_outer),
        kron_reach=float(settings.kron_reach),
        kron_factor=float(settings.kron_factor),
        kron_min_radius=float(settings.kron_min_radius * psf_sigma),
    )
    x, y = rows["x"] - frame.x0, rows["y"] - frame.y0
    different, wanted = np.unique(np.array(radii, float), return_inverse=True)
    values, flags = measure_sources_alone(
        frame.planes, pixels, models, x, y, rows["flag_sky_source"], different, wanted, plugins
    )
    for columns, found in ((VALUES, values), (FLAGS, flags)):
        for k, name in enumerate(columns):
            if name in rows:
                rows[name][:] = found[:, k]
    n = len(settings.aperture_radii)
    for k, radius in enumerate(settings.aperture_radii):
        name = aperture_name(radius)
        rows[f"aperture_flux_{name}"][:] = values[:, len(VALUES) + k]
        rows[f"aperture_flux_{name}_err"][:] = values[:, len(VALUES) + n + k]
        rows[f"aperture_flag_{name}"][:] = flags[:, len(FLAGS) + k]
