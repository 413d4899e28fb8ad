"""The geometry of the simulated camera: four CCDs of two amplifiers in a two by two mosaic.

The same camera is described to the pipeline by ``instruments/simulated.yaml``; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = [
    "AMPLIFIERS",
    "CCD_SIZE",
    "CORNER_RADIUS",
    "DETECTORS",
    "OVERSCAN_COLUMNS",
    "OVERSCAN_ROWS",
    "PIXEL_SCALE",
    "RAW_SHAPE",
    "READ_NOISE",
    "SATURATION_ADU",
    "SimulatedAmplifier",
    "focal_plane_to_pixel",
    "pixel_to_focal_plane",
]

CCD_SIZE = 1024
"""Pixels along each side of a trimmed CCD."""
GAP = 40
"""Pixels between neighbouring CCDs."""
OVERSCAN_COLUMNS = 32
"""Serial overscan columns of each amplifier."""
OVERSCAN_ROWS = 16
"""Parallel overscan rows, above the data."""
RAW_SHAPE = (CCD_SIZE + OVERSCAN_ROWS, CCD_SIZE + 2 * OVERSCAN_COLUMNS)
"""Rows and columns of a raw frame."""
PIXEL_SCALE = 0.25
"""Arcseconds a pixel at the centre of the field."""
READ_NOISE = 5.0
"""Electrons."""
SATURATION_ADU = 60000
"""Level above which a pixel counts as saturated; the converter itself clips at 65535."""
DETECTORS = (0, 1, 2, 3)
"""Lower left, lower right, upper left, upper right; the upper two are mounted rotated by 180 degrees."""
CORNER_RADIUS = float(np.hypot(CCD_SIZE + GAP / 2, CCD_SIZE + GAP / 2))
"""Pixels from the centre of the focal plane to its corner."""


@dataclass(frozen=True)
class SimulatedAmplifier:
    """Where one amplifier's columns lie: ``data`` on the trimmed CCD, the others in the raw frame."""

    name: str
    gain: float
    """Electrons an ADU."""
    data: slice
    raw_data: slice
    raw_overscan: slice


_HALF = CCD_SIZE // 2
AMPLIFIERS = (
    SimulatedAmplifier("A", 1.5, slice(0, _HALF), slice(0, _HALF), slice(_HALF, _HALF + OVERSCAN_COLUMNS)),
    SimulatedAmplifier(
        "B",
        1.7,
        slice(_HALF, CCD_SIZE),
        slice(_HALF + 2 * OVERSCAN_COLUMNS, RAW_SHAPE[1]),
        slice(_HALF + OVERSCAN_COLUMNS, _HALF + 2 * OVERSCAN_COLUMNS),
    ),
)


def _centre_and_sign(detector: int) -> tuple[float, float, float]:
    """Focal-plane centre of a CCD (pixels), and -1 where it is mounted upside down."""
    half = (CCD_SIZE + GAP) / 2
    return half * (2 * (detector % 2) - 1), half * (2 * (detector // 2) - 1), -1.0 if detector >= 2 else 1.0


def pixel_to_focal_plane(detector: int, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels from the centre of the focal plane, of positions x, y on a trimmed CCD."""
    x_centre, y_centre, sign = _centre_and_sign(detector)
    middle = (CCD_SIZE - 1) / 2
    return x_centre + sign * (x - middle), y_centre + sign * (y - middle)


def focal_plane_to_pixel(detector: int, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions x, y on a trimmed CCD, of pixels from the centre of the focal plane."""
    x_centre, y_centre, sign = _centre_and_sign(detector)
    middle = (CCD_SIZE - 1) / 2
    return middle + sign * (u - x_centre), middle + sign * (v - y_centre)
