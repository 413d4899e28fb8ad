from __future__ import annotations

import numpy as np
import pytest

from skyloom.kernels.background import mesh_statistics


def test_each_cell_has_its_own_statistics_without_masked_and_infinite_pixels() -> None:
    rng = np.random.default_rng(1)
    image = rng.normal(0.0, 1.0, (60, 90)).astype(np.float32)
    image[:, 40:] += 10.0
    bits = np.zeros(image.shape, np.int32)
    image[5:20, 5:20] = 1e4
    bits[5:20, 5:20] = 4
    image[30, 30] = np.nan
    bits[:, 80:] = 4
    mean, sigma, count = mesh_statistics(image, bits, 4, np.array([0, 30, 60]), np.array([0, 40, 80, 90]), 3.0, 10)
    assert mean.shape == (2, 3)
    assert mean[:, 0] == pytest.approx([0, 0], abs=0.15)
    assert mean[:, 1] == pytest.approx([10, 10], abs=0.15)
    assert sigma[:, :2] == pytest.approx(np.ones((2, 2)), rel=0.1)
    assert count.tolist() == [[30 * 40 - 225, 1200, 0], [1199, 1200, 0]]
    assert np.isnan(mean[:, 2]).all()


def test_bits_that_are_not_ignored_do_not_mask() -> None:
    image = np.ones((10, 10), np.float32)
    _, _, count = mesh_statistics(
        image, np.full((10, 10), 2, np.int32), 4, np.array([0, 10]), np.array([0, 10]), 3.0, 5
    )
    assert count[0, 0] == 100
