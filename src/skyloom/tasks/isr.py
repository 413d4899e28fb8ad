"""`IsrTask`: from a raw frame to electrons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lsst.pex.config import ChoiceField, Config, ConfigField, Field, ListField, RangeField
from lsst.pipe.base import (
    PipelineTask,
    PipelineTaskConfig,
    PipelineTaskConnections,
    QuantumContext,
    Struct,
)
from lsst.pipe.base.connectionTypes import Input, Output, PrerequisiteInput

from skyloom.images import MASK_PLANES, to_post_isr
from skyloom.isr import InterpolationSettings, IsrSettings, OverscanSettings, correct_raw

from .failure import failing_frames

if TYPE_CHECKING:
    from astropy.table import Table
    from lsst.images import MaskedImage
    from lsst.pipe.base.connections import QuantaAdjuster

    from skyloom.images import RawExposure
    from skyloom.instruments import Camera

__all__ = ["IsrConfig", "IsrConnections", "IsrTask", "OverscanConfig"]

_CALIBRATIONS = ("bias", "dark", "flat", "defects")


class IsrConnections(PipelineTaskConnections, dimensions=("instrument", "exposure", "detector")):
    """A raw frame with its camera and calibrations, and the frame without instrument signature."""

    ccdExposure = Input(  # noqa: N815
        doc="Raw frame.", name="raw", storageClass="RawExposure", dimensions=("instrument", "exposure", "detector")
    )
    camera = PrerequisiteInput(
        doc="Description of the camera.", name="camera", storageClass="SkyloomCamera", dimensions=("instrument",)
    )
    bias = PrerequisiteInput(
        doc="Master bias of the trimmed detector, in ADU.",
        name="bias",
        storageClass="MaskedImageV2",
        dimensions=("instrument", "detector"),
        isCalibration=True,
        minimum=0,
    )
    dark = PrerequisiteInput(
        doc="Master dark, in electrons or ADU a second.",
        name="dark",
        storageClass="MaskedImageV2",
        dimensions=("instrument", "detector"),
        isCalibration=True,
        minimum=0,
    )
    flat = PrerequisiteInput(
        doc="Master flat.",
        name="flat",
        storageClass="MaskedImageV2",
        dimensions=("instrument", "detector", "physical_filter"),
        isCalibration=True,
        minimum=0,
    )
    defects = PrerequisiteInput(
        doc="Boxes of defective pixels.",
        name="defects",
        storageClass="ArrowAstropy",
        dimensions=("instrument", "detector"),
        isCalibration=True,
        minimum=0,
    )
    outputExposure = Output(  # noqa: N815
        doc="The frame in electrons.",
        name="post_isr",
        storageClass="PostIsrImage",
        dimensions=("instrument", "exposure", "detector"),
    )

    def __init__(self, *, config: Any = None) -> None:
        super().__init__(config=config)
        for kind in _CALIBRATIONS:
            if getattr(config, f"do_{kind}") is False:
                delattr(self, kind)

    def adjust_all_quanta(self, adjuster: QuantaAdjuster) -> None:
        """Leave out frames of other observation types: biases and flats are there for the masters alone."""
        wanted = list(cast("Any", self).config.observation_types)
        for data_id in list(adjuster.iter_data_ids()):
            exposure = cast("Any", adjuster.expand_quantum_data_id(data_id).records["exposure"])
            if wanted and exposure.observation_type not in wanted:
                adjuster.remove_quantum(data_id)


class OverscanConfig(Config):
    """How the level of an overscan region is found."""

    method: Any = ChoiceField(
        dtype=str,
        default="MEDIAN_PER_ROW",
        allowed={
            "MEDIAN_PER_ROW": "A level for each row: its median.",
            "MEAN_PER_ROW": "A level for each row: its mean without outliers.",
            "MEDIAN": "One level for the region: its median.",
            "MEAN": "One level for the region: its mean.",
            "MEANCLIP": "One level for the region: its mean without outliers.",
            "POLY": "A polynomial through the means of the rows.",
            "CHEB": "The same, as a series of Chebyshev polynomials.",
            "LEG": "The same, as a series of Legendre polynomials.",
            "NATURAL_SPLINE": "A natural cubic spline through the means of groups of rows.",
            "CUBIC_SPLINE": "The same.",
            "AKIMA_SPLINE": "A spline of Akima's through the means of groups of rows.",
            "NONE": "No correction.",
        },
        doc="What is fitted.",
    )
    skip_leading: Any = RangeField(dtype=int, default=0, min=0, doc="Columns next to the data to leave out.")
    skip_trailing: Any = RangeField(dtype=int, default=0, min=0, doc="Columns at the far side to leave out.")
    max_deviation_adu: Any = RangeField(
        dtype=float, default=1000.0, min=0.0, doc="Pixels farther from the region's median are left out."
    )
    order: Any = RangeField(
        dtype=int, default=16, min=0, doc="Degree of a polynomial, or number of groups that a spline runs through."
    )
    n_sigma: Any = RangeField(
        dtype=float, default=3.0, min=0.0, doc="Pixels farther from their row's median, in its scatter, are left out."
    )

    def settings(self) -> OverscanSettings:
        """The same as the algorithm takes it."""
        return OverscanSettings(
            method=self.method,
            skip_leading=self.skip_leading,
            skip_trailing=self.skip_trailing,
            max_deviation_adu=self.max_deviation_adu,
            order=self.order,
            n_sigma=self.n_sigma,
        )


class IsrConfig(PipelineTaskConfig, pipelineConnections=IsrConnections):
    """Settings of `IsrTask`."""

    observation_types: Any = ListField(
        dtype=str, default=["science"], doc="Frames of these types are corrected; empty: all frames."
    )
    do_bias: Any = Field(
        dtype=bool,
        optional=True,
        default=None,
        doc="Subtract a bias: True requires one, False leaves it; None: if any.",
    )
    do_dark: Any = Field(
        dtype=bool,
        optional=True,
        default=None,
        doc="Subtract a dark: True requires one, False leaves it; None: if any.",
    )
    do_flat: Any = Field(
        dtype=bool,
        optional=True,
        default=None,
        doc="Divide by a flat: True requires one, False leaves it; None: if any.",
    )
    do_defects: Any = Field(
        dtype=bool,
        optional=True,
        default=None,
        doc="Mask defects: True requires them, False leaves them; None: if any.",
    )
    serial_overscan: Any = ConfigField(dtype=OverscanConfig, doc="Overscan columns, read after those of the data.")
    parallel_overscan: Any = ConfigField(dtype=OverscanConfig, doc="Overscan rows, read after those of the data.")
    grow_saturated: Any = RangeField(dtype=int, default=1, min=0, doc="Pixels to grow saturated areas by.")
    measured_read_noise: Any = Field(
        dtype=bool, default=True, doc="Take the read noise from the overscan where there is one, else the camera's."
    )
    flat_minimum: Any = RangeField(
        dtype=float, default=0.1, min=0.0, max=1.0, doc="Pixels of less relative response are bad."
    )
    interpolate_planes: Any = ListField(
        dtype=str,
        default=["BAD", "UNMASKEDNAN"],
        itemCheck=lambda plane: plane in MASK_PLANES,
        doc="Pixels with one of these mask planes get a value from their neighbours.",
    )
    interpolate_max_run: Any = RangeField(
        dtype=int, default=16, min=1, doc="Longest run of such pixels to bridge; wider areas become NO_DATA."
    )

    def setDefaults(self) -> None:  # noqa: N802
        """Leave the parallel overscan alone."""
        super().setDefaults()  # type: ignore[no-untyped-call]
        self.parallel_overscan.method = "NONE"

    def settings(self) -> IsrSettings:
        """The same as the algorithm takes it."""
        return IsrSettings(
            use_bias=self.do_bias,
            use_dark=self.do_dark,
            use_flat=self.do_flat,
            use_defects=self.do_defects,
            serial_overscan=self.serial_overscan.settings(),
            parallel_overscan=self.parallel_overscan.settings(),
            grow_saturated=self.grow_saturated,
            measured_read_noise=self.measured_read_noise,
            flat_minimum=self.flat_minimum,
            interpolation=InterpolationSettings(
                planes=tuple(self.interpolate_planes), max_run=self.interpolate_max_run
            ),
        )


class IsrTask(PipelineTask):
    """Remove the instrument signature of raw frames."""

    ConfigClass = IsrConfig
    _DefaultName = "isr"
    config: IsrConfig

    def runQuantum(  # noqa: N802
        self,
        butlerQC: QuantumContext,  # noqa: N803
        inputRefs: Any,  # noqa: N803
        outputRefs: Any,  # noqa: N803
    ) -> None:
        """Read a frame, correct it, write it; a frame that cannot be corrected writes nothing."""
        inputs = cast("dict[str, Any]", butlerQC.get(inputRefs))
        detector = int(cast("Any", butlerQC.quantum.dataId)["detector"])
        with failing_frames(self):
            inputs["ccdExposure"] = inputs["camera"].complete(inputs["ccdExposure"], detector_id=detector)
            exposure = self.run(**inputs).exposure
        butlerQC.put(Struct(outputExposure=to_post_isr(exposure)), outputRefs)

    def run(
        self,
        ccdExposure: RawExposure,  # noqa: N803
        bias: MaskedImage | None = None,
        linearizer: Any = None,
        dark: MaskedImage | None = None,
        flat: MaskedImage | None = None,
        defects: Table | None = None,
        fringes: Any = None,
        bfKernel: Any = None,  # noqa: N803
        camera: Camera | None = None,
        **kwds: Any,
    ) -> Struct:
        """Correct one raw frame.

        Parameters
        ----------
        ccdExposure
            Raw frame that its camera has completed.
        bias, dark, flat
            Masters of the trimmed detector; see `skyloom.isr.correct_raw` for their units.
        defects
            Boxes ``x0``, ``y0``, ``width``, ``height`` on the trimmed detector.
        camera
            Gives the band of the filter, and the nominal bias of amplifiers without overscan.

        Returns
        -------
        Struct
            ``exposure``: the frame in electrons, an `skyloom.images.Exposure`.

        Raises
        ------
        skyloom.errors.BadFrameError
            If the frame is empty or of the wrong shape, or a required calibration is missing or does not fit.
        """
        detector = ccdExposure.detector
        pedestals = None if camera is None or detector is None else camera.bias_levels(detector.id)
        exposure = correct_raw(
            ccdExposure,
            bias=bias,
            dark=dark,
            flat=flat,
            defects=defects,
            pedestals_adu=pedestals,
            settings=self.config.settings(),
        )
        if camera is not None and exposure.physical_filter in camera.filters:
            exposure.band = camera.filters[exposure.physical_filter].band
        for name, value in exposure.metadata.items():
            self.metadata[name] = value
        return Struct(exposure=exposure)
