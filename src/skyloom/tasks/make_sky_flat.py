"""`MakeSkyFlatTask`: a master flat from frames of the sky of a detector and filter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lsst.pex.config import RangeField
from lsst.pipe.base import PipelineTaskConnections, Struct

from skyloom.calibs import Raw, SkyFlatSettings, make_sky_flat

from .master_frames import MasterTask, camera_input, chosen_calibration, new_calibration, raw_frames, record
from .sky_frames import SkyMasterConfig

if TYPE_CHECKING:
    from astropy.table import Table
    from lsst.images import MaskedImage

__all__ = ["MakeSkyFlatConfig", "MakeSkyFlatConnections", "MakeSkyFlatTask"]


class MakeSkyFlatConnections(PipelineTaskConnections, dimensions=("instrument", "detector", "physical_filter")):
    """Frames of the sky of a detector and filter, the master bias and dark, and the master flat."""

    raws = raw_frames("Frames of the sky.")
    camera = camera_input()
    bias = chosen_calibration("bias", "Master bias, in ADU.")
    dark = chosen_calibration("dark", "Master dark, in electrons or ADU a second.")
    defects = chosen_calibration("defects", "Boxes of defective pixels.", storage_class="ArrowAstropy")
    flat = new_calibration("flat", "Master flat of the trimmed detector, with a median of one.", "physical_filter")


class MakeSkyFlatConfig(SkyMasterConfig, pipelineConnections=MakeSkyFlatConnections):
    """Settings of `MakeSkyFlatTask`."""

    flat_shape_deviation: Any = RangeField(
        dtype=float, default=0.1, min=0.0, doc="Largest relative rms by which the shape of a frame may differ."
    )

    def settings(self) -> SkyFlatSettings:
        """The same as the algorithm takes it."""
        return SkyFlatSettings(**self.values_of(SkyFlatSettings()))


class MakeSkyFlatTask(MasterTask):
    """Combine frames of the sky to a flat."""

    ConfigClass = MakeSkyFlatConfig
    _DefaultName = "make_sky_flat"
    config: MakeSkyFlatConfig

    def run(
        self,
        raws: Sequence[Raw],
        bias: MaskedImage | None = None,
        dark: MaskedImage | None = None,
        defects: Table | None = None,
    ) -> Struct:
        """Combine frames of the sky.

        Parameters
        ----------
        raws
            What reads the frames, one by one.
        bias, dark
            Masters, in ADU and in electrons a second.
        defects
            Boxes of defective pixels.

        Returns
        -------
        Struct
            ``flat``: the master without unit, a `lsst.images.MaskedImage`.

        Raises
        ------
        skyloom.errors.BadFrameError
            If too few frames are usable, they were read out in different modes, or a master does not fit.
        """
        master = make_sky_flat(raws, bias=bias, dark=dark, defects=defects, settings=self.config.settings())
        record(self, master)
        return Struct(flat=master.image)
