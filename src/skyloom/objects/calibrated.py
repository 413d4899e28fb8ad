"""What tables of coadds have beside those of single frames: corrected fluxes, magnitudes, flags, what is primary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import astropy.units as u
import numpy as np
from astropy.table import Column

from skyloom.catalog.columns import float_column
from skyloom.images.mask_planes import bitmask
from skyloom.images.photo_calib import njy_to_ab_magnitude
from skyloom.kernels.centre_bits import centre_bits
from skyloom.photometry import apply_aperture_corrections
from skyloom.psf import CoaddPsf, coadd_aperture_corrections

if TYPE_CHECKING:
    from astropy.table import Table
    from lsst.images.fields import Field

    from skyloom.images.exposure import Exposure
    from skyloom.skymap import Patch, SkyMap

__all__ = [
    "COADD_FLAGS",
    "add_coadd_columns",
    "add_inner",
    "add_magnitude",
    "append_columns",
    "correct_fluxes",
    "is_inner",
]

COADD_FLAGS = {
    "clipped": ("CLIPPED", "lacks an input that was clipped"),
    "rejected": ("REJECTED", "lacks an input because of its mask"),
    "sensor_edge": ("SENSOR_EDGE", "is crossed by the edge of a sensor"),
    "inexact_psf": ("INEXACT_PSF", "has other inputs than those of the PSF"),
    "bright_object": ("BRIGHT_OBJECT", "is in the halo of a very bright object"),
}
"""Flags of the centre of a source: mask plane, and what it says of a pixel."""
_CORRECTED = ("psf_flux", "gaussian_flux", "tophat_flux", "kron_flux")
_MAG_OF_RELATIVE = 2.5 / np.log(10.0)


def correct_fluxes(table: Table, exposure: Exposure) -> None:
    """Apply the aperture corrections of the coadd's inputs, where they have any, in place."""
    if not isinstance(exposure.psf, CoaddPsf):
        return
    known = coadd_aperture_corrections(exposure.psf, default=np.nan)
    wanted = {name: field for name, field in known.items() if name in table.colnames}
    if wanted:
        apply_aperture_corrections(table, cast("dict[str, Field]", wanted), expected=_CORRECTED)


def add_magnitude(table: Table, flux: str) -> None:
    """Add the AB magnitude of a flux in nJy, and its error: ``psf_flux`` gives ``psf_mag``, ``psf_mag_err``."""
    name, value = flux.removesuffix("_flux"), float_column(table, flux)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = _MAG_OF_RELATIVE * float_column(table, f"{flux}_err") / value
    magnitude = njy_to_ab_magnitude(value)
    table[f"{name}_mag"] = Column(magnitude, unit=u.mag, description=f"AB magnitude of {flux}.")
    table[f"{name}_mag_err"] = Column(
        np.where(np.isfinite(magnitude), error, np.nan), unit=u.mag, description=f"Standard error of {name}_mag."
    )


def add_coadd_columns(table: Table, exposure: Exposure) -> None:
    """Add how many inputs a source has, and the flags of planes that only coadds have."""
    x, y, box = float_column(table, "x"), float_column(table, "y"), exposure.bbox
    column, row = (np.floor(np.nan_to_num(p, nan=-1e6) + 0.5).astype(np.int64) for p in (x - box.x.min, y - box.y.min))
    some, _ = centre_bits(exposure.bits, column, row)
    for name, (plane, text) in COADD_FLAGS.items():
        flags = (some & bitmask(plane)) != 0
        table[f"flag_{name}_center"] = Column(flags, description=f"One of the 3 x 3 pixels at the centroid {text}.")
    if isinstance(exposure.psf, CoaddPsf):
        number = exposure.psf.n_inputs(x, y) if len(table) else np.zeros(0, np.int64)
        table["n_inputs"] = Column(number.astype(np.int32), description="Frames that have a pixel at the centroid.")


def is_inner(table: Table, patch: Patch, sky_map: SkyMap) -> tuple[np.ndarray, np.ndarray]:
    """Whether positions are in the inner box of a patch, and in the part of the sky that its tract stands for.

    The inner boxes tile the tract and the inner parts of tracts the sky: a position is in both for one patch alone.

    Parameters
    ----------
    table
        With ``x``, ``y`` on the tract, px, and ``ra``, ``dec``, degrees.
    patch, sky_map
        Whose parts are asked for.
    """
    x, y, ra, dec = (float_column(table, name) for name in ("x", "y", "ra", "dec"))
    known = np.isfinite(x) & np.isfinite(y) & np.isfinite(ra) & np.isfinite(dec)
    in_patch, in_tract = np.zeros(x.size, bool), np.zeros(x.size, bool)
    if known.any():
        column, row = np.floor(x[known] + 0.5), np.floor(y[known] + 0.5)
        box = patch.inner_bbox
        inside = (column >= box.x.start) & (column < box.x.stop) & (row >= box.y.start) & (row < box.y.stop)
        in_patch[known] = inside
        in_tract[known] = sky_map.tract_ids(ra[known], dec[known]) == patch.tract.id
    return in_patch, in_tract


def add_inner(table: Table, patch: Patch, sky_map: SkyMap) -> None:
    """Add where the table is from and which of its rows belong there; ``is_primary`` is true for those alone."""
    in_patch, in_tract = is_inner(table, patch, sky_map)
    for name, value in (("tract", patch.tract.id), ("patch", patch.id)):
        table[name] = Column(np.full(len(table), value, np.int32), description=f"Number of the {name}.")
    table["is_inner_patch"] = Column(in_patch, description="In the inner box of the patch.")
    table["is_inner_tract"] = Column(in_tract, description="In the part of the sky that the tract stands for.")
    table["is_primary"] = Column(
        np.asarray(table["is_primary"], bool) & in_patch & in_tract,
        description="In the inner patch and the inner tract, and no sky source: counts once over all patches.",
    )


def append_columns(table: Table, detected: Table, names: Sequence[str]) -> None:
    """Put columns of the detected sources, which come first, beside those of all rows; sky sources get none."""
    for name in names:
        column = detected[name]
        values = np.zeros(len(table), column.dtype)
        if column.dtype.kind == "f":
            values[:] = np.nan
        values[: len(detected)] = column
        table[name] = Column(values, unit=column.unit, description=column.description)
