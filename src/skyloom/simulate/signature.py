"""What a detector does to the light that falls on it: flat field, defects, bias, overscan, noise, counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .camera import AMPLIFIERS, CCD_SIZE, CORNER_RADIUS, RAW_SHAPE, READ_NOISE, pixel_to_focal_plane

if TYPE_CHECKING:
    from .settings import DetectorSettings

__all__ = ["Signature", "expose", "gain_map", "make_signature"]

_STREAM_SIGNATURE, _STREAM_FLAT = 301, 302
_ADC_MAXIMUM = 65535


@dataclass(frozen=True, kw_only=True, eq=False)
class Signature:
    """The fixed properties of one CCD; arrays are float64 ``[y, x]`` over the trimmed pixels."""

    bias: np.ndarray
    """Two-dimensional bias above the overscan level (ADU)."""
    flat: np.ndarray
    """Relative response, with a median of one over the good pixels."""
    hot: np.ndarray
    """Electrons that hot pixels add in one exposure."""
    bad: np.ndarray
    """Bool: hot pixels and dead columns."""


def make_signature(settings: DetectorSettings, seed: int, detector: int, band: str) -> Signature:
    """Draw the fixed properties of a CCD; bias and defects are the same in every band."""
    rng = np.random.default_rng([seed, _STREAM_SIGNATURE, detector])
    y, x = np.mgrid[:CCD_SIZE, :CCD_SIZE].astype(np.float64)
    phase = 2 * np.pi * rng.random(2)
    bias = settings.bias_structure_adu * (
        np.sin(2 * np.pi * x / CCD_SIZE + phase[0]) * np.cos(2 * np.pi * y / CCD_SIZE + phase[1])
        + 0.3 * rng.standard_normal((1, CCD_SIZE))
    )
    hot, dead = _draw_defects(settings, rng)
    flat = _draw_flat(settings, seed, detector, band, x, y)
    flat[dead] *= 0.02
    flat /= np.median(flat[~dead])
    return Signature(bias=bias, flat=flat, hot=hot, bad=dead | (hot > 0))


def expose(light: np.ndarray, signature: Signature, settings: DetectorSettings, rng: np.random.Generator) -> np.ndarray:
    """Turn the light on a CCD into a raw frame.

    Parameters
    ----------
    light
        Expected electrons ``[y, x]`` over the trimmed pixels, where the flat field is one.
    signature, settings
        The detector.
    rng
        Source of the overscan levels and of the noise.

    Returns
    -------
    raw
        ADU ``[y, x]`` over the raw frame: uint16, or float32 where the settings do not quantise.
    """
    level, slope = settings.overscan_level_adu, settings.overscan_slope_adu
    levels = level + settings.overscan_scatter_adu * rng.standard_normal(len(AMPLIFIERS))
    electrons = light * signature.flat + signature.hot
    if settings.noise:
        electrons = rng.poisson(electrons).astype(np.float64)
    raw = np.zeros(RAW_SHAPE)
    for amplifier in AMPLIFIERS:
        raw[:CCD_SIZE, amplifier.raw_data] = (
            electrons[:, amplifier.data] / amplifier.gain + signature.bias[:, amplifier.data]
        )
    rows = np.linspace(0.0, slope, RAW_SHAPE[0])[:, None]
    for amplifier, pedestal in zip(AMPLIFIERS, levels, strict=True):
        noise = rng.standard_normal((RAW_SHAPE[0], RAW_SHAPE[1])) if settings.noise else np.zeros(RAW_SHAPE)
        for part in (amplifier.raw_data, amplifier.raw_overscan):
            raw[:, part] += pedestal + rows + noise[:, part] * READ_NOISE / amplifier.gain
    if not settings.quantise:
        return raw.astype(np.float32)
    return np.clip(np.rint(raw), 0, _ADC_MAXIMUM).astype(np.uint16)


def gain_map() -> np.ndarray:
    """Electrons an ADU of every trimmed pixel, float64 ``[y, x]``."""
    gains = np.empty((CCD_SIZE, CCD_SIZE))
    for amplifier in AMPLIFIERS:
        gains[:, amplifier.data] = amplifier.gain
    return gains


def _draw_flat(
    settings: DetectorSettings, seed: int, detector: int, band: str, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Vignetting over the focal plane, and the response of each pixel."""
    rng = np.random.default_rng([seed, _STREAM_FLAT, detector, *band.encode()])
    u, v = pixel_to_focal_plane(detector, x, y)
    vignetting = 1.0 - settings.vignetting * (u * u + v * v) / CORNER_RADIUS**2
    return np.asarray(vignetting * (1.0 + settings.pixel_response * rng.standard_normal(x.shape)))


def _draw_defects(settings: DetectorSettings, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Hot pixels (electrons an exposure) and dead columns (bool)."""
    hot = np.zeros((CCD_SIZE, CCD_SIZE))
    low, high = np.log(settings.hot_pixel_electrons)
    where = rng.integers(0, CCD_SIZE, (2, settings.hot_pixels))
    hot[where[0], where[1]] = np.exp(rng.uniform(low, high, settings.hot_pixels))
    dead = np.zeros((CCD_SIZE, CCD_SIZE), dtype=bool)
    for column, first in zip(
        rng.integers(5, CCD_SIZE - 5, settings.bad_columns),
        rng.integers(0, CCD_SIZE // 2, settings.bad_columns),
        strict=True,
    ):
        dead[first:, column] = True
    return hot, dead
