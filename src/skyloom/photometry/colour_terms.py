"""Colour terms: from the magnitudes of a reference catalogue to those of a camera's filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["ColourTerm"]


@dataclass(frozen=True, kw_only=True)
class ColourTerm:
    """A quadratic in one colour: ``m = p + c0 + c1 (p - s) + c2 (p - s)^2`` for catalogue magnitudes p and s."""

    filter_name: str
    """Reference filter p that it corrects."""
    secondary: str
    """Reference filter s that gives the colour with it."""
    c0: float = 0.0
    c1: float = 0.0
    c2: float = 0.0

    def apply(self, reference: Table, flux: np.ndarray, flux_err: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fluxes and errors (nJy) in the camera's filter; NaN where the colour is unknown."""
        other = np.asarray(reference[f"flux_{self.secondary}"], dtype=np.float64)
        name = f"flux_{self.secondary}_err"
        other_err = (
            np.asarray(reference[name], dtype=np.float64) if name in reference.colnames else np.zeros_like(other)
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            colour = np.where((flux > 0) & (other > 0), -2.5 * np.log10(flux / other), np.nan)
            shifted = flux * 10 ** (-0.4 * (self.c0 + self.c1 * colour + self.c2 * colour**2))
            slope = self.c1 + 2 * self.c2 * colour
            relative = np.hypot((1 + slope) * flux_err / flux, slope * other_err / other)
        return shifted, shifted * relative
