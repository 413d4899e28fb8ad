"""The visits of best seeing: a fixed number of them, or a share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from astropy.table import Table
from lsst.sphgeom import Region

from .selection import Selection, overlaps

__all__ = ["BestSeeingSettings", "SeeingQuantileSettings", "select_best_seeing", "select_seeing_quantile", "visit_fwhm"]

_SIGMA_TO_FWHM = float(np.sqrt(8.0 * np.log(2.0)))


@dataclass(frozen=True, kw_only=True)
class _VisitLimits:
    """What a visit must keep to be considered."""

    min_mjd: float | None = None
    """Earliest date, MJD; None for no limit."""
    max_mjd: float | None = None
    """Latest date, MJD; None for no limit."""
    confirm_overlap: bool = True
    """Whether a detector must overlap the patch; else the caller has seen to it."""
    min_values: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Column of the summary to the smallest mean of it over the detectors."""


@dataclass(frozen=True, kw_only=True)
class BestSeeingSettings(_VisitLimits):
    """How many visits of best seeing, and within which limits."""

    n_visits: int = 12
    """Most visits to keep; -1 for all."""
    min_psf_fwhm: float | None = 0.0
    """Smallest full width at half maximum of the PSF, mean of the visit's detectors, arcsec; None for no limit."""
    max_psf_fwhm: float | None = 1.5
    """Largest, arcsec; None for no limit."""

    def __post_init__(self) -> None:
        if self.n_visits < -1 or self.n_visits == 0:
            raise ValueError(f"{self.n_visits} visits cannot be kept.")


@dataclass(frozen=True, kw_only=True)
class SeeingQuantileSettings(_VisitLimits):
    """Which share of the visits, in order of seeing."""

    q_min: float = 0.0
    """Share of the visits of better seeing that are passed over."""
    q_max: float = 0.33
    """Share of the visits up to which they are kept."""
    min_visits: int = 6
    """Fewest visits to keep, where there are so many."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.q_min <= self.q_max <= 1.0 or self.min_visits < 1:
            raise ValueError(f"Shares {self.q_min} to {self.q_max} of at least {self.min_visits} visits make no sense.")


def visit_fwhm(summary: Table, *, median: bool = False) -> float:
    """Full width at half maximum of a visit's PSF, arcsec: the mean, or median, over its detectors; NaN without any."""
    widths = np.asarray(summary["psf_sigma"], float) * np.asarray(summary["pixel_scale"], float) * _SIGMA_TO_FWHM
    widths = widths[np.isfinite(widths)]
    if not widths.size:
        return float("nan")
    return float(np.median(widths) if median else np.mean(widths))


def select_best_seeing(
    summaries: Mapping[int, Table],
    region: Region,
    settings: BestSeeingSettings | None = None,
    dates: Mapping[int, float] | None = None,
) -> Selection:
    """Keep the visits of best seeing over a patch.

    Parameters
    ----------
    summaries
        Summary of each visit.
    region
        The patch on the sky.
    settings
        How many, within which limits.
    dates
        MJD of each visit, needed where the settings limit it.

    Returns
    -------
    Selection
        Visits in order of seeing, of equal seeing in that of their ids.
    """
    settings = settings or BestSeeingSettings()
    widths = {visit: visit_fwhm(summary) for visit, summary in summaries.items()}
    left_out = {
        visit: reason
        for visit, summary in summaries.items()
        if (reason := _width_reason(widths[visit], settings) or _limit_reason(visit, summary, region, settings, dates))
    }
    ranked = _ranked(widths, left_out)
    kept = ranked if settings.n_visits < 0 else ranked[: settings.n_visits]
    left_out |= {
        visit: f"seeing {widths[visit]:.3g} arcsec ranks behind the best {len(kept)}" for visit in ranked[len(kept) :]
    }
    return Selection(kept=tuple(kept), left_out=MappingProxyType(left_out))


def select_seeing_quantile(
    summaries: Mapping[int, Table],
    region: Region,
    settings: SeeingQuantileSettings | None = None,
    dates: Mapping[int, float] | None = None,
) -> Selection:
    """Keep a share of the visits over a patch, in order of their median seeing; the arguments are as above."""
    settings = settings or SeeingQuantileSettings()
    widths = {visit: visit_fwhm(summary, median=True) for visit, summary in summaries.items()}
    left_out = {
        visit: reason
        for visit, summary in summaries.items()
        if (
            reason := ("no finite seeing" if not np.isfinite(widths[visit]) else "")
            or _limit_reason(visit, summary, region, settings, dates)
        )
    }
    ranked = _ranked(widths, left_out)
    count = len(ranked)
    low = min(round(settings.q_min * count), max(0, count - settings.min_visits))
    high = max(round(settings.q_max * count), settings.min_visits)
    kept = ranked[low:high]
    left_out |= {
        visit: f"seeing {widths[visit]:.3g} arcsec is not within the chosen share"
        for visit in ranked
        if visit not in kept
    }
    return Selection(kept=tuple(kept), left_out=MappingProxyType(left_out))


def _ranked(widths: Mapping[int, float], left_out: Mapping[int, str]) -> list[int]:
    return sorted((visit for visit in widths if visit not in left_out), key=lambda visit: (widths[visit], visit))


def _width_reason(width: float, settings: BestSeeingSettings) -> str:
    """Why a visit's seeing is refused; empty if it is not."""
    if not np.isfinite(width):
        return "no finite seeing"
    if settings.max_psf_fwhm is not None and width > settings.max_psf_fwhm:
        return f"seeing {width:.3g} arcsec is above {settings.max_psf_fwhm:g}"
    if settings.min_psf_fwhm is not None and width < settings.min_psf_fwhm:
        return f"seeing {width:.3g} arcsec is below {settings.min_psf_fwhm:g}"
    return ""


def _limit_reason(
    visit: int, summary: Table, region: Region, settings: _VisitLimits, dates: Mapping[int, float] | None
) -> str:
    """Why a visit is refused for its date, its place or its values; empty if it is not."""
    date = (dates or {}).get(visit, float("nan"))
    if settings.min_mjd is not None and not date >= settings.min_mjd:
        return f"date {date:.3f} is before {settings.min_mjd:.3f}"
    if settings.max_mjd is not None and not date <= settings.max_mjd:
        return f"date {date:.3f} is after {settings.max_mjd:.3f}"
    if settings.confirm_overlap and not any(overlaps(row, region) for row in summary):
        return "no detector overlaps the patch"
    for name, limit in settings.min_values.items():
        values = np.asarray(summary[name], float)
        mean = float(np.mean(values[np.isfinite(values)])) if np.isfinite(values).any() else float("nan")
        if not mean >= limit:
            return f"{name} {mean:.4g} is below {limit:g}"
    return ""
