"""Settings of the coadd."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

__all__ = ["CoaddSettings", "ErrorSource", "Statistic"]


class Statistic(StrEnum):
    """How the samples of a pixel become one value; see `skyloom.kernels.stack_statistics` for all but CLIPPED."""

    CLIPPED = "CLIPPED"
    """Weighted mean without outliers, which are told from the structure of stars."""
    MEAN = "MEAN"
    """Weighted mean."""
    MEANCLIP = "MEANCLIP"
    """Weighted mean of the samples near the median, then near the mean."""
    MEDIAN = "MEDIAN"
    VARIANCE = "VARIANCE"
    """Of the samples about their mean."""
    VARIANCECLIP = "VARIANCECLIP"
    STDEV = "STDEV"
    STDEVCLIP = "STDEVCLIP"
    MEANSQUARE = "MEANSQUARE"
    IQRANGE = "IQRANGE"
    """Third quartile less the first."""
    MIN = "MIN"
    MAX = "MAX"
    SUM = "SUM"
    """Without weights."""
    NPOINT = "NPOINT"
    """Number of usable samples."""


class ErrorSource(StrEnum):
    """Where the variance of a mean comes from."""

    INPUTS = "INPUTS"
    """The variances of the samples: sum w^2 V / (sum w)^2."""
    MOSAIC = "MOSAIC"
    """Their weighted mean, for samples that hardly overlap: sum w V / sum w."""
    SCATTER = "SCATTER"
    """The scatter of the samples."""


@dataclass(frozen=True, kw_only=True)
class CoaddSettings:
    """How warps are combined."""

    statistic: Statistic = Statistic.CLIPPED
    n_sigma: float = 4.0
    """Of CLIPPED: a sample further from the centre than this many sigma and the slack is clipped.  Sigma joins the
    sample's own variance (or, with five samples or more, their scatter, where that is larger) and the noise of the
    centre."""
    iterations: int = 2
    """Of CLIPPED: how often to look for outliers: first from the median, then from the mean of what stayed."""
    structure: float = 1.0
    """Of CLIPPED: slack, as a part of the median image's range within two pixels: seeing makes samples of a star
    differ by about that much."""
    sigma_clip: float = 3.0
    """Limit of clipping in MEANCLIP, VARIANCECLIP and STDEVCLIP, and of the variance planes for the weights, in
    standard deviations of the samples."""
    clip_iter: int = 2
    """How often these clip; the first time is about the median, by the interquartile range."""
    error_source: ErrorSource = ErrorSource.INPUTS
    """Of MEAN and MEANCLIP: where the variance comes from."""
    online: bool = False
    """Of MEAN: take one warp at a time, whole, and keep sums; else all warps of a strip at a time."""
    bad_planes: tuple[str, ...] = ("BAD", "SAT", "CR", "NO_DATA", "STREAK")
    """A sample with any of these is left out."""
    remove_planes: tuple[str, ...] = ("EDGE", "DETECTED", "DETECTED_NEGATIVE", "CROSSTALK", "NOT_DEBLENDED")
    """Not handed on from the samples to the coadd.  All statistics but CLIPPED forget them before they combine: no
    sample is left out because of them.  Where one with EDGE is left out, that is SENSOR_EDGE in any case."""
    propagation_thresholds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({"SAT": 0.1}))
    """A plane is also set where left-out samples that have it carry more than this share of the weight."""
    subregion_size: tuple[int, int] | None = None
    """Width and height, px: at most as many pixels as that has are combined at once, in whole rows."""
    max_memory_mb: float = 128.0
    """Memory for the stack of pixels; sets how many rows are combined at once."""

    def __post_init__(self) -> None:
        if self.n_sigma <= 0.0 or self.iterations < 0 or self.structure < 0.0 or self.max_memory_mb <= 0.0:
            raise ValueError(
                f"n_sigma {self.n_sigma}, iterations {self.iterations}, structure {self.structure} or max_memory_mb "
                f"{self.max_memory_mb} is out of range."
            )
        if not self.sigma_clip > 0.0 or self.clip_iter < 1:
            raise ValueError(f"sigma_clip {self.sigma_clip} or clip_iter {self.clip_iter} is out of range.")
        if self.subregion_size is not None and not (len(self.subregion_size) == 2 and min(self.subregion_size) >= 1):
            raise ValueError(f"subregion_size {self.subregion_size} is not a width and a height of a pixel or more.")
        if self.online and self.statistic is not Statistic.MEAN:
            raise ValueError(f"One warp at a time gives the MEAN, not the {self.statistic}.")
