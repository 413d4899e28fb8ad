"""Settings of the coadd."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

__all__ = ["CoaddSettings", "Statistic"]


class Statistic(StrEnum):
    """How the samples of a pixel become one value."""

    CLIPPED = "CLIPPED"
    """Weighted mean without outliers."""
    MEAN = "MEAN"
    """Weighted mean."""


@dataclass(frozen=True, kw_only=True)
class CoaddSettings:
    """How warps are combined."""

    statistic: Statistic = Statistic.CLIPPED
    n_sigma: float = 4.0
    """A sample further from the centre than this many sigma and the slack is clipped.  Sigma joins the sample's own
    variance (or, with five samples or more, their scatter, where that is larger) and the noise of the centre."""
    iterations: int = 2
    """How often to look for outliers: first from the median, then from the mean of what stayed."""
    structure: float = 1.0
    """Slack of the clipping, as a part of the median image's range within two pixels: seeing makes samples of a star
    differ by about that much."""
    bad_planes: tuple[str, ...] = ("BAD", "SAT", "CR", "NO_DATA", "STREAK")
    """A sample with any of these is left out."""
    remove_planes: tuple[str, ...] = ("EDGE", "DETECTED", "DETECTED_NEGATIVE", "CROSSTALK", "NOT_DEBLENDED")
    """Not handed on from the samples to the coadd."""
    propagation_thresholds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({"SAT": 0.1}))
    """A plane is also set where left-out samples that have it carry more than this share of the weight."""
    max_memory_mb: float = 128.0
    """Memory for the stack of pixels; sets how many rows are combined at once."""

    def __post_init__(self) -> None:
        if self.n_sigma <= 0.0 or self.iterations < 0 or self.structure < 0.0 or self.max_memory_mb <= 0.0:
            raise ValueError(
                f"n_sigma {self.n_sigma}, iterations {self.iterations}, structure {self.structure} or max_memory_mb "
                f"{self.max_memory_mb} is out of range."
            )
