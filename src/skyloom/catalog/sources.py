"""The source table: one row a peak, the columns with their units and descriptions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.table import Column, Table

__all__ = ["APERTURE_RADII", "SourceColumn", "aperture_name", "make_source_table", "source_columns"]

APERTURE_RADII = (3.0, 4.5, 6.0, 9.0, 12.0, 17.0)
"""Radii of the circular apertures, px."""


@dataclass(frozen=True)
class SourceColumn:
    """Name, type, unit and meaning of a column."""

    name: str
    dtype: str
    unit: u.UnitBase | None
    description: str


_PX = u.pix
_POSITION = (
    SourceColumn("source_id", "i8", None, "Identifier, unique over the survey."),
    SourceColumn(
        "parent_id", "i8", None, "Identifier of the first source of the blend; 0 when alone in its footprint."
    ),
    SourceColumn("x", "f8", _PX, "Column of the centroid; the centre of a pixel is an integer."),
    SourceColumn("y", "f8", _PX, "Row of the centroid."),
    SourceColumn("x_err", "f4", _PX, "Standard error of x from the noise of the pixels."),
    SourceColumn("y_err", "f4", _PX, "Standard error of y from the noise of the pixels."),
    SourceColumn("ra", "f8", u.deg, "Right ascension of the centroid, ICRS; NaN before there is a WCS."),
    SourceColumn("dec", "f8", u.deg, "Declination of the centroid, ICRS; NaN before there is a WCS."),
    SourceColumn("footprint_area", "i4", _PX**2, "Pixels in the footprint, that of the whole blend."),
    SourceColumn("ixx", "f4", _PX**2, "Adaptive second moment along x."),
    SourceColumn("iyy", "f4", _PX**2, "Adaptive second moment along y."),
    SourceColumn("ixy", "f4", _PX**2, "Adaptive mixed second moment."),
)
_FLAGS = (
    SourceColumn("flag_edge", "?", None, "A pixel of the footprint is in the EDGE strip or at the edge of the image."),
    SourceColumn("flag_saturated", "?", None, "A pixel of the footprint is saturated."),
    SourceColumn("flag_saturated_center", "?", None, "One of the 3 x 3 pixels at the centroid is saturated."),
    SourceColumn("flag_interpolated", "?", None, "A pixel of the footprint was interpolated."),
    SourceColumn("flag_interpolated_center", "?", None, "One of the 3 x 3 pixels at the centroid was interpolated."),
    SourceColumn("flag_bad", "?", None, "A pixel of the footprint is bad."),
    SourceColumn("flag_no_data", "?", None, "A pixel of the footprint was not measured."),
    SourceColumn("flag_cosmic_ray", "?", None, "A pixel of the footprint was hit by a cosmic ray."),
    SourceColumn("flag_centroid", "?", None, "The centroid failed; where it has no error it is the peak's pixel."),
    SourceColumn("flag_shape", "?", None, "No Gaussian matches the source; the moments are NaN."),
    SourceColumn("flag_psf_flux", "?", None, "The PSF flux is missing or lacks pixels near the centre."),
    SourceColumn(
        "flag_psf_flux_alone", "?", None, "The PSF flux holds light of neighbours that could not be fitted with it."
    ),
    SourceColumn("flag_blended", "?", None, "The footprint has other peaks."),
)


def aperture_name(radius: float) -> str:
    """The suffix that names an aperture: 12.0 gives ``12_0``."""
    return f"{radius:.1f}".replace(".", "_")


def source_columns(flux_unit: u.UnitBase, radii: Sequence[float] = APERTURE_RADII) -> tuple[SourceColumn, ...]:
    """All columns of a source table, in order.

    Parameters
    ----------
    flux_unit
        Unit of the pixels: electron before calibration.
    radii
        Aperture radii, px.
    """
    fluxes = [
        SourceColumn("peak_value", "f4", flux_unit, "Value of the image at the peak's pixel."),
        SourceColumn("psf_flux", "f8", flux_unit, "Flux of the fitted PSF; NaN before there is a PSF."),
        SourceColumn("psf_flux_err", "f8", flux_unit, "Standard error of psf_flux."),
    ]
    apertures = []
    for radius in radii:
        name, circle = aperture_name(radius), f"within {radius:g} px of the centroid"
        fluxes += [
            SourceColumn(f"aperture_flux_{name}", "f8", flux_unit, f"Sum of the image {circle}."),
            SourceColumn(f"aperture_flux_{name}_err", "f8", flux_unit, f"Standard error of the sum {circle}."),
        ]
        text = f"A pixel {circle} is unusable or outside the image, and not in the sum."
        apertures.append(SourceColumn(f"aperture_flag_{name}", "?", None, text))
    return (*_POSITION, *fluxes, *apertures, *_FLAGS)


def make_source_table(n: int, flux_unit: u.UnitBase, radii: Sequence[float] = APERTURE_RADII) -> Table:
    """A source table of ``n`` rows: numbers NaN or 0, no flag set."""
    table = Table(meta={"aperture_radii": [float(radius) for radius in radii]})
    for column in source_columns(flux_unit, radii):
        fill = np.nan if column.dtype.startswith("f") else 0
        table[column.name] = Column(
            np.full(n, fill, dtype=column.dtype), unit=column.unit, description=column.description
        )
    return table
