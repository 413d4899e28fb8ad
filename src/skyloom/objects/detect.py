"""Sources of a coadd in one band: its sky, its true noise, footprints and peaks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from lsst.images import BackgroundMap
from lsst.images.fields import ChebyshevField, SumField

from skyloom.background import render_field, subtract_background
from skyloom.detection import DetectionSettings
from skyloom.detection.detect import filter_exposure, threshold_sources
from skyloom.errors import BadFrameError
from skyloom.psf import psf_sigma

from .noise import noise_ratio

if TYPE_CHECKING:
    from lsst.images.fields import Field

    from skyloom.images.exposure import Exposure
    from skyloom.images.footprints import FootprintSet

    from .settings import CoaddSourceSettings

__all__ = ["CoaddDetections", "check_coadd", "detect_on_coadd", "prepare_coadd"]


@dataclass(frozen=True, kw_only=True)
class CoaddDetections:
    """What was found on a coadd."""

    footprints: FootprintSet
    background: BackgroundMap
    """What was subtracted, in the unit of the coadd; 0 where nothing was."""
    noise_ratio: float
    """True noise on the scale of the PSF over that of the variance plane as it was."""
    variance_factor: float
    """What the variance was multiplied by."""
    psf_sigma: float
    """Width of the PSF in the middle of the coadd, px."""
    failure: str = ""
    """Why no background was fitted, where one was wanted."""


def check_coadd(exposure: Exposure) -> None:
    """Refuse a coadd without a PSF or a sky projection.

    Raises
    ------
    BadFrameError
        If one of them is missing.
    """
    missing = [name for name in ("psf", "projection") if getattr(exposure, name) is None]
    if missing:
        raise BadFrameError(
            f"the coadd has no {' and no '.join(missing)}, without which its sources cannot be measured.",
            cure="Assemble it again from warps that have them.",
        )


def detect_on_coadd(exposure: Exposure, settings: CoaddSourceSettings) -> CoaddDetections:
    """Find the sources of a coadd, at a threshold in its true noise.

    Parameters
    ----------
    exposure
        A coadd in nJy with its PSF.  Modified in place: a smooth rest of sky is taken off the image, the variance is
        multiplied by the square of `noise_ratio`, and the detection planes are made anew.
    settings
        Knobs.

    Raises
    ------
    BadFrameError
        If no pixel has a finite value and variance, or the coadd has no PSF or sky projection.
    """
    check_coadd(exposure)
    assert exposure.psf is not None
    sigma, detection = psf_sigma(exposure.psf), replace(settings.detection, noise="pixel")
    background, failure = _no_sky(exposure), ""
    if settings.subtract_background:
        try:
            background = _subtract_sky(exposure, sigma, replace(settings, detection=detection))
        except BadFrameError as error:
            failure = str(error)
    filtered = filter_exposure(exposure, sigma, detection)
    threshold_sources(exposure, filtered, detection)
    ratio = noise_ratio(filtered, exposure.bits)
    factor = ratio**2 if settings.scale_variance else 1.0
    filtered.noise[...] *= np.float32(np.sqrt(factor))
    _scale(exposure, factor)
    found = threshold_sources(exposure, filtered, detection)
    sky = BackgroundMap()
    sky.add("sky", background, "Rest of sky of the coadd.", is_subtracted=True)
    return CoaddDetections(
        footprints=found.footprints,
        background=sky,
        noise_ratio=ratio,
        variance_factor=factor,
        psf_sigma=sigma,
        failure=failure,
    )


def _subtract_sky(exposure: Exposure, sigma: float, settings: CoaddSourceSettings) -> Field:
    """Subtract the rest of sky, at first with the sources still in, then with what stands out of that masked."""
    first = subtract_background(exposure, settings.background).field
    threshold_sources(exposure, filter_exposure(exposure, sigma, settings.detection), settings.detection)
    try:
        rest = subtract_background(exposure, settings.background).field
    except BadFrameError:
        exposure.image.array[...] += render_field(first, exposure.bbox)
        raise
    return SumField([first, rest])


def prepare_coadd(exposure: Exposure, background: BackgroundMap | None, variance_factor: float | None) -> None:
    """Bring a coadd to the state in which its sources were detected: sky off, variance scaled, in place.

    Parameters
    ----------
    exposure
        As it was before detection.
    background
        What was subtracted.
    variance_factor
        What the variance was multiplied by; None: it is found anew.

    Raises
    ------
    BadFrameError
        If the coadd has no PSF or sky projection.
    """
    check_coadd(exposure)
    assert exposure.psf is not None
    if background is not None and background.subtracted is not None:
        exposure.image.array[...] -= render_field(background.subtracted.field, exposure.bbox)
    if variance_factor is None:
        filtered = filter_exposure(exposure, psf_sigma(exposure.psf), DetectionSettings())
        threshold_sources(exposure, filtered, DetectionSettings())
        variance_factor = noise_ratio(filtered, exposure.bits) ** 2
    _scale(exposure, variance_factor)


def _scale(exposure: Exposure, factor: float) -> None:
    exposure.variance.array[...] *= np.float32(factor)


def _no_sky(exposure: Exposure) -> Field:
    return ChebyshevField(exposure.bbox, np.zeros((1, 1)), unit=exposure.unit)
