"""The stars of a frame: the clean, lone, unresolved ones of its sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skyloom.images.footprints import FootprintSet
from skyloom.measurement import select_stars

if TYPE_CHECKING:
    from astropy.table import Table

    from .frame import CalibratedFrame
    from .settings import CalibrateSettings

__all__ = ["footprints_of", "list_stars"]


def list_stars(frame: CalibratedFrame, settings: CalibrateSettings) -> None:
    """List the sources that are stars, with the places without a source."""
    assert frame.sources is not None
    assert frame.sources_footprints is not None
    frame.stars = frame.sources[select_stars(frame.sources, settings.star_selection)]
    frame.stars_footprints = footprints_of(frame.sources_footprints, frame.stars)
    frame.metadata["n_stars"] = int(np.sum(~np.asarray(frame.stars["flag_sky_source"], dtype=bool)))


def footprints_of(footprints: FootprintSet, table: Table) -> FootprintSet:
    """The footprints that hold the sources of a table."""
    parent, own = np.asarray(table["parent_id"]), np.asarray(table["source_id"])
    wanted = np.where(parent > 0, parent, own)
    chosen = np.flatnonzero(np.isin(footprints.ids, wanted)).tolist()
    return FootprintSet([footprints[i] for i in chosen], footprints.bbox, footprints.ids[chosen])
