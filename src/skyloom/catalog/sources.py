"""The source table: one row a peak, the columns with their units and descriptions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.table import Column, Table

__all__ = [
    "APERTURE_RADII",
    "PIXEL_FLAGS",
    "PLUGINS",
    "SourceColumn",
    "aperture_name",
    "make_source_table",
    "source_columns",
]

APERTURE_RADII = (3.0, 4.5, 6.0, 9.0, 12.0, 17.0)
"""Radii of the circular apertures, px."""

PLUGINS = ("psf_shape", "gaussian_flux", "kron_flux", "tophat_flux", "blendedness", "local_variance")
"""Measurements that can be left out, their columns with them."""

PIXEL_FLAGS = {
    "edge": "EDGE",
    "saturated": "SAT",
    "interpolated": "INTRP",
    "bad": "BAD",
    "no_data": "NO_DATA",
    "cosmic_ray": "CR",
    "suspect": "SUSPECT",
}
"""Flags of the pixels, with their mask planes."""


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
_PIXEL_TEXTS = {
    "edge": "in the EDGE strip",
    "saturated": "saturated",
    "interpolated": "interpolated",
    "bad": "bad",
    "no_data": "not measured",
    "cosmic_ray": "hit by a cosmic ray",
    "suspect": "above the level up to which the response is trusted",
}
_FLAGS = (
    SourceColumn("flag_off_image", "?", None, "The centroid is outside the image."),
    SourceColumn("flag_centroid", "?", None, "The centroid failed; where it has no error it is the peak's pixel."),
    SourceColumn("flag_shape", "?", None, "No Gaussian matches the source; the moments are NaN."),
    SourceColumn("flag_psf_flux", "?", None, "The PSF flux is missing or lacks pixels near the centre."),
    SourceColumn(
        "flag_psf_flux_alone", "?", None, "The PSF flux holds light of neighbours that could not be fitted with it."
    ),
    SourceColumn("flag_blended", "?", None, "The footprint has other peaks."),
    SourceColumn("flag_sky_source", "?", None, "A place without a source, measured to tell the noise."),
    SourceColumn("is_primary", "?", None, "A source of its own: neither a sky source nor one that was divided."),
    SourceColumn("is_isolated", "?", None, "Alone in its footprint, and no sky source."),
)
_PLUGIN_FLAGS = {
    "psf_shape": (SourceColumn("flag_extendedness", "?", None, "The source or the PSF there has no moments."),),
    "gaussian_flux": (
        SourceColumn("flag_gaussian_flux", "?", None, "There are no moments, or 5 % of the weight is missing."),
    ),
    "kron_flux": (
        SourceColumn("flag_kron_flux", "?", None, "There are no moments, or a pixel of the ellipse is missing."),
        SourceColumn(
            "flag_kron_radius", "?", None, "The first moment was too small or not to be had; the least one was taken."
        ),
    ),
    "tophat_flux": (
        SourceColumn("flag_tophat_flux", "?", None, "A pixel of the circle or the annulus is unusable or outside."),
    ),
}


def _pixel_flags() -> tuple[SourceColumn, ...]:
    """Three flags a mask plane: anywhere in the footprint, at the centre, all over the centre."""
    columns = []
    for name, text in _PIXEL_TEXTS.items():
        edge = " or at the edge of the image" if name == "edge" else ""
        centre = "of the 3 x 3 pixels at the centroid"
        columns += [
            SourceColumn(f"flag_{name}", "?", None, f"A pixel of the footprint is {text}{edge}."),
            SourceColumn(f"flag_{name}_center", "?", None, f"One {centre} is {text}."),
            SourceColumn(f"flag_{name}_center_all", "?", None, f"All {centre} are {text}."),
        ]
    return tuple(columns)


def _plugin_columns(flux_unit: u.UnitBase) -> dict[str, tuple[SourceColumn, ...]]:
    """Columns of the measurements that can be left out."""

    def flux(name: str, text: str) -> tuple[SourceColumn, ...]:
        return (
            SourceColumn(f"{name}_flux", "f8", flux_unit, text),
            SourceColumn(f"{name}_flux_err", "f8", flux_unit, f"Standard error of {name}_flux."),
        )

    return {
        "psf_shape": (
            SourceColumn("psf_ixx", "f4", _PX**2, "Adaptive second moment along x of the PSF at the source."),
            SourceColumn("psf_iyy", "f4", _PX**2, "Adaptive second moment along y of the PSF at the source."),
            SourceColumn("psf_ixy", "f4", _PX**2, "Adaptive mixed second moment of the PSF at the source."),
            SourceColumn(
                "extendedness", "f4", None, "How much the size differs from that of the PSF: 0 like a star, up to 1."
            ),
            SourceColumn(
                "flux_extendedness", "f4", None, "Share of the light under the source's Gaussian that no PSF explains."
            ),
        ),
        "gaussian_flux": flux("gaussian", "Flux under the elliptical Gaussian of the source's own moments."),
        "kron_flux": (
            *flux("kron", "Sum of the image in the ellipse of Kron's radius."),
            SourceColumn("kron_radius", "f4", _PX, "First moment of the elliptical radius that sets the ellipse."),
        ),
        "tophat_flux": flux("tophat", "Sum of the image in a circle less the level of the annulus around it."),
        "blendedness": (
            SourceColumn("blendedness", "f4", None, "Share of the light under the source's Gaussian that is others'."),
        ),
        "local_variance": (
            SourceColumn(
                "local_variance", "f4", flux_unit**2, "Mean variance of the pixels around that belong to no source."
            ),
        ),
    }


def aperture_name(radius: float) -> str:
    """The suffix that names an aperture: 12.0 gives ``12_0``."""
    return f"{radius:.1f}".replace(".", "_")


def source_columns(
    flux_unit: u.UnitBase, radii: Sequence[float] = APERTURE_RADII, plugins: Sequence[str] = PLUGINS
) -> tuple[SourceColumn, ...]:
    """All columns of a source table, in order.

    Parameters
    ----------
    flux_unit
        Unit of the pixels: electron before calibration.
    radii
        Aperture radii, px.
    plugins
        Those of `PLUGINS` that are measured.

    Raises
    ------
    ValueError
        If a plug-in is not known.
    """
    if unknown := set(plugins) - set(PLUGINS):
        raise ValueError(f"There is no measurement {sorted(unknown)}; there are {PLUGINS}.")
    fluxes = [
        SourceColumn("peak_value", "f4", flux_unit, "Value of the image at the peak's pixel."),
        SourceColumn("psf_flux", "f8", flux_unit, "Flux of the fitted PSF; NaN before there is a PSF."),
        SourceColumn("psf_flux_err", "f8", flux_unit, "Standard error of psf_flux."),
        SourceColumn("psf_flux_chi2", "f4", None, "Chi squared of the fit of the PSF over its pixels."),
        SourceColumn("psf_flux_pixels", "i4", _PX**2, "Pixels that the fit of the PSF used."),
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
    measured = _plugin_columns(flux_unit)
    extra = [column for name in PLUGINS if name in plugins for column in measured[name]]
    extra_flags = [column for name in PLUGINS if name in plugins for column in _PLUGIN_FLAGS.get(name, ())]
    return (*_POSITION, *fluxes, *extra, *apertures, *_pixel_flags(), *_FLAGS, *extra_flags)


def make_source_table(
    n: int, flux_unit: u.UnitBase, radii: Sequence[float] = APERTURE_RADII, plugins: Sequence[str] = PLUGINS
) -> Table:
    """A source table of ``n`` rows: numbers NaN or 0, no flag set."""
    table = Table(meta={"aperture_radii": [float(radius) for radius in radii]})
    for column in source_columns(flux_unit, radii, plugins):
        fill = np.nan if column.dtype.startswith("f") else 0
        table[column.name] = Column(
            np.full(n, fill, dtype=column.dtype), unit=column.unit, description=column.description
        )
    return table
