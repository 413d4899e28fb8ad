"""Forced photometry on calibrated frames: what light curves are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.table import Column, Table
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from skyloom.catalog.sources import PIXEL_FLAGS, SourceColumn, aperture_name
from skyloom.images.mask_planes import bitmask
from skyloom.kernels.apertures import aperture_sums
from skyloom.kernels.centre_bits import centre_bits
from skyloom.kernels.own_light import working_planes
from skyloom.kernels.psf_flux import fit_stamps
from skyloom.psf import psf_sigma, psf_stamps

from .settings import ForcedFrameSettings

if TYPE_CHECKING:
    from skyloom.images.exposure import Exposure

__all__ = ["force_on_frame", "forced_columns", "make_forced_table"]

CHUNK = 1000
"""Rows, about, whose PSF stamps are in memory together; a group is never divided."""
_FWHM_OF_SIGMA = 2.3548


def forced_columns(radii: Sequence[float]) -> tuple[SourceColumn, ...]:
    """The columns of a table of forced sources."""
    apertures = []
    for radius in radii:
        name, circle = aperture_name(radius), f"within {radius:g} px of the position, less the models of other objects"
        apertures += [
            SourceColumn(f"aperture_flux_{name}", "f8", u.nJy, f"Sum of the image {circle}."),
            SourceColumn(f"aperture_flux_{name}_err", "f8", u.nJy, f"Standard error of aperture_flux_{name}."),
            SourceColumn(f"aperture_flag_{name}", "?", None, "A pixel of the circle is unusable or outside the image."),
        ]
    return (
        SourceColumn("object_id", "i8", None, "Identifier of the object."),
        SourceColumn("visit", "i8", None, "Number of the visit."),
        SourceColumn("detector", "i4", None, "Number of the detector."),
        SourceColumn("band", "U16", None, "Short name of the passband."),
        SourceColumn("mjd", "f8", u.d, "Modified Julian date (TAI) of the middle of the exposure."),
        SourceColumn("ra", "f8", u.deg, "Right ascension of the object, ICRS."),
        SourceColumn("dec", "f8", u.deg, "Declination of the object, ICRS."),
        SourceColumn("x", "f8", u.pix, "Column of the object on the detector; the centre of a pixel is an integer."),
        SourceColumn("y", "f8", u.pix, "Row of the object on the detector."),
        SourceColumn("psf_flux", "f8", u.nJy, "Flux of the PSF at the position; NaN where no pixel is usable."),
        SourceColumn("psf_flux_err", "f8", u.nJy, "Standard error of psf_flux from the noise of the pixels."),
        *apertures,
        *(
            SourceColumn(f"flag_{name}_center", "?", None, f"One of the 3 x 3 pixels at the position has {plane}.")
            for name, plane in PIXEL_FLAGS.items()
        ),
        SourceColumn("flag_off_image", "?", None, "The position is outside the image."),
        SourceColumn("flag_psf_flux", "?", None, "The PSF flux is missing or lacks pixels near the centre."),
        SourceColumn(
            "flag_psf_flux_alone", "?", None, "The PSF flux holds light of neighbours that could not be fitted with it."
        ),
        SourceColumn("flag_blended", "?", None, "Other objects are near and were fitted together with it."),
    )


def make_forced_table(n: int, radii: Sequence[float]) -> Table:
    """A table of ``n`` rows: numbers NaN or 0, no flag set."""
    table = Table(meta={"aperture_radii": [float(radius) for radius in radii]})
    for column in forced_columns(radii):
        fill = np.nan if column.dtype.startswith("f") else "" if column.dtype.startswith("U") else 0
        values = np.full(n, fill, dtype=column.dtype)
        table[column.name] = Column(values, unit=column.unit, description=column.description)
    return table


def force_on_frame(exposure: Exposure, x: np.ndarray, y: np.ndarray, settings: ForcedFrameSettings) -> Table:
    """Measure fluxes at given positions on a frame.

    The PSF is fitted with equal weights at the positions as they are; objects near each other are fitted together.
    Circles are summed on the image less the fitted models of all other objects.  Fluxes are multiplied by the frame's
    aperture correction of PSF fluxes, circles are not.

    Parameters
    ----------
    exposure
        A calibrated frame with its PSF; left as it is.
    x, y
        Positions, px.
    settings
        Knobs.

    Returns
    -------
    astropy.table.Table
        A row a position; columns of `forced_columns`, of which those that say what the object and the frame are stay
        empty.
    """
    table = make_forced_table(x.size, settings.aperture_radii)
    table["x"][:], table["y"][:] = x, y
    _set_flags(table, exposure)
    if not x.size or exposure.psf is None:
        table["flag_psf_flux"][:] = True
        return table
    planes = (exposure.image.array, exposure.variance.array, exposure.bits)
    image, variance, bits = (np.ascontiguousarray(plane) for plane in planes)
    work, state = working_planes(image, variance, bits, bitmask(*settings.unusable_planes))
    group = _groups(x, y, settings.link_fwhm * _FWHM_OF_SIGMA * psf_sigma(exposure.psf))
    order = np.argsort(group, kind="stable")
    table["flag_blended"][:] = np.bincount(group)[group] > 1
    rest = np.where(state == 0, work, np.float32(0.0))
    for rows in _chunks(order, group):
        _fit_psf(table, rows, group, exposure, (image, variance, state), rest, settings)
    _sum_circles(table, exposure, rest, variance, state, settings.aperture_radii)
    _correct(table, exposure)
    return table


def _groups(x: np.ndarray, y: np.ndarray, length: float) -> np.ndarray:
    """Number of the group of each position: those nearer than a length, px, are in one, and so on from each."""
    pairs = cKDTree(np.column_stack([x, y])).query_pairs(length, output_type="ndarray")
    links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(x.size, x.size))
    return np.asarray(connected_components(links, directed=False)[1])


def _chunks(order: np.ndarray, group: np.ndarray) -> list[np.ndarray]:
    """Rows, group by group, in parts of about `CHUNK`."""
    ends = np.flatnonzero(np.diff(group[order], append=-1)) + 1
    cuts = ends[np.flatnonzero(np.diff(ends // CHUNK))]
    return np.split(order, cuts)


def _fit_psf(
    table: Table,
    rows: np.ndarray,
    group: np.ndarray,
    exposure: Exposure,
    planes: tuple[np.ndarray, np.ndarray, np.ndarray],
    rest: np.ndarray,
    settings: ForcedFrameSettings,
) -> None:
    """Fill the PSF fluxes of some rows, whole groups in sequence, and take their models off the rest."""
    assert exposure.psf is not None
    stamps, x0, y0 = psf_stamps(exposure.psf, np.asarray(table["x"])[rows], np.asarray(table["y"])[rows])
    x0, y0 = x0 - exposure.bbox.x.min, y0 - exposure.bbox.y.min
    start = np.concatenate([[0], np.flatnonzero(np.diff(group[rows])) + 1, [rows.size]])
    flux, error, coverage, alone = fit_stamps(*planes, stamps, x0, y0, start, settings.max_blend)
    table["psf_flux"][rows], table["psf_flux_err"][rows] = flux, error
    table["flag_psf_flux_alone"][rows] = alone
    table["flag_psf_flux"][rows] = ~(np.isfinite(flux) & (coverage >= settings.min_psf_coverage))
    for stamp, value, left, bottom in zip(stamps, np.nan_to_num(flux), x0, y0, strict=True):
        _add(rest, -value * stamp, left, bottom)


def _add(image: np.ndarray, stamp: np.ndarray, x0: int, y0: int) -> None:
    """Add the part of a stamp that lies on the image; (x0, y0) is the pixel of its first."""
    size, (height, width) = stamp.shape[0], image.shape
    bottom, top, left, right = max(y0, 0), min(y0 + size, height), max(x0, 0), min(x0 + size, width)
    if bottom < top and left < right:
        image[bottom:top, left:right] += stamp[bottom - y0 : top - y0, left - x0 : right - x0]


def _sum_circles(
    table: Table,
    exposure: Exposure,
    rest: np.ndarray,
    variance: np.ndarray,
    state: np.ndarray,
    radii: Sequence[float],
) -> None:
    """Fill the apertures: what all models leave in the circle, and the object's own model."""
    assert exposure.psf is not None
    x, y = np.asarray(table["x"]) - exposure.bbox.x.min, np.asarray(table["y"]) - exposure.bbox.y.min
    sums, errors, missing = aperture_sums(rest, variance, state != 0, x, y, np.array(radii, float))
    for first in range(0, x.size, CHUNK):
        rows = slice(first, first + CHUNK)
        stamps, x0, y0 = psf_stamps(exposure.psf, np.asarray(table["x"])[rows], np.asarray(table["y"])[rows])
        flux = np.nan_to_num(np.asarray(table["psf_flux"])[rows])
        x0, y0 = x0 - exposure.bbox.x.min, y0 - exposure.bbox.y.min
        for k, (stamp, left, bottom) in enumerate(zip(stamps, x0, y0, strict=True)):
            out = _outside(state, left, bottom, stamp.shape[0])
            at = np.array([x[first + k] - left]), np.array([y[first + k] - bottom])
            sums[first + k] += flux[k] * aperture_sums(stamp, stamp, out, *at, np.array(radii, float))[0][0]
    for k, radius in enumerate(radii):
        name = aperture_name(radius)
        empty = ~(errors[:, k] > 0)
        table[f"aperture_flux_{name}"][:] = np.where(empty, np.nan, sums[:, k])
        table[f"aperture_flux_{name}_err"][:] = np.where(empty, np.nan, errors[:, k])
        table[f"aperture_flag_{name}"][:] = missing[:, k].astype(bool)


