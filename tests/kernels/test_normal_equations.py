"""Normal equations of neighbours that depend on the same unknowns, against those of the whole matrix."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.kernels.joint_fit import add_normal_equations


@pytest.mark.parametrize("dimension", [1, 2])
@pytest.mark.parametrize("runs", [(1, 1, 1), (4, 1, 3), (8,)])
def test_runs_of_measurements_add_up(dimension: int, runs: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(runs))
    n_unknowns, t, m = 9, 4, sum(runs)
    chosen = np.array([np.sort(rng.permutation(n_unknowns)[:t]) for _ in runs])
    chosen[0, 1] = -1
    columns = np.repeat(chosen, runs, axis=0).astype(np.int32)
    values, residual = rng.normal(size=(m, dimension, t)), rng.normal(size=(m, dimension))
    whole = np.zeros((m, dimension, n_unknowns))
    for row, numbers in enumerate(columns):
        whole[row][:, numbers[numbers >= 0]] = values[row][:, numbers >= 0]
    flat = whole.reshape(-1, n_unknowns)
    before = rng.normal(size=(n_unknowns, n_unknowns)), rng.normal(size=n_unknowns)
    matrix, vector = before[0].copy(), before[1].copy()
    add_normal_equations(values, columns, residual, matrix, vector)
    np.testing.assert_allclose(matrix - before[0], np.triu(flat.T @ flat), atol=1e-12)
    np.testing.assert_allclose(vector - before[1], flat.T @ residual.ravel(), atol=1e-12)
