"""One pixel-grid PSF for a frame, from its stars.

The grid has the pixels of the frame, and each of its pixels varies as a polynomial of the position.  A star is the
grid at its place, interpolated to its centre and multiplied by its flux; that interpolation is the one with which
`PixelGridPsf` is evaluated, so that the fit minimises the residuals that users of the PSF will see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skyloom.catalog.columns import float_column
from skyloom.errors import PsfError
from skyloom.psf import PixelGridPsf

from .moffat import fit_moffat
from .residuals import star_residuals
from .settings import PsfFit, PsfFitSettings, PsfResiduals
from .shift import shift_matrices
from .solve import PixelBasis, raw_pixel_coefficients, solve_grid
from .stamps import StarStamps, cut_stamps, mask_disks
from .stars import model_stamps, pixel_variance, refit_stars

if TYPE_CHECKING:
    from astropy.table import Table

    from skyloom.images.exposure import Exposure

__all__ = ["fit_psf"]


@dataclass
class _State:
    """What an iteration of the fit changes."""

    stamps: StarStamps
    dx: np.ndarray
    dy: np.ndarray
    flux: np.ndarray
    grid: np.ndarray
    """PSF of unit sum at each star, ``[star, y, x]``."""
    fitted: np.ndarray
    """``bool[star]``: neither reserved nor rejected."""
    chi2: np.ndarray
    coefficients: np.ndarray
    basis: PixelBasis

    def model(self) -> np.ndarray:
        """Model stamps ``[star, y, x]``."""
        return np.asarray(self.flux[:, None, None] * model_stamps(self.grid, self.dx, self.dy))


def fit_psf(exposure: Exposure, table: Table, stars: np.ndarray, settings: PsfFitSettings | None = None) -> PsfFit:
    """Fit the PSF of a frame.

    Iterates: the grid by linear least squares for given fluxes and centres, fluxes and centres for a given grid,
    rejection of the stars that disagree.  Noise in the wings is held down by a prior around an elliptical Moffat
    profile fitted to the stacked stars.

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
    rows = np.flatnonzero(stars)
    width = _median_width(table, rows)
    size = settings.size or _grid_size(width, settings)
    stamps = cut_stamps(exposure, float_column(table, "x")[rows], float_column(table, "y")[rows], size)
    seen = (stamps.usable.mean(axis=(1, 2)) > 0.5) & np.isfinite(stamps.sky_variance)
    _require(int(seen.sum()), rows.size, settings)
    rows, stamps = rows[seen], stamps[seen]
    guess = _first_guess(stamps, width)
    _mask_neighbours(stamps, table, guess, width, settings)
    whole = _whole(stamps, guess)
    rows, stamps = rows[whole], stamps[whole]
    _require(len(stamps), int(np.sum(stars)), settings)
    reserved = _reserve(np.asarray(table["source_id"])[rows], settings)
    state = _iterate(_start(stamps, _first_guess(stamps, width), reserved, exposure), width, settings)
    return _result(state, exposure, len(table), rows, reserved, width)


def _iterate(state: _State, width: float, settings: PsfFitSettings) -> _State:
    """Alternate between the grid and the stars until the number of iterations is reached."""
    smooth = state.grid[0]
    reserved = ~state.fitted
    for iteration in range(settings.n_iterations):
        last = iteration == settings.n_iterations - 1
        _fit_grid(state, smooth, settings)
        weight = state.stamps.usable / pixel_variance(state.stamps, state.model(), settings.model_error)
        centres = settings.refit_centres and not last
        flux, step_x, step_y = refit_stars(state.stamps, state.grid, state.dx, state.dy, weight, centres=centres)
        state.flux = flux
        _move(state, step_x, step_y)
        _score(state, width, settings, clip_pixels=not last)
        if not last:
            _reject(state, reserved, settings)
    return state


def _start(stamps: StarStamps, guess: np.ndarray, reserved: np.ndarray, exposure: Exposure) -> _State:
    """State before the first iteration: every star is the smooth first guess."""
    dx, dy = stamps.offsets
    grid = np.broadcast_to(guess, stamps.data.shape).copy()
    flux, _, _ = refit_stars(stamps, grid, dx, dy, stamps.usable.astype(float), centres=False)
    box = exposure.bbox
    basis = PixelBasis(
        x_centre=0.5 * (box.x.min + box.x.max),
        y_centre=0.5 * (box.y.min + box.y.max),
        scale=0.5 * max(box.shape),
        order=0,
    )
    return _State(stamps, dx.copy(), dy.copy(), flux, grid, ~reserved, np.zeros(len(stamps)), guess[None], basis)


