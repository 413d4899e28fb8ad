"""The PSF of a frame fitted by Piff itself (Jarvis et al. 2021, MNRAS 501, 1282).

Hundreds of times slower than `fit_psf`, and what other surveys use: to compare with, or where theirs must be matched.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import PsfError
from skyloom.psf import GRID_LANCZOS

from .basis import PixelBasis
from .candidates import Candidates, cut_candidates
from .grid_model import GridModel
from .grid_shape import GridShape, grid_shape
from .record import fit_record
from .settings import PsfFit, PsfFitSettings
from .stars import pixel_variance, refit_stars

if TYPE_CHECKING:
    from astropy.table import Table

    from skyloom.images.exposure import Exposure

__all__ = ["PsfPiffSettings", "fit_psf_with_piff"]

_CENTRE_ROUNDS = 3


@dataclass(frozen=True, kw_only=True)
class PsfPiffSettings:
    """How Piff fits the pixel-grid PSF of a frame."""

    size: int = 25
    """Pixels along a side of the stamps, odd."""
    oversampling: int = 1
    """Grid points a pixel."""
    kernel_order: int = GRID_LANCZOS
    """Order of the Lanczos kernel between them."""
    order: int = 2
    """Total degree of the polynomial variation over the frame; fewer stars than terms lower it."""
    signal_to_noise_max: float = 200.0
    """Weights of brighter stars are lowered to this signal-to-noise ratio."""
    outlier_sigma: float = 4.0
    """Stars whose chi2 is as improbable as this many standard deviations are rejected, ..."""
    outlier_fraction: float = 0.05
    """... at most this part of them an iteration."""
    max_iterations: int = 15
    n_min: int = 3
    """Fewer stars than this raise `PsfError`."""
    reserve_fraction: float = 0.2
    n_stars_for_reserve: int = 25
    reserve_seed: int = 0
    neighbour_flux_column: str = "aperture_flux_6_0"


def fit_psf_with_piff(
    exposure: Exposure, table: Table, stars: np.ndarray, settings: PsfPiffSettings | None = None
) -> PsfFit:
    """Fit the PSF of a frame with Piff's ``PixelGrid`` and ``BasisPolynomial``.

    Candidates, masks of neighbours and reserved stars are those of `fit_psf`, and so is the form of the result.

    Parameters
    ----------
    exposure, table, stars
        As of `fit_psf`.

    Raises
    ------
    PsfError
        If too few candidates have usable pixels or survive, or Piff fails.
    """
    settings = settings or PsfPiffSettings()
    own = _own_settings(settings)
    candidates = cut_candidates(exposure, table, stars, own)
    weight = _capped_weights(candidates, exposure, settings)
    chosen = np.flatnonzero(~candidates.reserved)
    order = _affordable_order(chosen.size, settings.order)
    basis = PixelBasis.over(exposure.bbox, order)
    grids, fitted = _run_piff(candidates, weight, chosen, basis, settings)
    shape = GridShape(grids.shape[1], settings.oversampling, settings.kernel_order)
    places = -(-shape.n // shape.oversampling) * shape.oversampling
    model = GridModel(shape.to_places(grids, places), basis, shape)
    model.unit_sum()
    drawn, offsets = _refitted(candidates, model)
    return fit_record(candidates, model.psf(exposure.bbox), drawn, offsets, fitted, len(table), own)


def _own_settings(settings: PsfPiffSettings) -> PsfFitSettings:
    """Those of `fit_psf` that choose the candidates alike."""
    shared = {field.name for field in dataclasses.fields(PsfFitSettings)} & set(vars(settings))
    values: dict[str, Any] = {name: getattr(settings, name) for name in shared}
    return PsfFitSettings(**values, order_max=settings.order)


def _affordable_order(n_stars: int, order: int) -> int:
    """Highest order with fewer terms than stars."""
    while order > 0 and (order + 1) * (order + 2) // 2 >= n_stars:
        order -= 1
    return order


def _capped_weights(candidates: Candidates, exposure: Exposure, settings: PsfPiffSettings) -> np.ndarray:
    """Inverse variances ``[star, y, x]``, of sky and star, with the brightest stars held down."""
    stamps = candidates.stamps
    smooth = GridModel.constant(candidates.profile, grid_shape(stamps.size, 1), exposure.bbox)
    taps = smooth.taps(*stamps.offsets)
    weight = stamps.usable / stamps.sky_variance[:, None, None]
    flux, _, _ = refit_stars(stamps, smooth, taps, weight, centres=False)
    drawn = flux[:, None, None] * smooth.stamps(stamps.x, stamps.y, taps, stamps.size)
    weight = stamps.usable / pixel_variance(stamps, drawn, 0.0)
    ratio = np.sqrt(np.sum(weight * drawn**2, axis=(1, 2)))
    return np.asarray(
        weight * np.minimum(settings.signal_to_noise_max / np.maximum(ratio, 1e-30), 1.0)[:, None, None] ** 2
    )


def _run_piff(
    candidates: Candidates, weight: np.ndarray, chosen: np.ndarray, basis: PixelBasis, settings: PsfPiffSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Piff's grid coefficients ``[term, y, x]`` in scaled coordinates, and which candidates it kept."""
    # Importing Piff is slow: only those who need it pay for it.
    import galsim
    import piff

    n = settings.size * settings.oversampling
    n -= 1 - n % 2  # odd, and within the stamps, as Piff wants it
    kernel = galsim.Lanczos(settings.kernel_order)
    psf = piff.SimplePSF(
        piff.PixelGrid(scale=1.0 / settings.oversampling, size=n, interp=kernel),
        piff.BasisPolynomial(basis.order, keys=("scaled_x", "scaled_y")),
        outliers=piff.ChisqOutliers(nsigma=settings.outlier_sigma, max_remove=settings.outlier_fraction),
        max_iter=settings.max_iterations,
    )
    stars = [_piff_star(candidates, weight, row, basis) for row in chosen]
    try:
        psf.fit(stars, {0: galsim.PixelScale(1.0)}, None)
    except (RuntimeError, ValueError, TypeError, np.linalg.LinAlgError, galsim.GalSimError) as error:
        raise PsfError(
            f"Piff could not fit a PSF of order {basis.order} to {chosen.size} stars: {error}",
            cure="Lower the order, or fit without Piff.",
            n_candidates=int(candidates.rows.size),
        ) from error
    fitted = np.zeros(candidates.rows.size, dtype=bool)
    fitted[[star["row"] for star in psf.stars if not star.is_flagged]] = True
    coefficients = np.asarray(psf.interp.q, np.float64).T.reshape(-1, n, n)
    if fitted.sum() < settings.n_min or not np.isfinite(coefficients).all():
        raise PsfError(
            f"Piff kept {int(fitted.sum())} of {chosen.size} stars; {settings.n_min} are needed.",
            cure="Raise outlier_sigma, or fit without Piff.",
            n_candidates=int(candidates.rows.size),
            n_used=int(fitted.sum()),
        )
    return coefficients, fitted


