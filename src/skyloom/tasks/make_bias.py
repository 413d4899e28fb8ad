"""`MakeBiasTask`: a master bias from the bias frames of a detector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lsst.pex.config import Field
from lsst.pipe.base import PipelineTaskConnections, Struct

from skyloom.calibs import Raw, make_bias

from .master_frames import LevelConfig, MasterTask, camera_input, new_calibration, raw_frames, record

__all__ = ["MakeBiasConfig", "MakeBiasConnections", "MakeBiasTask"]


class MakeBiasConnections(PipelineTaskConnections, dimensions=("instrument", "detector")):
    """The bias frames of a detector, and their master."""

    raws = raw_frames("Bias frames.")
    camera = camera_input()
    bias = new_calibration("bias", "Master bias of the trimmed detector, in ADU.")


class MakeBiasConfig(LevelConfig, pipelineConnections=MakeBiasConnections):
    """Settings of `MakeBiasTask`."""

    pedestal_only: Any = Field(
        dtype=bool,
        default=False,
        doc="Take nothing but the level of each amplifier: the master then serves any read-out mode.",
    )


class MakeBiasTask(MasterTask):
    """Combine bias frames."""

    ConfigClass = MakeBiasConfig
    _DefaultName = "make_bias"
    config: MakeBiasConfig

    def run(self, raws: Sequence[Raw]) -> Struct:
        """Combine bias frames.

        Parameters
        ----------
        raws
            What reads them, one by one.

        Returns
        -------
        Struct
            ``bias``: the master in ADU, a `lsst.images.MaskedImage`.

        Raises
        ------
        skyloom.errors.BadFrameError
            If too few frames are usable, or they were read out in different modes.
        """
        master = make_bias(raws, self.config.settings())
        record(self, master)
        return Struct(bias=master.image)
