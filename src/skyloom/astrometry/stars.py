"""The two star lists that are laid upon one another, both in pixels around the frame centre."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from astropy.table import Table
from lsst.images import Box, SkyProjection
from numpy.typing import ArrayLike, NDArray

from skyloom.errors import AstrometryError, NoReferenceError
from skyloom.images.projection import pixel_to_radec

from .settings import AstrometrySettings
from .tangent import LocalPlane, box_centre

__all__ = ["DetectedStars", "ReferenceStars", "detected_stars", "reference_stars", "too_few"]

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int64]

_AB_NANOJANSKY = 31.4
"""AB magnitude of 1 nJy."""
_GOLDEN_RATIO = 0.5 * (np.sqrt(5.0) - 1.0)


@dataclass(frozen=True, eq=False)
class DetectedStars:
    """Detections; unless spread, those that look like stars first, of either kind the brightest first."""

    x: Floats
    y: Floats
    """Pixel positions."""
    u: Floats
    v: Floats
    """Positions about the frame centre, freed of the distortion that the guess knows of, pixel."""
    flux: Floats
    weight: Floats
    """Relative weight of the position."""
    row: Integers
    """Place in the list that came in."""
    straight: bool
    """Whether the guess has no distortion, so that u and v are mere offsets."""
    corners: Floats
    """(u, v) of the corners of the frame, shape [2, 4]."""

    def __len__(self) -> int:
        return len(self.x)

    def brightest(self, n: int) -> DetectedStars:
        """The first n."""
        return self._rows(slice(n))

    def spread(self) -> DetectedStars:
        """The same ones with the bright evenly among the faint.

        A search soon gives up a map that brings none of the first ones onto references: of stars in order of
        brightness these may all be false, or missing in the catalogue.
        """
        return self._rows(np.argsort((_GOLDEN_RATIO * np.arange(len(self))) % 1.0, kind="stable"))

    def _rows(self, rows: slice | NDArray[np.intp]) -> DetectedStars:
        columns = {name: getattr(self, name)[rows] for name in ("x", "y", "u", "v", "flux", "weight", "row")}
        return replace(self, **columns)


@dataclass(frozen=True, eq=False)
class ReferenceStars:
    """References, brightest first."""

    ra: Floats
    dec: Floats
    """ICRS at the epoch of the frame, degree."""
    flux: Floats
    """NaN where it is not known."""
    row: Integers
    """Place in the table that came in."""
    ordered: bool
    """Whether they have fluxes to be ordered by."""

    def __len__(self) -> int:
        return len(self.ra)

    def brightest(self, n: int) -> ReferenceStars:
        """The first n."""
        return ReferenceStars(self.ra[:n], self.dec[:n], self.flux[:n], self.row[:n], self.ordered)


def detected_stars(
    x: ArrayLike,
    y: ArrayLike,
    flux: ArrayLike,
    position_err: ArrayLike | None,
    *,
    guess: SkyProjection[Any],
    plane: LocalPlane,
    box: Box,
    point_like: ArrayLike | None = None,
) -> DetectedStars:
    """Put detections into the order and the frame of the search; those that are not finite are left out."""
    x, y, flux = (np.asarray(column, np.float64) for column in (x, y, flux))
    if not x.shape == y.shape == flux.shape or x.ndim != 1:
        raise ValueError(f"x ({x.shape}), y ({y.shape}) and flux ({flux.shape}) must be of one length.")
    error = np.zeros(len(x)) if position_err is None else np.asarray(position_err, np.float64)
    good = np.flatnonzero(np.isfinite(x) & np.isfinite(y) & np.isfinite(flux) & np.isfinite(error))
    extended = np.zeros(len(x), bool) if point_like is None else ~np.asarray(point_like, bool)
    row = good[np.lexsort((-flux[good], extended[good]))]
    # A projection takes no empty list.
    u, v = plane.from_sky(*pixel_to_radec(guess, x[row], y[row])) if len(row) else np.zeros((2, 0))
    half = 0.5 * np.array([box.x.size, box.y.size])
    return DetectedStars(
        x[row],
        y[row],
        u,
        v,
        flux[row],
        _weights(error[row]),
        row,
        _is_straight(guess, plane, box),
        half[:, None] * np.array([[-1.0, 1.0, -1.0, 1.0], [-1.0, -1.0, 1.0, 1.0]]),
    )


def _weights(error: Floats) -> Floats:
    """Weights 1 / (error^2 + floor^2); the floor, the median error, keeps a few bright stars from ruling the fit."""
    floor = float(np.median(error)) if len(error) else 0.0
    if not floor > 0.0:
        return np.ones(len(error))
    return 2.0 * floor**2 / (error**2 + floor**2)


def _is_straight(guess: SkyProjection[Any], plane: LocalPlane, box: Box) -> bool:
    """Whether the guess is a plain TAN projection over the box, to 1e-4 pixel."""
    x0, y0 = box_centre(box)
    offset = np.linspace(-0.5, 0.5, 9)
    dv, du = (a.ravel() for a in np.meshgrid(offset * box.y.size, offset * box.x.size, indexing="ij"))
    u, v = plane.from_sky(*pixel_to_radec(guess, x0 + du, y0 + dv))
    return bool(np.nanmax(np.hypot(u - du, v - dv)) < 1e-4)


def reference_stars(reference: Table, *, plane: LocalPlane, box: Box, settings: AstrometrySettings) -> ReferenceStars:
    """The references that may lie on the frame, given the errors of the guess.

    Raises
    ------
    NoReferenceError
        If fewer than ``settings.min_matches`` do.
    """
    ra, dec = (np.asarray(reference[name], np.float64) for name in ("ra", "dec"))
    flux = np.asarray(reference["flux"], np.float64)
    x, y = plane.from_sky(ra, dec)
    stretch = 1.05 * (1.0 + settings.scale_error)
    margin = settings.pointing_error_deg * 3600.0 / plane.scale_arcsec + settings.match_tolerance_px
    turned = np.radians(settings.rotation_error_deg) * max(box.x.size, box.y.size)
    near = (np.abs(x) < 0.5 * stretch * box.x.size + margin + turned) & np.isfinite(x)
    near &= np.abs(y) < 0.5 * stretch * box.y.size + margin + turned
    near &= _bright_enough(flux, settings)
    row = np.flatnonzero(near)
    row = row[np.argsort(-np.where(np.isfinite(flux), flux, -np.inf)[row], kind="stable")]
    if len(row) < settings.min_matches:
        raise NoReferenceError(
            f"{len(row)} reference stars of {len(ra)} lie around "
            f"RA {plane.ra0_deg:.4f}, Dec {plane.dec0_deg:+.4f} deg; {settings.min_matches} are needed.",
            cure="Import a reference catalogue that covers the field, or correct the pointing.",
            n_reference=len(row),
        )
    return ReferenceStars(ra[row], dec[row], flux[row], row, bool(np.isfinite(flux[row]).any()))


def _bright_enough(flux: Floats, settings: AstrometrySettings) -> NDArray[np.bool_]:
    """References within the limits of magnitude; where a limit is set, those without a flux are out."""
    brightest, faintest = settings.brightest_reference_mag, settings.faintest_reference_mag
    if not (np.isfinite(brightest) or np.isfinite(faintest)):
        return np.ones(len(flux), bool)
    with np.errstate(invalid="ignore", divide="ignore"):
        magnitude = _AB_NANOJANSKY - 2.5 * np.log10(flux)
    return np.asarray((magnitude >= brightest) & (magnitude <= faintest))


def too_few(n: int, settings: AstrometrySettings) -> AstrometryError:
    """The error for a frame with too few stars."""
    return AstrometryError(
        f"the frame shows {n} stars; a solution needs {settings.min_matches}.",
        cure="Lower the detection threshold.",
        n_detected=n,
    )
