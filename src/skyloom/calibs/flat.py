"""The master flat: the relative response of the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np

from skyloom.errors import BadFrameError
from skyloom.images.mask_planes import bitmask
from skyloom.images.raw import RawExposure
from skyloom.isr import correct_raw

from .electrons import NoiseModel, usable_pixels
from .frame_stack import Combined, median_of
from .frames import CalibFrames, Raw, collected
from .master import Master, make_master
from .noise import photon_transfer_gain
from .settings import MasterSettings

if TYPE_CHECKING:
    from lsst.images import MaskedImage

__all__ = ["make_flat"]

_BLOCK = 64


def make_flat(
    raws: Sequence[Raw],
    *,
    bias: MaskedImage | None = None,
    dark: MaskedImage | None = None,
    settings: MasterSettings | None = None,
) -> Master:
    """Combine flat frames of one detector and filter, of any levels.

    Each frame goes through the corrections up to the dark and is divided by its median.  Frames that are saturated,
    too faint, or shaped unlike the others are left out; of the rest the mean is taken, each with the weight of its
    noise, outliers left out pixel by pixel, so that twilight flats with stars serve as well.

    Parameters
    ----------
    raws
        The frames.
    bias, dark
        Masters, in ADU and in electrons a second.
    settings
        How.

    Returns
    -------
    master
        Without unit, with a median of one over the detector.  Figures: median level of the frames (electrons), relative
        noise of a pixel of the master, and for each amplifier the gain that the photon noise tells (electrons an ADU).

    Raises
    ------
    BadFrameError
        If too few frames are usable, they were read out in different modes, or a master does not fit.
    """
    settings = settings or MasterSettings()
    isr = replace(settings.isr, use_flat=False)

    def correct(raw: RawExposure) -> np.ndarray:
        exposure = correct_raw(raw, bias=bias, dark=dark, settings=isr)
        saturated = float(np.mean((exposure.bits & bitmask("SAT")) != 0))
        if saturated > settings.flat_saturated_fraction:
            raise BadFrameError(f"{100 * saturated:.1f} % of its pixels are saturated.", file=raw.file)
        return usable_pixels(exposure)

    with collected("flat", raws, correct, settings) as frames:
        levels = _levels(frames)
        frames.leave_out(
            {
                index: f"its level is {level:.0f} electrons, {settings.flat_minimum_electrons:.0f} are the least"
                for index, level in enumerate(levels)
                if not level >= settings.flat_minimum_electrons
            }
        )
        frames.check()
        gains = _gains(frames)
        levels = _levels(frames)
        noise = NoiseModel(frames, scales=levels)
        for frame, level in zip(frames.stack.frames, levels, strict=True):
            frame /= level
        odd = _odd_shapes(frames)
        noise.leave_out(odd)
        frames.leave_out(odd)
        frames.check()
        combined = frames.stack.combine(noise.weights(), noise.variance, settings)
        combined = _normalised(combined)
        figures = {
            "level_electrons": float(np.median(levels)),
            "relative_noise": float(np.sqrt(np.nanmedian(combined.variance))),
            **{f"photon_transfer_gain_{name}": gain for name, gain in gains.items()},
        }
        return make_master(frames, combined, u.dimensionless_unscaled, figures)


def _levels(frames: CalibFrames) -> np.ndarray:
    return np.array([np.nanmedian(frame) for frame in frames.stack.frames], np.float32)


def _gains(frames: CalibFrames) -> dict[str, float]:
    """Gain of each amplifier by photon transfer."""
    return {
        amplifier.name: photon_transfer_gain(list(frames.of(amplifier)), amplifier.read_noise, amplifier.gain)
        for amplifier in frames.layouts
    }


def _odd_shapes(frames: CalibFrames) -> dict[int, str]:
    """Frames whose blocks differ from the median of all frames by too much, with the reason."""
    blocks = np.stack([_block_medians(frame) for frame in frames.stack.frames])
    deviation = blocks / median_of(blocks) - 1.0
    rms = np.sqrt(np.nanmean(deviation**2, axis=(1, 2)))
    limit = frames.settings.flat_shape_deviation
    return {
        int(index): f"its shape differs from the others' by {100 * rms[index]:.1f} % rms"
        for index in np.flatnonzero(rms > limit)
    }


def _block_medians(frame: np.ndarray) -> np.ndarray:
    """Medians of blocks of 64 pixels, ``[y, x]``."""
    y_edges, x_edges = (np.arange(0, max(length - _BLOCK // 2, 1), _BLOCK) for length in frame.shape)
    return np.array(
        [[np.nanmedian(frame[y : y + _BLOCK, x : x + _BLOCK]) for x in x_edges] for y in y_edges], np.float32
    )


def _normalised(combined: Combined) -> Combined:
    """The same with a median of one."""
    level = np.float32(np.nanmedian(combined.image))
    return replace(combined, image=combined.image / level, variance=combined.variance / level**2)
