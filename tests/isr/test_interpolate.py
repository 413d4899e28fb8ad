from __future__ import annotations

import numpy as np
import pytest

from skyloom.images import bitmask
from skyloom.isr import InterpolationSettings
from skyloom.isr.interpolation import interpolate_unusable
from skyloom.kernels.interpolate import BRIDGED, bridge_runs, kriging_weights


def test_weights_of_a_single_pixel() -> None:
    weights = kriging_weights(np.array([-2.0, -1.0, 1.0, 2.0]))
    np.testing.assert_allclose(weights, [-0.2737, 0.7737, 0.7737, -0.2737], atol=1e-4)
    np.testing.assert_allclose(kriging_weights(np.array([1.0, 2.0])), [1.4288, -0.4288], atol=1e-4)


def test_weights_of_a_wide_run_tend_to_the_mean() -> None:
    np.testing.assert_allclose(kriging_weights(np.array([-9.0, -8.0, 8.0, 9.0])), 0.25, atol=0.02)


@pytest.mark.parametrize("place", [(20, 20), (0, 20), (20, 0), (39, 39)])
def test_a_plane_is_continued_through_a_hole(place: tuple[int, int]) -> None:
    image = np.full((40, 40), 100.0)
    bad = np.zeros(image.shape, bool)
    bad[place] = True
    image[place] = np.nan
    assert bridge_runs(image, BRIDGED * bad.astype(np.uint8), 16).sum() == 1
    assert image[place] == pytest.approx(100.0)


def test_the_core_of_a_star_is_restored() -> None:
    y, x = np.mgrid[:41, :41]
    truth = 1000.0 * np.exp(-0.5 * ((x - 20.2) ** 2 + (y - 19.9) ** 2) / 1.6**2)
    for bad in (x == 20, y == 20, (x == 20) & (y == 20)):
        image = np.where(bad, -1e6, truth)
        assert bridge_runs(image, BRIDGED * bad.astype(np.uint8), 16)[bad].all()
        assert np.abs(image - truth).max() < 0.03 * truth.max()


def test_the_shorter_axis_is_taken() -> None:
    y, x = np.mgrid[:60, :60].astype(float)
    image, bad = 10.0 * y + 0 * x, np.zeros((60, 60), bool)
    bad[10:50, 30:32] = True
    truth = image.copy()
    image[bad] = 0.0
    bridge_runs(image, BRIDGED * bad.astype(np.uint8), 16)
    np.testing.assert_allclose(image[bad], truth[bad], atol=1e-9)


def test_planes_after_interpolation() -> None:
    image = np.full((60, 60), 5.0, np.float32)
    variance = np.full((60, 60), 2.0, np.float32)
    bits = np.zeros((60, 60), np.int32)
    bits[3, 3] = bits[20:50, 20:50] = bitmask("BAD")
    bits[55, 5] = bitmask("SAT")
    bits[:, 57:] = bitmask("BAD")
    assert interpolate_unusable(image, variance, bits, InterpolationSettings(max_run=10)) == 1 + 60 * 3
    assert (bits[:, 57:] == bitmask("BAD", "INTRP")).all()
    assert bits[3, 3] == bitmask("BAD", "INTRP")
    assert image[3, 3] == pytest.approx(5.0)
    assert np.isinf(variance[3, 3])
    assert (bits[20:50, 20:50] == bitmask("BAD", "NO_DATA")).all()
    assert np.isnan(image[20:50, 20:50]).all()
    assert bits[55, 5] == bitmask("SAT")
    assert np.isfinite(variance[55, 5])
