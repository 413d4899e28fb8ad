"""Which flux of a reference catalogue stands for a filter of the camera, and which stars to keep by it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from skyloom.errors import RefcatError

from .refcat import filter_flux, filter_names

__all__ = ["reference_filter", "trim_references"]

_AB_ZERO_POINT = 31.4


def reference_filter(
    table: Table, name: str | None, *, filter_map: Mapping[str, str] | None = None, any_filter: str | None = None
) -> str:
    """Name of the reference filter that stands for a filter of the camera.

    Parameters
    ----------
    table
        The reference table.
    name
        Filter of the camera.
    filter_map
        Filter of the camera: reference filter; others stand for themselves.
    any_filter
        The reference filter for every filter of the camera, as for astrometry; excludes ``filter_map``.

    Raises
    ------
    ValueError
        If both ``filter_map`` and ``any_filter`` are given.
    RefcatError
        If the catalogue has none of the filters that were looked for.
    """
    if filter_map and any_filter:
        raise ValueError(f"Either one filter for all ({any_filter!r}) or a map of filters, not both.")
    tried = [any_filter] if any_filter else [(filter_map or {}).get(name or "", name), name]
    known = filter_names(table)
    for wanted in tried:
        if wanted in known:
            return str(wanted)
    names = ", ".join(str(one) for one in dict.fromkeys(tried))
    raise RefcatError(
        f"the reference catalogue has none of the filters {names}; it has {', '.join(known) or 'none'}.",
        cure="Name one of these as the reference filter in the camera description, or import that filter.",
        keyword=f"flux_{tried[0]}",
    )


def trim_references(
    table: Table, name: str, *, min_magnitude: float | None = None, max_references: int | None = None
) -> Table:
    """The fainter and the brighter end of a table taken off; the order of the rows stays.

    Parameters
    ----------
    table
        The reference table.
    name
        Its filter that counts.
    min_magnitude
        AB magnitude above which stars are kept: brighter ones saturate.
    max_references
        So many of the brightest are kept.
    """
    flux = filter_flux(table, name)
    keep: NDArray[np.bool_] = np.ones(len(table), bool)
    if min_magnitude is not None:
        keep &= ~(flux > 10.0 ** (-0.4 * (min_magnitude - _AB_ZERO_POINT)))
    if max_references is not None and keep.sum() > max_references:
        order = np.argsort(-np.where(keep & np.isfinite(flux), flux, -np.inf), kind="stable")
        keep &= np.isin(np.arange(len(table)), order[:max_references])
    return table[keep]