def _outside(state: np.ndarray, x0: int, y0: int, size: int) -> np.ndarray:
    """Bool ``[y, x]``: pixels of a stamp that are unusable or off the image."""
    out = np.ones((size, size), bool)
    height, width = state.shape
    bottom, top, left, right = max(y0, 0), min(y0 + size, height), max(x0, 0), min(x0 + size, width)
    if bottom < top and left < right:
        out[bottom - y0 : top - y0, left - x0 : right - x0] = state[bottom:top, left:right] != 0
    return out


def _correct(table: Table, exposure: Exposure) -> None:
    """Apply the aperture correction of PSF fluxes, where the frame has one."""
    field = exposure.aperture_corrections.get("psf_flux")
    if field is None:
        return
    # A polynomial is not to run away beyond the edge.
    box = exposure.bbox
    x, y = (np.clip(table[name], side.min, side.max) for name, side in (("x", box.x), ("y", box.y)))
    factor = np.asarray(field(x=np.asarray(x, float), y=np.asarray(y, float)))
    good = np.isfinite(factor) & (factor > 0)
    for name in ("psf_flux", "psf_flux_err"):
        table[name] *= np.where(good, factor, np.nan)
    table["flag_psf_flux"] |= ~good


def _set_flags(table: Table, exposure: Exposure) -> None:
    """Fill the flags of the pixels at the positions."""
    box, bits = exposure.bbox, exposure.bits
    column = np.floor(np.asarray(table["x"]) + 0.5).astype(np.int64) - box.x.min
    row = np.floor(np.asarray(table["y"]) + 0.5).astype(np.int64) - box.y.min
    some, _ = centre_bits(bits, column, row)
    for name, plane in PIXEL_FLAGS.items():
        table[f"flag_{name}_center"][:] = (some & bitmask(plane)) != 0
    table["flag_off_image"][:] = (column < 0) | (column >= box.x.size) | (row < 0) | (row >= box.y.size)
