"""`detect_sources`: footprints with peaks, and the mask planes that go with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from skyloom.errors import BadFrameError
from skyloom.images.exposure import Exposure
from skyloom.images.footprints import FootprintSet
from skyloom.images.mask_planes import bitmask
from skyloom.kernels.clipped_statistics import clipped_statistics
from skyloom.kernels.components import dilate_disk
from skyloom.psf import psf_sigma as psf_sigma_of

from .footprints import build_footprints
from .matched_filter import Filtered, matched_filter
from .peaks import Components, Peaks, find_components, find_peaks, replace_peaks, significant_pixels

__all__ = ["DetectionSettings", "Detections", "detect_sources", "filter_exposure", "find_sources", "threshold_sources"]

_NOISE_PLANES = ("BAD", "SAT", "EDGE", "NO_DATA")  # pixels that say nothing about the noise of the frame


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
    excluded_planes: tuple[str, ...] = ()
    """No source is found at pixels of these planes, but their light counts for the pixels around."""
    noise: Literal["pixel", "clipped"] = "pixel"
    """Sigma of each pixel from the variance plane, or one for the frame: the clipped scatter of the filtered image."""


@dataclass(frozen=True, kw_only=True)
class Detections:
    """What was found on an exposure."""

    footprints: FootprintSet
    """From the first row on, each with its peaks, brightest first."""
    significance: np.ndarray
    """Height of all peaks, in the order of the footprints, in sigma of the filtered image."""
    negative_peaks: int = 0
    """Peaks of what lies below the sky, where that was asked for."""


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
    return find_sources(exposure, psf_sigma, settings).footprints


def find_sources(
    exposure: Exposure,
    psf_sigma: float | None = None,
    settings: DetectionSettings | None = None,
    *,
    wide_background: np.ndarray | None = None,
    local_background: np.ndarray | None = None,
) -> Detections:
    """Detect sources as `detect_sources` does, and tell how significant they are.

    Parameters
    ----------
    exposure, psf_sigma, settings
        See there.
    wide_background
        ``[y, x]`` taken off for the search only: a coarse background, against large structure that is to stay in the
        image.
    local_background
        ``[y, x]`` taken off where a footprint has several peaks: a fine background, so that peaks on the wings of a
        bright source are judged above the wings.  Such a footprint keeps its first peak where none is left.
    """
    settings = settings or DetectionSettings()
    filtered = filter_exposure(exposure, psf_sigma, settings, wide_background)
    return threshold_sources(exposure, filtered, settings, local_background)


def filter_exposure(
    exposure: Exposure,
    psf_sigma: float | None,
    settings: DetectionSettings,
    wide_background: np.ndarray | None = None,
) -> Filtered:
    """The exposure through the matched filter, and the plane EDGE made anew; the first half of `find_sources`."""
    if psf_sigma is None and exposure.psf is not None:
        psf_sigma = psf_sigma_of(exposure.psf)
    if psf_sigma is None or not 0 < psf_sigma < np.inf:
        raise BadFrameError(f"The PSF sigma for detection is {psf_sigma}.", cure="Give a positive width in pixels.")
    image, bits = exposure.image.array, exposure.bits
    image = image if wide_background is None else np.subtract(image, wide_background, dtype=np.float32)
    planes = bitmask(*settings.unusable_planes)
    filtered = matched_filter(image, exposure.variance.array, bits, psf_sigma, planes=planes)
    if filtered.usable == 0:
        raise BadFrameError(
            "No pixel of the frame has both a finite value and a finite variance.",
            cure="Look at the variance plane and at NO_DATA in the mask.",
        )
    bits &= ~np.int32(bitmask("EDGE"))
    _mark_edge(bits, filtered.half_width)
    if settings.excluded_planes:
        filtered.value[(bits & bitmask(*settings.excluded_planes)) != 0] = 0.0
    if settings.noise == "clipped":
        sigma = clipped_statistics(filtered.value, bits, bitmask(*_NOISE_PLANES)).sigma
        filtered.noise[np.isfinite(filtered.noise)] = sigma
    return filtered


def threshold_sources(
    exposure: Exposure, filtered: Filtered, settings: DetectionSettings, local_background: np.ndarray | None = None
) -> Detections:
    """The sources of a filtered exposure, and its planes DETECTED made anew; the second half of `find_sources`."""
    bits = exposure.bits
    bits &= ~np.int32(bitmask("DETECTED", "DETECTED_NEGATIVE"))
    negative_peaks = 0
    if settings.negative:
        dark, peaks = _grown_with_peaks(replace(filtered, value=-filtered.value), settings)
        bits[dark.mask] |= bitmask("DETECTED_NEGATIVE")
        negative_peaks = peaks.x.size
    components, peaks = _grown_with_peaks(filtered, settings)
    bits[components.mask] |= bitmask("DETECTED")
    if local_background is not None:
        above = replace(filtered, value=np.subtract(filtered.value, local_background, dtype=np.float32))
        peaks = replace_peaks(peaks, above, components, settings.threshold, settings.min_prominence)
    footprints, significance = build_footprints(
        components, peaks, exposure.bbox, min_separation=settings.min_separation
    )
    return Detections(footprints=footprints, significance=significance, negative_peaks=negative_peaks)


def _grown_with_peaks(filtered: Filtered, settings: DetectionSettings) -> tuple[Components, Peaks]:
    """The significant pixels grown by disks, and the peaks in them."""
    significant = significant_pixels(
        filtered,
        threshold=settings.threshold,
        include_threshold=settings.threshold * settings.include_multiplier,
        min_pixels=settings.min_pixels,
    )
    components = find_components(dilate_disk(significant, int(settings.grow_sigmas * filtered.psf_sigma + 0.5)))
    peaks = find_peaks(filtered, components, threshold=settings.threshold, min_prominence=settings.min_prominence)
    return components, peaks


def _mark_edge(bits: np.ndarray, width: int) -> None:
    """Set EDGE on the outer ``width`` pixels."""
    edge = bitmask("EDGE")
    inner = bits[width:-width, width:-width].copy() if width else bits
    bits |= edge
    bits[width : width + inner.shape[0], width : width + inner.shape[1]] = inner
