"""Stamps of the stars that shape the PSF: pixels, weights, and what else lies in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import KDTree

from skyloom.images.mask_planes import bitmask

if TYPE_CHECKING:
    from skyloom.images.exposure import Exposure

__all__ = ["StarStamps", "cut_stamps", "mask_disks"]

UNUSABLE = ("BAD", "SAT", "CR", "INTRP", "SUSPECT", "NO_DATA", "UNMASKEDNAN", "STREAK")
"""Mask planes of pixels that say nothing about the PSF."""


@dataclass
class StarStamps:
    """Square cut-outs around stars, all of one odd size."""

    data: np.ndarray
    """Pixels ``[star, y, x]``, float64; 0 where unusable."""
    usable: np.ndarray
    """``bool[star, y, x]``."""
    sky_variance: np.ndarray
    """Variance of a pixel without the star, ``[star]``."""
    gain: np.ndarray
    """Flux units a unit of variance that the star itself adds, ``[star]``; 1 for electrons."""
    x: np.ndarray
    """Centres ``[star]`` in pixels of the frame."""
    y: np.ndarray
    x0: np.ndarray
    """Frame coordinates ``int[star]`` of the first pixel."""
    y0: np.ndarray

    def __len__(self) -> int:
        return int(self.data.shape[0])

    def __getitem__(self, keep: np.ndarray) -> StarStamps:
        """The stamps that a boolean or index array names."""
        return StarStamps(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))

    @property
    def size(self) -> int:
        """Pixels along a side."""
        return int(self.data.shape[1])

    @property
    def offsets(self) -> tuple[np.ndarray, np.ndarray]:
        """Position (dx, dy) of each star from the centre of its stamp's central pixel."""
        half = self.size // 2
        return self.x - self.x0 - half, self.y - self.y0 - half


def cut_stamps(exposure: Exposure, x: np.ndarray, y: np.ndarray, size: int) -> StarStamps:
    """Cut a stamp of ``size`` pixels around each position; what lies off the frame is unusable.

    The variance plane of a real frame holds the noise of the very pixels that it describes, and weights made of it
    pull every flux down.  So only two numbers a stamp are taken from it: the variance of the sky, and how much
    variance a unit of signal adds.
    """
    half = size // 2
    box = exposure.bbox
    # Halves round up, as in the stamps of a PSF.
    x0, y0 = np.floor(x + 0.5).astype(np.int64) - half, np.floor(y + 0.5).astype(np.int64) - half
    rows = y0[:, None, None] - box.y.start + np.arange(size)[None, :, None]
    columns = x0[:, None, None] - box.x.start + np.arange(size)[None, None, :]
    inside = (rows >= 0) & (rows < box.shape[0]) & (columns >= 0) & (columns < box.shape[1])
    place = (np.clip(rows, 0, box.shape[0] - 1), np.clip(columns, 0, box.shape[1] - 1))
    data = exposure.image.array[place].astype(np.float64)
    variance = exposure.variance.array[place].astype(np.float64)
    usable = inside & ((exposure.bits[place] & bitmask(*UNUSABLE)) == 0)
    usable &= np.isfinite(data) & np.isfinite(variance) & (variance > 0)
    sky, gain = _noise(data, variance, usable)
    return StarStamps(np.where(usable, data, 0.0), usable, sky, gain, x.astype(float), y.astype(float), x0, y0)


def _noise(data: np.ndarray, variance: np.ndarray, usable: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variance of the sky and the star's flux a unit of variance, ``[star]`` each, from the variance plane."""
    size = data.shape[1]
    offset = np.arange(size) - size // 2
    outer = np.hypot(*np.meshgrid(offset, offset)) > 0.7 * (size // 2)
    rim = usable[:, outer]
    ordered = np.sort(np.where(rim, variance[:, outer], np.inf), axis=1)
    count = rim.sum(axis=1)
    star = np.arange(len(data))
    sky = 0.5 * (ordered[star, np.maximum(count - 1, 0) // 2] + ordered[star, np.minimum(count // 2, rim.shape[1] - 1)])
    sky = np.where(count > 0, sky, np.inf)
    with np.errstate(invalid="ignore", divide="ignore"):
        added = np.sum(np.where(usable, variance - sky[:, None, None], 0.0), axis=(1, 2))
        gain = np.sum(np.where(usable, data, 0.0), axis=(1, 2)) / added
    return sky, np.where((added > 0) & (gain > 0), gain, np.inf)


def mask_disks(stamps: StarStamps, x: np.ndarray, y: np.ndarray, radius: np.ndarray) -> None:
    """Make the pixels within ``radius[n]`` of the sources at (x[n], y[n]) unusable, in place.

    The star at the centre of a stamp must not be among the sources: anything within a pixel of it counts as itself.
    """
    if x.size == 0 or len(stamps) == 0:
        return
    tree = KDTree(np.stack([x, y], axis=1))
    reach = stamps.size + float(radius.max())
    pixel = np.arange(stamps.size)
    for i in range(len(stamps)):
        for j in tree.query_ball_point([stamps.x[i], stamps.y[i]], reach):
            if np.hypot(x[j] - stamps.x[i], y[j] - stamps.y[i]) < 1.0:
                continue
            across, along = pixel + stamps.x0[i] - x[j], pixel + stamps.y0[i] - y[j]
            stamps.usable[i] &= np.hypot(*np.meshgrid(across, along)) > radius[j]
    stamps.data[~stamps.usable] = 0.0
