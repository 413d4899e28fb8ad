from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from astropy.io.fits import Header

from skyloom.images.raw import RawExposure
from skyloom.instruments import Camera
from skyloom.isr import IsrSettings, OverscanSettings, correct_raw

MakeRaw = Callable[..., RawExposure]
YAML = """
name: corners
recognise: {INSTRUME: corners}
position_unit: px
pixel_scale: 0.25 arcsec
pixel_size: 15 um
pointing_error: 10 arcsec
detectors:
  - id: 0
    name: only
    size: [20, 16]
    amplifiers:
      - {name: LL, box: {x: [0, 10], y: [0, 8]}, raw: {box: {x: [0, 12], y: [0, 8]}, data: {x: [0, 10], y: [0, 8]},
         serial_overscan: {x: [10, 12], y: [0, 8]}}, gain: 1, read_noise: 1, saturation: 60000}
      - {name: LR, box: {x: [10, 20], y: [0, 8]}, raw: {box: {x: [12, 24], y: [0, 8]}, data: {x: [12, 22], y: [0, 8]},
         serial_overscan: {x: [22, 24], y: [0, 8]}}, flip_x: true, gain: 1, read_noise: 1, saturation: 60000}
      - {name: UL, box: {x: [0, 10], y: [8, 16]}, raw: {box: {x: [0, 12], y: [8, 16]}, data: {x: [0, 10], y: [8, 16]},
         serial_overscan: {x: [10, 12], y: [8, 16]}}, flip_y: true, gain: 1, read_noise: 1, saturation: 60000}
      - {name: UR, box: {x: [10, 20], y: [8, 16]}, raw: {box: {x: [12, 24], y: [8, 16]}, data: {x: [12, 22],
         y: [8, 16]}, serial_overscan: {x: [22, 24], y: [8, 16]}}, flip_x: true, flip_y: true, gain: 1, read_noise: 1,
         saturation: 60000}
filters: {r: {band: r}}
header: {exposure_id: EXPNUM, exposure_time: EXPTIME, date: DATE-OBS, ra: RA, dec: DEC, filter: FILTER}
"""


def test_every_corner_is_mirrored_into_place() -> None:
    scene = np.random.default_rng(1).uniform(0, 1000, (16, 20))
    raw = np.zeros((16, 24))
    raw[:8, :10], raw[:8, 12:22] = scene[:8, :10], scene[:8, 19:9:-1]
    raw[8:, :10], raw[8:, 12:22] = scene[15:7:-1, :10], scene[15:7:-1, 19:9:-1]
    camera = Camera.from_yaml(YAML)
    frame = RawExposure(image=raw, header=Header(), file="corners.fits", detector=camera.detector(0))
    np.testing.assert_allclose(correct_raw(frame).image.array, scene, rtol=1e-6)


def test_overscan_rows_follow_their_own_rows(make_raw: MakeRaw) -> None:
    raw = np.zeros((1040, 1088)) + 1000.0 + np.arange(1040)[:, None] * 0.25
    raw[:1024, :512] += 77.0
    exposure = correct_raw(make_raw(raw))
    np.testing.assert_allclose(exposure.image.array[:, :512], 77.0 * 1.5, rtol=1e-6)
    np.testing.assert_allclose(exposure.image.array[:, 512:], 0.0, atol=1e-6)


def test_parallel_overscan_alone_is_measured_above_the_pedestal() -> None:
    camera = Camera.from_yaml(
        YAML.split("    amplifiers:")[0].replace("size: [20, 16]", "size: [20, 12]")
        + """    amplifiers:
      - {name: all, box: {x: [0, 20], y: [0, 12]}, raw: {box: {x: [0, 20], y: [0, 16]}, data: {x: [0, 20], y: [0, 12]},
         parallel_overscan: {x: [0, 20], y: [12, 16]}}, gain: 1, read_noise: 1, saturation: 60000, bias_level: 500}
filters: {r: {band: r}}
header: {exposure_id: EXPNUM, exposure_time: EXPTIME, date: DATE-OBS, ra: RA, dec: DEC, filter: FILTER}
"""
    )
    raw = np.full((16, 20), 500.0) + np.arange(20)
    raw[:12] += 100.0
    frame = RawExposure(image=raw, header=Header(), file="one.fits", detector=camera.detector(0))
    exposure = correct_raw(frame, settings=IsrSettings(parallel_overscan=OverscanSettings()))
    np.testing.assert_allclose(exposure.image.array, 100.0, atol=1e-4)


def test_parallel_overscan_takes_off_columns(make_raw: MakeRaw) -> None:
    raw = np.zeros((1040, 1088)) + 1000.0
    structure = np.random.default_rng(2).uniform(0, 20, 512)
    raw[:, :512] += structure
    raw[:1024, :512] += 50.0
    settings = IsrSettings(parallel_overscan=OverscanSettings())
    exposure = correct_raw(make_raw(raw), settings=settings)
    np.testing.assert_allclose(exposure.image.array[:, :512], 75.0, rtol=1e-5)
    assert exposure.metadata["LSST ISR OVERSCAN PARALLEL MEDIAN A"] == pytest.approx(np.median(structure), abs=0.1)
