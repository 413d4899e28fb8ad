"""The FITS cards of sky polynomials, as TAN-SIP or as TPV."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from .polynomial_terms import powers
from .sky_polynomials import SkyPolynomials

if TYPE_CHECKING:
    from lsst.images import Box

__all__ = ["RESIDUAL_KEYWORD", "WcsForm", "wcs_cards"]

type Floats = NDArray[np.float64]
type WcsForm = Literal["sip", "tpv"]

RESIDUAL_KEYWORD = "WCSRESID"
"""Card with the largest error of a WCS over its array, pixels."""


def wcs_cards(polynomials: SkyPolynomials, box: Box, form: WcsForm) -> str:
    """Cards of 80 columns, joined by line ends, of the WCS of the array of a box.

    Both forms say the same map exactly: SIP bends the pixels before the linear map (Shupe et al. 2005, ASP 347, 491),
    TPV the plane behind it (the form of SCAMP and SWarp).

    Parameters
    ----------
    polynomials
        The map.
    box
        The array's pixels.
    form
        ``sip``, with the inverse polynomials (AP, BP) for readers that do not iterate, or ``tpv``.
    """
    cards = [*_plane(polynomials, box, "TAN-SIP" if form == "sip" else "TPV")]
    cards += _sip(polynomials) if form == "sip" else _tpv(polynomials)
    cards.append(_card(RESIDUAL_KEYWORD, _number(polynomials.residual), "[pix] largest error of this WCS"))
    return "\n".join(cards)


def _plane(polynomials: SkyPolynomials, box: Box, projection: str) -> Iterator[str]:
    """The linear map, its reference pixel and the projection."""
    yield _card("WCSAXES", "2")
    yield _card("CTYPE1", f"'RA---{projection}'".ljust(20))
    yield _card("CTYPE2", f"'DEC--{projection}'".ljust(20))
    yield _card("CUNIT1", "'deg     '".ljust(20))
    yield _card("CUNIT2", "'deg     '".ljust(20))
    yield _card("CRPIX1", _number(polynomials.middle[0] - box.x.start + 1.0))
    yield _card("CRPIX2", _number(polynomials.middle[1] - box.y.start + 1.0))
    yield _card("CRVAL1", _number(polynomials.tangent[0]))
    yield _card("CRVAL2", _number(polynomials.tangent[1]))
    cd = polynomials.linear / polynomials.half
    for row in range(2):
        for column in range(2):
            yield _card(f"CD{row + 1}_{column + 1}", _number(cd[row, column]))
    yield _card("RADESYS", "'ICRS    '".ljust(20))


def _sip(polynomials: SkyPolynomials) -> Iterator[str]:
    order, half = polynomials.order, polynomials.half
    p, q = np.array(powers(order)[1:]).T
    # From units of the half sizes to pixels.
    unit = half[:, None] / (half[0] ** p * half[1] ** q)
    forward, back = polynomials.distortion() * unit, polynomials.inverse_distortion() * unit
    for name, row in zip(("A", "B", "AP", "BP"), (*forward, *back), strict=True):
        yield _card(f"{name}_ORDER", str(order))
        for i, j, value in zip(p, q, row, strict=True):
            # The linear map has the linear terms of A and B.
            if i + j > 1 or len(name) == 2:
                yield _card(f"{name}_{i}_{j}", _number(value))


def _tpv(polynomials: SkyPolynomials) -> Iterator[str]:
    """The terms of both axes; those of the second are numbered with xi and eta in each other's place."""
    for axis, row in enumerate(polynomials.plane_distortion(), start=1):
        numbered = []
        for (p, q), value in zip(powers(polynomials.order)[1:], row, strict=True):
            degree, step = p + q, q if axis == 1 else p
            numbered.append((_first_term(degree) + step, value))
        for number, value in sorted(numbered):
            yield _card(f"PV{axis}_{number}", _number(value))


def _first_term(degree: int) -> int:
    """Number of the TPV term x^degree; each odd degree is followed by a radial term, here left out."""
    return degree * (degree + 1) // 2 + degree // 2


def _number(value: float) -> str:
    """A number in the 20 columns of the fixed format."""
    text = repr(float(value)).upper()
    return text if len(text) <= 20 else f"{value:.13E}"


def _card(keyword: str, value: str, comment: str = "") -> str:
    text = f"{keyword:<8}= {value:>20}"
    return (f"{text} / {comment}" if comment else text).ljust(80)
