"""How much the PSF changes over a frame, and how far from its stars it has to be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from skyloom.images.mask_planes import bitmask
from skyloom.kernels.apertures import circle_pixel_overlap
from skyloom.kernels.higher_moments import stamp_shapes
from skyloom.psf import psf_stamps

if TYPE_CHECKING:
    from lsst.images.fields import Field
    from lsst.images.psfs import PointSpreadFunction

    from skyloom.images.exposure import Exposure

__all__ = ["distance_to_nearest", "peak_to_peak", "psf_variation", "usable_grid"]


def usable_grid(exposure: Exposure, spacing: int, unusable_planes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Positions x, y of a grid over the frame, from edge to edge and no wider than ``spacing``, on usable pixels."""
    box = exposure.bbox
    rows, columns = (np.linspace(0, size - 1, 1 + -(-(size - 1) // spacing)).round().astype(int) for size in box.shape)
    good = (exposure.bits[np.ix_(rows, columns)] & bitmask(*unusable_planes)) == 0
    y, x = np.nonzero(good)
    return (columns[x] + box.x.min).astype(np.float64), (rows[y] + box.y.min).astype(np.float64)


def psf_variation(
    psf: PointSpreadFunction, x: np.ndarray, y: np.ndarray, sigma: float, aperture_radius: float
) -> dict[str, float]:
    """Peak to peak of the PSF's trace radius, px, and of its flux in an aperture, over positions; NaN where the PSF
    has no width at one of them.

    Parameters
    ----------
    x, y
        Positions, px.
    sigma
        Typical width, px.
    aperture_radius
        Pixels.
    """
    if x.size == 0:
        return {"psfTraceRadiusDelta": np.nan, "psfApFluxDelta": np.nan}
    stamps, _, _ = psf_stamps(psf, x, y, centred=True)
    middle = np.full(x.size, stamps.shape[1] // 2, dtype=np.float64)
    shapes = stamp_shapes(stamps, middle, middle, sigma)
    offsets = np.arange(stamps.shape[1]) - stamps.shape[1] // 2
    circle = np.array(
        [[circle_pixel_overlap(float(dx), float(dy), aperture_radius) for dx in offsets] for dy in offsets]
    )
    return {
        "psfTraceRadiusDelta": peak_to_peak(np.sqrt(0.5 * (shapes[:, 0] + shapes[:, 1]))),
        "psfApFluxDelta": peak_to_peak(np.tensordot(stamps, circle, axes=2)),
    }


def distance_to_nearest(x: np.ndarray, y: np.ndarray, star_x: np.ndarray, star_y: np.ndarray) -> float:
    """Largest distance of a position from the star that is nearest to it, px; NaN without stars or positions."""
    good = np.isfinite(star_x) & np.isfinite(star_y)
    if x.size == 0 or not good.any():
        return np.nan
    distance, _ = cKDTree(np.stack([star_x, star_y], axis=1)[good]).query(np.stack([x, y], axis=1))
    return float(distance.max())


def field_variation(field: Field, x: np.ndarray, y: np.ndarray) -> float:
    """Peak to peak of a field over positions."""
    return peak_to_peak(np.asarray(field(x=x, y=y), dtype=np.float64))


def peak_to_peak(values: np.ndarray) -> float:
    """Largest less smallest value; NaN of none, or where one is not finite."""
    return float(np.ptp(values)) if values.size and np.isfinite(values).all() else np.nan
