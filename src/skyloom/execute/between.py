"""What happens between two steps: sky regions from the fitted WCSs, and the sky map that the next step works on."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from lsst.daf.butler import Butler

from skyloom.errors import RepositoryError

__all__ = ["prepare_sky"]


def prepare_sky(butler: Butler, name: str, collections: Sequence[str], instrument: str) -> str:
    """Write the regions of visits and detectors anew, and find or make the sky map.

    Parameters
    ----------
    butler
        Writeable butler of the repository.
    name
        Name of the sky map to use, which is made around the fitted frames if there is none. When empty, that of the
        instrument, or the next of its numbered successors that holds all fitted frames.
    collections
        Collections with the visit summaries.
    instrument
        Name of the instrument.

    Returns
    -------
    str
        Name of the sky map.

    Raises
    ------
    RepositoryError
        Raised if no frame was calibrated.
    """
    from skyloom.repo.regions import update_regions
    from skyloom.repo.skymaps import cover_fitted_frames, make_sky_map

    update_regions(butler, collections, instrument)
    if name:
        if not _exists(butler, name):
            make_sky_map(butler, name, collections, instrument=instrument)
        cover_fitted_frames(butler, name, collections, instrument=instrument)
        return name
    for candidate in itertools.chain([instrument], (f"{instrument}_{number}" for number in itertools.count(2))):
        there = _exists(butler, candidate)
        try:
            make_sky_map(butler, candidate, collections, instrument=instrument)
        except RepositoryError:
            if not there:
                raise
        else:
            return candidate
    raise AssertionError("the count has no end")


def _exists(butler: Butler, name: str) -> bool:
    return bool(butler.query_dimension_records("skymap", skymap=name, explain=False))
