"""Sums of the fit of a surface against the same with whole matrices."""

from __future__ import annotations

import numpy as np

from skyloom.kernels.surface_sums import normal_band, projections, surface_values

WIDTH, HEIGHT, N_X, N_Y = 6, 5, 3, 2


def test_sums_are_those_of_the_whole_matrix() -> None:
    rng = np.random.default_rng(1)
    n = WIDTH * HEIGHT
    values, weight = rng.normal(size=(40, N_Y, N_X)), rng.uniform(0, 1, 40)
    weight[:5] = 0.0
    corner_y, corner_x = rng.integers(0, HEIGHT - N_Y + 1, 40), rng.integers(0, WIDTH - N_X + 1, 40)
    first = corner_y * WIDTH + corner_x
    design = np.zeros((40, n))
    for place in range(40):
        for j in range(N_Y):
            for i in range(N_X):
                design[place, first[place] + j * WIDTH + i] = values[place, j, i]
    normal = design.T @ (weight[:, None] * design)
    band = normal_band(values, first, WIDTH, weight, n)
    assert band.shape == ((N_Y - 1) * WIDTH + N_X, n)
    for apart, row in enumerate(band):
        np.testing.assert_allclose(row[: n - apart], np.diagonal(normal, -apart), atol=1e-12)
    np.testing.assert_allclose(np.tril(normal, -len(band)), 0.0)
    columns = rng.normal(size=(40, 2))
    np.testing.assert_allclose(
        projections(values, first, WIDTH, weight, columns, n), design.T @ (weight[:, None] * columns), atol=1e-12
    )
    coefficients = rng.normal(size=n)
    np.testing.assert_allclose(surface_values(values, first, WIDTH, coefficients), design @ coefficients, atol=1e-12)
