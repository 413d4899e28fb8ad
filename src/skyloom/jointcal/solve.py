"""One Gauss-Newton step of a joint fit, with the stars' unknowns eliminated."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.linalg.blas import dsyrk

from skyloom.errors import JointFitError
from skyloom.kernels.joint_fit import add_normal_equations, star_rows, star_steps, subtract_sparse

__all__ = ["Design", "solve_step"]

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int32]

_CHUNK_BYTES = 8e6
"""Memory for the rows of the stars that are eliminated at once: they stay in the processor's cache."""
_SINGULAR = 1e-13
"""Squared root of a unit diagonal below which an unknown is not determined by the data."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Design:
    """The linear problem: residuals are ``r - H p - S s``, in units of their errors."""

    residual: Floats
    """``[m, k]``: k = 2 for positions, 1 for fluxes."""
    values: Floats
    """Non-zero columns of H, ``[m, k, t]``."""
    columns: Integers
    """Their numbers, ``[m, t]``; negative where that unknown is held."""
    n_unknowns: int
    """Unknowns of the transforms."""
    n_sparse: int
    """So many of the first of them, each of which few stars depend on."""
    star: Integers
    """Star of each measurement, ``[m]``."""
    star_block: Floats
    """S, ``[m, k, k]``."""
    information: Floats
    """What the references tell of each star: inverse covariances ``[s, k, k]``; 0 where there is none."""
    offset: Floats
    """The same times the offset of the reference from the star, ``[s, k]``."""
    prior: Floats
    """Inverse variances of what is known of the unknowns beforehand, ``[p]``: they fix what the data leave open."""
    prior_offset: Floats
    """The same times the offset of what is known from the present values, ``[p]``."""

    @cached_property
    def members(self) -> tuple[Integers, Integers]:
        """First position of each star in a list of the measurements by star, ``[s + 1]``, and that list."""
        order = np.argsort(self.star, kind="stable").astype(np.int32)
        counts = np.bincount(self.star, minlength=len(self.offset))
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int32), order


def solve_step(design: Design, *, stars: bool) -> tuple[Floats, Floats]:
    """The least-squares step.

    Parameters
    ----------
    design
        The linear problem.
    stars
        Whether the stars' unknowns are free; without them they are held.

    Returns
    -------
    step
        Of the transforms' unknowns, ``[p]``.
    star_step
        Of the stars' unknowns, ``[s, k]``; zeros where they are held.

    Raises
    ------
    JointFitError
        If the data do not determine the unknowns.
    """
    step = np.zeros(0)
    if design.n_unknowns:
        matrix, vector = _reduced_system(design, stars)
        step = _solve(matrix, vector)
    if not stars:
        return step, np.zeros_like(design.offset)
    rows = (design.values, design.columns, design.star_block, design.residual)
    return step, star_steps(rows, (design.information, design.offset), design.members, step)


def _reduced_system(design: Design, stars: bool) -> tuple[Floats, Floats]:
    """Normal equations of the transforms alone; of the matrix the upper triangle."""
    n = design.n_unknowns
    matrix, vector = np.zeros((n, n)), np.zeros(n)
    add_normal_equations(design.values, design.columns, design.residual, matrix, vector)
    matrix[np.diag_indices(n)] += design.prior
    vector += design.prior_offset
    if stars:
        _eliminate_stars(design, matrix, vector)
    return matrix, vector


def _eliminate_stars(design: Design, matrix: Floats, vector: Floats) -> None:
    """Take off the normal equations what the stars' unknowns absorb, some stars at a time."""
    (n_stars, k), n_sparse = design.offset.shape, design.n_sparse
    n_dense = design.n_unknowns - n_sparse
    chunk = max(1, int(_CHUNK_BYTES / (8 * k * design.n_unknowns)))
    arrays = (design.values, design.columns, design.star_block, design.residual)
    sparse, dense, right = np.empty((k * chunk, n_sparse)), np.empty((k * chunk, n_dense)), np.empty(k * chunk)
    # In Fortran's order, as BLAS adds to it in place; its lower triangle is the upper one of the matrix.
    square = np.zeros((n_dense, n_dense), order="F")
    for first in range(0, n_stars, chunk):
        last = min(first + chunk, n_stars)
        parts = [part[: k * (last - first)] for part in (sparse, dense, right)]
        for part in parts:
            part.fill(0.0)
        star_rows(arrays, (design.information, design.offset), design.members, (first, last), *parts)
        if n_dense:
            square = dsyrk(1.0, parts[1].T, beta=1.0, c=square, lower=1, overwrite_c=1)
        if n_sparse:
            subtract_sparse(*parts[:2], design.columns, design.members, (first, last), matrix)
        vector[:n_sparse] -= parts[2] @ parts[0]
        vector[n_sparse:] -= parts[2] @ parts[1]
    matrix[n_sparse:, n_sparse:] -= square.T


def _solve(matrix: Floats, vector: Floats) -> Floats:
    """Cholesky solution, with the unknowns scaled to a unit diagonal; of the matrix the upper triangle is read."""
    diagonal = np.diag(matrix).copy()
    if not (np.isfinite(diagonal).all() and (diagonal > 0.0).all()):
        raise _undetermined(int((~(diagonal > 0.0)).sum()))
    scale = 1.0 / np.sqrt(diagonal)
    matrix *= scale[:, None]
    matrix *= scale
    try:
        factor = cho_factor(matrix.T, lower=True, overwrite_a=True)
    except LinAlgError as error:
        raise _undetermined(1) from error
    open_ = int((np.diag(factor[0]) ** 2 < _SINGULAR).sum())
    if open_:
        raise _undetermined(open_)
    step: Floats = scale * cho_solve(factor, scale * vector)
    return step


def _undetermined(count: int) -> JointFitError:
    return JointFitError(
        f"The data leave {count} or more unknowns of the transforms open.",
        cure="Lower the order of the visits' polynomials, or give references.",
        n_open=count,
    )
