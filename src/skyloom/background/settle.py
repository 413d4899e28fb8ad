"""`settle_background`: the sky of a crowded or nebulous field, from what the light of sources does not reach."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from skyloom.images.mask_planes import bitmask
from skyloom.kernels.components import dilate_disk
from skyloom.kernels.convolve import convolve_separable, gaussian_kernel

from .envelope import lower_envelope
from .fit import Background, BackgroundSettings, fit_background

if TYPE_CHECKING:
    from skyloom.images.exposure import Exposure

__all__ = ["SettleSettings", "SettledBackground", "settle_background"]

_BAD = bitmask("NO_DATA")
_DETECTED = bitmask("DETECTED", "DETECTED_NEGATIVE")
_HIGHER = 1.25  # step of the threshold


@dataclass(frozen=True, kw_only=True)
class SettleSettings:
    """Knobs of the settling of the sky."""

    threshold: float = 3.0
    """Smoothed light that high above the sky, in sigma, is masked."""
    smoothing_sigmas: float = 2.0
    """Width of the Gaussian that smooths the image, in PSF sigmas: wider than the PSF, to see wings and nebulae."""
    grow_sigmas: float = 3.0
    """The mask grows by this many PSF sigmas."""
    max_masked_fraction: float = 0.85
    """Where more would be masked, the growth is halved twice, and then the threshold raised until it is less."""
    min_cell_fraction: float = 0.05
    """A cell with a smaller share of unmasked pixels is filled from its neighbours."""
    envelope_order: int = 1
    """Order of the surface under the cells from which it begins."""
    tolerance: float = 0.01
    """Settled when the level changes by less than this share of the sky noise, and the masked fraction by less than
    this."""
    max_iterations: int = 10


@dataclass(frozen=True, kw_only=True)
class SettledBackground:
    """A background, and how it was reached."""

    background: Background
    masked_fraction: float
    """Share of the frame that the mask of sources covers."""
    threshold: float
    """In sigma, as it was in the end."""
    levels: list[float]
    """Median of the sky after each iteration, in the unit of the image."""
    settled: bool
    """Whether it settled before the iterations ended."""


def settle_background(
    exposure: Exposure,
    psf_sigma: float,
    settings: SettleSettings | None = None,
    background_settings: BackgroundSettings | None = None,
) -> SettledBackground:
    """Fit the sky with all visible light of sources masked, and subtract it from the image in place.

    It begins from a surface under the darkest cells, so that a large galaxy or a nebula stands above it.  All that is
    above the sky in the smoothed image is masked generously, the sky fitted to the rest, and so on until neither
    changes.  (The idea of growing masks for a sky without wings is that of Akhlaghi & Ichikawa 2015, ApJS 220, 1.)

    Parameters
    ----------
    exposure
        With all of its sky: add back what was subtracted before, for that has the galaxy in it.  Its mask is left.
    psf_sigma
        px.
    settings, background_settings
        Knobs; the defaults where not given.

    Raises
    ------
    BadFrameError
        If too little of the frame is usable.
    """
    settings, fitted = settings or SettleSettings(), background_settings or BackgroundSettings()
    image, shared = exposure.image.array, {"box": exposure.bbox, "unit": exposure.unit}
    ignored = (exposure.bits & bitmask(*fitted.ignored_planes) & ~_DETECTED) != 0
    usable = np.isfinite(image) & ~ignored
    cells = fit_background(image, np.where(usable, 0, _BAD), settings=fitted, **shared).cell_level
    sky = lower_envelope(cells, image.shape, settings.envelope_order)
    fitted = replace(fitted, min_cell_fraction=settings.min_cell_fraction)
    noise = math.sqrt(float(np.median(exposure.variance.array[usable])))
    levels, fraction, settled = [float(np.median(sky))], 0.0, False
    while len(levels) <= settings.max_iterations and not settled:
        masked, threshold = _source_mask(np.where(usable, image - sky, np.float32(0)), noise, psf_sigma, settings)
        background = fit_background(image, np.where(usable & ~masked, 0, _BAD), settings=fitted, **shared)
        sky = background.render()
        levels.append(float(np.median(sky)))
        changes = abs(levels[-1] - levels[-2]) / noise, abs(masked.mean() - fraction)
        settled, fraction = max(changes) < settings.tolerance, float(masked.mean())
    image -= sky
    return SettledBackground(
        background=background, masked_fraction=fraction, threshold=threshold, levels=levels[1:], settled=settled
    )


def _source_mask(
    residual: np.ndarray, noise: float, psf_sigma: float, settings: SettleSettings
) -> tuple[np.ndarray, float]:
    """Where smoothed light stands above the sky, grown, ``[y, x]`` bool; and the threshold (sigma) that was used."""
    kernel = gaussian_kernel(settings.smoothing_sigmas * psf_sigma)
    smoothed = convolve_separable(residual, kernel)
    noise *= float(np.sum(kernel**2))
    threshold = settings.threshold
    growths = iter((1.0, 0.5, 0.25))
    growth = next(growths)
    while True:
        masked = dilate_disk(smoothed > threshold * noise, int(growth * settings.grow_sigmas * psf_sigma + 0.5))
        if masked.mean() <= settings.max_masked_fraction:
            return masked, threshold
        growth, before = next(growths, growth), growth
        if growth == before:
            threshold *= _HIGHER
