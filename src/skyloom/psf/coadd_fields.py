"""`CoaddField`: what is known of a coadd's inputs on their own pixels, averaged as the coadd is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from lsst.images import Bounds

from skyloom.errors import NoOverlapError

from .stamps import as_positions

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .coadd import CoaddPsf

__all__ = ["CoaddField", "coadd_aperture_corrections"]


class CoaddField:
    """A field of the inputs of a coadd at positions of the coadd: the mean of those that have a pixel there, under
    their weights.

    Parameters
    ----------
    psf
        The coadd's inputs.
    name
        Which of their aperture corrections.
    default
        Value where no input has a pixel; None: an error.
    """

    def __init__(self, psf: CoaddPsf, name: str, default: float | None = None) -> None:
        self._psf = psf
        self._name = name
        self._default = default

    @property
    def bounds(self) -> Bounds:
        """The coadd's pixels."""
        return self._psf.bounds

    def __call__(self, *, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Values at positions x, y of the coadd, 1-d.

        Raises
        ------
        NoOverlapError
            If no input that knows the field has a pixel at one of them and there is no default.
        """
        x, y = as_positions(x, y)
        total, weights = np.zeros(len(x)), np.zeros(len(x))
        for part, at, u, v, _ in self._psf.contributions(x, y):
            field = part.aperture_corrections.get(self._name)
            if field is not None:
                total[at] += part.weight * np.asarray(field(x=u, y=v))
                weights[at] += part.weight
        bare = weights == 0.0
        if bare.any() and self._default is None:
            at_bare = int(np.argmax(bare))
            raise NoOverlapError(
                f"No input with {self._name} covers x = {x[at_bare]:.1f}, y = {y[at_bare]:.1f} of the coadd.",
                cure="Ask where the coadd has data.",
            )
        weights[bare] = 1.0
        mean: NDArray[np.float64] = np.where(bare, self._default or 0.0, total / weights)
        return mean


def coadd_aperture_corrections(psf: CoaddPsf, default: float | None = None) -> dict[str, CoaddField]:
    """The aperture corrections of a coadd: every name that any input has."""
    names = sorted({name for part in psf.components for name in part.aperture_corrections})
    return {name: CoaddField(psf, name, default) for name in names}
