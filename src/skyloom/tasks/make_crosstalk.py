"""`MakeCrosstalkTask`: what the amplifiers of a detector pick up from each other, from frames with bright sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lsst.pex.config import RangeField
from lsst.pipe.base import PipelineTaskConnections, Struct

from skyloom.calibs import CrosstalkMasterSettings, Raw, measure_crosstalk

from .master_frames import (
    MasterConfig,
    MasterTask,
    camera_input,
    chosen_calibration,
    new_calibration,
    raw_frames,
    record,
)

if TYPE_CHECKING:
    from lsst.images import MaskedImage

__all__ = ["MakeCrosstalkConfig", "MakeCrosstalkConnections", "MakeCrosstalkTask"]


class MakeCrosstalkConnections(PipelineTaskConnections, dimensions=("instrument", "detector")):
    """Frames of a detector with bright sources, the master bias, and the crosstalk."""

    raws = raw_frames("Frames of the sky.")
    camera = camera_input()
    bias = chosen_calibration("bias", "Master bias, in ADU.")
    crosstalk = new_calibration(
        "crosstalk",
        "Ratios [source][target] of the signals of amplifiers, with their errors.",
        storage_class="StructuredDataDict",
    )


class MakeCrosstalkConfig(MasterConfig, pipelineConnections=MakeCrosstalkConnections):
    """Settings of `MakeCrosstalkTask`."""

    source_adu: Any = RangeField(
        dtype=float, default=5000.0, min=0.0, doc="Pixels this far above their background (ADU) are sources."
    )
    block: Any = RangeField(
        dtype=int, default=32, min=8, doc="Side of the squares (pixels) in which the victim's light is a plane."
    )
    own_sigma: Any = RangeField(
        dtype=float, default=3.0, min=1.0, doc="Sources of the victim that stand out by this are left out."
    )
    own_grow: Any = RangeField(dtype=int, default=4, min=0, doc="And what is this near to them (pixels).")
    passes: Any = RangeField(dtype=int, default=2, min=1, doc="How often to measure what the crosstalk before left.")
    significance: Any = RangeField(
        dtype=float, default=3.0, min=0.0, doc="Coefficients smaller than this many of their errors are not valid."
    )
    minimum_pixels: Any = RangeField(
        dtype=int, default=20, min=1, doc="Coefficients from fewer source pixels are not valid."
    )

    def settings(self) -> CrosstalkMasterSettings:
        """The same as the algorithm takes it."""
        given: dict[str, Any] = self.toDict()  # type: ignore[no-untyped-call]
        names = vars(CrosstalkMasterSettings())
        return CrosstalkMasterSettings(**{name: given[name] for name in names if name in given})


class MakeCrosstalkTask(MasterTask):
    """Measure crosstalk."""

    ConfigClass = MakeCrosstalkConfig
    _DefaultName = "make_crosstalk"
    config: MakeCrosstalkConfig

    def run(self, raws: Sequence[Raw], bias: MaskedImage | None = None) -> Struct:
        """Measure crosstalk.

        Parameters
        ----------
        raws
            What reads the frames, one by one.
        bias
            Master, in ADU.

        Returns
        -------
        Struct
            ``crosstalk``: plain data, as `skyloom.isr.crosstalk_from_data` reads them.

        Raises
        ------
        skyloom.errors.BadFrameError
            If too few frames are usable, they were read out in different modes, the detector has one amplifier, or
            nothing in the frames is bright enough.
        """
        measured = measure_crosstalk(raws, bias=bias, settings=self.config.settings())
        record(self, measured)
        return Struct(crosstalk=measured.data())
