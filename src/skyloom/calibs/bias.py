"""The master bias: what a read-out leaves without light or time, in ADU above the overscan."""

from __future__ import annotations

from collections.abc import Sequence

import astropy.units as u
import numpy as np

from .counts import usable_counts
from .frame_stack import Combined
from .frames import CalibFrames, Raw, collected
from .master import Master, make_master
from .noise import pair_noise
from .settings import MasterSettings

__all__ = ["make_bias"]


def make_bias(raws: Sequence[Raw], settings: MasterSettings | None = None) -> Master:
    """Combine bias frames of one detector.

    Each frame has its overscan taken off and is assembled.  Frames whose level stands apart are left out; of the rest
    the mean is taken, outliers left out pixel by pixel.  Amplifiers without overscan keep their pedestal in it.

    Parameters
    ----------
    raws
        The frames.
    settings
        How; with ``pedestal_only`` every pixel gets the level of its amplifier, and the master may serve other
        read-out modes.

    Returns
    -------
    master
        In ADU.  Figures, for each amplifier: level, read noise from pairs of frames (ADU, and electrons by the nominal
        gain), and scatter of the master over the amplifier.

    Raises
    ------
    BadFrameError
        If too few frames are usable, or they were read out in different modes.
    """
    settings = settings or MasterSettings()
    with collected("bias", raws, lambda raw: usable_counts(raw, settings.isr), settings) as frames:
        frames.leave_out_odd_levels(lambda amplifier: amplifier.read_noise / amplifier.gain)
        frames.check()
        figures: dict[str, float] = {}
        noise = np.full(frames.stack[0].shape, np.nan, np.float32)
        for amplifier in frames.layouts:
            sigma = pair_noise(list(frames.of(amplifier)))
            noise[amplifier.trimmed] = sigma
            figures[f"read_noise_adu_{amplifier.name}"] = sigma
            figures[f"read_noise_electrons_{amplifier.name}"] = sigma * amplifier.gain
        combined = frames.stack.combine(np.ones(len(frames)), lambda _, rows: noise[rows] ** 2, settings)
        for amplifier in frames.layouts:
            pixels = combined.image[amplifier.trimmed]
            figures[f"level_adu_{amplifier.name}"] = float(np.nanmedian(pixels))
            figures[f"scatter_adu_{amplifier.name}"] = float(np.nanstd(pixels))
        if settings.pedestal_only:
            combined = _levels(frames, combined)
        return make_master(frames, combined, u.adu, figures, pedestal_only=settings.pedestal_only)


def _levels(frames: CalibFrames, combined: Combined) -> Combined:
    """A master that holds the median of each amplifier and nothing else."""
    image, variance = np.full_like(combined.image, np.nan), np.zeros_like(combined.variance)
    for amplifier in frames.layouts:
        image[amplifier.trimmed] = np.nanmedian(combined.image[amplifier.trimmed])
    return Combined(image=image, variance=variance, clipped_fraction=combined.clipped_fraction)
