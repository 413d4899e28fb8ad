"""Regions of visits and detectors from their fitted WCSs, in place of those that the headers gave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from lsst.daf.butler import Butler

from skyloom.skymap import convex_polygon

from .fitted_frames import FittedFrames, read_fitted_frames

__all__ = ["update_regions"]


def update_regions(
    butler: Butler, collections: str | Sequence[str], instrument: str, *, where: str = ""
) -> tuple[int, int]:
    """Write the regions of calibrated frames and of their visits anew, from the fitted corners in ``visit_summary``.

    A visit's region becomes the convex hull of its calibrated detectors; the regions of detectors that were not
    calibrated stay as the headers gave them.

    Returns
    -------
    n_detectors, n_visits
        How many regions changed.

    Raises
    ------
    RepositoryError
        If the collections hold no calibrated frame.
    """
    frames = read_fitted_frames(butler, collections, instrument=instrument, where=where)
    changed_detectors = changed_visits = 0
    with butler.transaction():
        for visit in np.unique(frames.visit):
            rows = np.flatnonzero(frames.visit == visit)
            changed_visits += _sync(butler, _visit_record(butler, instrument, int(visit)), frames, rows, "visit")
            for row in rows:
                key = {"instrument": instrument, "visit": int(visit), "detector": int(frames.detector[row])}
                changed_detectors += _sync(butler, key, frames, np.array([row]), "visit_detector_region")
    return changed_detectors, changed_visits


def _visit_record(butler: Butler, instrument: str, visit: int) -> dict[str, Any]:
    (record,) = butler.query_dimension_records("visit", instrument=instrument, visit=visit)
    return dict(record.toDict())


def _sync(butler: Butler, record: dict[str, Any], frames: FittedFrames, rows: np.ndarray, element: str) -> int:
    """Give a record the hull of some frames; 1 where that changed or made it."""
    region = convex_polygon(frames.ra_corners[rows], frames.dec_corners[rows])
    return int(bool(butler.registry.syncDimensionData(element, {**record, "region": region}, update=True)))
