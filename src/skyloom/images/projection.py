"""Sky projections on plain arrays of degrees, and from FITS headers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.wcs import WCS
from lsst.images import SkyProjection
from lsst.images._transforms import _ast

from skyloom.errors import BadFrameError

if TYPE_CHECKING:
    from astropy.io.fits import Header
    from lsst.images import Box
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "corner_polygon",
    "pixel_jacobian",
    "pixel_scale",
    "pixel_to_radec",
    "projection_from_header",
    "radec_to_pixel",
]

_ARCSEC_PER_RAD = math.degrees(1.0) * 3600.0


def pixel_to_radec(
    projection: SkyProjection[Any], x: ArrayLike, y: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ICRS right ascension (0 to 360) and declination in degrees of pixel positions x, y."""
    sky = projection.pixel_to_sky_transform.apply_forward(x=np.asarray(x, np.float64), y=np.asarray(y, np.float64))
    return np.degrees(np.asarray(sky.x)) % 360.0, np.degrees(np.asarray(sky.y))


def radec_to_pixel(
    projection: SkyProjection[Any], ra: ArrayLike, dec: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixel positions x, y of ICRS positions in degrees; NaN where the projection does not reach."""
    pixel = projection.pixel_to_sky_transform.apply_inverse(x=np.radians(ra), y=np.radians(dec))
    return np.asarray(pixel.x), np.asarray(pixel.y)


def pixel_jacobian(projection: SkyProjection[Any], x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Derivatives of the tangent-plane offsets (east, north) by (x, y), in arcsec per pixel.

    Returns
    -------
    jacobian
        Shape ``x.shape + (2, 2)``: ``[..., 0, :]`` is that of the offset to the east, ``[..., 1, :]`` to the north.
    """
    x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
    ra, dec = (np.radians(angle) for angle in pixel_to_radec(projection, x, y))
    east = np.stack([-np.sin(ra), np.cos(ra), np.zeros_like(ra)], axis=-1)
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=-1)
    jacobian = np.empty((*x.shape, 2, 2))
    for axis, (dx, dy) in enumerate(((0.5, 0.0), (0.0, 0.5))):
        step = _unit_vectors(projection, x + dx, y + dy) - _unit_vectors(projection, x - dx, y - dy)
        jacobian[..., 0, axis] = np.sum(step * east, axis=-1)
        jacobian[..., 1, axis] = np.sum(step * north, axis=-1)
    jacobian *= _ARCSEC_PER_RAD
    return jacobian


def pixel_scale(projection: SkyProjection[Any], x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Square root of the pixel's area on the sky at positions x, y, in arcsec per pixel."""
    return np.asarray(np.sqrt(np.abs(np.linalg.det(pixel_jacobian(projection, x, y)))))


def corner_polygon(projection: SkyProjection[Any], box: Box) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Right ascension [4] and declination [4] in degrees of the outer corners of the pixels of ``box``.

    The corners go lower left, lower right, upper right, upper left in pixels.
    """
    left, right = box.x.start - 0.5, box.x.stop - 0.5
    bottom, top = box.y.start - 0.5, box.y.stop - 0.5
    return pixel_to_radec(projection, [left, right, right, left], [bottom, bottom, top, top])


def projection_from_header(header: Header, frame: Any, *, x0: int = 0, y0: int = 0) -> SkyProjection[Any]:
    """A projection from the celestial WCS of a FITS header: TAN, TAN-SIP or TPV.

    The inverse of a distortion is found by iteration on the forward polynomial: the approximate inverse
    polynomials (AP, BP) that a header may hold are not used.  FK5 and other equatorial systems are converted to
    ICRS.

    Parameters
    ----------
    header
        Header with the WCS cards.
    frame
        Pixel frame of the projection (`lsst.images.DetectorFrame`, `lsst.images.TractFrame`, ...).
    x0, y0
        Position of the first pixel of the header's array.

    Raises
    ------
    BadFrameError
        If the header holds no celestial WCS that can be read.
    """
    frames = _read_frame_set(_forward_header(header))
    sky = frames.current
    frames.addFrame(frames.BASE, _ast.ShiftMap([x0 - 1.0, y0 - 1.0]), _ast.Frame(2, "Domain=PIXEL"))
    frames.base = frames.current
    frames.current = sky
    # Set on the frame set, which then converts; set on the frame alone it would only rename.
    frames.system = "ICRS"
    projection = SkyProjection.from_ast_frame_set(frames, frame)
    ra, dec = pixel_to_radec(projection, x0, y0)
    if not (np.isfinite(ra) and np.isfinite(dec)):
        raise BadFrameError(
            "the WCS gives no position at the first pixel.", cure="Correct or remove it.", keyword="CTYPE1"
        )
    return projection


def _forward_header(header: Header) -> str:
    """The WCS cards of a header in one standard form, without approximate inverse polynomials."""
    cards = header.copy()
    for keyword in list(cards):
        if keyword.startswith(("AP_", "BP_")):
            del cards[keyword]
    try:
        wcs = WCS(cards, naxis=2)
    except Exception as error:
        raise BadFrameError(
            f"the WCS of the header cannot be read: {error}", cure="Correct or remove it.", keyword="CTYPE1"
        ) from error
    if not wcs.has_celestial:
        raise BadFrameError("the header has no celestial WCS.", cure="Give it one.", keyword="CTYPE1")
    text: str = wcs.to_header_string(relax=True)
    return text


def _read_frame_set(cards: str) -> Any:
    """The AST frame set of WCS cards."""
    channel = _ast.FitsChan(_ast.StringStream(cards), "Encoding=FITS-WCS, SipReplace=0, IWC=1")
    try:
        frames = channel.read()
    except Exception as error:
        raise BadFrameError(
            f"the WCS of the header cannot be used: {error}", cure="Correct or remove it.", keyword="CTYPE1"
        ) from error
    return frames


def _unit_vectors(
    projection: SkyProjection[Any], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Unit vectors on the sky, shape ``x.shape + (3,)``."""
    ra, dec = (np.radians(angle) for angle in pixel_to_radec(projection, x, y))
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)
