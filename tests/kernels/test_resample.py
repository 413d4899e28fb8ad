"""The resampling kernel against slow exact sums, analytic answers and its rules for masks and missing pixels."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.kernels.pixel_map import mapping_at
from skyloom.kernels.resample import NEGLIGIBLE_WEIGHT, kernel_table, resample

NO_DATA, EDGE, HIT = 1, 2, 4
STEP = 16


def affine_nodes(
    shape: tuple[int, int], matrix: np.ndarray, offset: tuple[float, float], step: int = STEP
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes of an affine map from destination to source."""
    rows, columns = (step * np.arange(-1.0, -(-n // step) + 2) for n in shape)
    x, y = np.meshgrid(columns, rows)
    return (
        matrix[0, 0] * x + matrix[0, 1] * y + offset[0],
        matrix[1, 0] * x + matrix[1, 1] * y + offset[1],
    )


def warp(image, nodes, shape, variance=None, bits=None, **options):  # type: ignore[no-untyped-def]
    variance = np.ones_like(image) if variance is None else variance
    bits = np.zeros(image.shape, np.int32) if bits is None else bits
    return resample(image, variance, bits, *nodes, STEP, shape, no_data=NO_DATA, edge=EDGE, **options)


def exact(image: np.ndarray, x: float, y: float, order: int) -> float:
    """The definition, written out: bilinear (1) or Lanczos of an order."""
    i, j = int(np.floor(x)), int(np.floor(y))
    columns, rows = np.arange(i - order + 1, i + order + 1), np.arange(j - order + 1, j + order + 1)
    if order == 1:
        wx, wy = 1 - np.abs(x - columns), 1 - np.abs(y - rows)
    else:
        wx = np.sinc(x - columns) * np.sinc((x - columns) / order)
        wy = np.sinc(y - rows) * np.sinc((y - rows) / order)
    return float(wy @ image[np.ix_(rows, columns)].astype(float) @ wx / (wx.sum() * wy.sum()))


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_tables_are_normalised_and_hit_pixels_exactly(order: int) -> None:
    table = kernel_table(order)
    np.testing.assert_allclose(table.sum(axis=1), 1.0, atol=1e-15)
    assert np.flatnonzero(table[0]).tolist() == [table.shape[1] // 2 - 1]
    np.testing.assert_allclose(table[::-1, ::-1], table, atol=1e-15)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_agrees_with_the_definition(order: int) -> None:
    rng = np.random.default_rng(3)
    image = rng.normal(100.0, 30.0, (60, 70)).astype(np.float32)
    angle = 0.4
    matrix = 0.7 * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    shape, offset = (25, 45), (12.3, 20.7)
    nodes = affine_nodes(shape, matrix, offset)
    result, variance, bits = warp(image, nodes, shape, order=order)
    squared, _, _ = warp(image, nodes, shape, order=order, conserve_flux=False)
    for row, column in rng.integers(0, shape, (200, 2)):
        x, y = matrix @ (column, row) + offset
        if order <= x <= 69 - order and order <= y <= 59 - order:
            value = exact(image, x, y, order)
            assert result[row, column] == pytest.approx(0.49 * value, rel=2e-6, abs=3e-4)
            assert squared[row, column] == pytest.approx(value, rel=2e-6, abs=6e-4)
            assert bits[row, column] == 0
            assert np.isfinite(variance[row, column])


def test_parts_of_source_and_destination_give_the_same_pixels() -> None:
    rng = np.random.default_rng(6)
    image = rng.normal(size=(90, 100)).astype(np.float32)
    matrix = np.array([[0.99, 0.1], [-0.1, 1.01]])
    nodes = affine_nodes((64, 80), matrix, (5.4, 12.9))
    whole = warp(image, nodes, (64, 80))
    part = warp(image, nodes, (17, 41), first=(23, 30))
    cut = warp(image[20:80, 10:95], nodes, (17, 41), first=(23, 30), origin=(10, 20))
    for plane, mine, other in zip(whole, part, cut, strict=True):
        np.testing.assert_array_equal(mine, plane[23:40, 30:71])
        np.testing.assert_array_equal(other, mine)


def test_whole_pixel_shift_returns_the_pixels_themselves() -> None:
    rng = np.random.default_rng(4)
    image = rng.normal(size=(40, 50)).astype(np.float32)
    variance = rng.uniform(1, 2, (40, 50)).astype(np.float32)
    bits = rng.integers(0, 64, (40, 50)).astype(np.int32) * 8
    image[5, 6], variance[5, 6], variance[20, 21] = np.nan, np.inf, np.inf
    noise = 1e-9 * rng.normal(size=(2, 6, 7))
    nodes = affine_nodes((40, 50), np.eye(2), (0.0, 0.0))
    result, spread, mask = warp(image, (nodes[0] + noise[0], nodes[1] + noise[1]), (40, 50), variance, bits)
    np.testing.assert_array_equal(result, image)
    np.testing.assert_array_equal(spread, variance)
    bits[5, 6] |= NO_DATA
    np.testing.assert_array_equal(mask, bits)


def test_constant_stays_constant_times_the_area() -> None:
    image = np.full((80, 80), 1000.0, np.float32)
    matrix = np.array([[1.1, 0.2], [-0.1, 0.9]])
    result, _, bits = warp(image, affine_nodes((40, 40), matrix, (8.0, 14.0)), (40, 40))
    assert (bits == 0).mean() > 0.9
    np.testing.assert_allclose(result[bits == 0] / np.linalg.det(matrix), 1000.0, rtol=1e-6)


def test_variance_is_the_sum_of_squared_weights() -> None:
    variance = np.full((30, 30), 4.0, np.float32)
    _, spread, _ = warp(np.zeros_like(variance), affine_nodes((10, 10), np.eye(2), (10.5, 10.0)), (10, 10), variance)
    weights = kernel_table(3)[512]
    np.testing.assert_allclose(spread, 4.0 * np.sum(weights**2), rtol=1e-6)


def test_border_and_outside_are_missing() -> None:
    image = np.ones((30, 30), np.float32)
    result, spread, bits = warp(image, affine_nodes((40, 40), np.eye(2), (-10.5, -9.0)), (40, 40))
    measured = bits == 0
    # columns 10.5 .. 38.5: the kernel needs pixels up to 2.5 px away, and a whole row needs none
    assert np.flatnonzero(measured.any(axis=0)).tolist() == list(range(13, 38))
    assert np.flatnonzero(measured.any(axis=1)).tolist() == list(range(9, 39))
    assert np.isnan(result[~measured]).all()
    assert np.isinf(spread[~measured]).all()
    assert (bits[~measured] & NO_DATA).all()
    assert bits[20, 12] == NO_DATA | EDGE
    assert bits[0, 0] == NO_DATA


def test_pixel_without_value_spoils_what_it_weighs_in() -> None:
    image = np.ones((30, 30), np.float32)
    image[15, 15] = np.nan
    result, _, bits = warp(image, affine_nodes((30, 30), np.eye(2), (0.5, 0.0)), (30, 30))
    spoiled = np.flatnonzero(np.isnan(result[15, 5:25])) + 5
    assert spoiled.tolist() == list(range(12, 18))
    assert (bits[15, spoiled] == NO_DATA).all()
    assert np.isfinite(result[14, 5:25]).all()
    np.testing.assert_allclose(result[np.isfinite(result)], 1.0, rtol=1e-6)


def test_interpolated_pixel_keeps_value_but_counts_as_unmeasured_where_it_weighs() -> None:
    image = np.ones((30, 30), np.float32)
    variance = np.full((30, 30), 2.0, np.float32)
    bits = np.zeros((30, 30), np.int32)
    variance[:, 15], bits[:, 15] = np.inf, HIT
    result, spread, mask = warp(image, affine_nodes((30, 26), np.eye(2), (2.5, 0.0)), (30, 26), variance, bits)
    assert np.isfinite(result[:, :23]).all()
    weights = np.abs(kernel_table(3)[512])
    expected = [c for c in range(10, 16) if weights[12 - c + 3] > 0.05]
    assert np.flatnonzero(np.isinf(spread[10, :22])).tolist() == expected == [11, 12, 13, 14]
    assert np.flatnonzero(mask[10, :22]).tolist() == expected
    assert spread[10, 10] == pytest.approx(spread[10, 3], rel=0.05)
    assert NEGLIGIBLE_WEIGHT < weights[5] < 0.05


def test_bits_come_from_significant_pixels_only() -> None:
    bits = np.zeros((30, 30), np.int32)
    bits[12, 14] = HIT
    image = np.ones((30, 30), np.float32)
    _, _, mask = warp(image, affine_nodes((30, 26), np.eye(2), (2.25, 0.0)), (30, 26), bits=bits)
    weights = kernel_table(3)[256]
    expected = {c for c in range(5, 20) if 0 <= 14 - (c + 2) + 2 < 6 and abs(weights[14 - (c + 2) + 2]) > 0.05}
    assert {int(c) for c in np.flatnonzero(mask[12]) if c < 22} == expected
    assert not mask[10:12, 5:20].any()


@pytest.mark.parametrize(
    ("options", "columns"),
    [
        # Lanczos-3 at half a pixel has six weights: 0.024 and -0.136 beside 0.611 and their mirror images
        ({"significant_weight": 0.05}, range(10, 14)),
        ({"significant_weight": 1e-9}, range(9, 15)),
        ({"mask_order": 1}, range(11, 13)),
        ({"mask_order": 2}, range(10, 14)),
        ({"mask_order": 1, "grown": HIT}, range(9, 15)),
        ({"mask_order": 1, "grown": 2 * HIT}, range(11, 13)),
        ({"grown": HIT}, range(9, 15)),
    ],
)
@pytest.mark.parametrize("careful", [False, True])
def test_masks_have_their_own_kernel(options: dict[str, float], columns: range, careful: bool) -> None:
    bits, variance = np.zeros((30, 30), np.int32), np.ones((30, 30), np.float32)
    bits[:, 14] = HIT
    if careful:
        variance[:, 16] = np.inf
    nodes = affine_nodes((30, 26), np.eye(2), (2.5, 0.0))
    _, _, mask = warp(np.ones((30, 30), np.float32), nodes, (30, 26), variance, bits, **options)
    assert np.flatnonzero(mask[12, :22] & HIT).tolist() == list(columns)


def test_source_smaller_than_the_kernel_and_nan_nodes() -> None:
    result, _, bits = warp(np.ones((4, 4), np.float32), affine_nodes((8, 8), np.eye(2), (0.3, 0.3)), (8, 8))
    assert np.isnan(result).all()
    assert (bits & NO_DATA).all()
    nodes = affine_nodes((20, 20), np.eye(2), (5.0, 5.0))
    nodes[0][...] = np.nan
    result, _, bits = warp(np.ones((40, 40), np.float32), nodes, (20, 20))
    assert np.isnan(result).all()
    assert (bits == NO_DATA).all()


def test_interpolated_mapping_is_exact_for_cubics() -> None:
    j, i = np.mgrid[-1.0:7.0, -1.0:9.0]
    nodes = 3.0 + 2.0 * i - j + 0.3 * i * i - 0.2 * i * j + 0.1 * j * j + 0.02 * i**3 - 0.01 * i * j**2
    rng = np.random.default_rng(5)
    x, y = rng.uniform(0, 5, 50), rng.uniform(0, 4, 50)
    exact = 3.0 + 2.0 * x - y + 0.3 * x * x - 0.2 * x * y + 0.1 * y * y + 0.02 * x**3 - 0.01 * x * y**2
    np.testing.assert_allclose(mapping_at(nodes, x, y), exact, atol=1e-12)


def test_too_few_nodes_are_refused() -> None:
    nodes = affine_nodes((20, 20), np.eye(2), (0.0, 0.0))
    with pytest.raises(ValueError, match="do not cover"):
        warp(np.ones((40, 40), np.float32), nodes, (40, 20))
