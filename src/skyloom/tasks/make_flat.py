"""`MakeFlatTask`: a master flat from the flat frames of a detector and filter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from lsst.pex.config import RangeField
from lsst.pipe.base import PipelineTask, PipelineTaskConnections, QuantumContext, Struct
from lsst.pipe.base.connectionTypes import Input, Output, PrerequisiteInput

from skyloom.calibs import Raw, make_flat

from .failure import failing_frames
from .master_frames import MasterConfig, find_chosen_master, raws_of, record

if TYPE_CHECKING:
    from lsst.images import MaskedImage

__all__ = ["MakeFlatConfig", "MakeFlatConnections", "MakeFlatTask"]


class MakeFlatConnections(PipelineTaskConnections, dimensions=("instrument", "detector", "physical_filter")):
    """The flat frames of a detector and filter, the master bias and dark, and the master flat."""

    raws = Input(
        doc="Flat frames.",
        name="raw",
        storageClass="RawExposure",
        dimensions=("instrument", "exposure", "detector"),
        multiple=True,
        deferLoad=True,
    )
    camera = PrerequisiteInput(
        doc="Description of the camera.", name="camera", storageClass="SkyloomCamera", dimensions=("instrument",)
    )
    bias = PrerequisiteInput(
        doc="Master bias, in ADU.",
        name="bias",
        storageClass="MaskedImageV2",
        dimensions=("instrument", "detector"),
        isCalibration=True,
        minimum=0,
        lookupFunction=find_chosen_master,
    )
    dark = PrerequisiteInput(
        doc="Master dark, in electrons or ADU a second.",
        name="dark",
        storageClass="MaskedImageV2",
        dimensions=("instrument", "detector"),
        isCalibration=True,
        minimum=0,
        lookupFunction=find_chosen_master,
    )
    flat = Output(
        doc="Master flat of the trimmed detector, with a median of one.",
        name="flat",
        storageClass="MaskedImageV2",
        dimensions=("instrument", "detector", "physical_filter"),
        isCalibration=True,
    )


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


class MakeFlatTask(PipelineTask):
    """Combine flat frames."""

    ConfigClass = MakeFlatConfig
    _DefaultName = "make_flat"
    config: MakeFlatConfig

    def runQuantum(  # noqa: N802
        self,
        butlerQC: QuantumContext,  # noqa: N803
        inputRefs: Any,  # noqa: N803
        outputRefs: Any,  # noqa: N803
    ) -> None:
        """Read the frames, combine them, write the master."""
        inputs = cast("dict[str, Any]", butlerQC.get(inputRefs))
        with failing_frames(self):
            raws = raws_of(inputs["raws"], inputs["camera"])
            outputs = self.run(raws, inputs.get("bias"), inputs.get("dark"))
        butlerQC.put(outputs, outputRefs)

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
