"""Functions of the counts that a loss of linearity is a sum of, and the coefficients that the correction takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from .pair_settings import LinearizerSettings

__all__ = ["Excess", "excess_of"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Excess:
    """What counts have too many, as a sum of functions of them that are flat at zero."""

    kind: str
    """Polynomial or Spline, as the correction calls it."""
    scale_adu: float
    order: int
    nodes_adu: np.ndarray

    @property
    def terms(self) -> int:
        """Number of functions."""
        return self.order - 1 if self.kind == "Polynomial" else len(self.nodes_adu) - 1

    def basis(self, levels_adu: np.ndarray) -> np.ndarray:
        """Values (ADU) of the functions ``[level, term]``."""
        if self.kind == "Polynomial":
            return np.stack([levels_adu * (levels_adu / self.scale_adu) ** (n + 1) for n in range(self.terms)], axis=1)
        nodes = self.nodes_adu
        cardinal = CubicSpline(
            nodes, np.eye(len(nodes)), bc_type=((1, np.zeros(len(nodes))), (2, np.zeros(len(nodes))))
        )
        return np.asarray(cardinal(levels_adu)[:, 1:])

    def coefficients(self, solution: np.ndarray) -> list[float]:
        """What the correction takes, for the weights of the functions."""
        if self.kind == "Polynomial":
            return [float(-value / self.scale_adu ** (n + 1)) for n, value in enumerate(solution)]
        return [*self.nodes_adu.tolist(), 0.0, *solution.tolist()]


def excess_of(settings: LinearizerSettings, highest_adu: float, levels: int) -> Excess:
    """The functions that the settings ask for, up to the highest level of so many."""
    number = min(settings.nodes, levels // 2)
    return Excess(
        kind=settings.kind.capitalize(),
        scale_adu=highest_adu,
        order=settings.order,
        nodes_adu=np.linspace(0.0, highest_adu, max(number, 2)),
    )
