"""`find_cosmic_rays`: mark the pixels that cosmic rays have hit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skyloom.errors import TooManyCosmicRaysError
from skyloom.images.mask_planes import bitmask
from skyloom.kernels.components import component_spans
from skyloom.kernels.cosmic_rays import find_sharp_pixels, grow_sharp_pixels

from .settings import CosmicRaySettings
from .sharpness import gaussian_ratios, psf_ratios, rough_psf_sigma

if TYPE_CHECKING:
    from skyloom.images.exposure import Exposure

__all__ = ["CosmicRays", "find_cosmic_rays"]


@dataclass(frozen=True, kw_only=True)
class CosmicRays:
    """What was found on a frame."""

    count: int
    """Hits: groups of pixels that touch by sides or corners."""
    pixels: int
    """Pixels of all hits."""
    electrons: float
    """Charge that they have left above what would be there without, in the unit of the image."""


def find_cosmic_rays(
    exposure: Exposure, settings: CosmicRaySettings | None = None, *, background: np.ndarray | float = 0.0
) -> CosmicRays:
    """Set the plane CR where cosmic rays have hit, and leave the pixels as they are.

    A pixel is hit when it stands above a pair of opposite neighbours more sharply than any pixel of a star can, whose
    centre may fall anywhere between the pixels.  (The contrast with pairs of neighbours is that of the SDSS pipeline,
    Lupton et al. 2001, ASP Conf. 238, 269.)  Without a PSF, the width of the sharpest round peaks stands in.

    Parameters
    ----------
    exposure
        In electrons, with a variance.  The plane CR is made anew, but for pixels that were interpolated before.
    settings
        Knobs; the defaults where not given.
    background
        Sky that is still in the image, a level or ``[y, x]``.

    Raises
    ------
    TooManyCosmicRaysError
        If more than ``max_pixels`` look like hits; the mask is then without any.
    """
    settings = settings or CosmicRaySettings()
    bits = exposure.bits
    bits[(bits & bitmask("INTRP")) == 0] &= ~np.int32(bitmask("CR"))
    above = np.subtract(exposure.image.array, background, dtype=np.float32)
    levelled = above.copy()
    hit = _hit_pixels(exposure, levelled, settings)
    bits[hit] |= bitmask("CR")
    charge = float(np.sum(above[hit] - levelled[hit], dtype=np.float64))
    return CosmicRays(count=component_spans(hit)[4], pixels=int(hit.sum()), electrons=charge)


def _hit_pixels(exposure: Exposure, image: np.ndarray, settings: CosmicRaySettings) -> np.ndarray:
    """Which pixels are hit, ``[y, x]`` bool; in ``image``, the exposure above the sky, they are levelled."""
    planes = (exposure.variance.array, exposure.bits, bitmask(*settings.unusable_planes), bitmask("SAT"))
    ratios = _star_ratios(exposure, image, settings) ** settings.sharpness
    places = np.empty((settings.max_pixels, 2), np.int32)
    above = image.copy()
    count = find_sharp_pixels(image, *planes, ratios, (settings.min_sigma, settings.noise_margin), places)
    _check_number(count, settings)
    kept = _energetic(above, image, places[:count], settings.min_electrons)
    places[: len(kept)] = kept
    hit = np.zeros(image.shape, bool)
    hit[tuple(kept.T)] = True
    weaker = (settings.growth_sigma, 0.0)
    count = grow_sharp_pixels(image, *planes, ratios, weaker, places, len(kept), settings.growth_passes, hit)
    _check_number(count, settings)
    return hit


def _star_ratios(exposure: Exposure, image: np.ndarray, settings: CosmicRaySettings) -> np.ndarray:
    """The smallest ratios that stars have, from the PSF where there is one, else from the frame."""
    if exposure.psf is not None:
        return psf_ratios(exposure.psf, exposure.bbox, settings.cell_size)
    unusable = bitmask(*settings.unusable_planes)
    sigma = rough_psf_sigma(image, exposure.variance.array, exposure.bits, unusable)
    return gaussian_ratios(sigma if sigma > 0 else settings.psf_sigma_guess)


def _energetic(above: np.ndarray, levelled: np.ndarray, places: np.ndarray, min_electrons: float) -> np.ndarray:
    """The places ``[n, 2]``, in the order of rows, of groups that hold enough charge; others get it back."""
    hit = np.zeros(above.shape, bool)
    y, x = places.T
    hit[y, x] = True
    _, x0, x1, label, count = component_spans(hit)
    label = np.repeat(label, x1 - x0)
    charge = np.bincount(label, (above[y, x] - levelled[y, x]).astype(np.float64), count)
    faint = charge[label] < min_electrons
    levelled[y[faint], x[faint]] = above[y[faint], x[faint]]
    return np.asarray(places[~faint])


def _check_number(count: int, settings: CosmicRaySettings) -> None:
    if count < 0:
        raise TooManyCosmicRaysError(
            f"More than {settings.max_pixels} pixels look like cosmic rays.",
            cure="Look for a variance that is too small or a PSF that is too wide.",
            max_pixels=settings.max_pixels,
        )
