"""FITS headers of sky projections: exact where FITS has the form, else fitted as TAN-SIP with the residual."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io.fits import Header
from astropy.wcs import WCS
from lsst.images import SkyProjection

from .projection import pixel_to_radec, projection_from_header, radec_to_pixel

if TYPE_CHECKING:
    from lsst.images import Box
    from numpy.typing import NDArray

__all__ = ["fits_header", "tan_sip_header", "wcs_residual", "with_fits_form"]

EXACT = 1e-6
"""Pixels: a FITS form is exact when it is better than that."""
GOOD_ENOUGH = 1e-5
"""Pixels: the order of an approximation is raised until its residual is below that."""
MAX_SIP_ORDER = 7
_GRID = 24


def fits_header(projection: SkyProjection[Any], box: Box) -> tuple[Header, float]:
    """WCS cards for the array of ``box`` that any FITS reader understands, and their worst error.

    Returns
    -------
    header
        TAN or TAN-SIP, in degrees, ICRS.
    residual
        Largest distance from the projection over the box, px; 0 where the form is exact.
    """
    exact = projection.as_fits_wcs(box)
    if exact is not None and exact.wcs.ctype[0][5:8] == "TAN":
        header = exact.to_header(relax=True)
        if wcs_residual(header, projection, box) < EXACT:
            return header, 0.0
    best: tuple[Header, float] | None = None
    for order in range(2, MAX_SIP_ORDER + 1):
        header = tan_sip_header(projection, box, order)
        residual = wcs_residual(header, projection, box)
        if best is None or residual < best[1]:
            best = header, residual
        if residual < GOOD_ENOUGH:
            break
    assert best is not None
    return best


def with_fits_form(projection: SkyProjection[Any], box: Box) -> SkyProjection[Any]:
    """The projection with a TAN-SIP approximation over ``box``, unless its own FITS form is right."""
    form = projection.as_fits_wcs(box, allow_approximation=True)
    if form is not None and wcs_residual(form.to_header(relax=True), projection, box) < 1e-3:
        return projection
    header, _ = fits_header(projection, box)
    near = projection_from_header(header, projection.pixel_frame, x0=box.x.start, y0=box.y.start)
    return SkyProjection(projection.pixel_to_sky_transform, fits_approximation=near.pixel_to_sky_transform)


def wcs_residual(header: Header, projection: SkyProjection[Any], box: Box) -> float:
    """Largest distance in pixels between a header for the array of ``box``, as astropy reads it, and a projection."""
    x, y = _grid(box, _GRID)
    ra, dec = WCS(header).all_pix2world(x - box.x.start, y - box.y.start, 0)
    at_x, at_y = radec_to_pixel(projection, ra, dec)
    distance = np.hypot(at_x - x, at_y - y)
    return float(distance.max()) if np.isfinite(distance).all() else float("inf")


def tan_sip_header(projection: SkyProjection[Any], box: Box, order: int) -> Header:
    """TAN-SIP cards for the array of ``box`` fitted to a projection (Shupe et al. 2005, ASP 347, 491).

    The tangent point is the middle of the box.  The inverse polynomials (AP, BP) are fitted too, for readers that do
    not iterate.
    """
    middle_x, middle_y = 0.5 * (box.x.min + box.x.max), 0.5 * (box.y.min + box.y.max)
    ra0, dec0 = pixel_to_radec(projection, middle_x, middle_y)
    x, y = _grid(box, 4 * (order + 1))
    u, v = (x - middle_x).ravel(), (y - middle_y).ravel()
    plane = np.stack(_gnomonic(*pixel_to_radec(projection, x.ravel(), y.ravel()), float(ra0), float(dec0)))
    reach = max(abs(u).max(), abs(v).max(), 1.0)
    powers = [(p, q) for p in range(order + 1) for q in range(order + 1 - p) if p + q > 0]
    forward = _fit(powers, u / reach, v / reach, plane)
    linear = forward[:, [powers.index((1, 0)), powers.index((0, 1))]] / reach
    header = _tan_cards(linear, middle_x - box.x.start, middle_y - box.y.start, float(ra0), float(dec0))
    distortion = np.linalg.solve(linear, forward)
    _sip_cards(header, ("A", "B"), powers, distortion, reach, order, skip_linear=True)
    flat = np.linalg.solve(linear, plane)
    back = _fit(powers, flat[0] / reach, flat[1] / reach, np.stack([u, v]) - flat)
    _sip_cards(header, ("AP", "BP"), powers, back, reach, order, skip_linear=False)
    return header


def _tan_cards(cd: NDArray[np.float64], x: float, y: float, ra: float, dec: float) -> Header:
    header = Header()
    header["WCSAXES"] = 2
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
    header["CUNIT1"] = header["CUNIT2"] = "deg"
    header["CRPIX1"], header["CRPIX2"] = x + 1.0, y + 1.0
    header["CRVAL1"], header["CRVAL2"] = ra, dec
    for row in range(2):
        for column in range(2):
            header[f"CD{row + 1}_{column + 1}"] = float(cd[row, column])
    header["RADESYS"] = "ICRS"
    return header


def _sip_cards(
    header: Header,
    names: tuple[str, str],
    powers: list[tuple[int, int]],
    coefficients: NDArray[np.float64],
    reach: float,
    order: int,
    *,
    skip_linear: bool,
) -> None:
    for name, row in zip(names, coefficients, strict=True):
        header[f"{name}_ORDER"] = order
        for (p, q), value in zip(powers, row, strict=True):
            if not (skip_linear and p + q == 1):
                header[f"{name}_{p}_{q}"] = float(value / reach ** (p + q))


def _fit(
    powers: list[tuple[int, int]], u: NDArray[np.float64], v: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Least-squares coefficients ``[value, term]`` without a constant term."""
    design = np.stack([u**p * v**q for p, q in powers], axis=1)
    solution: NDArray[np.float64] = np.linalg.lstsq(design, values.T, rcond=None)[0]
    return solution.T


def _gnomonic(
    ra: NDArray[np.float64], dec: NDArray[np.float64], ra0: float, dec0: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tangent-plane coordinates in degrees about (ra0, dec0)."""
    delta, dec, dec0 = np.radians(ra - ra0), np.radians(dec), np.radians(dec0)
    cosine = np.sin(dec0) * np.sin(dec) + np.cos(dec0) * np.cos(dec) * np.cos(delta)
    xi = np.cos(dec) * np.sin(delta) / cosine
    eta = (np.cos(dec0) * np.sin(dec) - np.sin(dec0) * np.cos(dec) * np.cos(delta)) / cosine
    return np.degrees(xi), np.degrees(eta)


def _grid(box: Box, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions over the whole area of a box, edges of the outer pixels included."""
    y, x = np.meshgrid(
        np.linspace(box.y.start - 0.5, box.y.stop - 0.5, count),
        np.linspace(box.x.start - 0.5, box.x.stop - 0.5, count),
        indexing="ij",
    )
    return x, y
