"""How far a source is from a star, by its size and by its flux."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

__all__ = ["Columns", "set_extendedness", "size_extendedness"]

type Columns = Mapping[str, np.ndarray]
"""Some rows of the columns of a source table, by name: views, which are filled in place."""


def size_extendedness(size: np.ndarray, psf_size: np.ndarray) -> np.ndarray:
    """``1 - exp(-((T - T_psf) / sqrt(T_psf))^2 / 2)`` of the traces T = Ixx + Iyy, px^2; NaN where one is."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(1.0 - np.exp(-0.5 * (size - psf_size) ** 2 / psf_size))


def set_extendedness(rows: Columns, psf_moments: np.ndarray | None, psf_gaussian: np.ndarray | None) -> None:
    """Fill the moments of the PSF and the two kinds of extendedness.

    Parameters
    ----------
    rows
        With moments, PSF flux and, for the flux kind, Gaussian flux.
    psf_moments
        ``[source, 3]`` Ixx, Iyy, Ixy of the PSF at each source; None without a PSF.
    psf_gaussian
        Gaussian flux of the PSF of unit flux: light under it that is no star's is what the PSF flux lacks.
    """
    if psf_moments is None or psf_gaussian is None:
        rows["flag_extendedness"][:] = True
        return
    for k, name in enumerate(("psf_ixx", "psf_iyy", "psf_ixy")):
        rows[name][:] = psf_moments[:, k]
    size = rows["ixx"].astype(float) + rows["iyy"]
    value = size_extendedness(size, psf_moments[:, 0] + psf_moments[:, 1])
    rows["extendedness"][:] = value
    rows["flag_extendedness"][:] = ~np.isfinite(value)
    if "gaussian_flux" in rows:
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = rows["psf_flux"] * psf_gaussian / rows["gaussian_flux"]
        rows["flux_extendedness"][:] = 1.0 - ratio