def _piff_star(candidates: Candidates, weight: np.ndarray, row: int, basis: PixelBasis) -> Any:
    """One star in Piff's form."""
    import galsim
    import piff

    stamps = candidates.stamps
    origin = {"xmin": int(stamps.x0[row]), "ymin": int(stamps.y0[row]), "wcs": galsim.PixelScale(1.0)}
    x, y = float(stamps.x[row]), float(stamps.y[row])
    properties = {
        "scaled_x": (x - basis.x_centre) / basis.scale,
        "scaled_y": (y - basis.y_centre) / basis.scale,
        "row": int(row),
        "is_reserve": False,
    }
    image, inverse = galsim.Image(stamps.data[row], **origin), galsim.Image(weight[row], **origin)
    return piff.Star(piff.StarData(image, galsim.PositionD(x, y), weight=inverse, properties=properties), None)


def _refitted(candidates: Candidates, model: GridModel) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """All candidates drawn with their best fluxes and centres, ``[star, y, x]``, and the offsets of the centres."""
    stamps = candidates.stamps
    dx, dy = (offset.copy() for offset in stamps.offsets)
    weight = stamps.usable / stamps.sky_variance[:, None, None]
    for _ in range(_CENTRE_ROUNDS):
        _, step_x, step_y = refit_stars(stamps, model, model.taps(dx, dy), weight, centres=True)
        dx += step_x
        dy += step_y
    taps = model.taps(dx, dy)
    flux, _, _ = refit_stars(stamps, model, taps, weight, centres=False)
    return flux[:, None, None] * model.stamps(stamps.x, stamps.y, taps, stamps.size), (dx, dy)
