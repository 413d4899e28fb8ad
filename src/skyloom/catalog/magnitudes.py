"""Magnitudes to fluxes: the AB system, the Vega systems of well-known filters, and fluxes in other units."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import RefcatError

__all__ = ["FLUX_UNITS", "VEGA_OFFSETS", "ab_offset", "magnitudes_to_njy"]

type Floats = NDArray[np.float64]
type MagnitudeSystem = Literal["AB", "Vega"]

VEGA_OFFSETS: dict[str, float] = {
    # Blanton & Roweis 2007 (AJ 133, 734), table 1
    "U": 0.79,
    "B": -0.09,
    "V": 0.02,
    "R": 0.21,
    "I": 0.45,
    # Gaia EDR3 documentation, table 5.2: AB less Vega zero points (25.8010 - 25.6874, ...)
    "G": 0.1136,
    "BP": 0.0155,
    "RP": 0.3561,
    # V_T of a white star is its V (Bessell 2000, PASP 112, 961, table 2); B_T = 0 is 3821 Jy (Pickles & Depagne 2010,
    # PASP 122, 1437): good to 0.05
    "VT": 0.02,
    "BT": -0.06,
    # Cohen, Wheaton & Megeath 2003 (AJ 126, 1090): magnitude 0 is 1594, 1024 and 666.7 Jy
    "J": 0.894,
    "H": 1.374,
    "Ks": 1.840,
    "K": 1.840,
}
"""AB magnitude less Vega magnitude, by filter; names are case-sensitive (R is Cousins, r is not in a Vega system)."""

FLUX_UNITS: dict[str, float] = {
    "njy": 1.0,
    "ujy": 1e3,
    "mjy": 1e6,
    "jy": 1e9,
    "nanomaggy": 3631.0,
    "maggy": 3.631e12,
}
"""Flux units, in lower case, in nJy."""

_FAINTEST, _BRIGHTEST = 40.0, -5.0
_LARGEST_ERROR = 5.0


def ab_offset(name: str, system: str, stated: Mapping[str, float]) -> float:
    """What is added to a catalogue magnitude in the filter ``name`` to make it AB.

    Raises
    ------
    RefcatError
        If the system is Vega, and neither the user nor `VEGA_OFFSETS` knows the filter.
    """
    if name in stated:
        return stated[name]
    if system.upper() == "AB":
        return 0.0
    if name not in VEGA_OFFSETS:
        raise RefcatError(
            f"the offset from Vega to AB magnitudes is not known for the filter {name!r} (known: "
            f"{', '.join(VEGA_OFFSETS)}).",
            cure=f"State it: --vega-offset {name}=VALUE.",
            keyword="--vega-offset",
        )
    return VEGA_OFFSETS[name]


def magnitudes_to_njy(magnitude: Floats, error: Floats | None, offset: float) -> tuple[Floats, Floats]:
    """Fluxes and errors in nJy of magnitudes that ``offset`` makes AB.

    Magnitudes outside -5 to 40 (-9999, 99, ... stand for "not measured") give NaN; so do errors that are not above 0
    or are 5 and more, while the flux stays.
    """
    usable = (magnitude > _BRIGHTEST) & (magnitude < _FAINTEST)
    flux = 10.0 ** (-0.4 * (np.where(usable, magnitude, np.nan) + offset - 31.4))
    if error is None:
        return flux, np.full(len(flux), np.nan)
    good = (error > 0.0) & (error < _LARGEST_ERROR)
    return flux, flux * (0.4 * math.log(10.0)) * np.where(good, error, np.nan)
