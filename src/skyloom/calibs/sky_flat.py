"""The sky flat: the relative response of the pixels to the light of the night sky."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np

from .electrons import NoiseModel
from .frame_stack import Combined, FrameStack, median_of
from .frames import CalibFrames, Raw, collected
from .master import Master, make_master
from .sky_frames import SourceMasks, corrected_with, leave_out_dark_skies, smooth_sky
from .sky_settings import SkyFlatSettings
from .sky_tilts import SkyTilts, block_medians

if TYPE_CHECKING:
    from astropy.table import Table
    from lsst.images import MaskedImage

__all__ = ["make_sky_flat"]

_ILLUMINATION_BIN = 64
"""Side of the cells (pixels) whose levels make a smooth illumination."""
_LEAST_RESPONSE = 0.1
"""What responds less tells nothing of the sky."""


def make_sky_flat(
    raws: Sequence[Raw],
    *,
    bias: MaskedImage | None = None,
    dark: MaskedImage | None = None,
    flat: MaskedImage | None = None,
    defects: Table | None = None,
    settings: SkyFlatSettings | None = None,
) -> Master:
    """Combine frames of the sky of one detector and filter to a flat.

    Each frame is divided by the level of its sky, with its tilt against the other frames; its sources are masked, and
    of all frames the mean is taken, outliers left out.  Sky and sources are looked for in frames divided by the flat
    found before.  What gradient the skies have in common stays in the flat.

    Parameters
    ----------
    raws
        Dithered frames.
    bias, dark
        Masters, as `skyloom.isr.correct_raw` takes them.
    flat
        A flat that the frames are divided by first: the result is then an illumination frame, the light of the sky
        over that of the flat, and smooth.
    defects
        Boxes of defective pixels.
    settings
        How.

    Returns
    -------
    master
        Without unit, with a median of one over the detector.  Figures: median level of the sky (electrons), relative
        noise of a pixel of the master, and the largest tilt of a frame against the others (relative change from the
        middle of the detector to an edge).

    Raises
    ------
    BadFrameError
        If too few frames are usable, they were read out in different modes, or a master does not fit.
    """
    settings = settings or SkyFlatSettings()
    correct = corrected_with(settings, bias=bias, dark=dark, flat=flat, defects=defects)
    kind = "sky flat" if flat is None else "illumination"
    with collected(kind, raws, correct, settings) as frames, FrameStack(len(raws), settings.memory_mb) as scaled:
        leave_out_dark_skies(frames, settings)
        frames.leave_out(_odd_shapes(frames, settings))
        frames.check()
        response = np.ones(frames.stack[0].shape, np.float32)
        for number in range(settings.passes):
            masks = SourceMasks(
                (frame / response for frame in frames.stack.frames), rough=number == 0, settings=settings
            )
            skies = _skies(masks.hide(index, frame / response) for index, frame in enumerate(frames.stack.frames))
            combined = _combined(frames, masks, skies, scaled)
            response = np.where(combined.image > _LEAST_RESPONSE, combined.image, np.float32(1.0))
        if flat is not None:
            combined = _smooth(combined)
        figures = {
            "level_electrons": float(np.median(skies.levels)),
            "relative_noise": float(np.sqrt(np.nanmedian(combined.variance))),
            "largest_tilt": float(np.max(np.hypot(*skies.slopes.T))),
        }
        return make_master(frames, combined, u.dimensionless_unscaled, figures)


def _skies(images: Iterable[np.ndarray]) -> SkyTilts:
    return SkyTilts.of(np.stack([block_medians(image) for image in images]))


def _odd_shapes(frames: CalibFrames, settings: SkyFlatSettings) -> dict[int, str]:
    """Frames whose sky is not that of the others, tilts apart, with the reason."""
    blocks = np.stack([block_medians(frame) for frame in frames.stack.frames])
    skies = SkyTilts.of(blocks)
    shapes = np.stack([one / skies.plane(index, one.shape) for index, one in enumerate(blocks)])
    rms = np.sqrt(np.nanmean((shapes / median_of(shapes) - 1.0) ** 2, axis=(1, 2)))
    return {
        int(index): f"its shape differs from the others' by {100 * rms[index]:.1f} % rms"
        for index in np.flatnonzero(~(rms <= settings.flat_shape_deviation))
    }


def _combined(frames: CalibFrames, masks: SourceMasks, skies: SkyTilts, scaled: FrameStack) -> Combined:
    """Mean of the frames over their skies, with a median of one."""
    noise = NoiseModel(frames, scales=skies.levels)
    scaled.keep([])
    for index, frame in enumerate(frames.stack.frames):
        scaled.add(masks.hide(index, frame) / skies.plane(index, frame.shape))
    combined = scaled.combine(noise.weights(), noise.variance, frames.settings)
    level = np.float32(np.nanmedian(combined.image))
    return replace(combined, image=combined.image / level, variance=combined.variance / level**2)


def _smooth(combined: Combined) -> Combined:
    """The same without noise: light changes but slowly over a detector."""
    smooth = smooth_sky(combined.image, _ILLUMINATION_BIN)
    return replace(combined, image=smooth / np.median(smooth), variance=np.zeros_like(combined.variance))
