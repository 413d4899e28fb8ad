"""How stars differ from the PSF at their places: the figures by which a fit is judged."""

from __future__ import annotations

import numpy as np

from skyloom.kernels.psf_fit import stamp_shapes

from .settings import PsfResiduals

__all__ = ["star_residuals"]


def star_residuals(
    data: np.ndarray, usable: np.ndarray, model: np.ndarray, centre: tuple[np.ndarray, np.ndarray], width: float
) -> PsfResiduals:
    """Compare the adaptive moments of stars and of their models, both measured in the same way.

    Parameters
    ----------
    data, model
        Stamps ``[star, y, x]`` of the same flux.
    usable
        Pixels of ``data`` to believe; the others take the value of the model.
    centre
        Positions (x, y) in the stamps.
    width
        First guess of the root mean second moment, pixels.
    """
    filled = np.where(usable, data, model)
    stars = stamp_shapes(filled, *centre, width)
    models = stamp_shapes(model, *centre, width)
    size = (_determinant(stars) / _determinant(models)) ** 0.25 - 1
    return PsfResiduals(
        n=int(np.isfinite(size).sum()),
        size_median=_median(size),
        size_scatter=1.4826 * _median(np.abs(size - _median(size))),
        e1_median=_median((_ellipticity(stars) - _ellipticity(models))[:, 0]),
        e2_median=_median((_ellipticity(stars) - _ellipticity(models))[:, 1]),
    )


def _determinant(moments: np.ndarray) -> np.ndarray:
    determinant: np.ndarray = moments[:, 0] * moments[:, 1] - moments[:, 2] ** 2
    return determinant


def _ellipticity(moments: np.ndarray) -> np.ndarray:
    """Ellipticities e1, e2, ``[star, 2]``."""
    xx, yy, xy = moments.T
    return np.asarray(np.stack([xx - yy, 2 * xy], axis=1) / (xx + yy)[:, None])


def _median(values: np.ndarray) -> float:
    """Median of the finite values, NaN of none."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")
