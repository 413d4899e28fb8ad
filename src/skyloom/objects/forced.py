"""Forced photometry on coadds: the objects of a patch measured in a band at the positions of their reference bands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Column

from skyloom.deblend import deblend_sources
from skyloom.measurement import measure_sources
from skyloom.measurement.forced import measure_ellipses

from .calibrated import add_coadd_columns, add_magnitude, correct_fluxes
from .measure import patch_ids

if TYPE_CHECKING:
    from astropy.table import Table

    from skyloom.images.exposure import Exposure
    from skyloom.skymap import Patch, SkyMap

    from .merge import MergedObjects
    from .settings import ObjectSettings

__all__ = ["force_on_coadd"]


def force_on_coadd(
    exposure: Exposure,
    merged: MergedObjects,
    moments: np.ndarray,
    kron_radius: np.ndarray,
    patch: Patch,
    sky_map: SkyMap,
    settings: ObjectSettings,
) -> Table:
    """Measure objects on the coadd of a band where they stand, and as large as they are, in their reference bands.

    Parameters
    ----------
    exposure
        As `prepare_coadd` leaves it; the plane NOT_DEBLENDED is made anew.
    merged
        The objects.
    moments
        ``[object, 3]``: Ixx, Iyy, Ixy in the reference band, px^2.
    kron_radius
        First moment in the reference band, px.
    patch, sky_map
        Where the coadd is.
    settings
        Knobs.

    Returns
    -------
    astropy.table.Table
        A row an object: columns of `skyloom.catalog.sources`, ``kron_flux`` in the ellipse of the reference band, and
        what coadds have beside them.
    """
    ids, how = patch_ids(patch, sky_map), settings.measurement
    divided = deblend_sources(exposure, merged.footprints, settings.deblending) if settings.deblend else None
    light = None if divided is None else divided.pixels
    table = measure_sources(
        exposure, merged.footprints, how, ids, light=light, positions=(merged.x.copy(), merged.y.copy())
    )
    flux, error, flag = measure_ellipses(
        exposure,
        merged.footprints,
        table,
        moments,
        how.kron_factor * kron_radius,
        how,
        light=light,
        seed=ids.catalog_id,
    )
    text = "Sum of the image in the ellipse of Kron's radius in the reference band."
    table["kron_flux"] = Column(flux, unit=exposure.unit, description=text)
    table["kron_flux_err"] = Column(error, unit=exposure.unit, description="Standard error of kron_flux.")
    table["flag_kron_flux"] = Column(flag, description="There is no ellipse, or a pixel of it is missing.")
    correct_fluxes(table, exposure)
    for name in ("psf_flux", "kron_flux"):
        add_magnitude(table, name)
    add_coadd_columns(table, exposure)
    return table
