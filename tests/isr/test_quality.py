from __future__ import annotations

import numpy as np
import pytest

from skyloom.images.mask_planes import bitmask
from skyloom.isr.quality import QualitySettings, measure_background


def gradient(shape: tuple[int, int], slope: float) -> tuple[np.ndarray, np.ndarray]:
    """1000 in the middle column and ``slope`` more a column."""
    x = np.arange(shape[1]) - (shape[1] - 1) / 2
    return np.broadcast_to(1000 + slope * x, shape).astype(np.float32), np.zeros(shape, np.int32)


def test_gradient() -> None:
    image, bits = gradient((256, 640), 0.5)
    found = measure_background(image, bits, QualitySettings(mesh_x=64, mesh_y=128))
    cells = 32.0 * np.arange(10)  # each cell is 64 columns of half a count higher than the last
    assert found["SKYLEVEL"] == pytest.approx(1000.0)
    assert found["SKYSIGMA"] == pytest.approx(image.std(), rel=1e-3)
    assert found["FLATNESS_PP"] == pytest.approx(9 * 32.0 / 1000, rel=1e-5)
    assert found["FLATNESS_RMS"] == pytest.approx(cells.std() / 1000, rel=1e-5)
    assert found["FLATNESS_NGRIDS"] == "10x2"
    assert (found["FLATNESS_MESHX"], found["FLATNESS_MESHY"]) == (64, 128)


@pytest.mark.parametrize(
    ("width", "grid", "spread"),
    # The last cell: 64 columns but 30 unused, 40 of 64 columns, all there are.
    [(222, "3x1", 2 * 64), (232, "4x1", 3 * 64 - 12), (40, "1x1", 0.0), (20, "1x1", 0.0)],
)
def test_meshes_that_do_not_divide_the_size(width: int, grid: str, spread: float) -> None:
    image = np.broadcast_to(1000.0 + np.arange(width), (50, width)).astype(np.float32)
    settings = QualitySettings(mesh_x=64, mesh_y=64, clip=False)
    found = measure_background(image, np.zeros(image.shape, np.int32), settings)
    assert found["FLATNESS_NGRIDS"] == grid
    levels = [1000 + np.arange(left, min(left + 64, width)).mean() for left in range(0, 64 * int(grid[0]), 64)]
    assert np.ptp(levels) == pytest.approx(spread)
    assert found["FLATNESS_PP"] == pytest.approx(spread / np.median(levels), rel=1e-6)


def test_masked_pixels_and_outliers_do_not_count() -> None:
    random = np.random.default_rng(1)
    image = random.normal(500.0, 10.0, (256, 256)).astype(np.float32)
    bits = np.zeros(image.shape, np.int32)
    for row, plane in enumerate(("BAD", "SAT", "DETECTED")):
        image[80 * row : 80 * row + 30] = 60_000.0
        bits[80 * row : 80 * row + 30] = bitmask(plane)
    image[40, :20] = np.nan
    image[60, :30] = 9000.0
    found = measure_background(image, bits, QualitySettings(mesh_x=64, mesh_y=64))
    assert found["SKYLEVEL"] == pytest.approx(500.0, abs=0.3)
    assert found["SKYSIGMA"] == pytest.approx(10.0, rel=0.03)
    assert float(found["FLATNESS_PP"]) < 0.01
    unclipped = measure_background(image, bits, QualitySettings(mesh_x=64, mesh_y=64, clip=False))
    assert float(unclipped["FLATNESS_PP"]) > 0.1


def test_nothing_to_measure() -> None:
    found = measure_background(np.full((64, 64), np.nan, np.float32), np.zeros((64, 64), np.int32), QualitySettings())
    assert all(np.isnan(found[key]) for key in ("SKYLEVEL", "SKYSIGMA", "FLATNESS_PP", "FLATNESS_RMS"))


def test_no_flatness_about_zero() -> None:
    found = measure_background(np.zeros((64, 64), np.float32), np.zeros((64, 64), np.int32), QualitySettings())
    assert found["SKYLEVEL"] == 0
    assert np.isnan(found["FLATNESS_PP"])


def test_an_empty_mesh() -> None:
    with pytest.raises(ValueError, match="0 x 256"):
        QualitySettings(mesh_x=0)
