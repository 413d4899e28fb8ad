"""How bright the background of a corrected frame is, and how flat."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from skyloom.images.mask_planes import bitmask
from skyloom.kernels.clipped_statistics import clipped_statistics

__all__ = ["QualitySettings", "measure_background"]

_IGNORED_PLANES = ("BAD", "SAT", "DETECTED")


@dataclass(frozen=True, kw_only=True)
class QualitySettings:
    """How the background is sampled."""

    mesh_x: int = 256
    mesh_y: int = 256
    """Size of a cell in pixels."""
    clip: bool = True
    """Leave outliers out of the mean of a cell."""
    clip_sigma: float = 3.0
    clip_passes: int = 3

    def __post_init__(self) -> None:
        if self.mesh_x < 1 or self.mesh_y < 1:
            raise ValueError(f"A cell has at least one pixel; the mesh is {self.mesh_x} x {self.mesh_y}.")


def measure_background(image: np.ndarray, bits: np.ndarray, settings: QualitySettings) -> dict[str, float | str]:
    """Header keys of the background of a frame (``[y, x]``); pixels that are BAD, SAT or DETECTED do not count.

    SKYLEVEL (median) and SKYSIGMA (clipped) are in the unit of the image.  The flatness of a cell is the mean of its
    pixels over the median of all cells, less one: FLATNESS_PP is the difference between the largest and the smallest,
    FLATNESS_RMS their standard deviation.  FLATNESS_NGRIDS counts the cells ("columns x rows"), and FLATNESS_MESHX and
    FLATNESS_MESHY are their size in pixels.  What cannot be measured is NaN.

    Cells start at the first pixel, as many to a side as the rounded quotient of the sizes and at least one; the last
    is cut off at the edge.
    """
    ignored = bitmask(*_IGNORED_PLANES)
    sky = clipped_statistics(image, bits, ignored, settings.clip_sigma, settings.clip_passes)
    levels = _cell_levels(image, bits, ignored, settings)
    flatness = _flatness(levels)
    return {
        "SKYLEVEL": sky.median,
        "SKYSIGMA": sky.sigma,
        "FLATNESS_PP": float(np.ptp(flatness)) if flatness.size else math.nan,
        "FLATNESS_RMS": float(np.std(flatness)) if flatness.size else math.nan,
        "FLATNESS_NGRIDS": f"{levels.shape[1]}x{levels.shape[0]}",
        "FLATNESS_MESHX": settings.mesh_x,
        "FLATNESS_MESHY": settings.mesh_y,
    }


def _cell_levels(image: np.ndarray, bits: np.ndarray, ignored: int, settings: QualitySettings) -> np.ndarray:
    """Mean of each cell, ``[row, column]``; NaN where no pixel counts."""
    mesh_y, mesh_x = settings.mesh_y, settings.mesh_x
    rows, columns = (max(int(size / mesh + 0.5), 1) for size, mesh in zip(image.shape, (mesh_y, mesh_x), strict=True))
    levels = np.empty((rows, columns))
    for row in range(rows):
        for column in range(columns):
            cell = (
                slice(row * mesh_y, (row + 1) * mesh_y),
                slice(column * mesh_x, (column + 1) * mesh_x),
            )
            n_sigma = settings.clip_sigma if settings.clip else math.inf
            levels[row, column] = clipped_statistics(
                image[cell], bits[cell], ignored, n_sigma, settings.clip_passes
            ).mean
    return levels


def _flatness(levels: np.ndarray) -> np.ndarray:
    """Relative deviations (1-d) of the finite levels from their median; none where that is zero."""
    finite = levels[np.isfinite(levels)]
    median = float(np.median(finite)) if finite.size else 0.0
    return np.asarray((finite - median) / median) if median != 0 else np.empty(0)
