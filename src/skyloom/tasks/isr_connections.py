"""`IsrConnections`: a raw frame, what it is corrected with, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from lsst.pipe.base import PipelineTaskConnections
from lsst.pipe.base.connectionTypes import Input, Output, PrerequisiteInput

if TYPE_CHECKING:
    from lsst.pipe.base.connections import QuantaAdjuster

__all__ = ["IsrConnections"]

_WANTED: dict[str, Callable[[Any], bool]] = {
    "bias": lambda config: config.doBias is not False,
    "dark": lambda config: config.doDark is not False,
    "flat": lambda config: config.doFlat is not False,
    "defects": lambda config: config.doDefect is not False,
    "crosstalk": lambda config: config.doCrosstalk is not False,
    "linearizer": lambda config: config.doLinearize is not False,
    "newBFKernel": lambda config: config.doBrighterFatter is not False,
    "fringes": lambda config: config.doFringe is not False,
    "ptc": lambda config: config.usePtcGains or config.usePtcReadNoise,
    "illumMaskedImage": lambda config: config.doIlluminationCorrection,
    "opticsTransmission": lambda config: config.doAttachTransmissionCurve and config.doUseOpticsTransmission,
    "filterTransmission": lambda config: config.doAttachTransmissionCurve and config.doUseFilterTransmission,
    "sensorTransmission": lambda config: config.doAttachTransmissionCurve and config.doUseSensorTransmission,
    "atmosphereTransmission": lambda config: config.doAttachTransmissionCurve and config.doUseAtmosphereTransmission,
    "outputExposure": lambda config: config.doWrite,
    "preInterpExposure": lambda config: config.doWrite and config.doSaveInterpPixels,
    "outputOssThumbnail": lambda config: config.doWrite and config.qa.doThumbnailOss,
    "outputFlattenedThumbnail": lambda config: config.doWrite and config.qa.doThumbnailFlattened,
    "outputBin1Exposure": lambda config: config.doBinnedExposures,
    "outputBin2Exposure": lambda config: config.doBinnedExposures,
}
"""Which inputs and outputs the settings want."""


def _calibration(doc: str, name: str, storage_class: str, *dimensions: str, when_needed: bool = False) -> Any:
    """A calibration, found by the date of the frame; that there is none is the task's business."""
    return PrerequisiteInput(
        doc=doc,
        name=name,
        storageClass=storage_class,
        dimensions=("instrument", *dimensions),
        isCalibration=True,
        minimum=0,
        deferLoad=when_needed,
    )


def _master(doc: str, name: str, *dimensions: str) -> Any:
    """A calibration frame of a detector: large, and read when its turn comes."""
    return _calibration(doc, name, "MaskedImageV2", "detector", *dimensions, when_needed=True)


def _product(doc: str, name: str, storage_class: str) -> Any:
    return Output(doc=doc, name=name, storageClass=storage_class, dimensions=("instrument", "exposure", "detector"))


class IsrConnections(PipelineTaskConnections, dimensions=("instrument", "exposure", "detector")):
    """A raw frame with its camera and calibrations, and the frame without instrument signature."""

    ccdExposure = Input(
        doc="Raw frame.", name="raw", storageClass="RawExposure", dimensions=("instrument", "exposure", "detector")
    )
    camera = PrerequisiteInput(
        doc="Description of the camera.", name="camera", storageClass="SkyloomCamera", dimensions=("instrument",)
    )
    bias = _master("Master bias of the trimmed detector, in ADU.", "bias")
    dark = _master("Master dark, in electrons or ADU a second.", "dark")
    flat = _master("Master flat.", "flat", "physical_filter")
    defects = _calibration("Boxes of defective pixels.", "defects", "ArrowAstropy", "detector")
    crosstalk = _calibration("What amplifiers pick up from each other.", "crosstalk", "StructuredDataDict", "detector")
    linearizer = _calibration("How counts grow with the light.", "linearizer", "StructuredDataDict", "detector")
    ptc = _calibration("Gains and read noises by photon transfer.", "ptc", "StructuredDataDict", "detector")
    newBFKernel = _calibration("Brighter-fatter kernel.", "brighterFatterKernel", "StructuredDataDict", "detector")
    fringes = _master("Master fringe frame.", "fringe", "physical_filter")
    illumMaskedImage = _master("Light of the sky over that of the flat.", "illum", "physical_filter")
    opticsTransmission = _calibration("Throughput of the optics.", "transmission_optics", "StructuredDataDict")
    filterTransmission = _calibration(
        "Throughput of the filter.", "transmission_filter", "StructuredDataDict", "physical_filter"
    )
    sensorTransmission = _calibration(
        "Throughput of the detector.", "transmission_sensor", "StructuredDataDict", "detector"
    )
    atmosphereTransmission = _calibration(
        "Throughput of the atmosphere.", "transmission_atmosphere", "StructuredDataDict"
    )
    outputExposure = _product("The frame in electrons.", "post_isr", "PostIsrImage")
    preInterpExposure = _product(
        "The same before its pixels were interpolated.", "post_isr_uninterpolated", "PostIsrImage"
    )
    outputOssThumbnail = _product("Picture of the frame without overscan.", "oss_thumbnail", "NumpyArray")
    outputFlattenedThumbnail = _product("Picture of the flattened frame.", "flattened_thumbnail", "NumpyArray")
    outputBin1Exposure = _product("The frame in coarser pixels.", "post_isr_bin1", "MaskedImageV2")
    outputBin2Exposure = _product("The frame in still coarser pixels.", "post_isr_bin2", "MaskedImageV2")

    def __init__(self, *, config: Any = None) -> None:
        super().__init__(config=config)
        for name, wanted in _WANTED.items():
            if not wanted(config):
                delattr(self, name)

    def adjust_all_quanta(self, adjuster: QuantaAdjuster) -> None:
        """Leave out frames of other observation types: biases and flats are there for the masters alone."""
        wanted = list(cast("Any", self).config.observation_types)
        for data_id in list(adjuster.iter_data_ids()):
            exposure = cast("Any", adjuster.expand_quantum_data_id(data_id).records["exposure"])
            if wanted and exposure.observation_type not in wanted:
                adjuster.remove_quantum(data_id)
