"""`static_sky`: what of the sky stays the same, from PSF-matched warps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from lsst.images import Box, SkyProjection

from skyloom.detection.matched_filter import matched_filter
from skyloom.detection.peaks import significant_pixels
from skyloom.images import Exposure, bitmask
from skyloom.kernels.components import dilate_disk
from skyloom.psf import psf_sigma

from .assemble import assemble_coadd
from .compare_settings import CompareWarpSettings, TemplateDetectionSettings
from .inputs import CoaddInput
from .no_data import median_level

__all__ = ["StaticSky", "bright_footprints", "static_sky"]


@dataclass(frozen=True, kw_only=True, eq=False)
class StaticSky:
    """The sky without what differs from visit to visit."""

    coadd: Exposure
    """Clipped mean of the matched warps."""
    psf_sigma: float | None
    """Width of its PSF, the model of the warps, px; None where they have none."""
    bright: np.ndarray
    """Bool ``[y, x]``: footprints of very bright sources."""
    threshold: float
    """In sigma, of those sources."""


def static_sky(
    matched: Sequence[CoaddInput],
    box: Box,
    projection: SkyProjection[Any],
    settings: CompareWarpSettings | None = None,
    *,
    band: str | None = None,
) -> StaticSky:
    """Make the static sky of PSF-matched warps; arguments and errors as of `assemble_coadd`."""
    settings = settings or CompareWarpSettings()
    coadd, _ = assemble_coadd(matched, box, projection, settings.static_sky, band=band)
    sigma = None if coadd.psf is None else psf_sigma(coadd.psf)
    bright, threshold = bright_footprints(coadd, sigma, settings.template_detection)
    return StaticSky(coadd=coadd, psf_sigma=sigma, bright=bright, threshold=threshold)


def bright_footprints(
    coadd: Exposure, sigma: float | None, settings: TemplateDetectionSettings
) -> tuple[np.ndarray, float]:
    """Where very bright sources are, bool ``[y, x]``, and the threshold in sigma at which they do not fill the sky.

    They stand above the median, which is not 0 where the sky was left in.  Without the width ``sigma`` of the PSF, px,
    none is found.
    """
    if sigma is None:
        return np.zeros(coadd.bbox.shape, bool), settings.threshold
    image = coadd.image.array - np.float32(median_level(coadd.image.array))
    filtered = matched_filter(image, coadd.variance.array, coadd.bits, sigma, planes=bitmask("NO_DATA"))
    radius = int(settings.grow_sigmas * sigma + 0.5)
    for turn in range(settings.max_iterations + 1):
        threshold = settings.threshold * settings.multiplier**turn
        found = significant_pixels(filtered, threshold=threshold, include_threshold=threshold, min_pixels=1)
        grown = dilate_disk(found, radius)
        if grown.mean() <= settings.max_masked:
            break
    return grown, threshold
