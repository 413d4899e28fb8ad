"""Settings of the comparison of PSF-matched warps with their static sky."""

from __future__ import annotations

from dataclasses import dataclass, field

from .clip_settings import ClipDetectionSettings
from .settings import CoaddSettings, Statistic
from .streaks import StreakSettings

__all__ = ["CompareWarpSettings", "TemplateDetectionSettings"]


@dataclass(frozen=True, kw_only=True)
class TemplateDetectionSettings:
    """How very bright sources of the static sky are found."""

    threshold: float = 300.0
    """In sigma through the PSF."""
    grow_sigmas: float = 2.4
    """Footprints grow by this many PSF sigmas."""
    max_masked: float = 0.3
    """Where more of the sky than this would be protected, the threshold is raised ..."""
    multiplier: float = 1.25
    """... by this factor ..."""
    max_iterations: int = 10
    """... so many times at most."""

    def __post_init__(self) -> None:
        if self.threshold <= 0.0 or self.grow_sigmas < 0.0 or self.multiplier <= 1.0 or self.max_iterations < 0:
            raise ValueError(
                f"A threshold of {self.threshold}, a growth of {self.grow_sigmas}, a multiplier of {self.multiplier} "
                f"or {self.max_iterations} iterations are out of range."
            )


def _static_sky() -> CoaddSettings:
    return CoaddSettings(statistic=Statistic.MEANCLIP, sigma_clip=2.5, clip_iter=3, bad_planes=("NO_DATA",))


@dataclass(frozen=True, kw_only=True)
class CompareWarpSettings:
    """How artifacts are found on the differences of PSF-matched warps and their static sky."""

    static_sky: CoaddSettings = field(default_factory=_static_sky)
    """How the matched warps make the static sky."""
    detection: ClipDetectionSettings = field(
        default_factory=lambda: ClipDetectionSettings(threshold=7.5, grow_sigmas=0.4, smooth=False)
    )
    """How candidates are found on the difference of a warp."""
    template_detection: TemplateDetectionSettings = field(default_factory=TemplateDetectionSettings)
    preserve_contained: bool = True
    """Whether a candidate within the footprint of a very bright source is left alone."""
    scale_variance: bool = True
    """Whether the variance of a difference is scaled to the scatter of its pixels first."""
    max_scale: float = 10.0
    """A factor beyond this, or below one over this, is not believed."""
    prefilter_planes: tuple[str, ...] = ("NO_DATA", "BAD", "SUSPECT")
    """Candidates that lie on pixels of these planes ..."""
    prefilter_ratio: float = 0.05
    """... but for this part are dropped."""
    max_n_epochs: int = 2
    """A pixel is that of an artifact where candidates of no more visits than this, and ..."""
    max_fraction_low: float = 0.4
    """... than this part of few visits meet; ..."""
    max_fraction_high: float = 0.03
    """... of many visits this part is added to the number."""
    spatial_threshold: float = 0.5
    """A candidate with more than this part of such pixels is an artifact."""
    mask_streaks: bool = True
    """Whether straight trails are looked for, too."""
    streaks: StreakSettings = field(default_factory=StreakSettings)
    require_matched: bool = True
    """Whether pixels of a warp without a matched value, in which nothing can be looked for, are left out."""

    def __post_init__(self) -> None:
        shares = (self.max_fraction_low, self.max_fraction_high, self.spatial_threshold, self.prefilter_ratio)
        if not all(0.0 <= share <= 1.0 for share in shares) or self.max_n_epochs < 0 or self.max_scale <= 1.0:
            raise ValueError(
                f"Fractions of {shares}, {self.max_n_epochs} epochs or a scale of {self.max_scale} are out of range."
            )
