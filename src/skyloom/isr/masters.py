"""What the corrections need of a calibration frame: pixels of the right shape, its unusable pixels, its variance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np

from skyloom.errors import BadFrameError

if TYPE_CHECKING:
    from lsst.images import MaskedImage

__all__ = ["is_per_adu", "is_rate", "master_pixels", "master_unusable", "master_variance"]

_UNUSABLE_PLANES = ("BAD", "SAT", "NO_DATA", "UNMASKEDNAN")


def master_pixels(master: MaskedImage, shape: tuple[int, int], kind: str, file: str) -> np.ndarray:
    """The image of a calibration frame, ``[y, x]``.

    Raises
    ------
    BadFrameError
        If its shape is not that of the trimmed detector.
    """
    pixels: np.ndarray = master.image.array
    if pixels.shape != shape:
        raise BadFrameError(
            f"the {kind} frame is {pixels.shape[0]} x {pixels.shape[1]} pixels (rows x columns), the trimmed detector "
            f"is {shape[0]} x {shape[1]}.",
            file=file,
            cure=f"Import a trimmed master {kind} frame of this detector with 'skyloom calibs import'.",
        )
    return pixels


def master_unusable(master: MaskedImage) -> np.ndarray:
    """Bool ``[y, x]``: pixels of a calibration frame that are not a number, or masked as unusable."""
    unusable: np.ndarray = ~np.isfinite(master.image.array)
    for name in _UNUSABLE_PLANES:
        if name in master.mask.schema.names:
            unusable |= master.mask.get(name)
    return unusable


def master_variance(master: MaskedImage) -> np.ndarray:
    """Variance of a calibration frame ``[y, x]``, zero where it does not state a usable one."""
    variance = master.variance.array
    return np.where(np.isfinite(variance) & (variance > 0), variance, 0.0)


def is_per_adu(master: MaskedImage) -> bool:
    """Whether a calibration frame is in counts, so that the gains still have to be applied to it."""
    return master.image.unit is not None and u.adu in master.image.unit.bases


def is_rate(master: MaskedImage) -> bool:
    """Whether a calibration frame is per second; one without a unit is taken to be."""
    unit = master.image.unit
    return unit is None or any(base.is_equivalent(u.s) for base in unit.bases)
