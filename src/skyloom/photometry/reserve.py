"""Stars kept out of a fit to test it."""

from __future__ import annotations

import numpy as np

__all__ = ["reserve_stars"]


def reserve_stars(usable: np.ndarray, fraction: float, seed: int, *, n_left: int = 1) -> np.ndarray:
    """Choose stars at random, ``bool[n]``.

    Parameters
    ----------
    usable
        ``bool[n]``: those among which is chosen.
    fraction
        Share of them, rounded to a whole number.
    seed
        The same seed and the same stars give the same choice; frames should differ in it.
    n_left
        So many are left in any case.
    """
    rows = np.flatnonzero(usable)
    n = max(0, min(round(fraction * rows.size), rows.size - n_left))
    chosen = np.zeros(usable.size, dtype=bool)
    chosen[np.random.default_rng(seed).permutation(rows)[:n]] = True
    return chosen
