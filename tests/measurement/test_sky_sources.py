from __future__ import annotations

import numpy as np
import pytest

from measurement.star_frames import star_frame
from skyloom.detection import detect_sources
from skyloom.images.mask_planes import bitmask
from skyloom.measurement import SkySourceSettings, measure_sources, place_sky_sources

SHAPE, NOISE = (900, 800), 15.0


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(1)
    x, y, flux = rng.uniform(20, 780, 60), rng.uniform(20, 880, 60), np.full(60, 3e4)
    exposure, _ = star_frame(x, y, flux, shape=SHAPE, noise=NOISE, fwhm=3.0)
    return exposure, detect_sources(exposure)


def test_disks_lie_on_free_sky_and_apart(frame) -> None:
    exposure, _ = frame
    exposure.bits[300:500, 200:210] |= bitmask("BAD")
    sky = place_sky_sources(exposure, 7)
    assert len(sky) == 100
    avoided = bitmask("DETECTED", "DETECTED_NEGATIVE", "BAD", "NO_DATA")
    assert not (exposure.bits[sky.to_mask()] & avoided).any()
    at = np.array([[disk.peaks["x"][0], disk.peaks["y"][0]] for disk in sky])
    apart = np.hypot(*(np.subtract.outer(at[:, k], at[:, k]) for k in (0, 1)))
    assert apart[~np.eye(100, dtype=bool)].min() > 16
    assert at.min() > 8
    assert (at.max(axis=0) < np.array(SHAPE)[::-1] - 9).all()
    assert all(disk.area == 197 for disk in sky)  # pixel centres within 8 px
    assert all(disk.peaks["value"][0] == 0 for disk in sky)
    quarters = (at[:, 0] > 400).astype(int) + 2 * (at[:, 1] > 450)
    assert np.bincount(quarters).min() > 15


def test_the_seed_decides(frame) -> None:
    exposure, _ = frame
    assert place_sky_sources(exposure, 7) == place_sky_sources(exposure, 7)
    assert place_sky_sources(exposure, 7) != place_sky_sources(exposure, 8)


def test_a_full_or_tiny_frame_has_none(frame) -> None:
    exposure, _ = frame
    crowded = exposure.copy()
    crowded.bits[...] |= bitmask("DETECTED")
    assert len(place_sky_sources(crowded, 1)) == 0
    assert len(place_sky_sources(exposure[type(exposure.bbox).factory[0:15, 0:15]], 1)) == 0
    assert len(place_sky_sources(exposure, 1, SkySourceSettings(count=5))) == 5


def test_their_fluxes_tell_the_noise(frame) -> None:
    exposure, footprints = frame
    sky = place_sky_sources(exposure, 3)
    table = measure_sources(exposure, footprints, sky_sources=sky)
    chosen = np.asarray(table["flag_sky_source"])
    assert chosen.sum() == len(sky)
    assert chosen[-len(sky) :].all()
    assert sky.ids.tolist() == table["source_id"][chosen].tolist()
    rows = table[chosen]
    at = np.array([[disk.peaks["x"][0], disk.peaks["y"][0]] for disk in sky])
    assert np.array_equal(rows["x"], at[:, 0])
    assert not (rows["is_primary"] | rows["is_isolated"] | rows["flag_blended"]).any()
    assert table["is_primary"][~chosen].all()
    for name in ("psf_flux", "aperture_flux_6_0", "tophat_flux"):
        pull = np.asarray(rows[name]) / np.asarray(rows[f"{name}_err"])
        assert np.std(pull) == pytest.approx(1.0, abs=0.25)  # a hundred places tell it to 0.07
        assert abs(np.mean(pull)) < 0.35
    assert np.isnan(rows["ixx"]).all()
    assert rows["flag_shape"].all()
