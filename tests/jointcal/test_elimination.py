"""The step with the stars eliminated against one that solves for everything at once."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.errors import JointFitError
from skyloom.jointcal.solve import Design, solve_step


def random_design(
    dimension: int, *, n_stars: int = 7, n_unknowns: int = 9, per_star: int = 4, n_sparse: int = 5, seed: int = 3
) -> Design:
    rng = np.random.default_rng(seed)
    m, t = n_stars * per_star, 4
    columns = np.sort(np.array([rng.permutation(n_unknowns)[:t] for _ in range(m)]), axis=1).astype(np.int32)
    columns[::5, 0] = -1
    information = np.zeros((n_stars, dimension, dimension))
    information[::2] = 3.0 * np.eye(dimension)
    return Design(
        residual=rng.normal(size=(m, dimension)),
        values=rng.normal(size=(m, dimension, t)),
        columns=columns,
        n_unknowns=n_unknowns,
        n_sparse=n_sparse,
        star=rng.permutation(np.repeat(np.arange(n_stars), per_star)).astype(np.int32),
        star_block=rng.normal(size=(m, dimension, dimension)) + 2.0 * np.eye(dimension),
        information=information,
        offset=np.einsum("sij,sj->si", information, rng.normal(size=(n_stars, dimension))),
        prior=rng.uniform(0.1, 1.0, n_unknowns),
        prior_offset=rng.normal(size=n_unknowns),
    )


def direct(design: Design) -> tuple[np.ndarray, np.ndarray]:
    """Normal equations of all unknowns at once."""
    m, k, _ = design.values.shape
    n_stars, p = len(design.offset), design.n_unknowns
    whole = np.zeros((m, k, p + k * n_stars))
    for row in range(m):
        for column, values in zip(design.columns[row], design.values[row].T, strict=True):
            if column >= 0:
                whole[row, :, column] = values
        start = p + k * design.star[row]
        whole[row, :, start : start + k] = design.star_block[row]
    flat = whole.reshape(m * k, -1)
    matrix, vector = flat.T @ flat, flat.T @ design.residual.ravel()
    matrix[np.arange(p), np.arange(p)] += design.prior
    vector[:p] += design.prior_offset
    for star in range(n_stars):
        at = slice(p + k * star, p + k * (star + 1))
        matrix[at, at] += design.information[star]
        vector[at] += design.offset[star]
    solution = np.linalg.solve(matrix, vector)
    return solution[:p], solution[p:].reshape(n_stars, k)


@pytest.mark.parametrize("n_sparse", [0, 5, 9])
@pytest.mark.parametrize("dimension", [1, 2])
def test_elimination_is_exact(dimension: int, n_sparse: int) -> None:
    design = random_design(dimension, n_sparse=n_sparse)
    step, star_step = solve_step(design, stars=True)
    wanted, wanted_stars = direct(design)
    np.testing.assert_allclose(step, wanted, rtol=1e-9)
    np.testing.assert_allclose(star_step, wanted_stars, rtol=1e-9)


def test_stars_that_are_held_do_not_move() -> None:
    design = random_design(2)
    step, star_step = solve_step(design, stars=False)
    assert not star_step.any()
    assert np.linalg.norm(step) > 0.0


def test_what_the_data_leave_open_is_told() -> None:
    design = random_design(1)
    zero = np.zeros(design.n_unknowns)
    held = np.where(design.columns == 3, -1, design.columns).astype(np.int32)
    bare = {name: getattr(design, name) for name in design.__dataclass_fields__}
    with pytest.raises(JointFitError, match="unknowns of the transforms open"):
        solve_step(Design(**bare | {"columns": held, "prior": zero, "prior_offset": zero}), stars=True)
