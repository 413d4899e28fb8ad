"""The master dark: electrons a second that gather without light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np

from skyloom.images.raw import RawExposure
from skyloom.isr import correct_raw

from .electrons import NoiseModel, usable_pixels
from .frames import Raw, collected
from .master import Master, make_master
from .settings import MasterSettings

if TYPE_CHECKING:
    from lsst.images import MaskedImage

__all__ = ["make_dark"]


def make_dark(
    raws: Sequence[Raw], *, bias: MaskedImage | None = None, settings: MasterSettings | None = None
) -> Master:
    """Combine dark frames of one detector, of any times.

    Each frame goes through the corrections up to the gains.  Frames whose current stands apart are left out; of the
    rest the mean of the rates is taken, each with the weight of its noise, outliers left out pixel by pixel.

    Parameters
    ----------
    raws
        The frames.
    bias
        Master bias in ADU.
    settings
        How.

    Returns
    -------
    master
        In electrons a second.  Figures, for each amplifier: median rate.

    Raises
    ------
    BadFrameError
        If too few frames are usable, they were read out in different modes, or the bias does not fit.
    """
    settings = settings or MasterSettings()
    isr = replace(settings.isr, use_dark=False, use_flat=False)

    def correct(raw: RawExposure) -> np.ndarray:
        return usable_pixels(correct_raw(raw, bias=bias, settings=isr))

    with collected("dark", raws, correct, settings) as frames:
        frames.leave_out(
            {
                index: f"its dark time is {facts.seconds} s"
                for index, facts in enumerate(frames.facts)
                if not facts.seconds > 0
            }
        )
        frames.leave_out_odd_levels(
            lambda amplifier: amplifier.read_noise, np.array([facts.seconds for facts in frames.facts])
        )
        frames.check()
        seconds = np.array([facts.seconds for facts in frames.facts], np.float32)
        noise = NoiseModel(frames, scales=seconds)
        for frame, time in zip(frames.stack.frames, seconds, strict=True):
            frame /= time
        combined = frames.stack.combine(noise.weights(), noise.variance, settings)
        figures = {
            f"rate_electrons_per_s_{amplifier.name}": float(np.nanmedian(combined.image[amplifier.trimmed]))
            for amplifier in frames.layouts
        }
        return make_master(frames, combined, u.electron / u.s, figures)
