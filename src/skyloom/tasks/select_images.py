"""Which frames of a patch are worth warping: `WcsSelectImagesTask` and `PsfWcsSelectImagesTask`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from astropy.table import Table
from lsst.pex.config import Config, ListField
from lsst.pipe.base import Struct, Task

from skyloom.images import corner_polygon
from skyloom.warp import PsfSelectionSettings, Selection, select_frames

from .make_direct_warp_config import WarpSelectionConfig

if TYPE_CHECKING:
    from lsst.sphgeom import Region

    from .frame_reference import FrameReference

__all__ = ["PsfWcsSelectImagesTask", "WcsSelectImagesConfig", "WcsSelectImagesTask"]

_NO_LIMITS = {one.name: None for one in fields(PsfSelectionSettings) if one.name != "exclude_detectors"}


class WcsSelectImagesConfig(Config):
    """Settings of `WcsSelectImagesTask`."""

    excludeDetectors: Any = ListField(dtype=int, default=[], doc="Detectors that are left out in any case.")

    def settings(self) -> PsfSelectionSettings:
        """The same as the algorithm takes it."""
        return PsfSelectionSettings(exclude_detectors=tuple(self.excludeDetectors), **_NO_LIMITS)


class WcsSelectImagesTask(Task):
    """Choose the frames that lie on a patch by their own WCSs."""

    ConfigClass = WcsSelectImagesConfig
    _DefaultName = "select"
    config: WcsSelectImagesConfig
    uses_visit_summary: ClassVar[bool] = False
    """Whether the frames are judged by the summary of their visit."""

    def run(self, frames: Sequence[FrameReference], region: Region, band: str | None = None) -> Struct:
        """Choose frames.

        Parameters
        ----------
        frames
            Ordered by visit and detector.
        region
            The patch on the sky.
        band
            Passband of the frames, for limits that depend on it.

        Returns
        -------
        Struct
            ``frames``: those that passed; ``left_out``: (visit, detector) to the reason.
        """
        kept: list[FrameReference] = []
        left_out: dict[tuple[int, int], str] = {}
        for visit, group in groupby(frames, key=lambda one: one.visit):
            members = {one.detector: one for one in group}
            chosen = self._select(members, region, band)
            kept += [members[detector] for detector in chosen.kept]
            left_out |= {(visit, detector): reason for detector, reason in chosen.left_out.items()}
        return Struct(frames=kept, left_out=left_out)

    def _select(self, frames: dict[int, FrameReference], region: Region, band: str | None) -> Selection:
        """Of the frames of one visit, by detector."""
        corners = [_corners(one) for one in frames.values()]
        table = Table({"detector": list(frames)})
        table["ra_corners"], table["dec_corners"] = (np.array([one[axis] for one in corners]) for axis in (0, 1))
        return select_frames(table, frames, region, self.config.settings(), band=band)


class PsfWcsSelectImagesTask(WcsSelectImagesTask):
    """Choose the frames that lie on a patch and whose PSF is good enough, by the summaries of their visits."""

    ConfigClass = WarpSelectionConfig
    config: WarpSelectionConfig
    uses_visit_summary = True

    def _select(self, frames: dict[int, FrameReference], region: Region, band: str | None) -> Selection:
        """Of the frames of one visit, by detector."""
        summary = next(iter(frames.values())).visit_summary
        table = Table({"detector": np.empty(0, int)}) if summary is None else summary
        return select_frames(table, frames, region, self.config.settings(), band=band)


def _corners(frame: FrameReference) -> tuple[np.ndarray, np.ndarray]:
    """Right ascensions and declinations of the corners of a frame, NaN without a WCS."""
    projection = frame.get(component="sky_projection")
    if projection is None:
        return np.full(4, np.nan), np.full(4, np.nan)
    return corner_polygon(projection, frame.get(component="bbox"))
