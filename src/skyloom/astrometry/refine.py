"""From a first alignment to a polynomial map: match, fit, clip, shrink the tolerance, and again."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .pattern import Alignment
from .polynomial import design_matrix, fit_polynomials, n_terms, supported_order
from .settings import AstrometrySettings
from .stars import DetectedStars, ReferenceStars
from .tangent import LocalPlane

__all__ = ["PlaneMap", "mutual_nearest", "refine"]

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int64]

_MIN_TOLERANCE_PX = 0.5
_TOLERANCE_SIGMA = 5.0
_MAX_PASSES = 12


@dataclass(frozen=True, eq=False)
class PlaneMap:
    """A polynomial map from (u, v) of a frame to a tangent plane, with the matches it was fitted to."""

    plane: LocalPlane
    coefficients: Floats
    """Of X and Y at `powers(order)`, shape [terms, 2]."""
    order: int
    tolerance: float
    """Matching distance, pixel."""
    sigma: float
    """Scatter of the fitted residuals a coordinate, pixel, for the degrees of freedom left."""
    detected: Integers
    reference: Integers
    """Matched rows of the two lists."""
    fitted: NDArray[np.bool_]
    """Which of the matches were fitted."""

    def apply(self, u: Floats, v: Floats) -> tuple[Floats, Floats]:
        """(u, v) to (X, Y), pixel."""
        x, y = (design_matrix(u, v, self.order) @ self.coefficients).T
        return x, y

    @property
    def linear(self) -> Floats:
        """The linear part ``[[dX/du, dX/dv], [dY/du, dY/dv]]``."""
        matrix: Floats = self.coefficients[1:3].T
        return matrix


def mutual_nearest(x1: Floats, y1: Floats, x2: Floats, y2: Floats, radius: float) -> tuple[Integers, Integers]:
    """Pairs of points that are each other's nearest neighbour, within ``radius``."""
    first, second = np.stack([x1, y1], axis=1), np.stack([x2, y2], axis=1)
    distance, there = cKDTree(second).query(first, distance_upper_bound=radius)
    _, back = cKDTree(first).query(second)
    here = np.flatnonzero(np.isfinite(distance))
    here = here[back[there[here]] == here]
    return here.astype(np.int64), there[here].astype(np.int64)


def refine(
    alignment: Alignment,
    detected: DetectedStars,
    reference: ReferenceStars,
    *,
    plane: LocalPlane,
    settings: AstrometrySettings,
) -> PlaneMap | None:
    """Refine an alignment on its own stars, then on all; None where it dissolves.

    The first rounds fit an affine map with a generous tolerance; those that follow take in fainter stars, and terms of
    distortion where the residuals call for them.
    """
    start = _first_map(alignment, plane, settings)
    affine = _converge(start, alignment.detected, alignment.reference, max_order=1, settings=settings)
    if affine is None:
        return None
    wide = min(max(2.0 * affine.tolerance, 1.0), settings.match_tolerance_px)
    affine = replace(affine, tolerance=wide)
    return _converge(affine, detected, reference, max_order=settings.max_order, settings=settings)


def _first_map(alignment: Alignment, plane: LocalPlane, settings: AstrometrySettings) -> PlaneMap:
    """The similarity as a map to the plane around the place that it gives the frame centre."""
    factor, shift = alignment.similarity.factor, alignment.similarity.shift
    coefficients = np.array([[0.0, 0.0], [factor.real, factor.imag], [-factor.imag, factor.real]])
    none = np.zeros(0, np.int64)
    centred = plane.moved(shift.real, shift.imag)
    return PlaneMap(centred, coefficients, 1, settings.match_tolerance_px, np.inf, none, none, none.astype(bool))


def _converge(
    start: PlaneMap,
    detected: DetectedStars,
    reference: ReferenceStars,
    *,
    max_order: int,
    settings: AstrometrySettings,
) -> PlaneMap | None:
    """Match and fit until the matches stay the same."""
    current, tolerance = start, start.tolerance
    x_ref, y_ref = start.plane.from_sky(reference.ra, reference.dec)
    inside = np.flatnonzero(np.isfinite(x_ref) & np.isfinite(y_ref))
    for _ in range(_MAX_PASSES):
        here, there = mutual_nearest(*current.apply(detected.u, detected.v), x_ref[inside], y_ref[inside], tolerance)
        there = inside[there]
        if len(here) < settings.min_matches:
            return None
        goal = np.stack([x_ref[there], y_ref[there]], axis=1)
        new = _fit(current, detected, here, there, goal, max_order=max_order, settings=settings)
        if new is None:
            return None
        new = replace(new, tolerance=tolerance)
        same = np.array_equal(new.detected, current.detected) and np.array_equal(new.reference, current.reference)
        shrunk = min(tolerance, max(_TOLERANCE_SIGMA * new.sigma, _MIN_TOLERANCE_PX))
        current = new
        if same and shrunk > 0.95 * tolerance:
            break
        tolerance = shrunk
    return current


def _fit(
    current: PlaneMap,
    detected: DetectedStars,
    here: Integers,
    there: Integers,
    goal: Floats,
    *,
    max_order: int,
    settings: AstrometrySettings,
) -> PlaneMap | None:
    """Fit the matches with clipping; None where too few are left."""
    u, v, root_weight = detected.u[here], detected.v[here], np.sqrt(detected.weight[here])
    kept = np.ones(len(here), bool)
    for _ in range(5):
        order = supported_order(
            u[kept],
            v[kept],
            goal[kept],
            max_order=max_order,
            matches_per_term=settings.matches_per_term,
            corners=detected.corners,
            max_extrapolation=settings.max_extrapolation,
        )
        scale = float(max(np.abs(u).max(), np.abs(v).max()))
        coefficients = fit_polynomials(u[kept], v[kept], goal[kept], order, scale, root_weight[kept])
        residual = goal - design_matrix(u, v, order) @ coefficients
        sigma = _robust_sigma(residual[kept], n_terms(order))
        scaled = np.abs(residual) * np.minimum(root_weight, 1.0)[:, None]
        new_kept = np.all(scaled <= settings.clip_sigma * max(sigma, 1e-6), axis=1)
        if new_kept.sum() < settings.min_matches:
            return None
        if np.array_equal(new_kept, kept):
            break
        kept = new_kept
    return PlaneMap(current.plane, coefficients, order, current.tolerance, sigma, here, there, kept)


def _robust_sigma(residual: Floats, terms: int) -> float:
    """Scatter a coordinate from the median length of the residuals, enlarged for the terms fitted.

    The median length of a two-dimensional Gaussian is sqrt(2 ln 2) sigma.
    """
    n = len(residual)
    length = float(np.median(np.hypot(residual[:, 0], residual[:, 1])))
    return length / math.sqrt(2.0 * math.log(2.0)) * math.sqrt(n / max(n - terms, 1))
