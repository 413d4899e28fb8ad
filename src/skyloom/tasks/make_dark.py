"""`MakeDarkTask`: a master dark from the dark frames of a detector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from lsst.pipe.base import PipelineTask, PipelineTaskConnections, QuantumContext, Struct

from skyloom.calibs import Raw, make_dark

from .failure import failing_frames
from .master_frames import LevelConfig, camera_input, chosen_calibration, new_calibration, raw_frames, raws_of, record

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


class MakeDarkTask(PipelineTask):
    """Combine dark frames."""

    ConfigClass = MakeDarkConfig
    _DefaultName = "make_dark"
    config: MakeDarkConfig

    def runQuantum(  # noqa: N802
        self,
        butlerQC: QuantumContext,  # noqa: N803
        inputRefs: Any,  # noqa: N803
        outputRefs: Any,  # noqa: N803
    ) -> None:
        """Read the frames, combine them, write the master."""
        inputs = cast("dict[str, Any]", butlerQC.get(inputRefs))
        with failing_frames(self):
            outputs = self.run(raws_of(inputs["raws"], inputs["camera"]), inputs.get("bias"))
        butlerQC.put(outputs, outputRefs)

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
