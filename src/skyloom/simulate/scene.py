"""Draw the light that falls on one detector, in electrons: sky, stars and galaxies, seen through the atmosphere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import galsim
import numpy as np

if TYPE_CHECKING:
    from astropy.table import Row, Table

    from .mosaic import Ccd, Mosaic
    from .visits import Visit

__all__ = ["add_point", "draw_sky", "draw_sources", "electrons_per_njy", "psf_at", "transparency"]

_HALF_STAMP = 25
_WIDE = 5.0
"""FWHM from which stamps grow with it, px."""
# Folding and band limits below which the drawn flux is true to better than 1e-4.
_ACCURACY = galsim.GSParams(folding_threshold=1e-4, maxk_threshold=1e-4, maximum_fft_size=16384)


def electrons_per_njy(visit: Visit) -> float:
    """Electrons that one nJy leaves in the exposure, where the flat field is one and the field's centre looks on."""
    return float(10.0 ** (0.4 * (visit.zero_point_mag - visit.cloud_mag - 31.4)))


def transparency(visit: Visit, mosaic: Mosaic, ccd: Ccd, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Transparency of the clouds at places of a detector, relative to the field's centre."""
    u, v = (part / mosaic.half_width for part in ccd.to_focal_plane(x, y))
    return np.asarray(1.0 + visit.cloud_gradient[0] * u + visit.cloud_gradient[1] * v)


def psf_at(visit: Visit, beta: float, mosaic: Mosaic, ccd: Ccd, x: float, y: float) -> galsim.GSObject:
    """The PSF of unit flux at a position of a detector, before the pixel; lengths in pixels.

    A Moffat whose width and shear change linearly over the focal plane; the shear is that of the focal plane, turned
    with the detector.
    """
    u, v = (float(part) / mosaic.half_width for part in ccd.to_focal_plane(np.asarray(x), np.asarray(y)))
    width = 1.0 + visit.seeing_gradient[0] * u + visit.seeing_gradient[1] * v
    shape = galsim.Moffat(beta=beta, fwhm=1.0, gsparams=_ACCURACY).dilate(
        visit.seeing_arcsec / mosaic.pixel_scale * width
    )
    turn = np.exp(-2j * np.radians(ccd.rotation_deg))
    shear = complex(visit.ellipticity_gradient[0] * u, visit.ellipticity_gradient[1] * v) * turn
    return shape.shear(g1=shear.real, g2=shear.imag)


def draw_sky(visit: Visit, mosaic: Mosaic, ccd: Ccd) -> np.ndarray:
    """The sky on a detector, float64 electrons ``[y, x]``: a plane over the focal plane."""
    u, v = ccd.grid()
    tilt = (visit.sky_gradient[0] * u + visit.sky_gradient[1] * v) / mosaic.half_width
    return np.asarray(visit.sky_electrons * (1.0 + tilt))


def draw_sources(visit: Visit, beta: float, mosaic: Mosaic, ccd: Ccd, sky: Table, image: np.ndarray) -> None:
    """Add the sources of the true sky, where they stand at the time, to ``image`` (float64 electrons ``[y, x]``), in
    place.
    """
    x, y = visit.projection(mosaic).sky_to_pixel(ccd, np.asarray(sky["ra"]), np.asarray(sky["dec"]))
    flux = np.asarray(sky[f"flux_{visit.band}"]) * electrons_per_njy(visit) * transparency(visit, mosaic, ccd, x, y)
    margin = 3 * _HALF_STAMP
    fwhm = visit.seeing_arcsec / mosaic.pixel_scale
    near = (x > -margin) & (x < ccd.shape[1] + margin) & (y > -margin) & (y < ccd.shape[0] + margin)
    for index in np.flatnonzero(near):
        profile = psf_at(visit, beta, mosaic, ccd, x[index], y[index])
        half = _half_stamp(flux[index], fwhm)
        if not sky["is_star"][index]:
            profile, half = _convolved_galaxy(profile, sky[index], visit, mosaic, ccd), 2 * _HALF_STAMP
        _add_stamp(image, profile.withFlux(float(flux[index])), x[index], y[index], half)


def add_point(
    visit: Visit, beta: float, mosaic: Mosaic, ccd: Ccd, at: tuple[float, float], electrons: float, image: np.ndarray
) -> None:
    """Add the image of a point at (x, y) to ``image`` in place."""
    profile = psf_at(visit, beta, mosaic, ccd, *at).withFlux(electrons)
    _add_stamp(image, profile, at[0], at[1], _half_stamp(electrons, visit.seeing_arcsec / mosaic.pixel_scale))


def _half_stamp(flux_electrons: float, fwhm_px: float) -> int:
    """Half the stamp of a star: wide enough that what falls outside is below a hundredth of the sky noise."""
    return int(_HALF_STAMP * max(1.0, (flux_electrons / 3e5) ** (1.0 / 7.0)) * max(1.0, fwhm_px / _WIDE))


def _convolved_galaxy(psf: galsim.GSObject, row: Row, visit: Visit, mosaic: Mosaic, ccd: Ccd) -> galsim.GSObject:
    """A Sersic galaxy seen through the PSF; the camera turns under it."""
    radius = float(row["half_light_radius"]) / mosaic.pixel_scale
    shape = galsim.Sersic(n=float(row["sersic_n"]), half_light_radius=radius, trunc=8 * radius, gsparams=_ACCURACY)
    side = -1.0 if mosaic.flipped else 1.0
    turned = shape.shear(g1=float(row["shear_1"]), g2=side * float(row["shear_2"])).rotate(
        -(side * visit.rotation_deg + ccd.rotation_deg) * galsim.degrees
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
