"""Stars, and what else is wanted, out of a source table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from skyloom.catalog.columns import flag_column, float_column

__all__ = ["StarSelectionSettings", "select_stars"]


@dataclass(frozen=True, kw_only=True)
class StarSelectionSettings:
    """Which rows of a source table are wanted; None and empty ask nothing."""

    flux: str = "psf_flux"
    """Flux of the limits; where the table has ``flag_<flux>``, a flagged flux fails them."""
    flux_min: float | None = None
    flux_max: float | None = None
    """Half-open: at least the first, less than the second, in the unit of the flux."""
    signal_to_noise_min: float | None = 10.0
    """The flux is more than this many of its errors."""
    good_flags: tuple[str, ...] = ()
    """All of them are set."""
    bad_flags: tuple[str, ...] = ("flag_edge", "flag_no_data", "flag_saturated", "flag_psf_flux")
    """None of them is set."""
    extendedness_max: float | None = 0.1
    """The size extendedness is less."""
    isolated: bool = True
    """The source is alone in its footprint."""
    finite_sky_position: bool = False
    """There are right ascension and declination."""
    primary: bool = False
    """The source is no sky source."""
    centroid_error_max: float | None = 3.0
    """Both errors of the centroid are finite and less, px."""
    sky_sources: bool = True
    """Sky sources are wanted, whatever the others ask: they tell the noise."""


def select_stars(table: Table, settings: StarSelectionSettings | None = None) -> np.ndarray:
    """The rows that are wanted, ``bool[n]``.

    Sky sources join last: they have no centroid error, and no limit on it removes them.

    Parameters
    ----------
    table
        Columns as of `skyloom.catalog.sources`; left as it is.
    settings
        Knobs.
    """
    settings = settings or StarSelectionSettings()
    chosen = _by_flux(table, settings)
    for name in settings.good_flags:
        chosen &= flag_column(table, name)
    for name in settings.bad_flags:
        chosen &= ~flag_column(table, name)
    with np.errstate(invalid="ignore"):
        if settings.extendedness_max is not None:
            chosen &= float_column(table, "extendedness") < settings.extendedness_max
        if settings.centroid_error_max is not None:
            for name in ("x_err", "y_err"):
                chosen &= float_column(table, name) < settings.centroid_error_max
    if settings.isolated:
        chosen &= ~flag_column(table, "flag_blended")
    if settings.finite_sky_position:
        chosen &= np.isfinite(float_column(table, "ra")) & np.isfinite(float_column(table, "dec"))
    if settings.primary:
        chosen &= flag_column(table, "is_primary")
    sky = flag_column(table, "flag_sky_source")
    return np.asarray(chosen | sky if settings.sky_sources else chosen)


def _by_flux(table: Table, settings: StarSelectionSettings) -> np.ndarray:
    """Rows within the limits of flux and of signal-to-noise ratio."""
    chosen = np.ones(len(table), bool)
    limits = (settings.flux_min, settings.flux_max, settings.signal_to_noise_min)
    if all(limit is None for limit in limits):
        return chosen
    flux = float_column(table, settings.flux)
    chosen &= ~flag_column(table, f"flag_{settings.flux}")
    with np.errstate(invalid="ignore"):
        if settings.flux_min is not None:
            chosen &= flux >= settings.flux_min
        if settings.flux_max is not None:
            chosen &= flux < settings.flux_max
        if settings.signal_to_noise_min is not None:
            chosen &= flux > settings.signal_to_noise_min * float_column(table, f"{settings.flux}_err")
    return chosen
