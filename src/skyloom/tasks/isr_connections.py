"""`IsrConnections`: a raw frame, what it is corrected with, and what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lsst.pipe.base import PipelineTaskConnections
from lsst.pipe.base.connectionTypes import Input, Output, PrerequisiteInput

if TYPE_CHECKING:
    from lsst.pipe.base.connections import QuantaAdjuster

__all__ = ["IsrConnections"]

_SWITCHES = {
    "bias": "doBias",
    "dark": "doDark",
    "flat": "doFlat",
    "defects": "doDefect",
    "crosstalk": "doCrosstalk",
    "linearizer": "doLinearize",
    "newBFKernel": "doBrighterFatter",
    "fringes": "doFringe",
}
"""Calibrations, and the switches that leave them out."""


def _calibration(doc: str, name: str, storage_class: str, *dimensions: str) -> Any:
    """A calibration of a detector, found by the date of the frame; that there is none is the task's business."""
    return PrerequisiteInput(
        doc=doc,
        name=name,
        storageClass=storage_class,
        dimensions=("instrument", "detector", *dimensions),
        isCalibration=True,
        minimum=0,
    )


class IsrConnections(PipelineTaskConnections, dimensions=("instrument", "exposure", "detector")):
    """A raw frame with its camera and calibrations, and the frame without instrument signature."""

    ccdExposure = Input(  # noqa: N815
        doc="Raw frame.", name="raw", storageClass="RawExposure", dimensions=("instrument", "exposure", "detector")
    )
    camera = PrerequisiteInput(
        doc="Description of the camera.", name="camera", storageClass="SkyloomCamera", dimensions=("instrument",)
    )
    bias = _calibration("Master bias of the trimmed detector, in ADU.", "bias", "MaskedImageV2")
    dark = _calibration("Master dark, in electrons or ADU a second.", "dark", "MaskedImageV2")
    flat = _calibration("Master flat.", "flat", "MaskedImageV2", "physical_filter")
    defects = _calibration("Boxes of defective pixels.", "defects", "ArrowAstropy")
    crosstalk = _calibration("What amplifiers pick up from each other.", "crosstalk", "StructuredDataDict")
    linearizer = _calibration("How counts grow with the light.", "linearizer", "StructuredDataDict")
    newBFKernel = _calibration(  # noqa: N815
        "Brighter-fatter kernel.", "brighterFatterKernel", "StructuredDataDict"
    )
    fringes = _calibration("Master fringe frame.", "fringe", "MaskedImageV2", "physical_filter")
    outputExposure = Output(  # noqa: N815
        doc="The frame in electrons.",
        name="post_isr",
        storageClass="PostIsrImage",
        dimensions=("instrument", "exposure", "detector"),
    )

    def __init__(self, *, config: Any = None) -> None:
        super().__init__(config=config)
        for name, switch in _SWITCHES.items():
            if getattr(config, switch) is False:
                delattr(self, name)

    def adjust_all_quanta(self, adjuster: QuantaAdjuster) -> None:
        """Leave out frames of other observation types: biases and flats are there for the masters alone."""
        wanted = list(cast("Any", self).config.observation_types)
        for data_id in list(adjuster.iter_data_ids()):
            exposure = cast("Any", adjuster.expand_quantum_data_id(data_id).records["exposure"])
            if wanted and exposure.observation_type not in wanted:
                adjuster.remove_quantum(data_id)
