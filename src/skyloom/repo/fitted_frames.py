"""Where the calibrated frames of a repository lie on the sky, as their fitted WCSs say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from lsst.daf.butler import Butler

from skyloom.errors import RepositoryError

__all__ = ["FittedFrames", "read_fitted_frames"]

SUMMARY = "visit_summary"


@dataclass(frozen=True)
class FittedFrames:
    """One entry a calibrated frame, ordered by visit and detector."""

    visit: np.ndarray
    """int64 ``[n]``."""
    detector: np.ndarray
    """int64 ``[n]``."""
    ra_corners: np.ndarray
    """Degrees, ``[n, 4]``."""
    dec_corners: np.ndarray
    """Degrees, ``[n, 4]``."""
    pixel_scale: np.ndarray
    """Arcseconds a pixel, ``[n]``."""

    def __len__(self) -> int:
        return len(self.visit)

    def of(self, rows: np.ndarray) -> FittedFrames:
        """Some of the frames, by number or by a mask."""
        return FittedFrames(**{name: values[rows] for name, values in vars(self).items()})


def read_fitted_frames(
    butler: Butler, collections: str | Sequence[str], *, instrument: str, where: str = ""
) -> FittedFrames:
    """The frames in the ``visit_summary`` tables of some collections; rows without a fitted WCS are left out.

    Raises
    ------
    RepositoryError
        If there is none.
    """
    rows = []
    for ref in _summaries(butler, collections, instrument, where):
        table = butler.get(ref)
        visit = int(ref.dataId["visit"])
        for row in table:
            corners = np.array([row["ra_corners"], row["dec_corners"]], dtype=float)
            if np.isfinite(corners).all():
                rows.append((visit, int(row["detector"]), corners, float(row["pixel_scale"])))
    if not rows:
        raise RepositoryError(
            f"No calibrated frame of {instrument} in {collections}{' where ' + where if where else ''}.",
            cure="Run the single-frame steps first, and give the collection of their output.",
        )
    rows.sort(key=lambda row: row[:2])
    return FittedFrames(
        visit=np.array([row[0] for row in rows]),
        detector=np.array([row[1] for row in rows]),
        ra_corners=np.array([row[2][0] for row in rows]),
        dec_corners=np.array([row[2][1] for row in rows]),
        pixel_scale=np.array([row[3] for row in rows]),
    )


def _summaries(butler: Butler, collections: str | Sequence[str], instrument: str, where: str) -> list:  # type: ignore[type-arg]
    if not butler.registry.queryDatasetTypes(SUMMARY):
        return []
    return butler.query_datasets(
        SUMMARY, collections=collections, where=where, instrument=instrument, explain=False, limit=None
    )
