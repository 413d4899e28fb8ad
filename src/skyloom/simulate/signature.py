"""What a detector always adds or takes: bias structure, dark current, flat field, fringes, defects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .mosaic import Ccd, Mosaic
    from .settings import DetectorSettings

__all__ = ["Signature", "draw_fringes", "make_signature"]

_STREAM_SIGNATURE, _STREAM_FLAT, _STREAM_FRINGES = 301, 302, 303
_DEAD_RESPONSE = 0.02


@dataclass(frozen=True, kw_only=True, eq=False)
class Signature:
    """The fixed properties of one detector; arrays are float64 ``[y, x]`` over the trimmed pixels."""

    bias: np.ndarray
    """Two-dimensional bias above the overscan level (ADU)."""
    dark: np.ndarray
    """Electrons a second, hot pixels included."""
    flat: np.ndarray
    """Relative response, with a median of one over the good pixels."""
    bad: np.ndarray
    """Bool: hot pixels and dead columns."""


def make_signature(settings: DetectorSettings, seed: int, mosaic: Mosaic, ccd: Ccd, band: str) -> Signature:
    """Draw the fixed properties of a detector; bias, dark and defects are the same in every band."""
    rng = np.random.default_rng([seed, _STREAM_SIGNATURE, ccd.id])
    rows, columns = ccd.shape
    y, x = np.mgrid[:rows, :columns].astype(np.float64)
    phase = 2 * np.pi * rng.random(2)
    bias = settings.bias_structure_adu * (
        np.sin(2 * np.pi * x / columns + phase[0]) * np.cos(2 * np.pi * y / rows + phase[1])
        + 0.3 * rng.standard_normal((1, columns))
    )
    hot, dead = _draw_defects(settings, ccd, rng)
    dark = settings.dark_electrons_per_s * (0.75 + 0.5 * y / rows) + hot
    flat = _draw_flat(settings, seed, mosaic, ccd, band)
    flat[dead] *= _DEAD_RESPONSE
    flat /= np.median(flat[~dead])
    return Signature(bias=bias, dark=dark, flat=flat, bad=dead | (hot > 0))


def _draw_flat(settings: DetectorSettings, seed: int, mosaic: Mosaic, ccd: Ccd, band: str) -> np.ndarray:
    """Vignetting over the focal plane, and the response of each pixel."""
    rng = np.random.default_rng([seed, _STREAM_FLAT, ccd.id, *band.encode()])
    u, v = ccd.grid()
    vignetting = 1.0 - settings.vignetting * (u * u + v * v) / mosaic.radius**2
    return np.asarray(vignetting * (1.0 + settings.pixel_response * rng.standard_normal(ccd.shape)))


def draw_fringes(seed: int, ccd: Ccd, band: str) -> np.ndarray:
    """Pattern of the sky's fringes ``[y, x]``, between -1 and 1.

    Interference in a layer whose thickness varies smoothly: lines of equal thickness, some 60 pixels apart.
    """
    rng = np.random.default_rng([seed, _STREAM_FRINGES, ccd.id, *band.encode()])
    rows, columns = ccd.shape
    y, x = np.mgrid[:rows, :columns].astype(np.float64)
    tilt, bend = rng.uniform(-1, 1, 2), rng.uniform(-1, 1, 3)
    thickness = (tilt[0] * x + tilt[1] * y) / 60.0 + max(rows, columns) / 60.0 * (
        bend[0] * (x / columns) ** 2 + bend[1] * (y / rows) ** 2 + bend[2] * x * y / (rows * columns)
    )
    return np.asarray(np.cos(2 * np.pi * thickness))


def _draw_defects(settings: DetectorSettings, ccd: Ccd, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Current of hot pixels (electrons a second) and dead columns (bool)."""
    rows, columns = ccd.shape
    hot = np.zeros(ccd.shape)
    low, high = np.log(settings.hot_pixel_electrons_per_s)
    place = rng.integers(0, rows, settings.hot_pixels), rng.integers(0, columns, settings.hot_pixels)
    hot[place] = np.exp(rng.uniform(low, high, settings.hot_pixels))
    dead = np.zeros(ccd.shape, dtype=bool)
    for column, first in zip(
        rng.integers(5, columns - 5, settings.bad_columns),
        rng.integers(0, rows // 2, settings.bad_columns),
        strict=True,
    ):
        dead[first:, column] = True
    return hot, dead
