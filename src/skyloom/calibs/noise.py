"""Noise and gain of amplifiers from pairs of frames of the same exposure: what the pair shares drops out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from skyloom.kernels.statistics import clipped_mean

__all__ = ["pair_noise", "photon_transfer_gain"]

_BLOCK = 64


def pair_noise(frames: Sequence[np.ndarray]) -> float:
    """Noise of a pixel from the differences of consecutive frames, in the unit of the frames.

    The clipped scatter of each difference over the square root of two; the median over the pairs.

    Parameters
    ----------
    frames
        Two or more images ``[y, x]`` of one amplifier, not a number where unusable.

    Returns
    -------
    noise
        Not a number with fewer than two frames.
    """
    scatters = []
    for one, other in itertools.pairwise(frames):
        difference = np.asarray(one, np.float64) - other
        _, scatter, _ = clipped_mean(difference[np.isfinite(difference)], 4.0)
        scatters.append(scatter / np.sqrt(2.0))
    return float(np.median(scatters)) if scatters else float("nan")


def photon_transfer_gain(frames: Sequence[np.ndarray], read_noise: float, gain: float) -> float:
    """Gain (electrons an ADU) from the noise of pairs of flats: the mean over the variance, without the read noise.

    In blocks of 64 pixels, over which the light hardly changes, the difference of a pair, the second scaled to the
    level of the first, has the variance ``level (1 + ratio) / g + read_noise^2 (1 + ratio^2)`` where ``ratio`` is that
    of the levels.  The sums over all blocks and pairs give g (Janesick 2001, Scientific Charge-Coupled Devices,
    chapter 2).

    Parameters
    ----------
    frames
        Two or more images ``[y, x]`` of one amplifier, bias taken off, in electrons of the gain assumed; not a number
        where unusable.
    read_noise
        In the same electrons.
    gain
        The gain assumed, electrons an ADU.

    Returns
    -------
    gain
        Not a number with fewer than two frames, or where the noise is not above the read noise.
    """
    light = noise = 0.0
    for one, other in itertools.pairwise(frames):
        for block in _blocks(one.shape):
            first, second = np.asarray(one[block], np.float64), np.asarray(other[block], np.float64)
            usable = np.isfinite(first) & np.isfinite(second)
            if usable.sum() < 100:
                continue
            level, _, count = clipped_mean(first[usable], 4.0)
            other_level, _, _ = clipped_mean(second[usable], 4.0)
            if level <= 0 or other_level <= 0:
                continue
            ratio = level / other_level
            _, scatter, _ = clipped_mean(first[usable] - ratio * second[usable], 4.0)
            light += count * level * (1.0 + ratio)
            noise += count * (scatter**2 - read_noise**2 * (1.0 + ratio**2))
    return gain * light / noise if noise > 0 else float("nan")


def _blocks(shape: tuple[int, ...]) -> list[tuple[slice, slice]]:
    """Blocks that cover an image."""
    rows, columns = ([slice(at, at + _BLOCK) for at in range(0, length, _BLOCK)] for length in shape)
    return list(itertools.product(rows, columns))
