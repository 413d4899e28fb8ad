"""Columns of a table as plain arrays, whatever a file made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["flag_column", "float_column"]


def float_column(table: Table, name: str) -> np.ndarray:
    """A column as float64 without its unit, masked values as NaN."""
    return np.asarray(np.ma.filled(np.ma.asarray(table[name]).astype(np.float64), np.nan))


def flag_column(table: Table, name: str) -> np.ndarray:
    """A column of flags as bool; all false where the table has none of that name, true where masked."""
    if name not in table.colnames:
        return np.zeros(len(table), dtype=bool)
    return np.asarray(np.ma.filled(np.ma.asarray(table[name]).astype(bool), True))
