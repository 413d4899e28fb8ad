"""An elliptical Moffat profile: the smooth first guess of a PSF, and what its noisy wings are drawn towards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skyloom.errors import PsfError
from skyloom.kernels.moffat import moffat_equations, moffat_grid

from .stamps import StarStamps

__all__ = ["MoffatProfile", "fit_moffat"]

_LOW = np.array([np.log(0.2), np.log(0.2), -2.0, np.log(0.3)])
_HIGH = np.array([np.log(300.0), np.log(300.0), 2.0, np.log(30.0)])
_N_STEPS = 30
_PRECISION = 5e-3
_MODEL_ERROR = 0.05
"""No PSF is a Moffat profile to better than this fraction; keeps the brightest stars from deciding all."""
_WIDE = 1.5
"""Above this root mean second moment, pixels, two nodes over a pixel are enough; else there are three."""
_N_STARS = 20
"""The brightest so many stars are enough for four numbers."""


@dataclass(frozen=True)
class MoffatProfile:
    """An elliptical Moffat profile (Moffat 1969, A&A 3, 455), averaged over pixels."""

    parameters: np.ndarray
    """Logarithms of the axis scales along x and y in pixels, the arctanh of the coupling of x and y, the logarithm of
    ``beta - 1``."""
    nodes: np.ndarray
    """Places and shares of the nodes over a pixel, ``[2, node]``."""

    @property
    def fwhm(self) -> float:
        """Geometric mean of the full widths at half maximum along x and y, pixels, of the light before the pixels."""
        scale = np.exp(0.5 * (self.parameters[0] + self.parameters[1]))
        return float(2.0 * scale * np.sqrt(2.0 ** (1.0 / (1.0 + np.exp(self.parameters[3]))) - 1.0))

    def grid(self, n: int, oversampling: int = 1) -> np.ndarray:
        """The profile of unit sum on ``n`` points a side, ``oversampling`` a pixel, ``[y, x]``."""
        profile = moffat_grid(self.parameters, n, oversampling, self.nodes)
        return np.asarray(profile / profile.sum())


def fit_moffat(stamps: StarStamps, width: float, start: MoffatProfile | None = None) -> MoffatProfile:
    """The Moffat profile that fits the brightest of the stars best, whatever their places on the pixels.

    Parameters
    ----------
    stamps
        Stars.
    width
        First guess of the root mean second moment, pixels.
    start
        A better first guess.

    Raises
    ------
    PsfError
        If the stars have no flux.
    """
    light = stamps.data.sum(axis=(1, 2))
    bright = np.argsort(-light, kind="stable")[:_N_STARS]
    bright = bright[light[bright] > 0.0]
    if bright.size == 0:
        raise PsfError(
            f"The {len(stamps)} candidates for the PSF have no flux.",
            cure="Check the background and the mask of the frame.",
            n_candidates=len(stamps),
        )
    some = stamps[bright]
    dx, dy = some.offsets
    nodes = _nodes(3 if width < _WIDE else 2)
    pixels = (some.data, some.usable, some.sky_variance, some.gain, dx, dy)
    guess = np.array([np.log(2.2 * width), np.log(2.2 * width), 0.0, np.log(2.0)])
    parameters = np.clip(guess, _LOW, _HIGH) if start is None else start.parameters
    for _ in range(_N_STEPS):
        normal, target = moffat_equations(parameters, *pixels, _MODEL_ERROR, nodes)
        damping = 1e-3 * np.diag(normal) + 1e-12 * (np.trace(normal) + 1e-300)
        step = np.clip(np.linalg.solve(normal + np.diag(damping), target), -0.5, 0.5)
        moved = np.clip(parameters + step, _LOW, _HIGH)
        converged = np.abs(moved - parameters).max() < _PRECISION
        parameters = moved
        if converged:
            break
    return MoffatProfile(parameters, nodes)


def _nodes(n: int) -> np.ndarray:
    """Places and shares of Gauss-Legendre quadrature over a pixel, ``[2, node]``."""
    place, share = np.polynomial.legendre.leggauss(n)
    return np.stack([0.5 * place, 0.5 * share])
