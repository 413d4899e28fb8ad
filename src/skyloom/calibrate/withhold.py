"""A frame that failed keeps nothing that did not pass."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from skyloom.errors import FrameError

from .star_list import list_stars
from .summary import summarise

if TYPE_CHECKING:
    from .frame import CalibratedFrame
    from .settings import CalibrateSettings

__all__ = ["withhold_unproven"]


def withhold_unproven(frame: CalibratedFrame, settings: CalibrateSettings) -> None:
    """Take from a failed frame the PSF, WCS and calibration that were not reached; summarise what there is."""
    exposure = frame.exposure
    if frame.psf_fit is None:
        exposure.psf = None
    if frame.astrometry is None:
        exposure.projection = None
    if frame.zero_point is None:
        exposure.photo_calib = None
    # What the user has to read is the error of the stage that failed, not one that follows from it.
    with suppress(FrameError):
        if frame.sources is not None and "flag_sky_source" in frame.sources.colnames:
            list_stars(frame, settings)
    with suppress(FrameError):
        summarise(frame, settings.summary)
