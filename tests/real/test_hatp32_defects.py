"""Hot pixels of a small telescope's camera, found from one night of frames whose stars drift by 268 pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from scipy import ndimage

from skyloom.calibs import DefectMap, find_defects


@pytest.fixture(scope="module")
def frames(data_dir: Path) -> list[np.ndarray]:
    paths = sorted((data_dir / "hatp32_raw").glob("*.fits.fz"))
    assert len(paths) == 24
    return [np.asarray(fits.getdata(path)) for path in paths[::2]]


@pytest.fixture(scope="module")
def defects(frames: list[np.ndarray]) -> DefectMap:
    return find_defects(frames)


def test_many_hot_pixels_and_little_is_lost(defects: DefectMap) -> None:
    assert defects.hot.sum() > 1000
    assert 0.002 < defects.fraction < 0.02


def test_hot_pixels_are_hot_throughout_the_night(frames: list[np.ndarray], defects: DefectMap) -> None:
    single = defects.hot & (defects.excess > 5)
    excess = []
    for frame in frames:
        residual = frame - ndimage.median_filter(frame.astype(float), 5)
        quiet = residual[np.abs(residual) < 5]
        excess.append(residual[single] / quiet.std())
    typical = np.median(excess, axis=0)
    assert (typical > defects.settings.threshold).mean() > 0.98


def test_stars_are_spared(frames: list[np.ndarray], defects: DefectMap) -> None:
    stars = spared = 0
    for frame in (frames[0], frames[-1]):
        residual = frame - ndimage.median_filter(frame.astype(float), 9)
        peak = (residual == ndimage.maximum_filter(residual, 5)) & (residual > 100)
        around = np.min([np.roll(residual, step, axis) for step in (-1, 1) for axis in (0, 1)], axis=0)
        peak &= around > 0.3 * residual
        peak[:5] = peak[-5:] = peak[:, :5] = peak[:, -5:] = False
        stars += peak.sum()
        spared += (peak & ~defects.defective).sum()
    assert stars > 100
    assert spared >= 0.97 * stars


def test_half_the_night_finds_the_same(frames: list[np.ndarray], defects: DefectMap) -> None:
    half = find_defects(frames[::2])
    clear = defects.hot & (defects.excess > 1.5 * defects.settings.threshold)
    assert (half.hot & clear).sum() > 0.95 * clear.sum()
