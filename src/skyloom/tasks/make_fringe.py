"""`MakeFringeTask`: a master fringe frame from frames of the sky of a detector and filter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lsst.pex.config import RangeField
from lsst.pipe.base import PipelineTaskConnections, Struct

from skyloom.calibs import FringeMasterSettings, Raw, make_fringe
from skyloom.isr import FringeSettings

from .master_frames import MasterTask, camera_input, chosen_calibration, new_calibration, raw_frames, record
from .sky_frames import SkyMasterConfig

if TYPE_CHECKING:
    from astropy.table import Table
    from lsst.images import MaskedImage

__all__ = ["MakeFringeConfig", "MakeFringeConnections", "MakeFringeTask"]


class MakeFringeConnections(PipelineTaskConnections, dimensions=("instrument", "detector", "physical_filter")):
    """Frames of the sky of a detector and filter, the masters before, and the master fringe frame."""

    raws = raw_frames("Frames of the sky.")
    camera = camera_input()
    bias = chosen_calibration("bias", "Master bias, in ADU.")
    dark = chosen_calibration("dark", "Master dark, in electrons or ADU a second.")
    flat = chosen_calibration("flat", "Master flat.", "physical_filter")
    defects = chosen_calibration("defects", "Boxes of defective pixels.", storage_class="ArrowAstropy")
    fringe = new_calibration(
        "fringe", "Master fringe frame of the trimmed detector, over the level of the sky.", "physical_filter"
    )


class MakeFringeConfig(SkyMasterConfig, pipelineConnections=MakeFringeConnections):
    """Settings of `MakeFringeTask`."""

    smoothing: Any = RangeField(
        dtype=float, default=2.0, min=0.0, doc="Sigma (pixels) of the smoothing of the pattern; 0 for none."
    )
    maximum_scatter: Any = RangeField(
        dtype=float, default=0.5, min=0.0, doc="Largest relative deviation of a frame's fringes over its sky."
    )
    positions: Any = RangeField(
        dtype=int, default=3000, min=100, doc="Places at which the fringes of a frame are measured."
    )

    def settings(self) -> FringeMasterSettings:
        """The same as the algorithm takes it."""
        fringes = FringeSettings(positions=self.positions)
        return FringeMasterSettings(fringes=fringes, **self.values_of(FringeMasterSettings()))


class MakeFringeTask(MasterTask):
    """Find the pattern of the fringes."""

    ConfigClass = MakeFringeConfig
    _DefaultName = "make_fringe"
    config: MakeFringeConfig

    def run(
        self,
        raws: Sequence[Raw],
        bias: MaskedImage | None = None,
        dark: MaskedImage | None = None,
        flat: MaskedImage | None = None,
        defects: Table | None = None,
    ) -> Struct:
        """Find the pattern of the fringes.

        Parameters
        ----------
        raws
            What reads the frames, one by one.
        bias, dark, flat
            Masters, as `skyloom.isr.correct_raw` takes them.
        defects
            Boxes of defective pixels.

        Returns
        -------
        Struct
            ``fringe``: the pattern over the level of the sky, a `lsst.images.MaskedImage` without unit.

        Raises
        ------
        skyloom.errors.BadFrameError
            If too few frames are usable, they were read out in different modes, or a master does not fit.
        """
        master = make_fringe(raws, bias=bias, dark=dark, flat=flat, defects=defects, settings=self.config.settings())
        record(self, master)
        return Struct(fringe=master.image)
