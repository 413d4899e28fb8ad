"""The stars that may shape the PSF: bright, clean, alone, and in the clump of the smallest resolved sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import KDTree

from skyloom.catalog.columns import flag_column, float_column
from skyloom.errors import NoSourcesError, PsfError

from .size_clump import densest_clump, smallest_cluster

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["SelectionSettings", "near_positions", "select_psf_stars", "single_pixel_sources"]

METHODS = ("clump", "clusters", "catalogue")


@dataclass(frozen=True, kw_only=True)
class SelectionSettings:
    """What makes a source a PSF star."""

    method: str = "clump"
    """"clump": the densest window of sizes; "clusters": the smallest of four clusters; "catalogue": as given."""
    signal_to_noise_min: float = 50.0
    """Stars are taken above this signal-to-noise ratio of their aperture flux, where there are enough of them."""
    signal_to_noise_floor: float = 20.0
    """The cut is lowered as far as this while fewer than `n_wanted` sources pass."""
    n_wanted: int = 30
    n_min: int = 3
    """Fewer selected stars than this raise `PsfError`."""
    n_max: int = 200
    """Of more stars the brightest are kept."""
    width_min: float = 0.5
    """Smallest width believed, in pixels: the root mean second moment, not the FWHM."""
    width_max: float = 15.0
    window: float = 0.07
    """Half width of the window that searches the clump of sizes, as a fraction of the size."""
    clump_fraction: float = 0.3
    """A window is a clump if it holds this part of what the most populous one holds; the smallest is that of the stars.
    """
    width_tolerance: float = 0.15
    """No star deviates by more than this fraction from the clump."""
    n_sigma: float = 3.0
    """Stars deviate by no more than this many robust standard deviations from the clump."""
    n_sigma_clusters: float = 2.0
    """The same of a cluster."""
    peak_fraction_max: float = 0.5
    """Sources with more of their 3-pixel aperture flux in one pixel are hot pixels or cosmic rays, not stars."""
    neighbour_radius: float = 6.0
    """Stars have no neighbour within this radius, in units of the width of the clump, ..."""
    neighbour_flux_fraction: float = 0.03
    """... that has more than this fraction of their flux."""
    flux_column: str = "aperture_flux_6_0"
    bad_flags: tuple[str, ...] = (
        "flag_saturated_center",
        "flag_interpolated_center",
        "flag_centroid",
        "flag_shape",
    )
    """No star has one of these."""
    bad_footprint_flags: tuple[str, ...] = (
        "flag_edge",
        "flag_saturated",
        "flag_bad",
        "flag_no_data",
        "flag_cosmic_ray",
    )
    """Nor one of these, if it is alone in its footprint: in a blend they may speak of another source."""


def select_psf_stars(
    table: Table, settings: SelectionSettings | None = None, *, known: np.ndarray | None = None
) -> np.ndarray:
    """Find the stars among the measured sources of one frame.

    The sizes of stars crowd at one value, up to the slow change of the PSF over the frame; galaxies lie above it,
    hot pixels and cosmic rays below.  By the method "clump", that is the smallest window of relative width
    ``2 * window`` in which the bright clean sources crowd; its members are then clipped about a plane in x and y.  By
    "clusters" it is the cluster of the smallest sizes.  By "catalogue" the stars are known.

    Parameters
    ----------
    table
        Sources with ``x``, ``y``, ``ixx``, ``iyy``, ``ixy``, the flux column and its error, ``peak_value``,
        ``aperture_flux_3_0`` and the flags.
    known
        ``bool[n]``: stars by a catalogue, as `near_positions` finds them; for the method "catalogue".

    Returns
    -------
    numpy.ndarray
        ``bool[n]``.

    Raises
    ------
    NoSourcesError
        If the table is empty or holds no bright clean source.
    PsfError
        If fewer than ``n_min`` sources share a size, or are known.
    ValueError
        If the method is none of the three, or its catalogue is missing.
    """
    settings = settings or SelectionSettings()
    if settings.method not in METHODS or (settings.method == "catalogue") == (known is None):
        given = "without" if known is None else "with"
        raise ValueError(f"Method {settings.method!r} {given} known stars; methods are {', '.join(METHODS)}.")
    if len(table) == 0:
        raise NoSourcesError(
            "No source was detected.", cure="Check the exposure and the detection threshold.", n_sources=0
        )
    width = _width(table)
    clean = _clean(table, width, settings)
    bright = clean & _bright(table, clean, settings)
    if not bright.any():
        raise NoSourcesError(
            f"None of {len(table)} sources ({int(clean.sum())} clean) reaches a signal-to-noise ratio of "
            f"{settings.signal_to_noise_floor:g}.",
            cure="Lower signal_to_noise_floor, or leave this frame out.",
            n_sources=len(table),
            n_clean=int(clean.sum()),
        )
    stars, centre = _members(table, width, bright, known, settings)
    stars &= ~_crowded(table, stars, centre, settings)
    if stars.sum() < settings.n_min:
        raise PsfError(
            f"Only {int(stars.sum())} stars for the PSF among {len(table)} sources ({int(bright.sum())} bright and "
            f"clean); {settings.n_min} are needed.",
            cure="Lower signal_to_noise_floor or n_min, or leave this frame out.",
            n_sources=len(table),
            n_bright=int(bright.sum()),
            n_stars=int(stars.sum()),
        )
    return _brightest(table, stars, settings)


def near_positions(table: Table, x: np.ndarray, y: np.ndarray, radius: float = 2.0) -> np.ndarray:
    """Sources that are the nearest to one of the positions (x, y), and within ``radius`` pixels of it, ``bool[n]``."""
    at_x, at_y = float_column(table, "x"), float_column(table, "y")
    placed = np.flatnonzero(np.isfinite(at_x) & np.isfinite(at_y))
    near = np.zeros(len(table), dtype=bool)
    wanted = np.stack([np.asarray(x, float), np.asarray(y, float)], axis=1)
    wanted = wanted[np.isfinite(wanted).all(axis=1)]
    if placed.size and len(wanted):
        tree = KDTree(np.stack([at_x[placed], at_y[placed]], axis=1))
        distance, nearest = tree.query(wanted)
        near[placed[nearest[distance <= radius]]] = True
    return near


def single_pixel_sources(table: Table, settings: SelectionSettings | None = None) -> np.ndarray:
    """Sources that hold more of their flux in one pixel than any PSF that the optics could make, ``bool[n]``.

    The central pixel of a centred Gaussian with a FWHM of 1.2 pixels holds 45 % of its flux.
    """
    settings = settings or SelectionSettings()
    flux = float_column(table, "aperture_flux_3_0")
    with np.errstate(invalid="ignore"):
        return np.asarray(float_column(table, "peak_value") > settings.peak_fraction_max * flux)


def _width(table: Table) -> np.ndarray:
    """Root mean second moment of each source, pixels; NaN where it is not positive."""
    square = 0.5 * (float_column(table, "ixx") + float_column(table, "iyy"))
    return np.sqrt(np.where(square > 0, square, np.nan))


def _clean(table: Table, width: np.ndarray, settings: SelectionSettings) -> np.ndarray:
    """Sources with a believable width, no bad flag, and more than one pixel."""
    good = np.isfinite(width) & (width >= settings.width_min) & (width <= settings.width_max)
    for name in settings.bad_flags:
        good &= ~flag_column(table, name)
    alone = ~flag_column(table, "flag_blended")
    for name in settings.bad_footprint_flags:
        good &= ~(flag_column(table, name) & alone)
    return np.asarray(good & ~single_pixel_sources(table, settings))


def _members(
    table: Table, width: np.ndarray, bright: np.ndarray, known: np.ndarray | None, settings: SelectionSettings
) -> tuple[np.ndarray, float]:
    """Stars by the method that was chosen, ``bool[n]``, and their typical width, px."""
    if known is not None:
        members = bright & np.asarray(known, dtype=bool)
        return members, float(np.median(width[members if members.any() else bright]))
    if settings.method == "clusters":
        return smallest_cluster(width, bright, settings)
    return densest_clump(float_column(table, "x"), float_column(table, "y"), width, bright, settings)


def _bright(table: Table, clean: np.ndarray, settings: SelectionSettings) -> np.ndarray:
    """Sources above the signal-to-noise cut, which is lowered to let ``n_wanted`` pass."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = float_column(table, settings.flux_column) / float_column(table, f"{settings.flux_column}_err")
    ratio = np.where(clean & np.isfinite(ratio), ratio, -np.inf)
    ranked = np.sort(ratio)[::-1]
    wanted = ranked[min(settings.n_wanted, ranked.size) - 1]
    cut = np.clip(wanted, settings.signal_to_noise_floor, settings.signal_to_noise_min)
    return np.asarray(ratio >= cut)


