"""One pixel-grid PSF for a frame, from its stars.

Each point of the grid varies as a polynomial of the position.  A star is the grid at its place, interpolated at its
pixels and multiplied by its flux; that interpolation is the one with which `PixelGridPsf` is evaluated, so that the fit
minimises the residuals that users of the PSF will see.
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skyloom.errors import PsfError

from .candidates import Candidates, cut_candidates
from .grid_model import GridModel
from .grid_shape import grid_shape
from .prior import GridPrior
from .record import fit_record
from .rejection import clip_far_pixels, reduced_chi2, worst_stars
from .settings import PsfFit, PsfFitSettings
from .solve import solve_grid
from .stars import pixel_variance, refit_stars

if TYPE_CHECKING:
    from astropy.table import Table

    from skyloom.images.exposure import Exposure
    from skyloom.kernels.psf_fit import Taps

    from .stamps import StarStamps

__all__ = ["fit_psf"]

_LOG = logging.getLogger(__name__)


@dataclass
class _State:
    """What an iteration of the fit changes."""

    stamps: StarStamps
    dx: np.ndarray
    """Offsets of the stars from the middles of their stamps, px."""
    dy: np.ndarray
    taps: Taps
    flux: np.ndarray
    fitted: np.ndarray
    """``bool[star]``: neither reserved nor rejected."""
    model: GridModel
    drawn: np.ndarray
    """Model of every star ``[star, y, x]``."""
    prior: GridPrior
    """What the wings are drawn towards; of the constant term."""

    def draw(self) -> None:
        """Bring the drawn stars up to date with model, centres and fluxes."""
        self.taps = self.model.taps(self.dx, self.dy)
        unit = self.model.stamps(self.stamps.x, self.stamps.y, self.taps, self.stamps.size)
        self.drawn = self.flux[:, None, None] * unit


def fit_psf(exposure: Exposure, table: Table, stars: np.ndarray, settings: PsfFitSettings | None = None) -> PsfFit:
    """Fit the PSF of a frame.

    Iterates: the grid by linear least squares for given fluxes and centres, fluxes and centres for a given grid,
    rejection of the stars that disagree.  Noise in the wings is held down by a prior around an elliptical Moffat
    profile fitted to the brightest stars.  Where that is narrower than `oversample_below_fwhm`, the grid has two points
    a pixel: the many places of the stars on their pixels tell what lies between them.

    Parameters
    ----------
    exposure
        Background-subtracted frame.
    table
        All measured sources of it, with ``source_id``, ``x``, ``y``, ``ixx``, ``iyy`` and the flux column that
        sizes the masks of neighbours.
    stars
        ``bool[n]``: the candidates among them.

    Returns
    -------
    PsfFit
        The PSF has unit sum on its own grid: light beyond it is left to the aperture corrections.

    Raises
    ------
    PsfError
        If too few candidates have usable pixels, or the fit is not finite.
    """
    settings = settings or PsfFitSettings()
    candidates = cut_candidates(exposure, table, stars, settings)
    state = _start(candidates, exposure, settings)
    orders = _orders(state, settings)
    for iteration, order in enumerate(orders):
        last = iteration == len(orders) - 1
        _fit_grid(state, order, settings)
        _fit_stars(state, centres=settings.refit_centres and not last, settings=settings)
        if order == orders[-1] and not last:
            clip_far_pixels(state.stamps, state.drawn, candidates.width, settings)
            chi2 = reduced_chi2(state.stamps, state.drawn, settings.model_error)
            state.fitted[worst_stars(chi2, state.flux, state.fitted, settings)] = False
    if not np.isfinite(state.model.coefficients).all():
        raise PsfError(
            f"The PSF fitted to {int(state.fitted.sum())} of {candidates.rows.size} candidates is not finite.",
            cure="Check the variance plane.",
            n_candidates=int(candidates.rows.size),
        )
    _tell_order(state, settings)
    return fit_record(
        candidates,
        state.model.psf(exposure.bbox),
        state.drawn,
        (state.dx, state.dy),
        state.fitted,
        len(table),
        settings,
    )


def _start(candidates: Candidates, exposure: Exposure, settings: PsfFitSettings) -> _State:
    """State before the first iteration: every star is the smooth first guess."""
    stamps = candidates.stamps
    oversampling = settings.oversampling or _oversampling(candidates.profile.fwhm, settings)
    model = GridModel.constant(candidates.profile, grid_shape(stamps.size, oversampling), exposure.bbox)
    dx, dy = (offset.copy() for offset in stamps.offsets)
    taps = model.taps(dx, dy)
    weight = stamps.usable / stamps.sky_variance[:, None, None]
    flux, _, _ = refit_stars(stamps, model, taps, weight, centres=False)
    prior = _prior(model, settings)
    state = _State(stamps, dx, dy, taps, flux, ~candidates.reserved, model, np.empty(0), prior)
    state.draw()
    if oversampling > 1 and settings.refit_centres:
        # Measured centroids of stars narrower than two pixels depend on where on a pixel they lie.
        for _ in range(2):
            _fit_stars(state, centres=True, settings=settings)
    return state


def _prior(model: GridModel, settings: PsfFitSettings) -> GridPrior:
    """A prior about a smooth model."""
    smooth = model.coefficients[0]
    whole = model.shape.to_places(np.ones((1, model.shape.n, model.shape.n)), len(smooth))[0]
    spread = whole * (settings.prior_relative * smooth + settings.prior_floor * smooth.max())
    smoothness = settings.prior_smoothness if model.shape.oversampling > 1 else 0.0
    return GridPrior(model.coefficients, spread, model.shape, smoothness)


def _oversampling(fwhm: float, settings: PsfFitSettings) -> int:
    """Grid points a pixel that a PSF so wide needs."""
    return 1 if fwhm >= settings.oversample_below_fwhm else 2


def _orders(state: _State, settings: PsfFitSettings) -> list[int]:
    """Highest order of the variation in each iteration.

    Between the pixels a grid learns from stars at many places on theirs.  So that it cannot take the errors of single
    centres for the PSF, it begins as the same everywhere.
    """
    rising = range(settings.order_max) if state.model.shape.oversampling > 1 else range(0)
    return [*rising, *[settings.order_max] * settings.n_iterations]


def _fit_grid(state: _State, order_max: int, settings: PsfFitSettings) -> None:
    """Solve for the grid with the fluxes and centres at hand."""
    fitted, stamps, old = state.fitted & (state.flux > 0), state.stamps, state.model
    if fitted.sum() < settings.n_min:
        raise PsfError(
            f"Only {int(fitted.sum())} of {len(stamps)} candidates for the PSF have flux and agree with each other; "
            f"{settings.n_min} are needed.",
            cure="Check the background and the selection, or leave this frame out.",
            n_candidates=len(stamps),
            n_used=int(fitted.sum()),
        )
    basis = dataclasses.replace(old.basis, order=_order(int(fitted.sum()), order_max, settings))
    terms = basis.terms(stamps.x[fitted], stamps.y[fitted])
    expected = np.zeros((terms.shape[1], *state.prior.spread.shape))
    expected[0] = state.prior.expected[0]
    prior = dataclasses.replace(state.prior, expected=expected)
    start = expected.copy()
    shared = old.coefficients if basis == old.basis else old.coefficients[:1]
    start[: len(shared)] = shared
    weight = stamps.usable / pixel_variance(stamps, state.drawn, settings.model_error)
    taps = tuple(np.ascontiguousarray(part[:, fitted]) for part in state.taps)
    coefficients = solve_grid(
        stamps.data[fitted],
        weight[fitted],
        terms * state.flux[fitted, None],
        (taps[0], taps[1], taps[2]),
        prior,
        start,
    )
    state.model = GridModel(coefficients, basis, old.shape)
    state.model.unit_sum()
    state.draw()


def _fit_stars(state: _State, *, centres: bool, settings: PsfFitSettings) -> None:
    """Fluxes and centres under the grid at hand.

    The centres move, but not the PSF: what the polynomial of the grid could do as well is taken out of the steps.
    """
    weight = state.stamps.usable / pixel_variance(state.stamps, state.drawn, settings.model_error)
    state.flux, step_x, step_y = refit_stars(state.stamps, state.model, state.taps, weight, centres=centres)
    if centres:
        terms = state.model.basis.terms(state.stamps.x, state.stamps.y)
        known = terms[state.fitted]
        inverse = np.linalg.pinv(np.einsum("sk,sl->kl", known, known))
        for step, offset in ((step_x, state.dx), (step_y, state.dy)):
            common = inverse @ np.einsum("sk,s->k", known, step[state.fitted])
            offset += step - np.einsum("sk,k->s", terms, common)
    state.draw()


def _order(n_stars: int, order_max: int, settings: PsfFitSettings) -> int:
    """Degree of the variation that so many stars can bear."""
    return min(order_max, sum(n_stars >= needed for needed in settings.n_stars_for_order))


def _tell_order(state: _State, settings: PsfFitSettings) -> None:
    """Say where the stars were too few for the variation that was asked for."""
    order = state.model.basis.order
    if order < settings.order_max:
        _LOG.warning(
            "%d stars bear a PSF of order %d over the frame, not %d%s.",
            int(state.fitted.sum()),
            order,
            settings.order_max,
            ": it is the same everywhere" if order == 0 else "",
        )
