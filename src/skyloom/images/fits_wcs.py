"""FITS headers of sky projections: exact where FITS has the form, else fitted as TAN-SIP or TPV with the residual."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io.fits import Header
from astropy.wcs import WCS
from lsst.images import SkyProjection
from numpy.typing import NDArray

from .projection import pixel_to_radec, projection_from_header, radec_to_pixel
from .sky_polynomials import fit_sky_polynomials
from .wcs_cards import WcsForm, wcs_cards

if TYPE_CHECKING:
    from lsst.images import Box

__all__ = ["WcsForm", "fits_header", "header_of_map", "headers_of_maps", "wcs_residual", "with_fits_form"]

type Floats = NDArray[np.float64]
type SkyMap = Callable[[Floats, Floats], tuple[Floats, Floats]]

EXACT = 1e-6
"""Pixels: a FITS form is exact when it is better than that."""
_GRID = 24


def fits_header(projection: SkyProjection[Any], box: Box, form: WcsForm = "sip") -> tuple[Header, float]:
    """WCS cards for the array of ``box`` that any FITS reader understands, and their worst error.

    Parameters
    ----------
    projection
        The map.
    box
        Pixels of the array.
    form
        How a distortion is written: ``sip`` (TAN-SIP) or ``tpv``.

    Returns
    -------
    header
        TAN, TAN-SIP or TPV, in degrees, ICRS; with its error as ``WCSRESID`` where it is an approximation.
    residual
        Largest distance from the projection over the box, px; 0 where the form is exact.
    """
    exact = projection.as_fits_wcs(box)
    plain = ("TAN", "TAN-SIP") if form == "sip" else ("TAN",)
    if exact is not None and exact.wcs.ctype[0][5:] in plain:
        header = exact.to_header(relax=True)
        if wcs_residual(header, projection, box) < EXACT:
            return header, 0.0
    return header_of_map(lambda x, y: pixel_to_radec(projection, x, y), box, form)


def header_of_map(to_sky: SkyMap, box: Box, form: WcsForm = "sip") -> tuple[Header, float]:
    """TAN-SIP or TPV cards for the array of ``box`` fitted to a map from pixels to the sky, and their worst error.

    Parameters
    ----------
    to_sky
        Gives right ascension and declination, degree, of pixel positions x, y.
    box
        Pixels over which the header is to hold.
    form
        ``sip`` or ``tpv``: two ways to write one polynomial, with the same error.

    Returns
    -------
    header
        Of the lowest order that follows the map, with its error as ``WCSRESID``.
    residual
        The same: largest distance from the map over the box, px.
    """
    ((cards, residual),) = headers_of_maps(lambda x, y: _row_by_row(to_sky, x, y), [box], form)
    return Header.fromstring(cards, sep="\n"), residual


def headers_of_maps(to_sky: SkyMap, boxes: Sequence[Box], form: WcsForm = "sip") -> list[tuple[str, float]]:
    """The same of many maps at once, as text: cards of 80 columns joined by line ends.

    Parameters
    ----------
    to_sky
        Gives right ascension and declination, degree, of pixel positions x, y ``[boxes, n]``, a row a box.
    boxes
        Pixels over which each header is to hold.
    form
        ``sip`` or ``tpv``.

    Returns
    -------
    headers
        Cards and residual (px) of each box.
    """
    return [
        (wcs_cards(one, box, form), one.residual)
        for one, box in zip(fit_sky_polynomials(to_sky, boxes), boxes, strict=True)
    ]


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
    y, x = np.meshgrid(
        np.linspace(box.y.start - 0.5, box.y.stop - 0.5, _GRID),
        np.linspace(box.x.start - 0.5, box.x.stop - 0.5, _GRID),
        indexing="ij",
    )
    ra, dec = WCS(header).all_pix2world(x - box.x.start, y - box.y.start, 0)
    at_x, at_y = radec_to_pixel(projection, ra, dec)
    distance = np.hypot(at_x - x, at_y - y)
    return float(distance.max()) if np.isfinite(distance).all() else float("inf")


def _row_by_row(to_sky: SkyMap, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """A map of lists of positions applied to the one row of an array."""
    ra, dec = to_sky(x[0], y[0])
    return ra[None], dec[None]
