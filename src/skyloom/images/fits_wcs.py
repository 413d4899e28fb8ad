"""FITS headers of sky projections: exact where FITS has the form, else fitted as TAN-SIP with the residual."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io.fits import Header
from astropy.wcs import WCS
from lsst.images import SkyProjection
from numpy.typing import NDArray

from .projection import pixel_to_radec, projection_from_header, radec_to_pixel

if TYPE_CHECKING:
    from lsst.images import Box

__all__ = ["fits_header", "header_of_map", "wcs_residual", "with_fits_form"]

type Floats = NDArray[np.float64]
type SkyMap = Callable[[Floats, Floats], tuple[Floats, Floats]]

EXACT = 1e-6
"""Pixels: a FITS form is exact when it is better than that."""
GOOD_ENOUGH = 1e-5
"""Pixels: the order of an approximation is raised until its residual is below that."""
MAX_SIP_ORDER = 7
_GRID = 24
_FIT_GRID = 32


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
    return header_of_map(lambda x, y: pixel_to_radec(projection, x, y), box)


def header_of_map(to_sky: SkyMap, box: Box) -> tuple[Header, float]:
    """TAN-SIP cards for the array of ``box`` fitted to a map from pixels to the sky, and their worst error.

    Parameters
    ----------
    to_sky
        Gives right ascension and declination, degree, of pixel positions x, y.
    box
        Pixels over which the header is to hold.

    Returns
    -------
    header
        TAN-SIP of the lowest order that follows the map.
    residual
        Largest distance from the map over the box, px.
    """
    middle_x, middle_y = 0.5 * (box.x.min + box.x.max), 0.5 * (box.y.min + box.y.max)
    ra0, dec0 = (float(angle) for angle in to_sky(np.array(middle_x), np.array(middle_y)))
    fitted, checked = (
        _Sample.of_map(to_sky, box, count, (middle_x, middle_y), (ra0, dec0)) for count in (_FIT_GRID, _GRID)
    )
    best: tuple[_TanSip, float] | None = None
    for order in range(2, MAX_SIP_ORDER + 1):
        tan_sip = _TanSip.of_sample(fitted, order)
        residual = tan_sip.largest_error(checked)
        if best is None or residual < best[1]:
            best = tan_sip, residual
        if residual < GOOD_ENOUGH:
            break
    assert best is not None
    tangent = middle_x - box.x.start, middle_y - box.y.start
    return best[0].header(tangent, (ra0, dec0), fitted), best[1]


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


@dataclass(frozen=True, eq=False)
class _Sample:
    """Positions of a map: offsets from the middle of a box over its half size, and on the tangent plane."""

    u: Floats
    v: Floats
    plane: Floats
    """Degrees, ``[2, n]``."""
    reach: float
    """Pixels for which u or v is 1."""

    @classmethod
    def of_map(
        cls, to_sky: SkyMap, box: Box, count: int, middle: tuple[float, float], tangent: tuple[float, float]
    ) -> _Sample:
        x, y = (axis.ravel() for axis in _grid(box, count))
        reach = max(0.5 * max(box.shape), 1.0)
        plane = np.stack(_gnomonic(*to_sky(x, y), *tangent))
        return cls((x - middle[0]) / reach, (y - middle[1]) / reach, plane, reach)


@dataclass(frozen=True, eq=False)
class _TanSip:
    """TAN-SIP of one order (Shupe et al. 2005, ASP 347, 491), in the coordinates of the sample it was fitted to."""

    order: int
    linear: Floats
    """Degrees for u and v, ``[2, 2]``."""
    distortion: Floats
    """What is added to u and v and their own terms, ``[2, term]``."""

    @classmethod
    def of_sample(cls, sample: _Sample, order: int) -> _TanSip:
        powers = _powers(order)
        forward = _fit(powers, sample.u, sample.v, sample.plane)
        linear = forward[:, [powers.index((1, 0)), powers.index((0, 1))]]
        return cls(order, linear, np.linalg.solve(linear, forward))

    def largest_error(self, sample: _Sample) -> float:
        """Largest distance from a sample, pixels."""
        design = np.stack([sample.u**p * sample.v**q for p, q in _powers(self.order)])
        wanted = np.linalg.solve(self.linear, sample.plane)
        distance = np.linalg.norm(self.distortion @ design - wanted, axis=0) * sample.reach
        return float(distance.max()) if np.isfinite(distance).all() else float("inf")

    def header(self, pixel: tuple[float, float], tangent: tuple[float, float], sample: _Sample) -> Header:
        """The cards, with the inverse polynomials (AP, BP) for readers that do not iterate."""
        powers, reach = _powers(self.order), sample.reach
        header = _tan_cards(self.linear / reach, *pixel, *tangent)
        _sip_cards(header, ("A", "B"), powers, self.distortion * reach, reach, self.order, skip_linear=True)
        flat = np.linalg.solve(self.linear, sample.plane)
        back = _fit(powers, flat[0], flat[1], np.stack([sample.u, sample.v]) - flat)
        _sip_cards(header, ("AP", "BP"), powers, back * reach, reach, self.order, skip_linear=False)
        return header


def _powers(order: int) -> list[tuple[int, int]]:
    """Exponents of the terms of SIP polynomials, without the constant."""
    return [(p, q) for p in range(order + 1) for q in range(order + 1 - p) if p + q > 0]


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
