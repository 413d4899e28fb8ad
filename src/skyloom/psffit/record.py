"""The fitted PSF with what is known of its stars, along the rows of the source table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .candidates import Candidates
from .rejection import reduced_chi2
from .residuals import star_residuals
from .settings import PsfFit, PsfFitSettings, PsfResiduals

if TYPE_CHECKING:
    from skyloom.psf import PixelGridPsf

__all__ = ["fit_record"]


def fit_record(
    candidates: Candidates,
    psf: PixelGridPsf,
    drawn: np.ndarray,
    offsets: tuple[np.ndarray, np.ndarray],
    fitted: np.ndarray,
    n_rows: int,
    settings: PsfFitSettings,
) -> PsfFit:
    """Put a fit together.

    Parameters
    ----------
    candidates
        The stars.
    psf
        What was fitted to them.
    drawn
        Model of every star ``[star, y, x]``.
    offsets
        Offsets (dx, dy) of the stars from the middles of their stamps, px.
    fitted
        ``bool[star]``.
    n_rows
        Of the source table.
    """
    rows, reserved = candidates.rows, candidates.reserved
    own = reduced_chi2(candidates.stamps, drawn, settings.model_error)
    typical = float(np.median(own[fitted]))
    chi2 = np.full(n_rows, np.nan)
    chi2[rows] = own
    agree = fitted | (reserved & (own <= 3 * max(typical, 1.0)))
    residuals = [_residuals(candidates, drawn, offsets, kind & agree) for kind in (~reserved, reserved)]
    rejected = ~fitted & ~reserved
    return PsfFit(
        psf=psf,
        order=psf.order,
        used=_along(n_rows, rows, fitted),
        reserved=_along(n_rows, rows, reserved),
        rejected=_along(n_rows, rows, rejected),
        chi2=chi2,
        fitted=residuals[0],
        tested=residuals[1],
        metadata={
            "n_candidates": int(rows.size),
            "n_used": int(fitted.sum()),
            "n_reserved": int(reserved.sum()),
            "n_rejected": int(rejected.sum()),
            "order": psf.order,
            "order_wanted": settings.order_max,
            "size": psf.size,
            "oversampling": psf.oversampling,
            "fwhm": candidates.profile.fwhm,
            "chi2_median": typical,
        },
    )


def _residuals(
    candidates: Candidates, drawn: np.ndarray, offsets: tuple[np.ndarray, np.ndarray], chosen: np.ndarray
) -> PsfResiduals:
    """Residuals of the chosen stars."""
    stamps = candidates.stamps
    half = stamps.size // 2
    centre = (half + offsets[0][chosen], half + offsets[1][chosen])
    return star_residuals(stamps.data[chosen], stamps.usable[chosen], drawn[chosen], centre, candidates.width)


def _along(n_rows: int, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Booleans of the candidates spread over the rows of the table."""
    spread = np.zeros(n_rows, dtype=bool)
    spread[rows] = values
    return spread
