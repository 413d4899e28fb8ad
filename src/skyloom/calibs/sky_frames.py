"""Sources told from the sky in frames that still carry what a master is to take off."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np

from skyloom.background import BackgroundSettings, fit_background
from skyloom.detection import DetectionSettings, detect_sources
from skyloom.images import Exposure, bitmask
from skyloom.isr import correct_raw
from skyloom.kernels.components import dilate_disk
from skyloom.kernels.statistics import clipped_mean

from .electrons import usable_pixels
from .frames import CalibFrames, Correction
from .sky_settings import SkyMasterSettings

if TYPE_CHECKING:
    from astropy.table import Table
    from lsst.images import MaskedImage

    from skyloom.images.raw import RawExposure

__all__ = ["SourceMasks", "corrected_with", "leave_out_dark_skies", "smooth_sky"]

_SIGMAS_IN_FWHM = 2.0 * math.sqrt(2.0 * math.log(2.0))
_STAYING = 0.5
"""What is seen in more of the frames than this does not move with the sky."""


def corrected_with(
    settings: SkyMasterSettings,
    *,
    bias: MaskedImage | None,
    dark: MaskedImage | None,
    flat: MaskedImage | None,
    defects: Table | None,
) -> Correction:
    """The correction of a frame by what is there of these; its pixels are in electrons, not a number where unusable."""
    isr = replace(settings.isr, use_defects=None)

    def correct(raw: RawExposure) -> np.ndarray:
        return usable_pixels(correct_raw(raw, bias=bias, dark=dark, flat=flat, defects=defects, settings=isr))

    return correct


def leave_out_dark_skies(frames: CalibFrames, settings: SkyMasterSettings) -> np.ndarray:
    """Leave out the frames of too faint a sky, and return the levels of the others (electrons).

    Raises
    ------
    BadFrameError
        If too few frames are left.
    """
    levels = np.array([np.nanmedian(frame) for frame in frames.stack.frames], np.float64)
    dark = {
        int(index): f"its sky is {levels[index]:.0f} electrons, {settings.minimum_sky_electrons:.0f} are the least"
        for index in np.flatnonzero(~(levels >= settings.minimum_sky_electrons))
    }
    frames.leave_out(dark)
    frames.check()
    return np.delete(levels, list(dark))


def smooth_sky(image: np.ndarray, bin_size: int) -> np.ndarray:
    """The smooth sky of an image ``[y, x]`` whose sources are not numbers, by cells of so many pixels."""
    clear = np.zeros(image.shape, np.int32)
    return fit_background(image, clear, settings=BackgroundSettings(bin_size=bin_size)).render()


class SourceMasks:
    """Where the sources are in each of many frames.

    Parameters
    ----------
    images
        Frames ``[y, x]`` without what the master takes off, as far as it is known; taken one by one.
    rough
        Whether little is known of it: structure would pass for faint sources then, and pixels must stand out of all
        the scatter one by one.
    settings
        How.
    """

    def __init__(self, images: Iterable[np.ndarray], *, rough: bool, settings: SkyMasterSettings) -> None:
        self._packed: list[np.ndarray] = []
        count = np.zeros(0, np.int32)
        for image in images:
            found = _standing_out(image, settings) if rough else _detected(image, settings)
            self._packed.append(np.packbits(found, axis=1))
            count = count + found if count.size else found.astype(np.int32)
        # Hot pixels and the like: the sky moves behind them.
        self._staying = count > _STAYING * len(self._packed)

    def hide(self, index: int, image: np.ndarray) -> np.ndarray:
        """An image with its sources not a number."""
        found = np.unpackbits(self._packed[index], axis=1, count=image.shape[1]).astype(bool)
        return np.where(found & ~self._staying, np.float32(np.nan), image)


def _standing_out(image: np.ndarray, settings: SkyMasterSettings) -> np.ndarray:
    finite = np.isfinite(image)
    excess = np.where(finite, image - smooth_sky(image, settings.sky_bin), 0.0)
    _, scatter, _ = clipped_mean(excess[finite].astype(np.float64), 3.0)
    radius = round(settings.source_grow * settings.source_fwhm / _SIGMAS_IN_FWHM)
    return np.asarray(dilate_disk(excess > settings.source_sigma * scatter, radius))


def _detected(image: np.ndarray, settings: SkyMasterSettings) -> np.ndarray:
    bits = np.where(np.isfinite(image), 0, bitmask("NO_DATA")).astype(np.int32)
    background = fit_background(image, bits, settings=BackgroundSettings(bin_size=settings.sky_bin))
    exposure = Exposure.from_arrays(
        np.nan_to_num(image - background.render(), nan=0.0),
        bits,
        np.full(image.shape, background.sky_noise**2, np.float32),
        unit=u.electron,
    )
    detection = DetectionSettings(threshold=settings.source_sigma, grow_sigmas=settings.source_grow)
    detect_sources(exposure, settings.source_fwhm / _SIGMAS_IN_FWHM, detection)
    return np.asarray((exposure.bits & bitmask("DETECTED")) != 0)
