"""What kind of source each row of a table is, as a picture marks it."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from skyloom.calibrate.sizes import model_widths
from skyloom.catalog.columns import flag_column, float_column

if TYPE_CHECKING:
    from astropy.table import Table
    from lsst.images.psfs import PointSpreadFunction

__all__ = ["SourceKind", "source_kinds"]

_DOUBTFUL = (
    "flag_edge",
    "flag_bad",
    "flag_no_data",
    "flag_cosmic_ray",
    "flag_centroid",
    "flag_psf_flux",
    "flag_interpolated_center",
)
_EXTENDED = 0.5
"""Extendedness above which a source counts as extended, where it was measured."""
_WIDER = 0.15
"""By how much a source is wider than the PSF, relatively, if it counts as extended where it was not."""
_LEAST_SNR = 10.0
"""Fainter sources are too noisy to tell from their width."""


class SourceKind(Enum):
    """Kinds of sources; where several hold, the last named here."""

    FAINT = "faint"
    STAR = "star"
    EXTENDED = "extended"
    BLENDED = "blended"
    FLAGGED = "flagged"
    SATURATED = "saturated"
    SKY = "sky source"


def source_kinds(table: Table, psf: PointSpreadFunction | None) -> np.ndarray:
    """The kind of each source, an array of `SourceKind`.

    Parameters
    ----------
    table
        Sources; ``extendedness`` and ``flag_sky_source`` are heeded where they are there.
    psf
        Tells stars from extended sources by their width where the table does not.
    """
    kinds = np.full(len(table), SourceKind.FAINT, dtype=object)
    star, extended = _by_shape(table, psf)
    kinds[star] = SourceKind.STAR
    kinds[extended] = SourceKind.EXTENDED
    kinds[flag_column(table, "flag_blended")] = SourceKind.BLENDED
    for name in _DOUBTFUL:
        kinds[flag_column(table, name)] = SourceKind.FLAGGED
    kinds[flag_column(table, "flag_saturated_center")] = SourceKind.SATURATED
    kinds[flag_column(table, "flag_sky_source")] = SourceKind.SKY
    return kinds


def _by_shape(table: Table, psf: PointSpreadFunction | None) -> tuple[np.ndarray, np.ndarray]:
    """Stars and extended sources, ``bool[n]`` each; what is too faint or has no size is neither."""
    none = np.zeros(len(table), dtype=bool)
    if len(table) == 0 or not {"psf_flux", "psf_flux_err"} <= set(table.colnames):
        return none, none
    with np.errstate(invalid="ignore"):
        bright = float_column(table, "psf_flux") >= _LEAST_SNR * float_column(table, "psf_flux_err")
    measure = float_column(table, "extendedness") if "extendedness" in table.colnames else np.full(len(table), np.nan)
    limit = _EXTENDED
    if psf is not None and not np.isfinite(measure).any():
        width, expected = model_widths(table[bright], psf)
        measure[bright], limit = width / expected - 1.0, _WIDER
    with np.errstate(invalid="ignore"):
        return bright & (measure <= limit), bright & (measure > limit)
