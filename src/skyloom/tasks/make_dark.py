"""`MakeDarkTask`: a master dark from the dark frames of a detector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lsst.pipe.base import PipelineTaskConnections, Struct

from skyloom.calibs import Raw, make_dark

from .master_frames import (
    LevelConfig,
    MasterTask,
    camera_input,
    chosen_calibration,
    new_calibration,
    raw_frames,
    record,
)

if TYPE_CHECKING:
    from lsst.images import MaskedImage

__all__ = ["MakeDarkConfig", "MakeDarkConnections", "MakeDarkTask"]


class MakeDarkConnections(PipelineTaskConnections, dimensions=("instrument", "detector")):
    """The dark frames of a detector, the master bias, and the master dark."""

    raws = raw_frames("Dark frames.")
    camera = camera_input()
    bias = chosen_calibration("bias", "Master bias, in ADU.")
    dark = new_calibration("dark", "Master dark of the trimmed detector, in electrons a second.")


class MakeDarkConfig(LevelConfig, pipelineConnections=MakeDarkConnections):
    """Settings of `MakeDarkTask`."""


class MakeDarkTask(MasterTask):
    """Combine dark frames."""

    ConfigClass = MakeDarkConfig
    _DefaultName = "make_dark"
    config: MakeDarkConfig

    def run(self, raws: Sequence[Raw], bias: MaskedImage | None = None) -> Struct:
        """Combine dark frames.

        Parameters
        ----------
        raws
            What reads them, one by one.
        bias
            Master bias in ADU.

        Returns
        -------
        Struct
            ``dark``: the master in electrons a second, a `lsst.images.MaskedImage`.

        Raises
        ------
        skyloom.errors.BadFrameError
            If too few frames are usable, they were read out in different modes, or the bias does not fit.
        """
        master = make_dark(raws, bias=bias, settings=self.config.settings())
        record(self, master)
        return Struct(dark=master.image)
