"""The true mapping between sky and pixels: tangent plane, rotation, radial cubic distortion, mosaic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .camera import CORNER_RADIUS, PIXEL_SCALE, focal_plane_to_pixel, pixel_to_focal_plane

__all__ = ["TrueProjection"]

_ARCSEC = 206264.80624709636


@dataclass(frozen=True)
class TrueProjection:
    """Gnomonic projection about the boresight (degrees, ICRS).

    ``rotation_deg`` is the position angle, from north through east, of the focal plane's +y; at zero, +x points
    west.  A distortion of ``distortion_pixels`` at the corner moves a point outwards by that times the cube of
    its radius over the corner's.
    """

    ra_deg: float
    dec_deg: float
    rotation_deg: float = 0.0
    distortion_pixels: float = 0.0

    def sky_to_pixel(self, detector: int, ra_deg: np.ndarray, dec_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions x, y (pixels) on a CCD."""
        return focal_plane_to_pixel(detector, *self.sky_to_focal_plane(ra_deg, dec_deg))

    def pixel_to_sky(self, detector: int, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Right ascension and declination (degrees) of positions x, y (pixels) on a CCD."""
        return self.focal_plane_to_sky(*pixel_to_focal_plane(detector, np.asarray(x, float), np.asarray(y, float)))

    def sky_to_focal_plane(self, ra_deg: np.ndarray, dec_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels from the centre of the focal plane."""
        d_ra, dec, dec0 = np.radians(np.asarray(ra_deg) - self.ra_deg), np.radians(dec_deg), np.radians(self.dec_deg)
        depth = np.sin(dec0) * np.sin(dec) + np.cos(dec0) * np.cos(dec) * np.cos(d_ra)
        xi = np.cos(dec) * np.sin(d_ra) / depth
        eta = (np.cos(dec0) * np.sin(dec) - np.sin(dec0) * np.cos(dec) * np.cos(d_ra)) / depth
        cos_r, sin_r = np.cos(np.radians(self.rotation_deg)), np.sin(np.radians(self.rotation_deg))
        u = (-xi * cos_r + eta * sin_r) * _ARCSEC / PIXEL_SCALE
        v = (xi * sin_r + eta * cos_r) * _ARCSEC / PIXEL_SCALE
        stretch = 1.0 + self._cubic * (u * u + v * v)
        return u * stretch, v * stretch

    def focal_plane_to_sky(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Right ascension and declination (degrees) of pixels from the centre of the focal plane."""
        radius = np.hypot(u, v)
        ideal = radius.copy()
        for _ in range(6):
            # Newton's steps on r (1 + k r^2) = radius; the distortion is so mild that three would do.
            ideal = ideal - (ideal * (1 + self._cubic * ideal**2) - radius) / (1 + 3 * self._cubic * ideal**2)
        shrink = np.divide(ideal, radius, out=np.ones_like(radius), where=radius > 0) * PIXEL_SCALE / _ARCSEC
        cos_r, sin_r = np.cos(np.radians(self.rotation_deg)), np.sin(np.radians(self.rotation_deg))
        xi, eta = (-u * cos_r + v * sin_r) * shrink, (u * sin_r + v * cos_r) * shrink
        dec0 = np.radians(self.dec_deg)
        depth = np.cos(dec0) - eta * np.sin(dec0)
        ra = self.ra_deg + np.degrees(np.arctan2(xi, depth))
        dec = np.degrees(np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(xi, depth)))
        return ra % 360.0, dec

    @property
    def _cubic(self) -> float:
        return self.distortion_pixels / CORNER_RADIUS**3
