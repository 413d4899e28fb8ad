from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from skyloom.images.mask_planes import bitmask
from skyloom.images.raw import RawExposure
from skyloom.isr import AmplifierLayout, layout_of
from skyloom.isr.statistics import amplifier_statistics


@pytest.fixture
def layouts(make_raw: Callable[..., RawExposure]) -> list[AmplifierLayout]:
    raw = make_raw(np.zeros((1040, 1088), np.float32))
    assert raw.detector is not None
    return layout_of(raw.detector, raw.image.shape, raw.file)


def test_every_amplifier_has_its_own(layouts: list[AmplifierLayout]) -> None:
    image, bits = np.zeros((1024, 1024), np.float32), np.zeros((1024, 1024), np.int32)
    for number, layout in enumerate(layouts):
        part = image[layout.trimmed]
        part[...] = np.random.default_rng(number).normal(100.0 * number, 5.0, part.shape)
        part[:10] = 60_000.0
        bits[layout.trimmed][: number + 1, :7] = bitmask("SAT", "CR")
        bits[layout.trimmed][20, : number + 1] = bitmask("BAD")
    first, second = layouts[:2]
    image[first.trimmed][50] = np.nan
    keys = amplifier_statistics(image, bits, layouts, {first.name: 1000.0})
    assert len(keys) == 6 * len(layouts)
    for number, layout in enumerate(layouts):
        assert keys[f"LSST ISR MASK SAT {layout.name}"] == 7 * (number + 1)
        assert keys[f"LSST ISR MASK BAD {layout.name}"] == number + 1
        pixels = image[layout.trimmed]
        assert keys[f"LSST ISR FINAL MEAN {layout.name}"] == pytest.approx(np.nanmean(pixels, dtype=float))
        assert keys[f"LSST ISR FINAL MEDIAN {layout.name}"] == pytest.approx(np.nanmedian(pixels))
        assert keys[f"LSST ISR FINAL STDEV {layout.name}"] == pytest.approx(0.9866 * 5.0, rel=0.01)
    assert keys[f"LSST ISR LEVEL {first.name}"] == pytest.approx(keys[f"LSST ISR FINAL MEDIAN {first.name}"] - 1000)
    assert np.isnan(keys[f"LSST ISR LEVEL {second.name}"])


def test_an_amplifier_without_pixels(layouts: list[AmplifierLayout]) -> None:
    image, bits = np.full((1024, 1024), np.nan, np.float32), np.zeros((1024, 1024), np.int32)
    keys = amplifier_statistics(image, bits, layouts, {})
    for statistic in ("MEAN", "MEDIAN", "STDEV"):
        assert np.isnan(keys[f"LSST ISR FINAL {statistic} {layouts[0].name}"])
