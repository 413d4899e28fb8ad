"""The gnomonic (TAN) projection, and the plane in pixels around a guessed frame centre."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from lsst.images import Box, SkyProjection
from numpy.typing import NDArray

from skyloom.images.projection import pixel_to_radec

__all__ = ["LocalPlane", "box_centre", "from_tangent_plane", "to_tangent_plane"]

type Floats = NDArray[np.float64]


def to_tangent_plane(ra_deg: Any, dec_deg: Any, ra0_deg: float, dec0_deg: float) -> tuple[Floats, Floats]:
    """Project onto the plane that touches the sphere at (ra0, dec0); xi to the east and eta to the north, degree.

    Positions 90 degrees away or more give NaN (Calabretta & Greisen 2002, A&A 395, 1077, section 5.1.3).
    """
    ra, dec = np.radians(np.asarray(ra_deg, float) - ra0_deg), np.radians(np.asarray(dec_deg, float))
    sin0, cos0 = np.sin(np.radians(dec0_deg)), np.cos(np.radians(dec0_deg))
    depth = np.sin(dec) * sin0 + np.cos(dec) * cos0 * np.cos(ra)
    depth = np.where(depth > 1e-9, depth, np.nan)
    xi = np.cos(dec) * np.sin(ra) / depth
    eta = (np.sin(dec) * cos0 - np.cos(dec) * sin0 * np.cos(ra)) / depth
    return np.degrees(xi), np.degrees(eta)


def from_tangent_plane(xi_deg: Any, eta_deg: Any, ra0_deg: float, dec0_deg: float) -> tuple[Floats, Floats]:
    """Inverse of `to_tangent_plane`; right ascension in [0, 360)."""
    xi, eta = np.radians(np.asarray(xi_deg, float)), np.radians(np.asarray(eta_deg, float))
    sin0, cos0 = np.sin(np.radians(dec0_deg)), np.cos(np.radians(dec0_deg))
    along = cos0 - eta * sin0
    ra = np.degrees(np.arctan2(xi, along)) + ra0_deg
    dec = np.degrees(np.arctan2(sin0 + eta * cos0, np.hypot(xi, along)))
    return ra % 360.0, dec


def box_centre(box: Box) -> tuple[float, float]:
    """The pixel position (x, y) of the middle of a box; pixel centres are integers."""
    return 0.5 * (box.x.start + box.x.stop - 1), 0.5 * (box.y.start + box.y.stop - 1)


@dataclass(frozen=True, eq=False)
class LocalPlane:
    """A tangent plane measured in pixels: (X, Y) = CD^-1 (xi, eta), the origin at the tangent point."""

    ra0_deg: float
    dec0_deg: float
    cd: Floats
    """Degrees on the tangent plane a pixel, ``[[dxi/dx, dxi/dy], [deta/dx, deta/dy]]``."""

    @classmethod
    def of_guess(cls, guess: SkyProjection[Any], box: Box) -> LocalPlane:
        """The plane that touches the sky where ``guess`` puts the centre of ``box``, with its scale there."""
        x0, y0 = box_centre(box)
        step = 0.5
        dx, dy = np.array([0.0, step, -step, 0.0, 0.0]), np.array([0.0, 0.0, 0.0, step, -step])
        ra, dec = pixel_to_radec(guess, x0 + dx, y0 + dy)
        xi, eta = to_tangent_plane(ra, dec, float(ra[0]), float(dec[0]))
        cd = np.array([[xi[1] - xi[2], xi[3] - xi[4]], [eta[1] - eta[2], eta[3] - eta[4]]]) / (2.0 * step)
        return cls(float(ra[0]), float(dec[0]), cd)

    @property
    def scale_arcsec(self) -> float:
        """Geometric mean pixel scale, arcsec."""
        return 3600.0 * float(np.sqrt(abs(np.linalg.det(self.cd))))

    def from_sky(self, ra_deg: Any, dec_deg: Any) -> tuple[Floats, Floats]:
        """Sky positions in degree to (X, Y) in pixel."""
        xi, eta = to_tangent_plane(ra_deg, dec_deg, self.ra0_deg, self.dec0_deg)
        inverse = np.linalg.inv(self.cd)
        return inverse[0, 0] * xi + inverse[0, 1] * eta, inverse[1, 0] * xi + inverse[1, 1] * eta

    def to_sky(self, x: Any, y: Any) -> tuple[Floats, Floats]:
        """(X, Y) in pixel to sky positions in degree."""
        x, y = np.asarray(x, float), np.asarray(y, float)
        xi, eta = self.cd[0, 0] * x + self.cd[0, 1] * y, self.cd[1, 0] * x + self.cd[1, 1] * y
        return from_tangent_plane(xi, eta, self.ra0_deg, self.dec0_deg)

    def moved(self, x: float, y: float) -> LocalPlane:
        """The plane that touches the sky at (X, Y), with the same scale and, on the sky, the same orientation."""
        ra, dec = self.to_sky([x, x + 0.5, x - 0.5, x, x], [y, y, y, y + 0.5, y - 0.5])
        xi, eta = to_tangent_plane(ra, dec, float(ra[0]), float(dec[0]))
        cd = np.array([[xi[1] - xi[2], xi[3] - xi[4]], [eta[1] - eta[2], eta[3] - eta[4]]])
        return LocalPlane(float(ra[0]), float(dec[0]), cd)
