"""Flats of many levels of a small simulated camera."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from skyloom.calibs import Raw
from skyloom.images.raw import RawExposure
from skyloom.instruments import Camera
from skyloom.simulate import DetectorSettings, Mosaic
from skyloom.simulate.headers import Exposure, make_header
from skyloom.simulate.readout import expose
from skyloom.simulate.signature import make_signature

SMALL = """
name: small
telescope: Toy
recognise: {INSTRUME: small}
pixel_scale: 0.25 arcsec
pixel_size: 15 um
pointing_error: 30 arcsec
detectors:
  - id: 0
    name: only
    size: [300, 240]
    position: [0, 0]
    amplifiers:
      - name: A
        box: {x: [0, 150], y: [0, 240]}
        raw:
          box: {x: [0, 182], y: [0, 240]}
          data: {x: [0, 150], y: [0, 240]}
          serial_overscan: {x: [150, 182], y: [0, 240]}
        gain: 1.5
        read_noise: 8.0
        saturation: 60000
      - name: B
        box: {x: [150, 300], y: [0, 240]}
        raw:
          box: {x: [182, 364], y: [0, 240]}
          data: {x: [214, 364], y: [0, 240]}
          serial_overscan: {x: [182, 214], y: [0, 240]}
        readout_corner: LR
        gain: 1.7
        read_noise: 5.0
        saturation: 60000
filters:
  r: {band: r, reference: r}
header:
  exposure_id: EXPNUM
  detector: DETNUM
  exposure_time: EXPTIME
  date: DATE-OBS
  ra: RA
  dec: DEC
  filter: FILTER
  observation_type: IMGTYPE
  simulated: {value: true}
"""
CAMERA = Camera.from_yaml(SMALL)
MOSAIC = Mosaic.of(CAMERA)
CCD = MOSAIC.ccds[0]
GAINS = {"A": 1.5, "B": 1.7}
PLAIN = DetectorSettings(bias_structure_adu=0.0, hot_pixels=5)
RATE = 6000.0
"""Electrons a second of the lamp."""


def flat(
    number: int,
    electrons: float | np.ndarray,
    *,
    seconds: float | None = None,
    detector: DetectorSettings = PLAIN,
    minute: int | None = None,
    **cards: Any,
) -> RawExposure:
    """A flat of some level, of the exposure time that the lamp takes for it."""
    seconds = float(np.mean(electrons)) / RATE if seconds is None else seconds
    minute = number if minute is None else minute
    signature = make_signature(detector, 4, MOSAIC, CCD, "r")
    rng = np.random.default_rng([number, 7])
    pixels = expose(np.zeros(CCD.shape) + electrons, CCD, signature, detector, rng, seconds=seconds).raw
    told = Exposure(
        number=number,
        observation_type="flat",
        begin=f"2026-01-14T{16 + minute // 60:02d}:{minute % 60:02d}:00",
        seconds=seconds,
        band="r",
    )
    header = make_header(told, MOSAIC, CCD, {})
    header.update(cards)
    raw = CAMERA.complete(RawExposure(image=pixels, header=header, file=f"flat_{number}.fits"))
    return replace(raw, mode={"SPEED": str(cards.get("SPEED", "slow"))})


def ramp(levels: Sequence[float], *, detector: DetectorSettings = PLAIN, drift: float = 0.0) -> list[RawExposure]:
    """Two flats of each level, up and down again, by a lamp that drifts."""
    both = [*levels, *levels[::-1]]
    lamp = 1.0 + drift * np.linspace(-0.5, 0.5, len(both))
    return [
        flat(number, level * lamp[number], seconds=level / RATE, detector=detector) for number, level in enumerate(both)
    ]


def ready(frames: Iterable[RawExposure]) -> list[Raw]:
    return [lambda frame=frame: frame for frame in frames]
