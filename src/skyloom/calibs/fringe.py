"""The master fringe frame: the pattern that night-sky lines make in a thin detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np

from skyloom.errors import BadFrameError
from skyloom.isr.fringe import FringeFrame, measure_fringes
from skyloom.kernels.statistics import clipped_mean

from .frame_stack import Combined, FrameStack
from .frames import CalibFrames, Raw, collected
from .master import Master, make_master
from .sky_frames import SourceMasks, corrected_with, leave_out_dark_skies, smooth_sky
from .sky_settings import FringeMasterSettings
from .smooth_pattern import smoothed

if TYPE_CHECKING:
    from astropy.table import Table
    from lsst.images import MaskedImage

__all__ = ["make_fringe"]


def make_fringe(
    raws: Sequence[Raw],
    *,
    bias: MaskedImage | None = None,
    dark: MaskedImage | None = None,
    flat: MaskedImage | None = None,
    defects: Table | None = None,
    settings: FringeMasterSettings | None = None,
) -> Master:
    """Find the fringes that frames of the sky of one detector and filter have in common.

    From each frame, its sources masked, the smooth sky is taken off; the rest is divided by the strength of its
    fringes, and of all frames the mean is taken, outliers left out.  How strong the fringes are tells the level of the
    sky at first, then the fit of the pattern found before; and sky and sources are looked for without that pattern.

    Parameters
    ----------
    raws
        Dithered frames.
    bias, dark, flat
        Masters, as `skyloom.isr.correct_raw` takes them.
    defects
        Boxes of defective pixels.
    settings
        How.

    Returns
    -------
    master
        Without unit, the pattern over the level of the sky, of the ratio that the frames have in the median; its mean
        is zero.  Figures: level of the sky (electrons), rms of the pattern without its noise, relative noise of a
        pixel, and relative scatter of the ratio of fringes and sky among the frames.

    Raises
    ------
    BadFrameError
        If too few frames are usable, they were read out in different modes, a master does not fit, or the frames have
        no fringes in common.
    """
    settings = settings or FringeMasterSettings()
    correct = corrected_with(settings, bias=bias, dark=dark, flat=flat, defects=defects)
    with collected("fringe", raws, correct, settings) as frames, FrameStack(len(raws), settings.memory_mb) as scaled:
        levels = leave_out_dark_skies(frames, settings)
        amplitudes, pattern = levels, np.zeros(frames.stack[0].shape, np.float32)
        for number in range(settings.passes):
            clean = (frame - one * pattern for frame, one in zip(frames.stack.frames, amplitudes, strict=True))
            masks = SourceMasks(clean, rough=number == 0, settings=settings)
            combined = smoothed(_combined(frames, masks, levels, amplitudes, pattern, scaled), settings.smoothing)
            ratios = _strengths(frames, masks, combined.image, settings) / levels
            typical = float(np.median(ratios))
            combined = _times(combined, typical)
            pattern = np.nan_to_num(combined.image)
            if number < settings.passes - 1:
                odd = _odd(ratios / typical, settings)
                frames.leave_out(odd)
                frames.check()
                levels, ratios = np.delete(levels, list(odd)), np.delete(ratios, list(odd))
            amplitudes = levels * ratios / typical
        figures = {
            "level_electrons": float(np.median(levels)),
            "fringe_rms": _rms(combined),
            "relative_noise": float(np.sqrt(np.nanmedian(combined.variance))),
            "ratio_scatter": float(np.std(amplitudes / levels)),
        }
        _check_pattern(figures)
        return make_master(frames, combined, u.dimensionless_unscaled, figures)


def _combined(
    frames: CalibFrames,
    masks: SourceMasks,
    levels: np.ndarray,
    amplitudes: np.ndarray,
    pattern: np.ndarray,
    scaled: FrameStack,
) -> Combined:
    """Mean of the frames without sky, over their amplitudes; it lies about zero."""
    settings = frames.settings
    assert isinstance(settings, FringeMasterSettings)
    scaled.keep([])
    for index, (frame, amplitude) in enumerate(zip(frames.stack.frames, amplitudes.tolist(), strict=True)):
        seen = masks.hide(index, frame)
        scaled.add((seen - smooth_sky(seen - amplitude * pattern, settings.sky_bin)) / amplitude)
    read_noise = float(np.median([layout.read_noise for layout in frames.layouts]))
    spread = (levels + read_noise**2) / amplitudes**2
    weights = 1.0 / spread / np.sum(1.0 / spread)
    combined = scaled.combine(weights, lambda *_: spread[:, None, None], settings)
    return replace(combined, image=combined.image - np.float32(np.nanmean(combined.image)))


def _strengths(
    frames: CalibFrames, masks: SourceMasks, pattern: np.ndarray, settings: FringeMasterSettings
) -> np.ndarray:
    """How strong the pattern is in each frame, ``[n]``."""
    fringe, nothing = FringeFrame(pattern=pattern), np.zeros(pattern.shape, np.int32)
    fits = [
        measure_fringes(masks.hide(index, frame), nothing, [fringe], settings.fringes, facts.exposure % 2**32)
        for index, (frame, facts) in enumerate(zip(frames.stack.frames, frames.facts, strict=True))
    ]
    return np.array([fit.amplitudes[0] for fit in fits])


def _odd(ratios: np.ndarray, settings: FringeMasterSettings) -> dict[int, str]:
    """Frames whose fringes are weak for their sky, or strong, with the reason."""
    return {
        int(index): f"its fringes over its sky are {ratios[index]:.2f} of the others'"
        for index in np.flatnonzero(~(np.abs(ratios - 1.0) <= settings.maximum_scatter))
    }


def _check_pattern(figures: Mapping[str, float]) -> None:
    """See that taking the pattern off takes more off than it adds."""
    if figures["fringe_rms"] < figures["relative_noise"]:
        raise BadFrameError(
            f"the frames have no fringes in common: their rms is {figures['fringe_rms']:.2g} of the sky, the noise of "
            f"a pixel {figures['relative_noise']:.2g}.",
            cure="Leave this filter out, or give more frames.",
        )


def _times(combined: Combined, factor: float) -> Combined:
    return replace(
        combined, image=combined.image * np.float32(factor), variance=combined.variance * np.float32(factor**2)
    )


def _rms(combined: Combined) -> float:
    """Root mean square of the pattern, without that of its noise and without the rest of a star here and there."""
    known = np.isfinite(combined.image)
    _, scatter, _ = clipped_mean(combined.image[known].astype(np.float64), 4.0)
    return float(np.sqrt(max(scatter**2 - np.median(combined.variance[known]), 0.0)))
