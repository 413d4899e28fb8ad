"""A camera of one small detector, whose two amplifiers have their overscan on opposite sides."""

from __future__ import annotations

import numpy as np
from astropy.io import fits

MIRRORED = """
name: mirrored
recognise: {INSTRUME: mirrored}
pixel_scale: 1 arcsec
pointing_error: 1 arcmin
detectors:
  - id: 0
    name: only
    size: [24, 30]
    amplifiers:
      - name: A
        box: {x: [0, 12], y: [0, 30]}
        raw:
          box: {x: [0, 20], y: [0, 30]}
          data: {x: [8, 20], y: [0, 30]}
          serial_overscan: {x: [0, 8], y: [0, 30]}
        gain: 2.0
        read_noise: 4.0
        saturation: 50000
      - name: B
        box: {x: [12, 24], y: [0, 30]}
        raw:
          box: {x: [20, 40], y: [0, 30]}
          data: {x: [20, 32], y: [0, 30]}
          serial_overscan: {x: [32, 40], y: [0, 30]}
        gain: 1.5
        read_noise: 4.0
        saturation: 50000
filters:
  r: {band: r}
header:
  exposure_id: EXPNUM
  exposure_time: EXPTIME
  date: DATE-OBS
  ra: RA
  dec: DEC
  filter: FILTER
  observation_type: IMGTYPE
"""

LEVELS = {"A": 1000.0 + 0.5 * np.arange(30), "B": 900.0 - 0.25 * np.arange(30)}
"""True overscan of each row, ADU."""
LIGHT = 600.0
"""Of every pixel, electrons."""
GAINS = {"A": 2.0, "B": 1.5}


def raw_counts() -> np.ndarray:
    """Noise-free raw counts ``[y, x]``; A has late charge of 3 ADU next to its data, B a hit in row 7."""
    counts = np.empty((30, 40), np.float32)
    counts[:, :20], counts[:, 20:] = LEVELS["A"][:, None], LEVELS["B"][:, None]
    counts[:, 8:20] += LIGHT / GAINS["A"]
    counts[:, 20:32] += LIGHT / GAINS["B"]
    counts[:, 7] += 3.0
    counts[7, 35] += 400.0
    return counts


def header(exposure: int, kind: str = "science") -> fits.Header:
    cards = {"INSTRUME": "mirrored", "EXPNUM": exposure, "EXPTIME": 10.0, "DATE-OBS": f"2026-01-02T03:0{exposure}:00"}
    return fits.Header(cards | {"RA": 10.0, "DEC": 2.0, "FILTER": "r", "IMGTYPE": kind})
