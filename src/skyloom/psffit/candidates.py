"""From selected sources to the stamps that are fitted: usable pixels, masked neighbours, whole stars, reserve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skyloom.catalog.columns import float_column
from skyloom.errors import PsfError

from .moffat import MoffatProfile, fit_moffat
from .settings import PsfFitSettings
from .stamps import StarStamps, cut_stamps, mask_disks

if TYPE_CHECKING:
    from astropy.table import Table

    from skyloom.images.exposure import Exposure

__all__ = ["Candidates", "cut_candidates"]


@dataclass(frozen=True)
class Candidates:
    """Stars with enough usable pixels."""

    rows: np.ndarray
    """Their rows ``int[star]`` in the table."""
    stamps: StarStamps
    profile: MoffatProfile
    """What they look like on average."""
    width: float
    """Their median root mean second moment, pixels."""
    reserved: np.ndarray
    """``bool[star]``: to be kept out of the fit."""


def cut_candidates(exposure: Exposure, table: Table, stars: np.ndarray, settings: PsfFitSettings) -> Candidates:
    """Cut the stamps of the selected stars, hide their neighbours, and keep those that are whole.

    Raises
    ------
    PsfError
        If no star was given, or fewer than `n_min` are whole; with the counts of why the others are not.
    """
    rows = np.flatnonzero(stars)
    n_given = int(rows.size)
    x, y = float_column(table, "x")[rows], float_column(table, "y")[rows]
    rows = rows[np.isfinite(x) & np.isfinite(y)]
    width = _median_width(table, rows)
    size = settings.size or _grid_size(width, settings)
    stamps = cut_stamps(exposure, float_column(table, "x")[rows], float_column(table, "y")[rows], size)
    seen = (stamps.usable.mean(axis=(1, 2)) > 0.5) & np.isfinite(stamps.sky_variance)
    _require(int(seen.sum()), n_given, stamps, seen, settings)
    rows, stamps = rows[seen], stamps[seen]
    profile = fit_moffat(stamps, width)
    _mask_neighbours(stamps, table, profile.grid(size), width, settings)
    whole = _whole(stamps, profile.grid(size))
    _require(int(whole.sum()), n_given, stamps, whole, settings)
    rows, stamps = rows[whole], stamps[whole]
    reserved = _reserve(np.asarray(table["source_id"])[rows], settings)
    return Candidates(rows, stamps, fit_moffat(stamps, width, profile), width, reserved)


def _require(n_whole: int, n_given: int, stamps: StarStamps, whole: np.ndarray, settings: PsfFitSettings) -> None:
    if n_whole >= settings.n_min:
        return
    lost = stamps.usable[~whole].mean(axis=(1, 2))
    typical = f"; the others have {np.median(lost):.0%} of their pixels in the median" if lost.size else ""
    raise PsfError(
        f"Only {n_whole} of {n_given} candidates have enough usable pixels for the PSF{typical}; "
        f"{settings.n_min} are needed.",
        cure="Check the mask of the frame, or leave it out.",
        n_candidates=n_given,
        n_usable=n_whole,
    )


def _median_width(table: Table, rows: np.ndarray) -> float:
    """Median root mean second moment of the candidates, pixels."""
    square = 0.5 * (float_column(table, "ixx") + float_column(table, "iyy"))[rows]
    square = square[square > 0]
    if square.size == 0:
        raise PsfError(
            f"None of the {rows.size} placed candidates for the PSF has a size."
            if rows.size
            else "No candidate star for the PSF was given, or none has a position.",
            cure="Select stars first.",
            n_candidates=int(rows.size),
        )
    return float(np.median(np.sqrt(square)))


def _grid_size(width: float, settings: PsfFitSettings) -> int:
    """Odd number of pixels along a side, 15 to 41."""
    return 2 * int(np.clip(np.ceil(settings.half_size_in_widths * width), 7, 20)) + 1


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
    seen = np.einsum("syx,yx->s", stamps.usable, guess)
    return np.asarray((seen > 0.9) & (stamps.usable.mean(axis=(1, 2)) > 0.5) & np.isfinite(stamps.sky_variance))


def _reserve(ids: np.ndarray, settings: PsfFitSettings) -> np.ndarray:
    """Stars kept out of the fit: drawn by a mix of the bits of their ids and the seed, the same in every run."""
    if ids.size < settings.n_stars_for_reserve:
        return np.zeros(ids.size, dtype=bool)
    mixed = ids.astype(np.uint64) ^ np.uint64((settings.reserve_seed * 0x9E3779B97F4A7C15) % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return np.asarray(mixed < np.uint64(min(int(settings.reserve_fraction * 2**64), 2**64 - 1)))
