"""`sample_surface`: superpixels at other places of the tract, and the background of a warp."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from lsst.images import Box
from lsst.images.fields import SplineField
from scipy.interpolate import Akima1DInterpolator, CubicSpline

from skyloom.errors import BadFrameError

from .grid import SuperpixelGrid

__all__ = ["offset_field", "possible_style", "sample_surface"]

_LEAST = {"CONSTANT": 1, "LINEAR": 2, "NATURAL_SPLINE": 3, "AKIMA_SPLINE": 5, "NONE": 1}
"""Points that a curve needs."""
_BEYOND = 2
"""Nodes outside of a warp on each side: the curves of two patches then agree where the patches overlap."""


def possible_style(style: str, shape: tuple[int, int], *, reduce: bool) -> str:
    """The curve itself, or the best one for so few superpixels.

    Raises
    ------
    BadFrameError
        If there are too few and the curve must not be replaced.
    """
    fewest = min(shape)
    if fewest >= _LEAST[style]:
        return style
    if not reduce:
        raise BadFrameError(
            f"{style} needs {_LEAST[style]} superpixels along a side; the tract has {shape[1]} x {shape[0]}.",
            cure="Make superpixels smaller, or let the order be reduced.",
        )
    ranked = ("NATURAL_SPLINE", "LINEAR", "CONSTANT")
    return next(one for one in ranked if fewest >= _LEAST[one])


def sample_surface(grid: SuperpixelGrid, values: np.ndarray, y: np.ndarray, x: np.ndarray, style: str) -> np.ndarray:
    """Values on another grid of places, curves along y first; straight beyond the outermost superpixels.

    Parameters
    ----------
    grid
        Superpixels.
    values
        ``[row, column]``, finite.
    y, x
        Places of the rows and columns wanted, px.
    style
        One of CONSTANT, LINEAR, NATURAL_SPLINE and AKIMA_SPLINE.

    Returns
    -------
    numpy.ndarray
        float64 ``[y, x]``.
    """
    columns = _along(grid.y, values, np.asarray(y, np.float64), style)
    return _along(grid.x, columns.T, np.asarray(x, np.float64), style).T


def _along(at: np.ndarray, values: np.ndarray, wanted: np.ndarray, style: str) -> np.ndarray:
    """Curves along the first axis."""
    if style == "CONSTANT" or at.size == 1:
        return np.asarray(values[np.argmin(np.abs(wanted[:, np.newaxis] - at), axis=1)])
    inside = np.clip(wanted, at[0], at[-1])
    if style == "LINEAR" or at.size == 2:
        left = np.clip(np.searchsorted(at, inside, side="right") - 1, 0, at.size - 2)
        share = ((inside - at[left]) / (at[left + 1] - at[left]))[:, np.newaxis]
        out = (1.0 - share) * values[left] + share * values[left + 1]
    elif style == "NATURAL_SPLINE":
        out = CubicSpline(at, values, bc_type="natural")(inside)
    else:
        out = Akima1DInterpolator(at, values)(inside)
    first, last = ((values[j] - values[i]) / (at[j] - at[i]) for i, j in ((0, 1), (-2, -1)))
    outside = (wanted - inside)[:, np.newaxis]
    return np.asarray(out + np.where(outside < 0, outside * first, outside * last))


def offset_field(grid: SuperpixelGrid, values: np.ndarray, box: Box, binning: int, style: str) -> SplineField:
    """The surface over the box of a warp, with nodes at multiples of ``binning`` on the tract, nJy."""
    y, x = (
        np.arange(side.start // binning - _BEYOND, -(-side.max // binning) + _BEYOND + 1) * float(binning)
        for side in (box.y, box.x)
    )
    return SplineField(box, sample_surface(grid, values, y, x, style), y=y, x=x, unit=u.nJy)
