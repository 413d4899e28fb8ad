"""`IsrTask`: from a raw frame to electrons."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from lsst.pipe.base import PipelineTask, QuantumContext, Struct

from skyloom.errors import BadFrameError
from skyloom.images import to_post_isr
from skyloom.images.exposure import Exposure
from skyloom.isr import (
    CrosstalkMatrix,
    IsrFrame,
    Linearity,
    MasterSource,
    TransmissionCurve,
    combined_transmission,
    correct_raw,
    distorted_projection,
    linearity_of,
    unvignetted_field,
)

from .classic_isr import ClassicIsr
from .failure import failing_frames
from .isr_config import IsrConfig
from .isr_figures import binned, record_statistics, warnings_of
from .isr_inputs import as_arguments, as_raw, provenance_of, with_photon_transfer
from .isr_methods import IsrMethods
from .isr_offsets import correct_amplifier_offsets
from .isr_watch import IsrWatch
from .whole_frame import whole_frame_detector

if TYPE_CHECKING:
    import numpy as np
    from astropy.table import Table
    from lsst.images.cameras import Detector

    from skyloom.images import RawExposure
    from skyloom.instruments import Camera

__all__ = ["IsrConfig", "IsrTask"]


class IsrTask(ClassicIsr, IsrMethods, PipelineTask):
    """Remove the instrument signature of raw frames."""

    ConfigClass = IsrConfig
    _DefaultName = "isr"
    config: IsrConfig

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.debug_frames = {}

    def runQuantum(self, butlerQC: QuantumContext, inputRefs: Any, outputRefs: Any) -> None:
        """Read a frame, correct it, write it; a frame that cannot be corrected writes nothing."""
        inputs = cast("dict[str, Any]", butlerQC.get(inputRefs))
        detector = int(cast("Any", butlerQC.quantum.dataId)["detector"])
        with failing_frames(self):
            inputs["ccdExposure"] = inputs["camera"].complete(inputs["ccdExposure"], detector_id=detector)
            outputs = self.run(**as_arguments(inputs))
        if self.config.doHeaderProvenance:
            outputs.exposure.metadata |= provenance_of(
                {name: ref for name, ref in inputRefs if name not in ("ccdExposure", "camera") and ref is not None}
            )
        for name, product in self._products(outputs).items():
            butlerQC.put(product, getattr(outputRefs, name))

    def _products(self, outputs: Struct) -> dict[str, Any]:
        """What the settings want to be written, in the form in which it is."""
        products: dict[str, Any] = {}
        if self.config.doWrite:
            products["outputExposure"] = to_post_isr(outputs.exposure)
            if outputs.preInterpExposure is not None:
                products["preInterpExposure"] = to_post_isr(outputs.preInterpExposure)
            for name in ("outputOssThumbnail", "outputFlattenedThumbnail"):
                if getattr(outputs, name) is not None:
                    products[name] = getattr(outputs, name)
        if self.config.doBinnedExposures:
            products |= {name: getattr(outputs, name) for name in ("outputBin1Exposure", "outputBin2Exposure")}
        return products

    def run(
        self,
        ccdExposure: RawExposure | Exposure,
        bias: MasterSource | None = None,
        linearizer: Mapping[str, Linearity] | None = None,
        dark: MasterSource | None = None,
        flat: MasterSource | None = None,
        defects: Table | None = None,
        fringes: MasterSource | Sequence[MasterSource] | None = None,
        bfKernel: np.ndarray | None = None,
        camera: Camera | None = None,
        crosstalk: CrosstalkMatrix | None = None,
        *,
        ptc: Mapping[str, Any] | None = None,
        illumMaskedImage: MasterSource | None = None,
        opticsTransmission: TransmissionCurve | None = None,
        filterTransmission: TransmissionCurve | None = None,
        sensorTransmission: TransmissionCurve | None = None,
        atmosphereTransmission: TransmissionCurve | None = None,
        detectorNum: int | None = None,
        crosstalkSources: None = None,
    ) -> Struct:
        """Correct one raw frame.

        Parameters
        ----------
        ccdExposure
            Raw frame that its camera has completed, or an untrimmed exposure in ADU.
        bias, dark, flat
            Masters of the trimmed detector, or functions that read them; see `skyloom.isr.correct_raw` for their units.
        linearizer
            Correction of each amplifier by its name; without it, that which the detector's description states.
        defects
            Boxes ``x0``, ``y0``, ``width``, ``height`` on the trimmed detector.
        fringes
            Fringe frames of the trimmed detector, one a component.
        bfKernel
            Brighter-fatter kernel ``[y, x]``, per electron.
        camera
            Gives the band of the filter, and the nominal bias of amplifiers without overscan.
        crosstalk
            What the detector's amplifiers pick up from each other.
        ptc
            ``amplifiers``: by name ``gain`` (electrons an ADU) and ``read_noise`` (electrons).
        illumMaskedImage
            Light of the sky over that of the flat.
        opticsTransmission, filterTransmission, sensorTransmission, atmosphereTransmission
            Throughputs; that of the sensor in pixels, the others in focal-plane mm.
        detectorNum
            Id of the frame's detector in the camera, for a frame that does not have one yet.
        crosstalkSources
            Not used: crosstalk is between the amplifiers of the detector, as ``crosstalk`` says.

        Returns
        -------
        Struct
            ``exposure`` and ``outputExposure``: the frame in electrons, an `skyloom.images.Exposure`.  And where the
            settings want them, else None: ``preInterpExposure``; ``ossThumb`` and ``outputOssThumbnail``,
            ``flattenedThumb`` and ``outputFlattenedThumbnail``, pictures uint8 ``[y, x, colour]``;
            ``outputBin1Exposure``, ``outputBin2Exposure``, each a `lsst.images.MaskedImage`.

        Raises
        ------
        skyloom.errors.BadFrameError
            If the frame is empty or of the wrong shape, or a required calibration is missing or does not fit.
        TypeError
            If the frame is neither a raw frame nor an exposure.
        """
        raw = self._prepared(as_raw(ccdExposure, camera, detectorNum), ptc)
        assert raw.detector is not None
        watch = IsrWatch(self)
        exposure = correct_raw(
            raw,
            bias=bias,
            dark=dark,
            flat=flat,
            defects=defects,
            crosstalk=crosstalk,
            linearities=self._linearities(raw.detector, linearizer),
            brighter_fatter=bfKernel,
            fringes=self._fringes(raw, fringes),
            illumination=illumMaskedImage,
            pedestals_adu=None if camera is None else camera.bias_levels(raw.detector.id),
            settings=self.config.settings(None if raw.obs_info is None else raw.obs_info.physical_filter),
            watch=watch,
            camera_masks=self.mask_camera_specific if self.config.doCameraSpecificMasking else None,
            stray_light=self.subtract_stray_light if self.config.doStrayLight else None,
        )
        if camera is not None and exposure.physical_filter in camera.filters:
            exposure.band = camera.filters[exposure.physical_filter].band
        self._describe_optics(
            exposure,
            atmosphere=atmosphereTransmission,
            optics=opticsTransmission,
            filter_curve=filterTransmission,
            sensor=sensorTransmission,
        )
        self.roughZeroPoint(exposure)
        if self.config.doAmpOffset:
            offsets = correct_amplifier_offsets(exposure, watch.layouts, self.config.ampOffset, raw.file)
            self.metadata["AMPOFFSET_PEDESTALS"] = list(offsets.pedestals.values())
        if self.config.doMeasureBackground:
            self.measureBackground(exposure, self.config.qa)
        record_statistics(exposure, watch.layouts, self.config)
        self._report(exposure)
        self.debugView(exposure, "exposure")
        coarse = self.config.doBinnedExposures
        return Struct(
            exposure=exposure,
            outputExposure=exposure,
            preInterpExposure=watch.before_interpolation,
            ossThumb=watch.oss_thumbnail,
            outputOssThumbnail=watch.oss_thumbnail,
            flattenedThumb=watch.flattened_thumbnail,
            outputFlattenedThumbnail=watch.flattened_thumbnail,
            outputBin1Exposure=binned(exposure, self.config.binFactor1) if coarse else None,
            outputBin2Exposure=binned(exposure, self.config.binFactor2) if coarse else None,
        )

    def doLinearize(self, detector: Detector) -> bool:
        """Whether the counts of a detector are to be linearised, by the settings and its description."""
        first = detector.amplifiers[0].nominal_calibrations
        return self.config.doLinearize is not False and first is not None and first.linearity_type != "None"

    def mask_camera_specific(self, frame: IsrFrame) -> None:
        """Called after all other masks if ``doCameraSpecificMasking``: for tasks of a camera to override."""

    def subtract_stray_light(self, frame: IsrFrame) -> None:
        """Called before the flat, in electrons, if ``doStrayLight``: for tasks of a camera to override."""

    def _prepared(self, raw: RawExposure, ptc: Mapping[str, Any] | None) -> RawExposure:
        """The frame with its detector as the settings want it."""
        config = self.config
        if raw.detector is None and not config.doAssembleCcd:
            detector = whole_frame_detector(
                (raw.image.shape[0], raw.image.shape[1]),
                gain=config.gain,
                read_noise=config.readNoise,
                saturation=config.saturation,
            )
            raw = replace(raw, detector=detector)
        if raw.detector is None:
            raise BadFrameError(
                "the frame has no detector.",
                file=raw.file,
                cure="Complete it with its camera first, or set doAssembleCcd to False.",
            )
        if raw.projection is None and config.expectWcs:
            self.log.warning("%s has no projection.", raw.file)
        if config.doAddDistortionModel:
            if raw.projection is None:
                raise BadFrameError(
                    "a distortion was to be added, and there is no projection.",
                    file=raw.file,
                    cure="Set doAddDistortionModel to False.",
                )
            raw = replace(raw, projection=distorted_projection(raw.projection, raw.detector))
        return with_photon_transfer(raw, ptc, gains=config.usePtcGains, noises=config.usePtcReadNoise)

    def _linearities(self, detector: Detector, given: Mapping[str, Linearity] | None) -> Mapping[str, Linearity] | None:
        """The calibration, or what the camera's description says of the amplifiers."""
        if given is not None or not self.doLinearize(detector):
            return given
        described = {amplifier.name: amplifier.nominal_calibrations for amplifier in detector.amplifiers}
        return {
            name: linearity_of(nominal.linearity_type, nominal.linearity_coefficients)
            for name, nominal in described.items()
            if nominal is not None
        }

    def _fringes(
        self, raw: RawExposure, given: MasterSource | Sequence[MasterSource] | None
    ) -> Sequence[MasterSource] | None:
        """The fringe frames as a list; a filter that must have one fails without."""
        if given is not None:
            return given if isinstance(given, Sequence) else [given]
        name = None if raw.obs_info is None else raw.obs_info.physical_filter
        if self.config.doFringe and name in self.config.fringe.filters:
            raise BadFrameError(
                f"the settings require a fringe frame for {name}, and there is none.",
                file=raw.file,
                cure="Import one with 'skyloom calibs import', or take the filter out of fringe.filters.",
            )
        return None

    def _describe_optics(self, exposure: Exposure, **curves: TransmissionCurve | None) -> None:
        """What the optics let through, and where."""
        if self.config.doVignette:
            self.setValidPolygonIntersect(exposure, unvignetted_field(self.config.vignette.settings()))
        if self.config.doAttachTransmissionCurve and exposure.detector is not None:
            exposure.transmission = combined_transmission(exposure.detector.to_focal_plane, **curves)

    def _report(self, exposure: Exposure) -> None:
        """Tell what a user should know, and keep the rest in the metadata of the task."""
        for name, value in exposure.metadata.items():
            self.metadata[name] = value
            # The task's own names for what the overscan was, and what is left of it.
            if match := re.fullmatch(r"LSST ISR OVERSCAN (RESIDUAL )?SERIAL (MEAN|MEDIAN|STDEV) (.+)", name):
                self.metadata[f"{'RESIDUAL' if match[1] else 'FIT'} {match[2]} {match[3]}"] = value
        for warning in warnings_of(exposure.metadata):
            self.log.warning("%s", warning)
