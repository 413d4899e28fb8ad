"""Sources replaced by noise, and the pixels that each gets back while it is measured."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from skyloom.images.source_pixels import SourcePixels
from skyloom.kernels.own_light import cover, fill_covered, span_values
from skyloom.kernels.source_pass import LightPixels
from skyloom.kernels.statistics import clipped_mean

from .frame import Frame, Peaks

__all__ = ["cover_sources", "own_pixels", "sky_statistics"]

SAMPLE = 200_000
"""About so many pixels tell the noise of the sky: enough for 0.2 % of it."""
LEVELS = 1 << 14
"""Number of different values of the noise; a power of two.  The outermost are at 3.9 sigma."""


def sky_statistics(frame: Frame) -> tuple[float, float]:
    """Clipped mean and standard deviation of the pixels of a frame that are neither covered nor unusable."""
    work, state = frame.planes.work, frame.planes.state
    step = max(1, int(np.sqrt(work.size / SAMPLE)))
    sky = work[::step, ::step][state[::step, ::step] == 0].astype(np.float64)
    if sky.size < 2:
        return 0.0, 0.0
    mean, sigma, _ = clipped_mean(sky)
    return mean, sigma


def cover_sources(frame: Frame, peaks: Peaks, light: SourcePixels | None, seed: int) -> None:
    """Replace all footprints of the working image by Gaussian noise as of the sky.

    The noise depends on the seed, the frame's sky and the position of the pixel alone.

    Parameters
    ----------
    frame
        Its working planes are modified in place.
    peaks
        The footprints.
    light
        Pixels of sources that are covered too.
    seed
        Of the noise.
    """
    sets = [(peaks.span_y, peaks.span_x0, peaks.span_x1)]
    if light is not None:
        sets.append((light.y, light.x0, light.x1))
    for spans in sets:
        cover(frame.planes.state, *spans)
    mean, sigma = sky_statistics(frame)
    noise = (mean + sigma * ndtri((np.arange(LEVELS) + 0.5) / LEVELS)).astype(np.float32)
    for spans in sets:
        fill_covered(frame.planes.work, frame.planes.state, *spans, noise, seed, frame.x0, frame.y0)


def own_pixels(frame: Frame, peaks: Peaks, light: SourcePixels | None) -> LightPixels:
    """What each source gets back: its light, or without any (for the last sources too) the image in its footprint.

    Raises
    ------
    ValueError
        If there is light of more sources than there are.
    """
    start, values = span_values(frame.planes.image, peaks.span_y, peaks.span_x0, peaks.span_x1)
    whole = LightPixels(peaks.footprint, peaks.span_start, peaks.span_y, peaks.span_x0, peaks.span_x1, start, values)
    if light is None:
        return whole
    n = len(light)
    if n > len(peaks):
        raise ValueError(f"There is light of {n} sources, but there are {len(peaks)} peaks.")
    return LightPixels(
        np.concatenate([np.arange(n), peaks.footprint[n:] + n]),
        np.concatenate([light.span_start, peaks.span_start[1:] + light.span_start[-1]]),
        np.concatenate([light.y, peaks.span_y]),
        np.concatenate([light.x0, peaks.span_x0]),
        np.concatenate([light.x1, peaks.span_x1]),
        np.concatenate([light.value_start, start + light.values.size]),
        np.concatenate([light.values, values]),
    )
