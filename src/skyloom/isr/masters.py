"""What the corrections need of a calibration frame: planes of the right shape, and its unit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np

from skyloom.errors import BadFrameError

if TYPE_CHECKING:
    from lsst.images import Mask, MaskedImage

    from .amplifiers import Region

__all__ = ["MasterPlanes", "MasterSource", "is_per_adu", "is_rate", "loaded", "master_planes"]

type MasterSource = MaskedImage | Callable[[], MaskedImage]
"""A calibration frame, or what reads it: read when its turn comes, and forgotten after, it costs memory only then."""

_UNUSABLE_PLANES = ("BAD", "SAT", "NO_DATA", "UNMASKEDNAN")


@dataclass(frozen=True, kw_only=True, eq=False)
class MasterPlanes:
    """The planes ``[y, x]`` of a calibration frame as the kernels take them; they are never changed."""

    image: np.ndarray
    variance: np.ndarray
    """Counts where it is finite and positive."""
    mask: np.ndarray
    """Integers, of which `unusable` tells the pixels that are of no use."""
    unusable: int

    def __getitem__(self, region: Region) -> MasterPlanes:
        """A region, as views."""
        return MasterPlanes(
            image=self.image[region],
            variance=self.variance[region],
            mask=self.mask[region],
            unusable=self.unusable,
        )

    def unusable_pixels(self) -> np.ndarray:
        """Bool: pixels that are not a number, or masked as unusable."""
        return np.asarray(((self.mask & self.unusable) != 0) | ~np.isfinite(self.image))

    def usable_variance(self) -> np.ndarray:
        """The variance, zero where it is not stated."""
        return np.where(np.isfinite(self.variance) & (self.variance > 0), self.variance, np.float32(0.0))


def loaded(master: MasterSource) -> MaskedImage:
    """The calibration frame itself."""
    return master() if callable(master) else master


def master_planes(master: MaskedImage, shape: tuple[int, ...], kind: str, file: str | None) -> MasterPlanes:
    """The planes of a calibration frame.

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
    mask, unusable = _unusable_bits(master.mask)
    return MasterPlanes(image=pixels, variance=master.variance.array, mask=mask, unusable=unusable)


def _unusable_bits(mask: Mask) -> tuple[np.ndarray, int]:
    """One integer a pixel, and the bits of it that tell unusable ones."""
    names = [name for name in _UNUSABLE_PLANES if name in mask.schema.names]
    if mask.array.shape[-1] == 1:
        return mask.array[..., 0], sum(int(mask.schema.bit(name).mask) for name in names)
    marked = np.zeros(mask.array.shape[:2], np.uint8)
    for name in names:
        marked |= mask.get(name)
    return marked, 1


def is_per_adu(master: MaskedImage) -> bool:
    """Whether a calibration frame is in counts, so that the gains still have to be applied to it."""
    return master.image.unit is not None and u.adu in master.image.unit.bases


def is_rate(master: MaskedImage) -> bool:
    """Whether a calibration frame is per second; one without a unit is taken to be."""
    unit = master.image.unit
    return unit is None or any(base.is_equivalent(u.s) for base in unit.bases)
