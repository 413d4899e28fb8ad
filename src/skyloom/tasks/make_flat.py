"""`MakeFlatTask`: a master flat from the flat frames of a detector and filter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lsst.pex.config import RangeField
from lsst.pipe.base import PipelineTaskConnections, Struct

from skyloom.calibs import Raw, make_flat

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

__all__ = ["MakeFlatConfig", "MakeFlatConnections", "MakeFlatTask"]


class MakeFlatConnections(PipelineTaskConnections, dimensions=("instrument", "detector", "physical_filter")):
    """The flat frames of a detector and filter, the master bias and dark, and the master flat."""

    raws = raw_frames("Flat frames.")
    camera = camera_input()
    bias = chosen_calibration("bias", "Master bias, in ADU.")
    dark = chosen_calibration("dark", "Master dark, in electrons or ADU a second.")
    flat = new_calibration("flat", "Master flat of the trimmed detector, with a median of one.", "physical_filter")


class MakeFlatConfig(MasterConfig, pipelineConnections=MakeFlatConnections):
    """Settings of `MakeFlatTask`."""

    flat_shape_deviation: Any = RangeField(
        dtype=float, default=0.03, min=0.0, doc="Largest relative rms by which the shape of a frame may differ."
    )
    flat_saturated_fraction: Any = RangeField(
        dtype=float, default=0.01, min=0.0, max=1.0, doc="Frames with more saturated pixels are left out."
    )
    flat_minimum_electrons: Any = RangeField(
        dtype=float, default=1000.0, min=0.0, doc="Frames of a lower level are left out."
    )


class MakeFlatTask(MasterTask):
    """Combine flat frames."""

    ConfigClass = MakeFlatConfig
    _DefaultName = "make_flat"
    config: MakeFlatConfig

    def run(self, raws: Sequence[Raw], bias: MaskedImage | None = None, dark: MaskedImage | None = None) -> Struct:
        """Combine flat frames.

        Parameters
        ----------
        raws
            What reads them, one by one.
        bias, dark
            Masters, in ADU and in electrons a second.

        Returns
        -------
        Struct
            ``flat``: the master without unit, a `lsst.images.MaskedImage`.

        Raises
        ------
        skyloom.errors.BadFrameError
            If too few frames are usable, they were read out in different modes, or a master does not fit.
        """
        master = make_flat(raws, bias=bias, dark=dark, settings=self.config.settings())
        record(self, master)
        return Struct(flat=master.image)
