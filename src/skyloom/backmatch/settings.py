"""Knobs of background matching."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["BinStatistic", "MatchSettings", "ReferenceWeights", "TractModelSettings"]


@dataclass(frozen=True, kw_only=True)
class TractModelSettings:
    """Knobs of the superpixels of a tract, and of what is made of them."""

    x_bin: float = 128.0
    """Pitch of the superpixels along x, px; each is two pitches wide and overlaps half of its neighbours."""
    y_bin: float = 128.0
    """The same along y."""
    min_fraction: float = 0.1
    """A superpixel with fewer usable pixels than this share of x_bin times y_bin is not measured."""
    mask: tuple[str, ...] = ("BAD", "SAT", "EDGE", "NO_DATA")
    """Pixels with one of these planes do not count."""
    interpolation: Literal["CONSTANT", "LINEAR", "NATURAL_SPLINE", "AKIMA_SPLINE"] | None = "AKIMA_SPLINE"
    """What superpixels that were not measured get beyond the plane through the others: that of the nearest (CONSTANT),
    what continues the values (LINEAR), what continues the slopes (the splines), or nothing (None)."""
    do_smooth: bool = False
    """Smooth the superpixels with a Gaussian."""
    smooth_scale: float = 2.0
    """Sigma of that, superpixels."""
    binning: int = 64
    """Pitch of the nodes of the background of a warp, px."""

    def __post_init__(self) -> None:
        if min(self.x_bin, self.y_bin) < 1 or self.binning < 1:
            raise ValueError(f"Superpixels of {self.x_bin} x {self.y_bin} px and nodes every {self.binning} px.")


@dataclass(frozen=True, kw_only=True)
class BinStatistic:
    """How the pixels of a superpixel become one value."""

    statistic: Literal["MEAN", "MEDIAN", "MEANCLIP"] = "MEANCLIP"
    n_sigma: float = 3.0
    """Pixels further from the level are left out, in units of the scatter."""
    iterations: int = 3


@dataclass(frozen=True, kw_only=True)
class ReferenceWeights:
    """Weights of what tells a good reference visit; their sum need not be 1."""

    chi2: float = 0.3
    """Of the departure of its sky from a plane."""
    variance: float = 0.3
    """Of the variance of its pixels."""
    coverage: float = 0.4
    """Of the inverse of the number of superpixels it measures."""


@dataclass(frozen=True, kw_only=True)
class MatchSettings:
    """Knobs of matching."""

    model: TractModelSettings = TractModelSettings()
    statistic: BinStatistic = BinStatistic()
    style: Literal["CONSTANT", "LINEAR", "NATURAL_SPLINE", "AKIMA_SPLINE", "NONE"] = "AKIMA_SPLINE"
    """Curve between superpixels; NONE gives a visit one level for the whole tract."""
    undersample: Literal["THROW_EXCEPTION", "REDUCE_INTERP_ORDER"] = "REDUCE_INTERP_ORDER"
    """What to do where a tract has too few superpixels along a side for the curve."""
    solution: Literal["REFERENCE", "JOINT"] = "REFERENCE"
    """Each visit against the reference, or all against each other."""
    joint_scale: float = 8.0
    """Of JOINT: structure of offsets below so many superpixels is taken for noise."""
    joint_rounds: int = 2
    """Of JOINT: how often the mean of the visits is made, which stands in for what they all show."""

    joint_sky: Literal["REFERENCE", "MEAN"] = "REFERENCE"
    """Of JOINT: which sky all get, that of the reference or the mean of all, weighted with 1 / variance."""

    def __post_init__(self) -> None:
        if self.joint_rounds < 1 or self.joint_scale <= 0:
            raise ValueError(f"{self.joint_rounds} rounds of a joint solution on {self.joint_scale} superpixels.")