def _fit_grid(state: _State, smooth: np.ndarray, settings: PsfFitSettings) -> None:
    """Solve for the grid with the fluxes and centres at hand."""
    fitted, stamps = state.fitted & (state.flux > 0), state.stamps
    state.basis = PixelBasis(
        state.basis.x_centre, state.basis.y_centre, state.basis.scale, _order(int(fitted.sum()), settings)
    )
    terms = state.basis.terms(stamps.x, stamps.y)
    prior = np.zeros((terms.shape[1], *smooth.shape))
    prior[0] = smooth
    spread = settings.prior_relative * smooth + settings.prior_floor * smooth.max()
    start = prior.copy()
    shared = min(len(prior), len(state.coefficients)) if len(prior) == len(state.coefficients) else 1
    start[:shared] = state.coefficients[:shared]
    weight = stamps.usable / pixel_variance(stamps, state.model(), settings.model_error)
    state.coefficients = _unit_sum(
        solve_grid(
            stamps.data[fitted],
            weight[fitted],
            state.flux[fitted],
            terms[fitted],
            (shift_matrices(state.dy[fitted], stamps.size), shift_matrices(state.dx[fitted], stamps.size)),
            prior,
            np.broadcast_to(spread**-2.0, prior.shape),
            start,
        )
    )
    grid = np.tensordot(terms, state.coefficients, axes=1)
    state.grid = grid / grid.sum(axis=(1, 2), keepdims=True)


def _unit_sum(coefficients: np.ndarray) -> np.ndarray:
    """Take out of the coefficients what only rescales the fluxes: unit sum everywhere, to first order."""
    total = coefficients.sum(axis=(1, 2))
    mean = coefficients[0] / total[0]
    scaled = coefficients / total[0]
    scaled[1:] -= (total[1:] / total[0])[:, None, None] * mean
    return np.asarray(scaled)


def _move(state: _State, step_x: np.ndarray, step_y: np.ndarray) -> None:
    """Move the centres, but not the PSF: what the polynomial of the grid could do as well is taken out."""
    terms = state.basis.terms(state.stamps.x, state.stamps.y)
    for step, offset in ((step_x, state.dx), (step_y, state.dy)):
        common, *_ = np.linalg.lstsq(terms[state.fitted], step[state.fitted], rcond=None)
        offset += step - terms @ common


def _score(state: _State, width: float, settings: PsfFitSettings, *, clip_pixels: bool) -> None:
    """Reduced chi2 of every star; pixels far off the model outside the core (faint neighbours) become unusable."""
    model = state.model()
    stamps = state.stamps
    variance = pixel_variance(stamps, model, settings.model_error)
    residual = stamps.data - model
    if clip_pixels:
        half = stamps.size // 2
        pixel = np.arange(stamps.size) - half
        outside = np.hypot(*np.meshgrid(pixel, pixel)) > 2.5 * width
        far = np.abs(residual) > settings.reject_sigma * np.sqrt(variance) + 0.05 * np.abs(model)
        stamps.usable &= ~(far & outside)
        stamps.data[~stamps.usable] = 0.0
    count = np.maximum(stamps.usable.sum(axis=(1, 2)) - 3, 1)
    state.chi2 = np.sum(np.where(stamps.usable, residual**2 / variance, 0.0), axis=(1, 2)) / count


def _reject(state: _State, reserved: np.ndarray, settings: PsfFitSettings) -> None:
    """Drop the worst of the fitted stars whose chi2 stands out."""
    fitted = np.flatnonzero(state.fitted)
    chi2 = np.where(state.flux[fitted] > 0, state.chi2[fitted], np.inf)
    middle = np.median(chi2)
    spread = max(1.4826 * float(np.median(np.abs(chi2 - middle))), 0.1 * float(middle))
    bad = fitted[chi2 > middle + settings.reject_sigma * spread]
    most = min(int(np.ceil(settings.reject_fraction * fitted.size)), fitted.size - settings.n_min)
    worst = bad[np.argsort(-state.chi2[bad], kind="stable")][: max(most, 0)]
    state.fitted[worst] = False
    state.fitted[reserved] = False


def _result(
    state: _State, exposure: Exposure, n_rows: int, rows: np.ndarray, reserved: np.ndarray, width: float
) -> PsfFit:
    """The fitted PSF and what is known of the stars, along the rows of the table."""
    if not np.isfinite(state.coefficients).all():
        raise PsfError("The fitted PSF is not finite.", cure="Check the variance plane.", n_candidates=rows.size)
    psf = PixelGridPsf(
        raw_pixel_coefficients(state.coefficients, state.basis), order=state.basis.order, bounds=exposure.bbox
    )
    chi2 = np.full(n_rows, np.nan)
    chi2[rows] = state.chi2
    agree = state.fitted | (reserved & (state.chi2 <= 3 * max(float(np.median(state.chi2[state.fitted])), 1.0)))
    fitted, tested = (_residuals(state, kind & agree, width) for kind in (~reserved, reserved))
    return PsfFit(
        psf=psf,
        order=state.basis.order,
        used=_along(n_rows, rows, state.fitted),
        reserved=_along(n_rows, rows, reserved),
        rejected=_along(n_rows, rows, ~state.fitted & ~reserved),
        chi2=chi2,
        fitted=fitted,
        tested=tested,
        metadata={
            "n_candidates": int(rows.size),
            "n_used": int(state.fitted.sum()),
            "n_reserved": int(reserved.sum()),
            "order": state.basis.order,
            "size": state.stamps.size,
            "chi2_median": float(np.median(state.chi2[state.fitted])),
        },
    )


