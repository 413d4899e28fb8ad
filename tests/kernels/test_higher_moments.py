"""Moments of analytic profiles are those of integration, whatever the ellipse and the place between pixels."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.kernels.higher_moments import HIGHER_MOMENTS, higher_moments, stamp_shapes
from skyloom.kernels.mask_fractions import bit_counts


def gaussian(x: float, y: float, xx: float, yy: float, xy: float, size: int = 61) -> np.ndarray:
    row, column = np.mgrid[:size, :size]
    dx, dy = column - x, row - y
    shape = yy * dx**2 - 2 * xy * dx * dy + xx * dy**2
    return np.exp(-0.5 * shape / (xx * yy - xy**2))


def moments_of(
    image: np.ndarray, x: float, y: float, second: tuple[float, float, float]
) -> dict[tuple[int, int], float]:
    nothing = np.zeros(image.shape, dtype=bool)
    found = higher_moments(image.astype(np.float32), nothing, np.array([x]), np.array([y]), np.array([second]))[0]
    return dict(zip(HIGHER_MOMENTS, found.tolist(), strict=True))


@pytest.mark.parametrize("second", [(4.0, 4.0, 0.0), (6.0, 3.0, 0.0), (5.0, 4.0, 1.7)])
@pytest.mark.parametrize("place", [(30.0, 30.0), (30.37, 29.71)])
def test_gaussian_has_the_moments_of_half_its_width(
    second: tuple[float, float, float], place: tuple[float, float]
) -> None:
    found = moments_of(gaussian(*place, *second), *place, second)
    expected = dict.fromkeys(HIGHER_MOMENTS, 0.0) | {(4, 0): 0.75, (2, 2): 0.25, (0, 4): 0.75}
    assert found == pytest.approx(expected, abs=2e-4)


def test_skewed_star_has_the_skewness_that_was_put_in() -> None:
    # The factor 1 + a (u^3 - 3 u / 2) adds a <u^6 - 3 u^4 / 2> = a (15 - 9) / 8 under the product Gaussian.
    row, column = np.mgrid[:61, :61]
    u, v = (column - 30) / 2.5, (row - 30) / 2.5
    image = gaussian(30, 30, 6.25, 6.25, 0) * (1 + 0.04 * (u**3 - 1.5 * u) - 0.02 * (v**3 - 1.5 * v))
    found = moments_of(image, 30, 30, (6.25, 6.25, 0.0))
    assert found[3, 0] == pytest.approx(0.04 * 0.75, rel=1e-3)
    assert found[0, 3] == pytest.approx(-0.02 * 0.75, rel=1e-3)
    assert found[2, 1] == pytest.approx(0.0, abs=1e-4)


def test_star_without_a_core_or_at_the_edge_is_unknown() -> None:
    image = gaussian(30, 30, 4, 4, 0).astype(np.float32)
    unusable = np.zeros(image.shape, dtype=bool)
    unusable[30, 30] = True
    x, y = np.array([30.0, 2.0, np.nan]), np.array([30.0, 30.0, 30.0])
    assert np.isnan(higher_moments(image, unusable, x, y, np.full((3, 3), [4.0, 4.0, 0.0]))).all()
    unusable[:] = False
    unusable[40, 40] = True
    image[40, 40] = 1e6
    found = higher_moments(image, unusable, x[:1], y[:1], np.array([[4.0, 4.0, 0.0]]))
    assert found[0, HIGHER_MOMENTS.index((2, 2))] == pytest.approx(0.25, abs=1e-3)


def test_shapes_of_stamps_are_those_of_the_gaussians() -> None:
    seconds = np.array([[4.0, 4.0, 0.0], [6.0, 3.0, 1.0]])
    stamps = np.stack([gaussian(30.2, 29.9, *second) for second in seconds] + [np.zeros((61, 61))])
    found = stamp_shapes(stamps, np.full(3, 30.2), np.full(3, 29.9), 1.5)
    np.testing.assert_allclose(found[:2], seconds, atol=1e-3)
    assert np.isnan(found[2]).all()


def test_bits_are_counted() -> None:
    bits = np.zeros((5, 7), dtype=np.int32)
    bits[0, :3], bits[4, 6] = 0b101, np.int32(-(2**31))
    counts = bit_counts(bits)
    assert counts[[0, 1, 2, 31]].tolist() == [3, 0, 3, 1]
    assert counts.sum() == 7
