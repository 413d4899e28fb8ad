"""Polynomials from the pixels of boxes to tangent planes: what TAN-SIP and TPV headers say in two ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from .polynomial_terms import powers

if TYPE_CHECKING:
    from lsst.images import Box

__all__ = ["SkyPolynomials", "fit_sky_polynomials"]

type Floats = NDArray[np.float64]
type SkyMap = Callable[[Floats, Floats], tuple[Floats, Floats]]

GOOD_ENOUGH = 1e-5
"""Pixels: the order of an approximation is raised until its residual is below that."""
MAX_ORDER = 7
"""The largest that TPV has terms for, and that readers of SIP are sure to take."""
ROUNDING = 1e-9
"""Pixels: what positions in degrees are rounded by, so that no residual is said to be less."""
_NODES = 16
"""Chebyshev nodes a side at which polynomials are fitted: no worse than the best ones by more than a small factor."""
_GRID = 24
"""Positions a side, edges included, at which they are checked."""
_INVERSE_NODES = 12


@dataclass(frozen=True, eq=False)
class SkyPolynomials:
    """The tangent-plane coordinates xi, eta of a box as polynomials of one total degree.

    u and v are offsets from the middle of the box over its half sizes; the tangent point is that middle.
    """

    order: int
    coefficients: Floats
    """Degrees, ``[2, term]`` in the order of `powers`, without the constant."""
    middle: tuple[float, float]
    """Pixel x, y of the tangent point."""
    half: Floats
    """Half sizes of the box along x and y, pixels, ``[2]``."""
    tangent: tuple[float, float]
    """Right ascension and declination of the tangent point, degree."""
    residual: float
    """Largest distance from the map over the box, pixels."""

    @property
    def linear(self) -> Floats:
        """Degrees for u and v, ``[2, 2]``."""
        return self.coefficients[:, :2]

    def distortion(self) -> Floats:
        """What u and v become before the linear map: ``[2, term]`` in units of u and v, their own terms included."""
        return np.asarray(np.linalg.solve(self.linear, self.coefficients), np.float64)

    def inverse_distortion(self) -> Floats:
        """Least-squares polynomials of the same order that undo `distortion`: what is added then, ``[2, term]``."""
        u, v = _square(chebyshev.chebpts1(_INVERSE_NODES))
        bent = self.distortion() @ _terms(u, v, self.order)
        design = _terms(bent[0], bent[1], self.order)
        q, r = np.linalg.qr(design.T)
        back: Floats = np.linalg.solve(r, q.T @ (np.stack([u, v]) - bent).T)
        return back.T

    def plane_distortion(self) -> Floats:
        """The same map with its linear part taken first: polynomials of the linear xi, eta (degree), ``[2, term]``.

        A polynomial of one total degree stays one when its variables are replaced by linear combinations of others.
        """
        inverse = np.linalg.inv(self.linear)
        along = [_powers_of(row, self.order) for row in inverse]
        wanted = powers(self.order)[1:]
        place = {power: number for number, power in enumerate(wanted)}
        result = np.zeros_like(self.coefficients)
        for (p, q), value in zip(wanted, self.coefficients.T, strict=True):
            for k, share in enumerate(np.convolve(along[0][p], along[1][q])):
                result[:, place[p + q - k, k]] += share * value
        return result


def fit_sky_polynomials(to_sky: SkyMap, boxes: Sequence[Box]) -> list[SkyPolynomials]:
    """The polynomials of lowest order that follow maps from pixels to the sky over boxes.

    Parameters
    ----------
    to_sky
        Gives right ascension and declination, degree, of pixel positions x, y: arrays ``[boxes, n]``, a row a box.
    boxes
        Pixels over which each is to hold.

    Returns
    -------
    polynomials
        Of orders 2 to 7: the lowest whose residual is below 1e-5 px, else that with the least.
    """
    middle = np.array([(0.5 * (box.x.min + box.x.max), 0.5 * (box.y.min + box.y.max)) for box in boxes])
    half = np.array([(0.5 * box.x.size, 0.5 * box.y.size) for box in boxes])
    fitted, checked = _square(chebyshev.chebpts1(_NODES)), _square(np.linspace(-1.0, 1.0, _GRID))
    u, v = (np.concatenate([[0.0], one, other]) for one, other in zip(fitted, checked, strict=True))
    ra, dec = to_sky(middle[:, :1] + half[:, :1] * u, middle[:, 1:] + half[:, 1:] * v)
    plane = np.stack(_gnomonic(ra, dec, ra[:, :1], dec[:, :1]), axis=1)
    at_nodes, at_grid = np.split(plane[:, :, 1:], [_NODES**2], axis=2)
    best: list[tuple[int, Floats, float]] = [(0, np.zeros(0), np.inf)] * len(boxes)
    open_ = np.arange(len(boxes))
    for order in range(2, MAX_ORDER + 1):
        coefficients = at_nodes[open_] @ np.linalg.pinv(_terms(*fitted, order))
        residual = _largest_error(coefficients, _terms(*checked, order), at_grid[open_], half[open_])
        for number, one, error in zip(open_, coefficients, residual, strict=True):
            if not best[number][1].size or error < best[number][2]:
                best[number] = order, one, float(error)
        open_ = open_[~(residual < GOOD_ENOUGH)]
        if not open_.size:
            break
    return [
        SkyPolynomials(order, one, (float(middle[n, 0]), float(middle[n, 1])), half[n], (ra[n, 0], dec[n, 0]), error)
        for n, (order, one, error) in enumerate(best)
    ]


def _largest_error(coefficients: Floats, terms: Floats, plane: Floats, half: Floats) -> Floats:
    """Largest distance of each box from its map, pixels; infinite where the map has no place."""
    off = np.linalg.solve(coefficients[:, :, :2], coefficients @ terms - plane) * half[:, :, None]
    distance = np.hypot(off[:, 0], off[:, 1]).max(axis=1)
    return np.where(np.isfinite(distance), np.maximum(distance, ROUNDING), np.inf)


def _terms(u: Floats, v: Floats, order: int) -> Floats:
    """Values of the terms of `powers` but the constant, ``[term, n]``."""
    along_u, along_v = np.ones((2, order + 1, len(u)))
    for degree in range(1, order + 1):
        along_u[degree], along_v[degree] = along_u[degree - 1] * u, along_v[degree - 1] * v
    p, q = np.array(powers(order)[1:]).T
    return np.asarray(along_u[p] * along_v[q], np.float64)


def _powers_of(weights: Floats, order: int) -> list[Floats]:
    """Coefficients of (a x + b y)^n for n up to ``order``, by falling power of x."""
    result = [np.ones(1)]
    for _ in range(order):
        result.append(np.convolve(result[-1], weights))
    return result


def _square(nodes: Floats) -> tuple[Floats, Floats]:
    """Positions u, v of a square grid, x fastest."""
    v, u = np.meshgrid(nodes, nodes, indexing="ij")
    return u.ravel(), v.ravel()


def _gnomonic(ra: Floats, dec: Floats, ra0: Floats, dec0: Floats) -> tuple[Floats, Floats]:
    """Tangent-plane coordinates in degrees about (ra0, dec0)."""
    delta, dec, dec0 = np.radians(ra - ra0), np.radians(dec), np.radians(dec0)
    cosine = np.sin(dec0) * np.sin(dec) + np.cos(dec0) * np.cos(dec) * np.cos(delta)
    xi = np.cos(dec) * np.sin(delta) / cosine
    eta = (np.cos(dec0) * np.sin(dec) - np.sin(dec0) * np.cos(dec) * np.cos(delta)) / cosine
    return np.degrees(xi), np.degrees(eta)
