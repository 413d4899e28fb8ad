"""Normal equations of a joint fit, with the unknowns of every star eliminated.

Per measurement ``m`` the whitened residual is ``r[m] - H[m] p - S[m] s``, with the transforms' unknowns ``p`` and the
star's own unknowns ``s``.  The equations of a star involve nothing but its own unknowns and ``p``: they are solved for
``s`` one star at a time, and what is left is a system in ``p`` alone (Brown 1958, "A solution to the general problem of
multiple station analytical stereotriangulation", RCA-MTP 43).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .inner import inner_kernel

__all__ = ["add_normal_equations", "star_rows", "star_steps", "subtract_sparse"]


@njit(cache=True, nogil=True)
def add_normal_equations(
    values: np.ndarray, columns: np.ndarray, residual: np.ndarray, matrix: np.ndarray, vector: np.ndarray
) -> None:
    """Add ``H^T H`` (upper triangle) and ``H^T r`` of all measurements.

    Parameters
    ----------
    values
        Non-zero columns of H, float64 ``[m, k, t]``.
    columns
        Their numbers, int32 ``[m, t]``; the ones that are not negative ascend; a negative one is no unknown.
        Neighbours that have the same numbers, such as those of a frame, are added up before.
    residual
        Whitened residuals, float64 ``[m, k]``.
    matrix, vector
        Added to, ``[p, p]`` and ``[p]``.
    """
    n, k, t = values.shape
    first = 0
    for m in range(n):
        if m + 1 < n and np.array_equal(columns[m], columns[m + 1]):
            continue
        rows = values[first : m + 1].reshape((m + 1 - first) * k, t)
        _scatter(np.dot(rows.T, rows), np.dot(residual[first : m + 1].ravel(), rows), columns[m], matrix, vector)
        first = m + 1


@inner_kernel
def _scatter(block: np.ndarray, right: np.ndarray, columns: np.ndarray, matrix: np.ndarray, vector: np.ndarray) -> None:
    """Add the upper triangle of the equations of some unknowns to those of all."""
    for a in range(columns.size):
        row = columns[a]
        if row < 0:
            continue
        vector[row] += right[a]
        for b in range(a, columns.size):
            if columns[b] >= 0:
                matrix[row, columns[b]] += block[a, b]


@inner_kernel
def _root(matrix: np.ndarray) -> bool:
    """Replace a small symmetric matrix by its lower Cholesky factor; whether that exists."""
    k = matrix.shape[0]
    for i in range(k):
        for j in range(i + 1):
            total = matrix[i, j]
            for c in range(j):
                total -= matrix[i, c] * matrix[j, c]
            if i == j:
                if not total > 0.0:
                    return False
                matrix[i, i] = np.sqrt(total)
            else:
                matrix[i, j] = total / matrix[j, j]
    return True


@inner_kernel
def _star_system(
    blocks: np.ndarray, residual: np.ndarray, members: np.ndarray, matrix: np.ndarray, vector: np.ndarray
) -> None:
    """Add ``S^T S`` and ``S^T r`` of a star's measurements."""
    k = matrix.shape[0]
    for m in members:
        for i in range(k):
            for c in range(k):
                vector[i] += blocks[m, c, i] * residual[m, c]
                for j in range(k):
                    matrix[i, j] += blocks[m, c, i] * blocks[m, c, j]


@njit(cache=True, nogil=True)
def star_rows(
    design: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    known: tuple[np.ndarray, np.ndarray],
    members: tuple[np.ndarray, np.ndarray],
    span: tuple[int, int],
    sparse: np.ndarray,
    dense: np.ndarray,
    right: np.ndarray,
) -> None:
    """What the elimination of some stars takes off the normal equations: ``rows^T rows`` and ``rows^T right``.

    Parameters
    ----------
    design
        ``values`` and ``columns`` as in `add_normal_equations`, S float64 ``[m, k, k]``, residuals ``[m, k]``.
    known
        What is known of each star from elsewhere: information ``[s, k, k]`` and its product with the offset ``[s, k]``.
    members
        First position of each star in a list of measurements, ``[s + 1]``, and that list.
    span
        First star and the one behind the last.
    sparse, dense, right
        Zeros; filled with the columns of the first unknowns, those of the others, ``[k * stars, ...]`` each, and the
        right sides ``[k * stars]``.
    """
    values, columns, blocks, residual = design
    information, offset = known
    start, listed = members
    k, n_sparse = residual.shape[1], sparse.shape[1]
    matrix, vector, turned = np.empty((k, k)), np.empty(k), np.empty((k, k))
    for star in range(span[0], span[1]):
        mine = listed[start[star] : start[star + 1]]
        matrix[:] = information[star]
        vector[:] = offset[star]
        _star_system(blocks, residual, mine, matrix, vector)
        if not _root(matrix):
            continue
        first = k * (star - span[0])
        for m in mine:
            # The inverse root of the star's matrix times S^T, so that rows need no division afterwards.
            for c in range(k):
                for i in range(k):
                    total = blocks[m, c, i]
                    for j in range(i):
                        total -= matrix[i, j] * turned[j, c]
                    turned[i, c] = total / matrix[i, i]
            for i in range(k):
                for a in range(columns.shape[1]):
                    column = columns[m, a]
                    if column < 0:
                        continue
                    total = 0.0
                    for c in range(k):
                        total += turned[i, c] * values[m, c, a]
                    if column < n_sparse:
                        sparse[first + i, column] += total
                    else:
                        dense[first + i, column - n_sparse] += total
        for i in range(k):
            for j in range(i):
                vector[i] -= matrix[i, j] * vector[j]
            vector[i] /= matrix[i, i]
            right[first + i] = vector[i]


