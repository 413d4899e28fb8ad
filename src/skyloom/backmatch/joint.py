"""`solve_jointly`: the offsets of all visits together, from what they measure in common."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.sparse import csc_array, diags_array, eye_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import LinearOperator, cg, splu

from skyloom.errors import BadFrameError

from .cell_sums import CellSums
from .surface import bending, plane_basis

__all__ = ["solve_jointly"]

_PULL = 0.02
"""Weight of 0, over that of a typical superpixel: beyond what a visit measures its structure fades to the plane."""
_REFITS = 3
"""Fits, each to what those before have left: the penalty else pulls at curved skies, at the edges most."""
_TOLERANCE = 1e-5
_MAX_ITERATIONS = 500


def solve_jointly(
    levels: Mapping[int, CellSums], reference: int, scale: float | None, min_fraction: float
) -> dict[int, np.ndarray]:
    """Smooth offsets that make visits agree in every superpixel, that of the reference being 0.

    Least squares over visits i and superpixels k of (level_ik - offset_ik - common_k)^2 / variance_ik, where common_k
    is free, with a penalty on the bending of each offset, which takes structure below ``scale`` for noise.  A plane a
    visit is fitted first, so that nothing pulls at gradients.

    Parameters
    ----------
    levels
        By visit: something that all share less the visit, as `measure_from_mean` makes it.
    reference
        The visit whose sky the others get.
    scale
        Superpixels; None for planes alone.
    min_fraction
        As for `CellSums.measured`.

    Returns
    -------
    dict
        ``[row, column]`` nJy by visit, for the visits that overlaps connect to the reference.
    """
    known = {visit: one.measured(min_fraction) for visit, one in levels.items()}
    visits = _connected(known, reference)
    if len(visits) < 2:
        return {visit: np.zeros(known[visit].shape) for visit in visits}
    shape = known[reference].shape
    value = np.array([np.where(known[v], levels[v].centred(known[v]), 0.0).ravel() for v in visits])
    error2 = np.array([np.where(known[v], levels[v].superpixels.error2, np.inf).ravel() for v in visits])
    weight = 1.0 / error2
    weight /= np.median(weight[weight > 0])
    # A superpixel of one visit alone tells nothing.
    weight[:, (weight > 0).sum(axis=0) < 2] = 0.0
    basis = plane_basis((shape[0], shape[1])).reshape(3, -1)
    planes = _planes(value, weight, basis) @ basis
    offsets = planes
    if scale is not None:
        for _ in range(_REFITS):
            offsets = offsets + _structure(value - offsets, weight, (shape[0], shape[1]), scale)
    offsets -= offsets[visits.index(reference)]
    return {visit: one.reshape(shape) for visit, one in zip(visits, offsets, strict=True)}


def _connected(known: Mapping[int, np.ndarray], reference: int) -> list[int]:
    """The visits that have superpixels in common with the reference, or with one that has, and so on."""
    visits = sorted(known)
    measured = csc_array(np.array([known[visit].ravel() for visit in visits], np.float64))
    _, group = connected_components(measured @ measured.T, directed=False)
    return [visit for visit, one in zip(visits, group, strict=True) if one == group[visits.index(reference)]]


def _about_common(weight: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Weights times what values ``[visit, place]`` have beyond their weighted mean in each place."""
    mean = np.sum(weight * values, axis=0) / np.maximum(weight.sum(axis=0), 1e-300)
    return np.asarray(weight * (values - mean))


def _planes(value: np.ndarray, weight: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Coefficients ``[visit, 3]`` of a plane a visit; those that the overlaps do not tell are the smallest possible."""
    n = len(value)
    share = weight / np.maximum(weight.sum(axis=0), 1e-300)
    normal = np.zeros((n, 3, n, 3))
    for i in range(n):
        own = (weight[i] * basis) @ basis.T
        normal[i, :, i, :] += own
        for j in range(n):
            normal[i, :, j, :] -= (weight[i] * share[j] * basis) @ basis.T
    right = _about_common(weight, value) @ basis.T
    found, *_ = np.linalg.lstsq(normal.reshape(3 * n, 3 * n), right.ravel(), rcond=1e-9)
    return np.asarray(found.reshape(n, 3))


def _structure(value: np.ndarray, weight: np.ndarray, shape: tuple[int, int], scale: float) -> np.ndarray:
    """What offsets have beyond planes, ``[visit, place]``."""
    stiffness = csc_array((scale / (2.0 * np.pi)) ** 4 * bending(shape) + _PULL * eye_array(value.shape[1]))
    near = splu(csc_array(stiffness + diags_array(weight.mean(axis=0))))

    def apply(flat: np.ndarray) -> np.ndarray:
        offsets = flat.reshape(value.shape)
        return np.asarray((_about_common(weight, offsets) + (stiffness @ offsets.T).T).ravel())

    def roughly_inverse(flat: np.ndarray) -> np.ndarray:
        return np.asarray(near.solve(flat.reshape(value.shape).T).T.ravel())

    size = (value.size, value.size)
    found, failed = cg(
        LinearOperator(size, matvec=apply, dtype=np.float64),
        _about_common(weight, value).ravel(),
        rtol=_TOLERANCE,
        maxiter=_MAX_ITERATIONS,
        M=LinearOperator(size, matvec=roughly_inverse, dtype=np.float64),
    )
    if failed:
        raise BadFrameError(
            f"the offsets of {len(value)} visits did not settle in {_MAX_ITERATIONS} steps.",
            cure="Match to a reference visit instead, or raise the scale of the joint solution.",
        )
    return np.asarray(found.reshape(value.shape))
