"""How gain, linearity and the brighter-fatter effect are measured in pairs of flats."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from skyloom.isr import InterpolationSettings, IsrSettings

__all__ = [
    "KernelSettings",
    "LinearityKind",
    "LinearizerSettings",
    "PairSettings",
    "PtcSettings",
    "VarianceModel",
]

VarianceModel = Literal["EXPONENTIAL", "POLYNOMIAL"]
LinearityKind = Literal["POLYNOMIAL", "SPLINE"]


def _unmarked_isr() -> IsrSettings:
    """The corrections that come before: where saturation begins is to be found, not to be taken from the camera."""
    return IsrSettings(
        mark_saturated=False,
        mark_suspect=False,
        use_defects=False,
        interpolation=InterpolationSettings(planes=()),
    )


@dataclass(frozen=True, kw_only=True)
class PairSettings:
    """How pairs of flats are found and measured."""

    time_tolerance: float = 0.01
    """Largest relative difference of the exposure times of a pair."""
    level_tolerance: float = 0.05
    """Largest relative difference of the levels of a pair: the lamp may have had several settings."""
    lags: int = 8
    """Covariances are measured between pixels up to this many rows and columns apart."""
    n_sigma: float = 5.0
    """Pixels, and pairs, further than this from what they should be do not count."""
    turn_over: float = 0.05
    """The well is full where the variance falls by this fraction below the greatest one at lower levels."""
    fit_to: float = 0.95
    """Pairs up to this fraction of the full well are fitted."""
    minimum_levels: int = 5
    """Fewer usable pairs are refused."""
    memory_mb: float = 400.0
    """Frames that wait for their like are held in memory up to this size, beyond it in a scratch file."""
    isr: IsrSettings = field(default_factory=_unmarked_isr)
    """The corrections that come before."""


@dataclass(frozen=True, kw_only=True)
class PtcSettings(PairSettings):
    """How the photon-transfer curve is fitted."""

    model: VarianceModel = "EXPONENTIAL"
    """How the variance grows with the level: as a well whose sides move in proportion to its charge (Astier et al.
    2019, equation 16), or as a polynomial of the third degree."""


@dataclass(frozen=True, kw_only=True)
class LinearizerSettings(PairSettings):
    """How the correction of the linearity is fitted."""

    kind: LinearityKind = "POLYNOMIAL"
    order: int = 3
    """Highest power of the counts in a polynomial."""
    nodes: int = 10
    """Nodes of a spline, from zero to the highest level; fewer where there are fewer than two levels a node."""
    monitor: str = ""
    """Header keyword that holds the light of an exposure; empty: the exposure time, the lamp taken to be steady or to
    drift linearly."""
    drift_significance: float = 5.0
    """A drift of the lamp is allowed for where it shows by this many sigma."""
    rate_tolerance: float = 0.2
    """Frames whose light a second differs by more than this from the others' of their filter are left out."""


@dataclass(frozen=True, kw_only=True)
class KernelSettings(PairSettings):
    """How the brighter-fatter kernel is made from covariances."""

    fit_to: float = 0.9
    zero_sum: bool = False
    """Whether the variance's own coefficient is set to minus the sum of the others, as charge is conserved."""
    tail_from: float = 0.0
    """Beyond this distance (pixels) coefficients are those of a power law of the distance; zero: as measured."""