def _residuals(state: _State, chosen: np.ndarray, width: float) -> PsfResiduals:
    """Residuals of the chosen stars."""
    half = state.stamps.size // 2
    return star_residuals(
        state.stamps.data[chosen],
        state.stamps.usable[chosen],
        state.model()[chosen],
        (half + state.dx[chosen], half + state.dy[chosen]),
        width,
    )


def _along(n_rows: int, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Booleans of the candidates spread over the rows of the table."""
    spread = np.zeros(n_rows, dtype=bool)
    spread[rows] = values
    return spread


def _order(n_stars: int, settings: PsfFitSettings) -> int:
    """Degree of the variation that so many stars can bear."""
    return min(settings.order_max, sum(n_stars >= needed for needed in settings.n_stars_for_order))


def _require(n_whole: int, n_candidates: int, settings: PsfFitSettings) -> None:
    if n_whole < settings.n_min:
        raise PsfError(
            f"Only {n_whole} of {n_candidates} candidates have enough usable pixels for the PSF; "
            f"{settings.n_min} are needed.",
            cure="Check the mask of the frame, or leave it out.",
            n_candidates=n_candidates,
            n_usable=n_whole,
        )


def _median_width(table: Table, rows: np.ndarray) -> float:
    """Median root mean second moment of the candidates, pixels."""
    if rows.size == 0:
        raise PsfError("No candidate star was given.", cure="Select stars first.", n_candidates=0)
    return float(np.median(np.sqrt(0.5 * (float_column(table, "ixx") + float_column(table, "iyy"))[rows])))


def _grid_size(width: float, settings: PsfFitSettings) -> int:
    """Odd number of pixels along a side, 15 to 41."""
    return 2 * int(np.clip(np.ceil(settings.half_size_in_widths * width), 7, 20)) + 1


def _first_guess(stamps: StarStamps, width: float) -> np.ndarray:
    """Moffat profile of unit sum fitted to the stack of the stars, ``[y, x]``."""
    dx, dy = stamps.offsets
    size = stamps.size
    pixel = np.arange(size) - size // 2
    gauss = np.exp(-0.5 * (pixel[None, :, None] ** 2 + pixel[None, None, :] ** 2) / width**2)
    usable = stamps.usable.astype(float)
    flux = np.sum(stamps.data * gauss, axis=(1, 2)) / np.maximum(np.sum(usable * gauss**2, axis=(1, 2)), 1e-30)
    weight = np.where(flux > 0, flux, 0.0) / stamps.sky_variance
    centred = shift_matrices(-dy, size) @ stamps.data @ shift_matrices(-dx, size).transpose(0, 2, 1)
    total = np.tensordot(weight * np.maximum(flux, 0.0), usable, axes=1)
    stack = np.tensordot(weight, centred, axes=1) / np.where(total > 0, total, np.inf)
    if not stack.max() > 0:
        raise PsfError(
            f"The {len(stamps)} candidates for the PSF have no flux.",
            cure="Check the background and the mask of the frame.",
            n_candidates=len(stamps),
        )
    return fit_moffat(stack, total / (1 + (stack / (0.02 * stack.max())) ** 2), width)


def _mask_neighbours(
    stamps: StarStamps, table: Table, guess: np.ndarray, width: float, settings: PsfFitSettings
) -> None:
    """Hide every other source as far out as it stands above the noise of the sky."""
    flux = float_column(table, settings.neighbour_flux_column)
    x, y = float_column(table, "x"), float_column(table, "y")
    placed = np.isfinite(x) & np.isfinite(y)
    half = guess.shape[0] // 2
    profile = np.minimum.accumulate(guess[half, half:])
    noise = np.sqrt(np.median(stamps.sky_variance[np.isfinite(stamps.sky_variance)]))
    bright = np.where(flux > 0, flux, 0.0)[placed, None] * profile[None, :] > 0.5 * noise
    mask_disks(stamps, x[placed], y[placed], np.maximum(bright.sum(axis=1), 2.0 * width))


def _whole(stamps: StarStamps, guess: np.ndarray) -> np.ndarray:
    """Stars whose usable pixels hold nearly all of their light, ``bool[star]``."""
    seen = np.tensordot(stamps.usable, guess, axes=2)
    return np.asarray((seen > 0.9) & (stamps.usable.mean(axis=(1, 2)) > 0.5) & np.isfinite(stamps.sky_variance))


def _reserve(ids: np.ndarray, settings: PsfFitSettings) -> np.ndarray:
    """Stars kept out of the fit: drawn by a mix of the bits of their ids, the same in every run."""
    if ids.size < settings.n_stars_for_reserve:
        return np.zeros(ids.size, dtype=bool)
    mixed = ids.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return np.asarray(mixed < np.uint64(int(settings.reserve_fraction * 2**64)))
