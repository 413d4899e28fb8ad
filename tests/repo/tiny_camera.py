"""The description and the headers of a tiny camera of two detectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

TINY = """
name: tiny
telescope: Toy
recognise: {INSTRUME: tiny}
pixel_scale: 10 arcsec
pixel_size: 20 um
pointing_error: 2 arcmin
scale_error: 0.01
rotation_error: 1 deg
detectors:
  - id: 0
    name: left
    size: [20, 30]
    position: [-12, 0]
    amplifiers: &amplifiers
      - name: all
        box: {x: [0, 20], y: [0, 30]}
        raw:
          box: {x: [0, 24], y: [0, 30]}
          data: {x: [0, 20], y: [0, 30]}
          serial_overscan: {x: [20, 24], y: [0, 30]}
        gain: 2.0
        read_noise: 4.0
        saturation: 50000
  - {id: 1, name: right, size: [20, 30], position: [12, 0], amplifiers: *amplifiers}
filters:
  r: {band: r}
  g: {band: g}
header:
  exposure_id: EXPNUM
  detector: DETNUM
  exposure_time: EXPTIME
  date: DATE-OBS
  ra: RA
  dec: DEC
  filter: FILTER
  observation_type: IMGTYPE
  object: OBJECT
  simulated: {value: true}
exposure_max: 100000
"""

WriteFrame = Callable[..., Path]


def tiny_header(exposure: int, detector: int, **changes: Any) -> fits.Header:
    cards = {
        "INSTRUME": "tiny",
        "EXPNUM": exposure,
        "DETNUM": detector,
        "FILTER": "r",
        "EXPTIME": 12.0,
        "DATE-OBS": f"2026-01-02T03:{exposure % 60:02d}:00",
        "RA": 150.0,
        "DEC": 2.0,
        "IMGTYPE": "science",
        "OBJECT": "field",
    } | changes
    return fits.Header({key: value for key, value in cards.items() if value is not None})


def frame_writer(folder: Path) -> WriteFrame:
    """Writes raw frames into a folder: (exposure, detector, name=..., pixels=..., KEYWORD=...)."""
    folder.mkdir(exist_ok=True)

    def write(exposure: int, detector: int, *, name: str = "", pixels: Any = None, **changes: Any) -> Path:
        path = folder / (name or f"tiny_{exposure}_{detector}.fits")
        if pixels is None:
            pixels = np.full((30, 24), 1000 + exposure, np.uint16)
        fits.PrimaryHDU(pixels, tiny_header(exposure, detector, **changes)).writeto(path, overwrite=True)
        return path

    return write
