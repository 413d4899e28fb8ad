"""Draw the light that falls on one CCD, in electrons: sky, stars and galaxies, seen through the atmosphere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import galsim
import numpy as np

from .camera import CCD_SIZE, CORNER_RADIUS, PIXEL_SCALE, pixel_to_focal_plane

if TYPE_CHECKING:
    from astropy.table import Row, Table

    from .visits import Visit

__all__ = ["draw_sky", "draw_sources", "electrons_per_njy", "psf_at"]

_HALF_WIDTH = CORNER_RADIUS / np.sqrt(2.0)
_HALF_STAMP = 25
# Folding and band limits below which the drawn flux is true to better than 1e-4.
_ACCURACY = galsim.GSParams(folding_threshold=1e-4, maxk_threshold=1e-4, maximum_fft_size=16384)


def electrons_per_njy(visit: Visit) -> float:
    """Electrons that one nJy leaves in the exposure, where the flat field is one."""
    return float(10.0 ** (0.4 * (visit.zero_point_mag - 31.4)))


def psf_at(visit: Visit, beta: float, detector: int, x: float, y: float) -> galsim.GSObject:
    """The PSF of unit flux at a position of a CCD, before the pixel; lengths in pixels.

    A Moffat whose width and shear change linearly over the focal plane.  Turning a CCD by 180 degrees leaves
    second moments as they are, so the shear holds on every CCD.
    """
    u, v = (float(part) / _HALF_WIDTH for part in pixel_to_focal_plane(detector, np.asarray(x), np.asarray(y)))
    width = 1.0 + visit.seeing_gradient[0] * u + visit.seeing_gradient[1] * v
    shape = galsim.Moffat(beta=beta, fwhm=1.0, gsparams=_ACCURACY).dilate(visit.seeing_arcsec / PIXEL_SCALE * width)
    return shape.shear(g1=visit.ellipticity_gradient[0] * u, g2=visit.ellipticity_gradient[1] * v)


def draw_sky(visit: Visit, detector: int) -> np.ndarray:
    """The sky on a CCD, float64 electrons ``[y, x]``: a plane over the focal plane."""
    y, x = np.mgrid[:CCD_SIZE, :CCD_SIZE].astype(np.float64)
    u, v = pixel_to_focal_plane(detector, x, y)
    tilt = (visit.sky_gradient[0] * u + visit.sky_gradient[1] * v) / _HALF_WIDTH
    return np.asarray(visit.sky_electrons * (1.0 + tilt))


def draw_sources(visit: Visit, beta: float, detector: int, sky: Table, image: np.ndarray) -> None:
    """Add the sources of the true sky to ``image`` (float64 electrons ``[y, x]``), in place."""
    x, y = visit.projection.sky_to_pixel(detector, np.asarray(sky["ra"]), np.asarray(sky["dec"]))
    flux = np.asarray(sky[f"flux_{visit.band}"]) * electrons_per_njy(visit)
    margin = 3 * _HALF_STAMP
    near = (x > -margin) & (x < CCD_SIZE + margin) & (y > -margin) & (y < CCD_SIZE + margin)
    for index in np.flatnonzero(near):
        profile = psf_at(visit, beta, detector, x[index], y[index])
        half = _half_stamp(flux[index])
        if not sky["is_star"][index]:
            profile, half = _convolved_galaxy(profile, sky[index], visit), 2 * _HALF_STAMP
        _add_stamp(image, profile.withFlux(float(flux[index])), x[index], y[index], half)


def _half_stamp(flux_electrons: float) -> int:
    """Half the stamp of a star: wide enough that what falls outside is below a hundredth of the sky noise."""
    return int(_HALF_STAMP * max(1.0, (flux_electrons / 3e5) ** (1.0 / 7.0)))


def _convolved_galaxy(psf: galsim.GSObject, row: Row, visit: Visit) -> galsim.GSObject:
    """A Sersic galaxy seen through the PSF; the camera turns under it."""
    radius = float(row["half_light_radius"]) / PIXEL_SCALE
    shape = galsim.Sersic(n=float(row["sersic_n"]), half_light_radius=radius, trunc=8 * radius, gsparams=_ACCURACY)
    turned = shape.shear(g1=float(row["shear_1"]), g2=float(row["shear_2"])).rotate(
        -visit.rotation_deg * galsim.degrees
    )
    return galsim.Convolve(psf, turned, gsparams=_ACCURACY)


def _add_stamp(image: np.ndarray, profile: galsim.GSObject, x: float, y: float, half: int) -> None:
    """Add a profile centred at (x, y), integrated over the pixels, to the part of its stamp on the image."""
    x_middle, y_middle = round(float(x)), round(float(y))
    x0, x1 = max(x_middle - half, 0), min(x_middle + half + 1, image.shape[1])
    y0, y1 = max(y_middle - half, 0), min(y_middle + half + 1, image.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    size = 2 * half + 1
    stamp = profile.shift(x - x_middle, y - y_middle).drawImage(nx=size, ny=size, scale=1.0, dtype=np.float64)
    rows, columns = slice(y0 - y_middle + half, y1 - y_middle + half), slice(x0 - x_middle + half, x1 - x_middle + half)
    image[y0:y1, x0:x1] += stamp.array[rows, columns]
