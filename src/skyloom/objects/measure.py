"""The source table of a coadd in one band."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Column

from skyloom.catalog.ids import IdGenerator
from skyloom.deblend import deblend_sources
from skyloom.measurement import measure_sources, place_sky_sources

from .calibrated import add_coadd_columns, add_inner, add_magnitude, append_columns, correct_fluxes

if TYPE_CHECKING:
    from astropy.table import Table

    from skyloom.images.exposure import Exposure
    from skyloom.skymap import Patch, SkyMap

    from .detect import CoaddDetections
    from .settings import CoaddSourceSettings

__all__ = ["measure_on_coadd", "patch_ids"]


def patch_ids(patch: Patch, sky_map: SkyMap) -> IdGenerator:
    """Makes ids that are unique over the tracts and patches of a sky map, and the same in every run."""
    nx, ny = sky_map.n_patches_max
    return IdGenerator(patch.tract.id, patch.id, detector_max=nx * ny - 1)


def measure_on_coadd(
    exposure: Exposure, found: CoaddDetections, patch: Patch, sky_map: SkyMap, settings: CoaddSourceSettings
) -> Table:
    """Measure the sources of a coadd, with the plug-ins of single frames, and places without a source.

    Parameters
    ----------
    exposure
        As `detect_on_coadd` left it.
    found
        What that found.
    patch, sky_map
        Where the coadd is.
    settings
        Knobs.

    Returns
    -------
    astropy.table.Table
        The columns of `skyloom.catalog.sources` and of the deblender; fluxes in nJy, those of PSF, Gaussian, top-hat
        and Kron with the aperture corrections of the inputs; AB magnitudes; which rows are primary.  Sources come in
        the order of their footprints, whose ids become theirs, places without a source last.
    """
    ids = patch_ids(patch, sky_map)
    footprints = found.footprints
    divided = deblend_sources(exposure, footprints, settings.deblending) if settings.deblend else None
    sky = place_sky_sources(exposure, ids.catalog_id, settings.sky_sources)
    table = measure_sources(
        exposure,
        footprints,
        settings.measurement,
        ids,
        psf_sigma=found.psf_sigma,
        light=None if divided is None else divided.pixels,
        sky_sources=sky,
    )
    if divided is not None:
        append_columns(table, divided.table, divided.table.colnames)
    correct_fluxes(table, exposure)
    for flux in ("psf_flux", "kron_flux"):
        if flux in table.colnames:
            add_magnitude(table, flux)
    add_coadd_columns(table, exposure)
    add_inner(table, patch, sky_map)
    table["variance_factor"] = Column(
        np.full(len(table), found.variance_factor), description="What the variance of the coadd was multiplied by."
    )
    return table
