"""`CoaddTransmission`: the throughput of a coadd, of those of its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import override

import numpy as np
from numpy.typing import ArrayLike

from skyloom.errors import NoOverlapError
from skyloom.isr import TransmissionCurve
from skyloom.psf import CoaddPsf

__all__ = ["CoaddTransmission"]


@dataclass(frozen=True, kw_only=True, eq=False)
class CoaddTransmission(TransmissionCurve):
    """The mean, under their weights, of the curves of the inputs that have a pixel at a position of the coadd.

    Calibrated frames keep no curve on disk: who has them gives them here.
    """

    psf: CoaddPsf
    """That of the coadd, which knows its inputs, and who of them has a pixel where."""
    curves: Mapping[tuple[int, int], TransmissionCurve]
    """Visit and detector to throughput in the pixels of the detector; inputs without one do not count."""

    @override
    def sample_at(self, x: ArrayLike, y: ArrayLike, wavelengths: ArrayLike) -> np.ndarray:
        """Throughput at pixels of the coadd; as `skyloom.isr.TransmissionCurve.sample_at`.

        Raises
        ------
        NoOverlapError
            If no input that has a curve covers one of the positions.
        """
        x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
        wanted = np.atleast_1d(np.asarray(wavelengths, np.float64))
        total, weights = np.zeros((x.size, wanted.size)), np.zeros(x.size)
        for part, at, u, v, _ in self.psf.contributions(x.ravel(), y.ravel()):
            curve = self.curves.get((part.visit, part.detector))
            if curve is not None:
                total[at] += part.weight * curve.sample_at(u, v, wanted)
                weights[at] += part.weight
        if not weights.all():
            bare = int(np.argmin(weights))
            raise NoOverlapError(
                f"No input with a curve covers x = {x.ravel()[bare]:.1f}, y = {y.ravel()[bare]:.1f} of the coadd.",
                cure="Ask where the coadd has data.",
            )
        return (total / weights[:, np.newaxis]).reshape(*x.shape, wanted.size)
