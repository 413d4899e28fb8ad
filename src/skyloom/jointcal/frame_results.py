"""What a joint fit says of each frame: the rows of its output tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from skyloom.catalog.matching import separation_arcsec
from skyloom.images import header_of_map, njy_to_ab_magnitude, pixel_to_radec

from .astrometry import AstrometricFit
from .catalogues import FrameCatalogue, Measurements
from .fit import JointFit
from .photometry import PhotometricFit
from .problem import Fitted

__all__ = ["photo_calib_rows", "wcs_rows"]

type Floats = NDArray[np.float64]
type Flags = NDArray[np.bool_]

_LEAST_STARS = 3
_NODES = 8
"""Chebyshev nodes a side through which the flux scale of a frame is laid: exact for orders up to 7."""


def wcs_rows(fit: JointFit, visit: int) -> list[dict[str, Any]]:
    """A row for each detector of a visit, with the columns of `WCS_COLUMNS`."""
    assert fit.astrometry is not None
    residual = fit.astrometry.residuals()
    squares = 0.5 * np.sum(residual**2, axis=1)
    rows = []
    for number, frame in _frames(fit.measurements, visit):
        row = _row(fit, fit.astrometry.state, number, squares)
        if not row["refused"]:
            row |= _wcs(fit.astrometry, number, frame)
        rows.append({"wcs": "", "wcs_residual": np.nan, "moved": np.nan} | row)
    return rows


def photo_calib_rows(fit: JointFit, visit: int) -> list[dict[str, Any]]:
    """A row for each detector of a visit, with the columns of `PHOTO_CALIB_COLUMNS`."""
    assert fit.photometry is not None
    residual, _ = fit.photometry.residuals()
    if not fit.photometry.model.in_magnitudes:
        residual = 2.5 / np.log(10.0) * residual / fit.photometry.star_values[fit.photometry.state.star]
    empty = {"calibration_mean": np.nan, "calibration_err": np.nan, "moved": np.nan}
    rows = []
    for number, frame in _frames(fit.measurements, visit):
        row = _row(fit, fit.photometry.state, number, residual**2)
        coefficients = np.zeros((_NODES, _NODES))
        if not row["refused"]:
            coefficients, values = _photo_calib(fit.photometry, number, frame)
            row |= values
        rows.append(empty | row | {"chebyshev": coefficients.ravel()})
    return rows


def _frames(measurements: Measurements, visit: int) -> list[tuple[int, FrameCatalogue]]:
    return [(number, frame) for number, frame in enumerate(measurements.frames) if frame.visit == visit]


def _row(fit: JointFit, state: Fitted, number: int, squares: Floats) -> dict[str, Any]:
    """The columns that both tables have."""
    frame = fit.measurements.frames[number]
    mine = fit.usable & (fit.measurements.frame == number)
    used = mine & state.used & _compared(state)
    n_used, n_outliers = int(used.sum()), int((mine & ~state.used).sum())
    reason = ""
    if n_outliers > n_used:
        reason = f"{n_outliers} of {n_used + n_outliers} stars disagree with other frames and the references"
    elif n_used < _LEAST_STARS:
        reason = f"{n_used} stars are in common with other frames or the references"
    return {
        "detector": frame.detector,
        "x0": frame.box.x.start,
        "y0": frame.box.y.start,
        "x1": frame.box.x.stop,
        "y1": frame.box.y.stop,
        "n_stars": n_used,
        "n_outliers": n_outliers,
        "refused": bool(reason),
        "reason": reason,
        "scatter": float(np.sqrt(squares[used].mean())) if n_used else np.nan,
    }


def _compared(state: Fitted) -> Flags:
    """Measurements that anything else is known of the star of."""
    counts = np.bincount(state.star[state.used], minlength=state.n_stars)
    counts += np.bincount(state.reference_star[state.reference_used], minlength=state.n_stars)
    return np.asarray(counts[state.star] > 1, bool)


def _wcs(fit: AstrometricFit, number: int, frame: FrameCatalogue) -> dict[str, Any]:
    def to_sky(x: Floats, y: Floats) -> tuple[Floats, Floats]:
        return fit.to_sky(number, x, y)

    header, residual = header_of_map(to_sky, frame.box)
    x, y = (axis.ravel() for axis in np.meshgrid(*_node_positions(frame)))
    moved = separation_arcsec(*to_sky(x, y), *pixel_to_radec(frame.projection, x, y))
    return {
        "wcs": header.tostring(sep="\n", endcard=False, padding=False),
        "wcs_residual": residual,
        "moved": float(moved.mean()),
    }


def _node_positions(frame: FrameCatalogue) -> tuple[Floats, Floats]:
    """Chebyshev nodes over a frame, along x and along y."""
    nodes = chebyshev.chebpts1(_NODES)
    box = frame.box
    return box.x.start - 0.5 + 0.5 * box.x.size * (nodes + 1.0), box.y.start - 0.5 + 0.5 * box.y.size * (nodes + 1.0)


def _photo_calib(fit: PhotometricFit, number: int, frame: FrameCatalogue) -> tuple[Floats, dict[str, float]]:
    """Coefficients ``[y, x]`` of the relative scale, and the mean scale."""
    x, y = np.meshgrid(*_node_positions(frame))
    scale = fit.frame_scale(number, x.ravel(), y.ravel()).reshape(x.shape)
    inverse = np.linalg.inv(chebyshev.chebvander(chebyshev.chebpts1(_NODES), _NODES - 1))
    coefficients = inverse @ scale @ inverse.T
    mean = float(_mean_weights() @ coefficients @ _mean_weights())
    before = frame.photo_calib
    values = {
        "calibration_mean": mean,
        "calibration_err": before.calibration_err / before.calibration_mean * mean,
        "moved": float(njy_to_ab_magnitude(1.0 / mean) - njy_to_ab_magnitude(1.0 / before.calibration_mean)),
    }
    return coefficients / mean, values


def _mean_weights() -> Floats:
    """Mean of each Chebyshev polynomial over [-1, 1]."""
    n = np.arange(_NODES)
    with np.errstate(divide="ignore"):
        return np.where(n % 2 == 0, 1.0 / (1.0 - n**2.0), 0.0)
