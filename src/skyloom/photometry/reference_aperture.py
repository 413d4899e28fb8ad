"""The aperture that defines the total flux."""

from __future__ import annotations

import re

from skyloom.errors import PhotometryError

from .aperture_correction_settings import ApertureCorrectionSettings

__all__ = ["aperture_radii", "flag_name", "reference_aperture"]

_APERTURE = re.compile(r"aperture_flux_(\d+)_(\d+)$")


def aperture_radii(columns: list[str]) -> dict[float, str]:
    """Radius, px, and column of each aperture flux among the columns of a source table, ascending."""
    radii = {float(f"{match[1]}.{match[2]}"): name for name in columns if (match := _APERTURE.match(name))}
    return dict(sorted(radii.items()))


def flag_name(flux: str) -> str:
    """The column that flags a flux: ``flag_<flux>``, of an aperture ``aperture_flag_<radius>``."""
    return flux.replace("_flux_", "_flag_") if _APERTURE.match(flux) else f"flag_{flux}"


def reference_aperture(columns: list[str], psf_sigma: float, settings: ApertureCorrectionSettings) -> str:
    """Name of the aperture flux among the table's columns to which all fluxes are corrected.

    Parameters
    ----------
    columns
        Columns of the source table.
    psf_sigma
        Determinant radius of the PSF, pixels.

    Raises
    ------
    PhotometryError
        If the table has no aperture flux, or not the one asked for.
    """
    radii = aperture_radii(columns)
    if not radii:
        raise PhotometryError("The source table holds no aperture flux.", cure="Measure some apertures.")
    if settings.reference_radius is not None:
        if settings.reference_radius not in radii:
            raise PhotometryError(
                f"No aperture of {settings.reference_radius:g} pixels was measured, only {sorted(radii)}.",
                cure="Set reference_radius to one of them.",
                keyword="reference_radius",
            )
        return radii[settings.reference_radius]
    reach = [radius for radius in radii if radius >= settings.reference_radius_sigma * psf_sigma]
    return radii[min(reach) if reach else max(radii)]
