"""A tangent-plane projection with SIP distortion: its fit to positions, its header, its inverse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.io.fits import Header
from lsst.images import Box
from numpy.typing import NDArray

from .polynomial import design_matrix, fit_polynomials, n_terms, powers
from .tangent import box_centre, from_tangent_plane, to_tangent_plane

__all__ = ["TanSip", "fit_tan_sip"]

type Floats = NDArray[np.float64]

_INVERSE_ERROR_PX = 5e-4
"""Largest residual of the inverse polynomials over the frame: half of what is promised."""
_MAX_INVERSE_ORDER = 9


@dataclass(frozen=True, eq=False)
class TanSip:
    """The map of Shupe et al. 2005 (ASP Conf. 347, 491): (xi, eta) = CD (u + f(u, v), v + g(u, v)), then TAN.

    u and v are pixel offsets from the reference pixel.
    """

    crval: tuple[float, float]
    """ICRS position of the reference pixel, degree."""
    crpix: tuple[float, float]
    """Reference pixel (x, y); the centre of the first pixel of a detector is (0, 0)."""
    cd: Floats
    """Degrees on the tangent plane a pixel."""
    forward: Floats
    """Coefficients of f and g at `powers(order)`, shape [terms, 2]; constant and linear ones are 0."""
    inverse: Floats
    """Coefficients at `powers(inverse_order)` of what is added to CD^-1 (xi, eta) to give (u, v)."""
    inverse_error_px: float
    """Largest error of the inverse over the frame, pixel."""

    @property
    def order(self) -> int:
        """Order of the distortion; 1 means none."""
        return sum(powers(9)[len(self.forward) - 1])

    def to_sky(self, x: Any, y: Any) -> tuple[Floats, Floats]:
        """Pixel positions to right ascension and declination, degree."""
        u, v = np.asarray(x, float) - self.crpix[0], np.asarray(y, float) - self.crpix[1]
        shape = u.shape
        bent = np.stack([u.ravel(), v.ravel()], axis=1)
        bent += design_matrix(u.ravel(), v.ravel(), self.order) @ self.forward
        xi, eta = (bent @ self.cd.T).T
        return from_tangent_plane(xi.reshape(shape), eta.reshape(shape), *self.crval)

    def header(self, box: Box) -> Header:
        """The FITS cards of the map, for an array that holds the pixels of ``box``."""
        bent = len(self.forward) > n_terms(1)
        header = Header()
        suffix = "-SIP" if bent else ""
        header["WCSAXES"] = 2
        header["CTYPE1"], header["CTYPE2"] = "RA---TAN" + suffix, "DEC--TAN" + suffix
        header["CUNIT1"], header["CUNIT2"] = "deg", "deg"
        header["CRVAL1"], header["CRVAL2"] = self.crval
        header["CRPIX1"] = self.crpix[0] - box.x.start + 1.0
        header["CRPIX2"] = self.crpix[1] - box.y.start + 1.0
        for i in (0, 1):
            for j in (0, 1):
                header[f"CD{i + 1}_{j + 1}"] = float(self.cd[i, j])
        header["RADESYS"] = "ICRS"
        if bent:
            _write_polynomials(header, ("A", "B"), self.forward)
            _write_polynomials(header, ("AP", "BP"), self.inverse)
            header["SIPINVER"] = (self.inverse_error_px, "[pixel] largest error of AP and BP")
        return header


def fit_tan_sip(
    x: Floats,
    y: Floats,
    ra_deg: Floats,
    dec_deg: Floats,
    *,
    order: int,
    box: Box,
    root_weight: Floats | None = None,
) -> TanSip:
    """Least-squares TAN-SIP map through positions, its reference pixel at the centre of ``box``.

    Parameters
    ----------
    x, y
        Pixel positions, shape [n].
    ra_deg, dec_deg
        Where these lie on the sky, degree.
    order
        Order of the distortion, from 1 (none) up.
    box
        Pixels over which the inverse polynomials are to hold.
    root_weight
        Factor of each equation, shape [n].
    """
    crpix = box_centre(box)
    u, v = x - crpix[0], y - crpix[1]
    scale = 0.5 * max(box.x.size, box.y.size)
    ra0, dec0 = _mean_position(ra_deg, dec_deg)
    for _ in range(10):
        xi, eta = to_tangent_plane(ra_deg, dec_deg, ra0, dec0)
        coefficients = fit_polynomials(u, v, np.stack([xi, eta], axis=1), order, scale, root_weight)
        ra, dec = from_tangent_plane(coefficients[0, 0], coefficients[0, 1], ra0, dec0)
        ra0, dec0 = float(ra), float(dec)
        if np.hypot(*coefficients[0]) < 1e-12:
            break
    cd = coefficients[1:3].T.copy()
    forward = coefficients @ np.linalg.inv(cd).T
    forward[: n_terms(1)] = 0.0
    inverse, error = _fit_inverse(forward, order, box)
    return TanSip((ra0, dec0), crpix, cd, forward, inverse, error)


def _mean_position(ra_deg: Floats, dec_deg: Floats) -> tuple[float, float]:
    """Direction of the mean unit vector, degree."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    east, north, up = np.mean(np.cos(dec) * np.cos(ra)), np.mean(np.cos(dec) * np.sin(ra)), np.mean(np.sin(dec))
    return float(np.degrees(np.arctan2(north, east))), float(np.degrees(np.arctan2(up, np.hypot(east, north))))


def _fit_inverse(forward: Floats, order: int, box: Box) -> tuple[Floats, float]:
    """Inverse polynomials over the box and a margin of 2 %, of the lowest order that is exact enough."""
    if order < 2:
        return np.zeros((n_terms(1), 2)), 0.0
    half_x, half_y = 0.51 * box.x.size, 0.51 * box.y.size
    grid_v, grid_u = np.meshgrid(np.linspace(-half_y, half_y, 40), np.linspace(-half_x, half_x, 40), indexing="ij")
    u, v = grid_u.ravel(), grid_v.ravel()
    shift = design_matrix(u, v, order) @ forward
    big_u, big_v = u + shift[:, 0], v + shift[:, 1]
    for inverse_order in range(order, _MAX_INVERSE_ORDER + 1):
        inverse = fit_polynomials(big_u, big_v, -shift, inverse_order, max(half_x, half_y))
        error = float(np.abs(design_matrix(big_u, big_v, inverse_order) @ inverse + shift).max())
        if error < _INVERSE_ERROR_PX:
            break
    return inverse, error


def _write_polynomials(header: Header, names: tuple[str, str], coefficients: Floats) -> None:
    """Write the cards of two polynomials, ``names`` such as ("A", "B")."""
    order = sum(powers(9)[len(coefficients) - 1])
    for name, column in zip(names, coefficients.T, strict=True):
        header[f"{name}_ORDER"] = order
        for (p, q), value in zip(powers(order), column, strict=True):
            if value != 0.0:
                header[f"{name}_{p}_{q}"] = float(value)
