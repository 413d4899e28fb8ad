"""The kinds of linearity corrections that cameras and calibration files name, with the layout of their coefficients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skyloom.errors import BadFrameError

from .linearity import Linearity, LookupTable, Polynomial, Proportional, Spline, Successive

__all__ = ["linearity_of"]


def linearity_of(kind: str, coefficients: Sequence[float] | np.ndarray, table: np.ndarray | None = None) -> Linearity:
    """The correction that a camera or a calibration file states for an amplifier.

    Parameters
    ----------
    kind
        None, Proportional, Squared, Polynomial, LookupTable, Spline or DoubleSpline, in any case of letters.
    coefficients
        Squared: c0.  Polynomial: c0, c1, ...  LookupTable: row of the table, offset.  Spline: all nodes, then all
        values, which count from the first one; the curve starts at zero counts.  DoubleSpline: number of nodes of the
        first and of the second spline, then nodes and values of the first, then of the second, as they are; none leaves
        out that spline.
    table
        ``[row, entry]`` of a LookupTable.

    Raises
    ------
    BadFrameError
        If the kind is none of these, or its coefficients or its table do not fit it.
    """
    given = np.asarray(coefficients, np.float64)
    match kind.casefold():
        case "none" | "proportional":
            return Proportional()
        case "squared" if given.size:
            return Polynomial(coefficients=given[:1])
        case "polynomial" if given.size:
            return Polynomial(coefficients=given)
        case "lookuptable" if given.size >= 2 and np.isfinite(given[:2]).all():
            return LookupTable(values=_table_row(table, given[0]), offset=float(given[1]))
        case "spline" if given.size >= 2 and given.size % 2 == 0:
            return _spline_from_zero(given)
        case "doublespline" if given.size >= 2 and given.size == 2 + 2 * given[:2].sum():
            parts = np.split(given[2:], [2 * int(given[0])])
            return Successive(stages=tuple(_spline(part) for part in parts if part.size))
    raise BadFrameError(
        f"linearity of kind {kind!r} with {given.size} coefficients is not known.",
        cure="Import another linearity correction, or correct the camera's description.",
    )


def _table_row(table: np.ndarray | None, row: float) -> np.ndarray:
    """One row of a table ``[row, entry]``."""
    cure = "Import another linearity correction."
    if table is None or table.ndim != 2:
        shape = "none" if table is None else table.shape
        raise BadFrameError(f"a look-up table [row, entry] is needed, its shape is {shape}.", cure=cure)
    shape = table.shape
    if shape[0] > shape[1]:
        raise BadFrameError(
            f"a look-up table of {shape[0]} rows and {shape[1]} entries a row has its axes exchanged.", cure=cure
        )
    if not 0 <= row < shape[0]:
        raise BadFrameError(f"row {row:g} is asked of a look-up table of {shape[0]} rows.", cure=cure)
    return np.asarray(table[int(row)])


def _spline(coefficients: np.ndarray) -> Spline:
    nodes, values = np.split(coefficients, 2)
    return Spline(nodes=nodes, values=values)


def _spline_from_zero(coefficients: np.ndarray) -> Spline:
    """A spline whose first node has no excess, and that starts at zero counts."""
    nodes, values = np.split(coefficients, 2)
    values = values - values[0]
    if nodes[0] > 0:
        nodes, values = np.concatenate([[0.0], nodes]), np.concatenate([[0.0], values])
    return Spline(nodes=nodes, values=values)