@njit(cache=True, nogil=True)
def subtract_sparse(
    sparse: np.ndarray,
    dense: np.ndarray,
    columns: np.ndarray,
    members: tuple[np.ndarray, np.ndarray],
    span: tuple[int, int],
    matrix: np.ndarray,
) -> None:
    """Subtract the first rows of the upper triangle of ``rows^T rows``, those of ``sparse``, star by star.

    Of these unknowns each star touches few, so that most of the products are zeros that need not be formed.

    Parameters
    ----------
    sparse, dense
        Rows of the stars from ``span[0]`` to the one before ``span[1]``; see `star_rows`.
    columns, members, span
        As in `star_rows`.
    matrix
        Changed, ``[p, p]``.
    """
    start, listed = members
    n_sparse = sparse.shape[1]
    k = sparse.shape[0] // (span[1] - span[0])
    touched = np.zeros(n_sparse, np.bool_)
    found = np.empty(n_sparse, np.int64)
    for star in range(span[0], span[1]):
        count = 0
        for m in listed[start[star] : start[star + 1]]:
            for column in columns[m]:
                if 0 <= column < n_sparse and not touched[column]:
                    touched[column] = True
                    found[count] = column
                    count += 1
        for c in range(k * (star - span[0]), k * (star + 1 - span[0])):
            row, others = sparse[c], dense[c]
            for i in range(count):
                value = row[found[i]]
                target = matrix[found[i]]
                for j in range(count):
                    if found[j] >= found[i]:
                        target[found[j]] -= value * row[found[j]]
                rest = target[n_sparse:]
                for j in range(others.size):
                    rest[j] -= value * others[j]
        for i in range(count):
            touched[found[i]] = False


@njit(cache=True, nogil=True)
def star_steps(
    design: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    known: tuple[np.ndarray, np.ndarray],
    members: tuple[np.ndarray, np.ndarray],
    step: np.ndarray,
) -> np.ndarray:
    """The stars' unknowns ``[s, k]`` where those of the transforms are ``step`` ``[p]``; 0 for a star without data.

    The other parameters are those of `star_rows`.
    """
    values, columns, blocks, residual = design
    information, offset = known
    start, listed = members
    k = residual.shape[1]
    steps = np.zeros((start.size - 1, k))
    matrix, vector, left = np.empty((k, k)), np.empty(k), np.empty(k)
    for star in range(start.size - 1):
        matrix[:] = information[star]
        vector[:] = offset[star]
        for m in listed[start[star] : start[star + 1]]:
            for c in range(k):
                left[c] = residual[m, c]
                for a in range(columns.shape[1]):
                    if columns[m, a] >= 0:
                        left[c] -= values[m, c, a] * step[columns[m, a]]
            for i in range(k):
                for c in range(k):
                    vector[i] += blocks[m, c, i] * left[c]
                    for j in range(k):
                        matrix[i, j] += blocks[m, c, i] * blocks[m, c, j]
        if not _root(matrix):
            continue
        for i in range(k):
            for j in range(i):
                vector[i] -= matrix[i, j] * vector[j]
            vector[i] /= matrix[i, i]
        for i in range(k - 1, -1, -1):
            for j in range(i + 1, k):
                vector[i] -= matrix[j, i] * vector[j]
            vector[i] /= matrix[i, i]
        steps[star] = vector
    return steps
