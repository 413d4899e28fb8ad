"""Frames in electrons on their way to a master: usable pixels, and the noise that they should have."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from skyloom.images import Exposure, bitmask

from .frames import CalibFrames

__all__ = ["NoiseModel", "usable_pixels"]


def usable_pixels(exposure: Exposure) -> np.ndarray:
    """Pixels ``[y, x]`` of a corrected frame, not a number where saturated, bad or not read."""
    unusable = (exposure.bits & bitmask("SAT", "BAD", "NO_DATA", "UNMASKEDNAN")) != 0
    return np.where(unusable, np.float32(np.nan), exposure.image.array)


class NoiseModel:
    """Photon noise and read noise of frames that are divided by a number each.

    Parameters
    ----------
    frames
        The frames, in electrons.
    scales
        What each frame is going to be divided by, ``[n]``: its time or its level.
    """

    def __init__(self, frames: CalibFrames, scales: np.ndarray) -> None:
        self._scales = np.asarray(scales, np.float64)
        self._levels = np.array([max(float(np.nanmedian(frame)), 0.0) for frame in frames.stack.frames])
        self._read_noise = np.zeros(frames.stack[0].shape, np.float32)
        for amplifier in frames.layouts:
            self._read_noise[amplifier.trimmed] = amplifier.read_noise

    def leave_out(self, indices: Mapping[int, str]) -> None:
        """Forget frames."""
        wanted = [index for index in range(len(self._scales)) if index not in indices]
        self._scales, self._levels = self._scales[wanted], self._levels[wanted]

    def weights(self) -> np.ndarray:
        """Inverse variance of a typical pixel of each frame, ``[n]``."""
        variance = self._levels + float(np.median(self._read_noise)) ** 2
        return self._scales**2 / variance / np.sum(self._scales**2 / variance)

    def variance(self, median: np.ndarray, rows: slice) -> np.ndarray:
        """Variances ``[n, y, x]`` of some rows of the divided frames, by their median there."""
        light = np.maximum(np.nan_to_num(median), 0.0)
        scales = self._scales[:, None, None].astype(np.float32)
        return np.asarray((light * scales + self._read_noise[rows] ** 2) / scales**2, np.float32)
