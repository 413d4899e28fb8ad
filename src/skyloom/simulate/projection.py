"""The true mapping between sky and focal plane: tangent plane, rotation, radial cubic distortion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .mosaic import Ccd, Mosaic

__all__ = ["TrueProjection"]

_ARCSEC = 206264.80624709636


@dataclass(frozen=True, kw_only=True)
class TrueProjection:
    """Gnomonic projection about the boresight (degrees, ICRS).

    ``rotation_deg`` is the position angle, from north through east, of the focal plane's +y; at zero, +x points
    west, or east in a mirrored camera.  A distortion of ``distortion_pixels`` at the corner moves a point outwards by
    that times the cube of its radius over the corner's.
    """

    mosaic: Mosaic
    ra_deg: float
    dec_deg: float
    rotation_deg: float = 0.0
    distortion_pixels: float = 0.0

    def sky_to_pixel(self, ccd: Ccd, ra_deg: np.ndarray, dec_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions x, y (pixels) on a detector."""
        return ccd.from_focal_plane(*self.sky_to_focal_plane(ra_deg, dec_deg))

    def pixel_to_sky(self, ccd: Ccd, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Right ascension and declination (degrees) of positions x, y (pixels) on a detector."""
        return self.focal_plane_to_sky(*ccd.to_focal_plane(np.asarray(x, float), np.asarray(y, float)))

    def sky_to_focal_plane(self, ra_deg: np.ndarray, dec_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels from the boresight."""
        d_ra, dec, dec0 = np.radians(np.asarray(ra_deg) - self.ra_deg), np.radians(dec_deg), np.radians(self.dec_deg)
        depth = np.sin(dec0) * np.sin(dec) + np.cos(dec0) * np.cos(dec) * np.cos(d_ra)
        xi = np.cos(dec) * np.sin(d_ra) / depth
        eta = (np.cos(dec0) * np.sin(dec) - np.sin(dec0) * np.cos(dec) * np.cos(d_ra)) / depth
        cos_r, sin_r = np.cos(np.radians(self.rotation_deg)), np.sin(np.radians(self.rotation_deg))
        u = self._side * (-xi * cos_r + eta * sin_r) * _ARCSEC / self.mosaic.pixel_scale
        v = (xi * sin_r + eta * cos_r) * _ARCSEC / self.mosaic.pixel_scale
        stretch = 1.0 + self._cubic * (u * u + v * v)
        return u * stretch, v * stretch

    def focal_plane_to_sky(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Right ascension and declination (degrees) of pixels from the boresight."""
        radius = np.hypot(u, v)
        ideal = radius.copy()
        for _ in range(6):
            # Newton's steps on r (1 + k r^2) = radius; the distortion is so mild that three would do.
            ideal = ideal - (ideal * (1 + self._cubic * ideal**2) - radius) / (1 + 3 * self._cubic * ideal**2)
        shrink = np.divide(ideal, radius, out=np.ones_like(radius), where=radius > 0)
        x, y = (part * shrink * self.mosaic.pixel_scale / _ARCSEC for part in (self._side * u, v))
        cos_r, sin_r = np.cos(np.radians(self.rotation_deg)), np.sin(np.radians(self.rotation_deg))
        xi, eta = -x * cos_r + y * sin_r, x * sin_r + y * cos_r
        dec0 = np.radians(self.dec_deg)
        depth = np.cos(dec0) - eta * np.sin(dec0)
        ra = self.ra_deg + np.degrees(np.arctan2(xi, depth))
        dec = np.degrees(np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(xi, depth)))
        return ra % 360.0, dec

    @property
    def _cubic(self) -> float:
        return self.distortion_pixels / self.mosaic.radius**3

    @property
    def _side(self) -> float:
        return -1.0 if self.mosaic.flipped else 1.0