def _crowded(table: Table, stars: np.ndarray, width: float, settings: SelectionSettings) -> np.ndarray:
    """Stars with a neighbour that is too near for its brightness, ``bool[n]``."""
    x, y, flux = float_column(table, "x"), float_column(table, "y"), float_column(table, settings.flux_column)
    # A hot pixel beside a star is masked in its stamp, and does not make it a blend.
    placed = np.flatnonzero(np.isfinite(x) & np.isfinite(y) & ~single_pixel_sources(table, settings))
    tree = KDTree(np.stack([x[placed], y[placed]], axis=1))
    crowded = np.zeros(len(table), dtype=bool)
    for star in np.flatnonzero(stars):
        near = placed[tree.query_ball_point([x[star], y[star]], settings.neighbour_radius * width)]
        others = flux[near[near != star]]
        crowded[star] = bool(np.any(others > settings.neighbour_flux_fraction * flux[star]))
    return crowded


def _brightest(table: Table, stars: np.ndarray, settings: SelectionSettings) -> np.ndarray:
    """The brightest ``n_max`` of the stars."""
    if stars.sum() <= settings.n_max:
        return stars
    flux = np.where(stars, float_column(table, settings.flux_column), -np.inf)
    kept = np.zeros_like(stars)
    kept[np.argsort(-flux, kind="stable")[: settings.n_max]] = True
    return kept
