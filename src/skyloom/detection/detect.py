"""`detect_sources`: footprints with peaks, and the mask planes that go with them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from skyloom.errors import BadFrameError
from skyloom.images.exposure import Exposure
from skyloom.images.footprints import FootprintSet
from skyloom.images.mask_planes import bitmask
from skyloom.kernels.components import dilate_disk
from skyloom.psf import psf_sigma as psf_sigma_of

from .footprints import build_footprints
from .matched_filter import Filtered, matched_filter
from .peaks import find_peaks, significant_pixels

__all__ = ["DetectionSettings", "detect_sources"]


@dataclass(frozen=True)
class DetectionSettings:
    """Knobs of the detection."""

    threshold: float = 5.0
    """Signal to noise through the matched filter from which a pixel takes part, in sigma."""
    include_multiplier: float = 1.0
    """A footprint must hold a pixel of this many times the threshold."""
    min_pixels: int = 1
    """Pixels above the threshold that a footprint must have."""
    grow_sigmas: float = 2.4
    """Footprints grow by this many PSF sigmas, as disks, and merge where they then touch."""
    min_prominence: float = 4.0
    """A second peak must rise by this many sigma above the pass to a higher one: on a broad slope noise alone makes
    as many peaks of that height as it makes detections of that significance on blank sky."""
    min_separation: float = 2.0
    """A peak nearer than this to a brighter one of its footprint is dropped, px."""
    negative: bool = False
    """Also mark what lies as far below the sky, in DETECTED_NEGATIVE; it makes no source."""
    unusable_planes: tuple[str, ...] = ("NO_DATA",)
    """Pixels of these planes take no part, nor do those without finite value and variance."""


def detect_sources(
    exposure: Exposure, psf_sigma: float | None = None, settings: DetectionSettings | None = None
) -> FootprintSet:
    """Detect sources on a background-subtracted exposure.

    The planes DETECTED, DETECTED_NEGATIVE and EDGE of the exposure are made anew: EDGE is the strip where the
    kernel reaches over the edge of the image.  Sources are found there too, at the noise that is left.

    Parameters
    ----------
    exposure
        Its mask is modified in place.
    psf_sigma
        Width of the matched filter, px; that of the exposure's PSF where not given.
    settings
        Knobs; the defaults where not given.

    Returns
    -------
    FootprintSet
        Grown footprints from the first row on, inside the image, each with its peaks, brightest first; the value
        of a peak is its height in the filtered image.

    Raises
    ------
    BadFrameError
        If no pixel has a finite value and variance, or the width is not known or not positive.
    """
    settings = settings or DetectionSettings()
    if psf_sigma is None and exposure.psf is not None:
        psf_sigma = psf_sigma_of(exposure.psf)
    if psf_sigma is None or not 0 < psf_sigma < np.inf:
        raise BadFrameError(f"The PSF sigma for detection is {psf_sigma}.", cure="Give a positive width in pixels.")
    filtered = _filter(exposure, psf_sigma, settings)
    bits = exposure.bits
    bits &= ~np.int32(bitmask("DETECTED", "DETECTED_NEGATIVE", "EDGE"))
    _mark_edge(bits, filtered.half_width)
    grown = _grown(filtered, settings, psf_sigma)
    bits[grown] |= bitmask("DETECTED")
    if settings.negative:
        dark = _grown(replace(filtered, value=-filtered.value), settings, psf_sigma)
        bits[dark] |= bitmask("DETECTED_NEGATIVE")
    peaks = find_peaks(filtered, grown, threshold=settings.threshold, min_prominence=settings.min_prominence)
    return build_footprints(grown, peaks, exposure.bbox, min_separation=settings.min_separation)


def _filter(exposure: Exposure, psf_sigma: float, settings: DetectionSettings) -> Filtered:
    """The exposure through the matched filter."""
    image, variance = exposure.image.array, exposure.variance.array
    unusable = ~(np.isfinite(image) & np.isfinite(variance) & (variance >= 0))
    unusable |= (exposure.bits & bitmask(*settings.unusable_planes)) != 0
    if unusable.all():
        raise BadFrameError(
            "No pixel of the frame has both a finite value and a finite variance.",
            cure="Look at the variance plane and at NO_DATA in the mask.",
        )
    return matched_filter(image, variance, unusable, psf_sigma)


def _grown(filtered: Filtered, settings: DetectionSettings, psf_sigma: float) -> np.ndarray:
    """The significant pixels grown by disks, ``[y, x]`` bool."""
    significant = significant_pixels(
        filtered,
        threshold=settings.threshold,
        include_threshold=settings.threshold * settings.include_multiplier,
        min_pixels=settings.min_pixels,
    )
    return np.asarray(dilate_disk(significant, int(settings.grow_sigmas * psf_sigma + 0.5)))


def _mark_edge(bits: np.ndarray, width: int) -> None:
    """Set EDGE on the outer ``width`` pixels."""
    edge = bitmask("EDGE")
    inner = bits[width:-width, width:-width].copy() if width else bits
    bits |= edge
    bits[width : width + inner.shape[0], width : width + inner.shape[1]] = inner
