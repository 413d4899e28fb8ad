"""Visits of a camera of nine small detectors under a smooth sky, with all that is known of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import astropy.units as u
import numpy as np

from skyloom.background import SkyBinSettings, SkyCells, bin_sky
from skyloom.images import Exposure, bitmask
from skyloom.instruments import Camera

SIDE, GAP = 256, 16
BINS = SkyBinSettings(bin_size=16)
CENTRE = 4
"""Id of the detector in the middle."""
SCALE_LENGTH = 34.0
"""Of the big galaxy, px; single-frame cells are 32 px wide."""


@cache
def camera() -> Camera:
    """Three by three detectors of 1024 x 1024 pixels of 15 um, in which 4 x 4 pixels are averaged to one."""
    detectors = "".join(
        f"""
  - id: {3 * row + column}
    name: c{3 * row + column}
    size: [{SIDE}, {SIDE}]
    position: [{(column - 1) * (SIDE + GAP)}, {(row - 1) * (SIDE + GAP)}]
    rotation: {180 if row == 2 else 0} deg
    amplifiers:
      - name: A
        box: {{x: [0, {SIDE}], y: [0, {SIDE}]}}
        raw: {{box: {{x: [0, {SIDE}], y: [0, {SIDE}]}}, data: {{x: [0, {SIDE}], y: [0, {SIDE}]}}}}
        readout_corner: LL
        gain: 1.0
        read_noise: 1.0
        saturation: 60000"""
        for row in range(3)
        for column in range(3)
    )
    return Camera.from_yaml(f"""
name: nine
telescope: Small
recognise: {{INSTRUME: nine}}
position_unit: px
pixel_scale: 0.25 arcsec
pixel_size: 60 um
pointing_error: 30 arcsec
detectors:{detectors}
filters:
  r: {{band: r}}
header: {{exposure_id: EXPNUM, detector: DETNUM, exposure_time: EXPTIME, date: DATE-OBS, ra: RA, dec: DEC}}
""")


@cache
def places(detector: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the pixels lie, in pixels of the mosaic from its centre; ``[y, x]`` each."""
    row, column = divmod(detector, 3)
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    if row == 2:
        y, x = -y, -x
    return x + (column - 1) * (SIDE + GAP), y + (row - 1) * (SIDE + GAP)


@cache
def pattern(detector: int) -> np.ndarray:
    """What the sky of a detector has beyond a smooth one, over its level ``[y, x]``: a step, and a ghost in it."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    step = 0.02 * np.sin(1.7 * detector + 0.4)
    ghost = 0.01 * np.sin(9 * x + detector) * np.cos(7 * y - detector)
    return step + ghost


@dataclass(kw_only=True)
class Visit:
    """One visit; ``smooth`` is the sky without pattern, electrons."""

    seed: int
    level: float = 800.0
    galaxy: tuple[float, float] | None = (70.0, 90.0)
    """Place in the mosaic, px: near a corner of the middle detector."""
    peak: float = 40.0
    """Brightness of its centre, in units of the noise of a pixel."""
    spoiled: dict[int, np.ndarray] = field(default_factory=dict)
    """What is added to single detectors ``[y, x]``, electrons."""
    noise: bool = True

    @property
    def pixel_noise(self) -> float:
        """Of the sky, electrons."""
        return float(np.sqrt(self.level)) / 4

    def smooth(self, detector: int) -> np.ndarray:
        x, y = (one / 400 for one in places(detector))
        rng = np.random.default_rng(self.seed)
        a, b, c, d, e = rng.uniform(-0.04, 0.04, 5)
        return self.level * (1 + a * x + b * y + c * x * y + d * x**2 + e * y**2 + 0.01 * np.sin(2 * x + y))

    def sky(self, detector: int) -> np.ndarray:
        return self.smooth(detector) + self.level * pattern(detector)

    def halo(self, detector: int) -> np.ndarray:
        if self.galaxy is None:
            return np.zeros((SIDE, SIDE))
        x, y = places(detector)
        radius = np.hypot(x - self.galaxy[0], y - self.galaxy[1])
        return self.peak * self.pixel_noise * np.exp(-radius / SCALE_LENGTH)

    def stars(self, detector: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, detector])
        light, width = np.zeros((SIDE, SIDE)), 1.8
        for x, y, power in rng.uniform((0, 0, 2.5), (SIDE, SIDE, 4.5), (25, 3)):
            rows, columns = (slice(max(0, int(at) - 12), int(at) + 13) for at in (y, x))
            along_y, along_x = (
                np.exp(-((np.arange(SIDE)[part] - at) ** 2) / (2 * width**2)) for part, at in ((rows, y), (columns, x))
            )
            light[rows, columns] += 10**power * np.outer(along_y, along_x) / (2 * np.pi * width**2)
        return light

    def exposure(self, detector: int) -> Exposure:
        """The frame in electrons with all of its sky, sources masked as detection would."""
        light = self.stars(detector) + self.halo(detector)
        pixels = self.sky(detector) + light + self.spoiled.get(detector, 0.0)
        spread = np.maximum(pixels, 1.0)
        if self.noise:
            rng = np.random.default_rng([self.seed, detector, 7])
            pixels = pixels + np.sqrt(spread) / 4 * rng.standard_normal(pixels.shape)
        bits = np.where(light > 3 * self.pixel_noise, bitmask("DETECTED"), 0)
        return Exposure.from_arrays(
            pixels, bits, spread / 16, unit=u.electron, detector=camera().detector(detector, visit=self.seed)
        )

    def cells(self) -> dict[int, SkyCells]:
        """The sky of all detectors in cells."""
        return {one: bin_sky(self.exposure(one), settings=BINS) for one in camera().detector_ids}
