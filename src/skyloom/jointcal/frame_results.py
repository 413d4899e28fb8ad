"""What a joint fit says of each frame: the rows of its output tables."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from skyloom.catalog.matching import separation_arcsec
from skyloom.images import headers_of_maps, pixel_to_radec

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
    squares = 0.5 * np.sum(fit.astrometry.residuals() ** 2, axis=1)
    rows = _rows(fit, fit.astrometry.state, visit, squares)
    good = [number for number, row in rows.items() if not row["refused"]]
    found = dict(zip(good, _wcs(fit.astrometry, fit.measurements, good), strict=True))
    empty = {"wcs": "", "wcs_residual": np.nan, "moved": np.nan}
    return [row | found.get(number, empty) for number, row in rows.items()]


def photo_calib_rows(fit: JointFit, visit: int) -> list[dict[str, Any]]:
    """A row for each detector of a visit, with the columns of `PHOTO_CALIB_COLUMNS`."""
    assert fit.photometry is not None
    residual, _ = fit.photometry.residuals()
    if not fit.photometry.model.in_magnitudes:
        residual = 2.5 / np.log(10.0) * residual / fit.photometry.star_values[fit.photometry.state.star]
    rows = _rows(fit, fit.photometry.state, visit, residual**2)
    good = [number for number, row in rows.items() if not row["refused"]]
    found = dict(zip(good, _photo_calibs(fit.photometry, fit.measurements, good), strict=True))
    nothing = {"calibration_mean": np.nan, "calibration_err": np.nan, "moved": np.nan}
    empty: dict[str, Any] = nothing | {"chebyshev": np.zeros(_NODES**2)}
    return [row | found.get(number, empty) for number, row in rows.items()]


def _rows(fit: JointFit, state: Fitted, visit: int, squares: Floats) -> dict[int, dict[str, Any]]:
    """The columns that both tables have, by the number of the frame."""
    measurements = fit.measurements
    counted, n_frames = state.used & fit.usable & _compared(state), len(measurements.frames)
    n_used = np.bincount(measurements.frame[counted], minlength=n_frames)
    n_outliers = np.bincount(measurements.frame[~state.used & fit.usable], minlength=n_frames)
    with np.errstate(invalid="ignore"):
        scatter = np.sqrt(np.bincount(measurements.frame[counted], squares[counted], n_frames) / n_used)
    return {
        number: _row(frame, int(n_used[number]), int(n_outliers[number]), float(scatter[number]))
        for number, frame in enumerate(measurements.frames)
        if frame.visit == visit
    }


def _row(frame: FrameCatalogue, n_used: int, n_outliers: int, scatter: float) -> dict[str, Any]:
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
        "scatter": scatter,
    }


def _compared(state: Fitted) -> Flags:
    """Measurements that anything else is known of the star of."""
    counts = np.bincount(state.star[state.used], minlength=state.n_stars)
    counts += np.bincount(state.reference_star[state.reference_used], minlength=state.n_stars)
    return np.asarray(counts[state.star] > 1, bool)


def _wcs(fit: AstrometricFit, measurements: Measurements, numbers: list[int]) -> list[dict[str, Any]]:
    """The WCSs of some frames."""
    if not numbers:
        return []
    frames, row_numbers = [measurements.frames[number] for number in numbers], np.array(numbers, np.int32)
    headers = headers_of_maps(lambda x, y: fit.to_sky(row_numbers, x, y), [frame.box for frame in frames])
    places = [_nodes(frame) for frame in frames]
    x, y = np.moveaxis(np.array(places), 1, 0)
    before = [pixel_to_radec(frame.projection, *place) for frame, place in zip(frames, places, strict=True)]
    moved = separation_arcsec(*fit.to_sky(row_numbers, x, y), *np.moveaxis(np.array(before), 1, 0))
    return [
        {"wcs": cards, "wcs_residual": residual, "moved": float(distance)}
        for (cards, residual), distance in zip(headers, moved.mean(axis=1), strict=True)
    ]


def _nodes(frame: FrameCatalogue) -> tuple[Floats, Floats]:
    """Chebyshev nodes over a frame, ``[64]``, x fastest."""
    nodes = 0.5 * (chebyshev.chebpts1(_NODES) + 1.0)
    box = frame.box
    x, y = np.meshgrid(box.x.start - 0.5 + box.x.size * nodes, box.y.start - 0.5 + box.y.size * nodes)
    return x.ravel(), y.ravel()


def _photo_calibs(fit: PhotometricFit, measurements: Measurements, numbers: list[int]) -> list[dict[str, Any]]:
    """The mean scales of some frames, and their Chebyshev coefficients ``[y, x]`` relative to these."""
    inverse = np.linalg.inv(chebyshev.chebvander(chebyshev.chebpts1(_NODES), _NODES - 1))
    if not numbers:
        return []
    weights, rows = _mean_weights(), []
    frames = [measurements.frames[number] for number in numbers]
    scales = fit.frame_scales(numbers, [_nodes(frame) for frame in frames])
    for frame, scale in zip(frames, scales, strict=True):
        coefficients = inverse @ scale.reshape(_NODES, _NODES) @ inverse.T
        mean, before = float(weights @ coefficients @ weights), frame.photo_calib
        rows.append(
            {
                "calibration_mean": mean,
                "calibration_err": before.calibration_err / before.calibration_mean * mean,
                "moved": -2.5 * math.log10(mean / before.calibration_mean),
                "chebyshev": (coefficients / mean).ravel(),
            }
        )
    return rows


def _mean_weights() -> Floats:
    """Mean of each Chebyshev polynomial over [-1, 1]."""
    n = np.arange(_NODES)
    with np.errstate(divide="ignore"):
        return np.where(n % 2 == 0, 1.0 / (1.0 - n**2.0), 0.0)
