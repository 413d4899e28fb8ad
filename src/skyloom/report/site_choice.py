"""Which visits and patches of a large output get pages of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .site_pages import PageJob
from .site_visits import SiteVisit

__all__ = ["PageLimits", "choose_pages"]


@dataclass(frozen=True, kw_only=True)
class PageLimits:
    """Up to which number all have pages; None for all in any case.

    Parameters
    ----------
    frames
        Frames of all visits.  Of more, the visits with failures and those of the widest PSFs have pages, which show
        half as many frames together, and at least a visit.
    patches
        Patches.  Of more, so many, spread over the sky.
    """

    frames: int | None = None
    patches: int | None = None


def choose_pages(jobs: Sequence[PageJob], visits: Sequence[SiteVisit], limits: PageLimits) -> list[PageJob]:
    """Those of the pages that are to be written, in their order."""
    left_out = _visits_left_out(visits, limits.frames) | _patches_left_out(jobs, limits.patches)
    return [job for job in jobs if (job.kind, *job.place) not in left_out]


def _visits_left_out(visits: Sequence[SiteVisit], most: int | None) -> set[tuple[str | int, ...]]:
    if most is None or sum(visit.frames for visit in visits) <= most:
        return set()

    def order(visit: SiteVisit) -> tuple[int, float]:
        width = visit.seeing_arcsec if np.isfinite(visit.seeing_arcsec) else 0.0
        return visit.calibrated - visit.frames, -width

    count = max(most // (2 * max(visit.frames for visit in visits)), 1)
    return {("visit", visit.instrument, visit.visit) for visit in sorted(visits, key=order)[count:]}


def _patches_left_out(jobs: Sequence[PageJob], most: int | None) -> set[tuple[str | int, ...]]:
    patches = [job for job in jobs if job.kind == "coadd"]
    if most is None or len(patches) <= most:
        return set()
    kept = {int(one) for one in np.linspace(0, len(patches) - 1, most)}
    return {("coadd", *job.place) for number, job in enumerate(patches) if number not in kept}
