"""PSF and aperture fluxes of all sources."""

from __future__ import annotations

import numpy as np
from astropy.table import Table
from lsst.images.psfs import PointSpreadFunction

from skyloom.catalog.sources import aperture_name
from skyloom.kernels.apertures import aperture_sums
from skyloom.kernels.psf_flux import fit_stamps
from skyloom.psf import psf_stamps

from .frame import Frame, Peaks
from .settings import MeasurementSettings

__all__ = ["set_aperture_fluxes", "set_psf_fluxes"]


def set_aperture_fluxes(table: Table, frame: Frame, x: np.ndarray, y: np.ndarray, radii: tuple[float, ...]) -> None:
    """Fill the aperture columns; (x, y) are centroids in array coordinates, px."""
    flux, error, flag = aperture_sums(frame.image, frame.variance, frame.unusable, x, y, np.array(radii, float))
    for k, radius in enumerate(radii):
        name = aperture_name(radius)
        table[f"aperture_flux_{name}"] = flux[:, k]
        table[f"aperture_flux_{name}_err"] = error[:, k]
        table[f"aperture_flag_{name}"] = flag[:, k]


def set_psf_fluxes(
    table: Table, frame: Frame, peaks: Peaks, psf: PointSpreadFunction | None, settings: MeasurementSettings
) -> None:
    """Fill the PSF flux columns from the positions in the table; the peaks of a footprint are fitted together.

    Without a PSF the fluxes stay NaN and are flagged.
    """
    table["flag_psf_flux"] = True
    if psf is None or len(peaks) == 0:
        return
    stamps, x0, y0 = psf_stamps(psf, np.asarray(table["x"]), np.asarray(table["y"]))
    flux, error, coverage, alone = fit_stamps(
        frame.image,
        frame.variance,
        frame.unusable,
        stamps,
        x0 - frame.x0,
        y0 - frame.y0,
        peaks.group_start,
        settings.max_blend,
    )
    table["psf_flux"], table["psf_flux_err"] = flux, error
    table["flag_psf_flux_alone"] = alone
    table["flag_psf_flux"] = ~(np.isfinite(flux) & (coverage >= settings.min_psf_coverage))
