"""`IsrTask`: from a raw frame to electrons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from lsst.pipe.base import PipelineTask, QuantumContext, Struct

from skyloom.errors import BadFrameError
from skyloom.images import to_post_isr
from skyloom.isr import (
    CrosstalkMatrix,
    Linearity,
    correct_raw,
    crosstalk_from_data,
    kernel_from_data,
    linearities_from_data,
    linearity_of,
)

from .failure import failing_frames
from .isr_config import IsrConfig

if TYPE_CHECKING:
    from astropy.table import Table
    from lsst.images import MaskedImage
    from lsst.images.cameras import Detector

    from skyloom.images import RawExposure
    from skyloom.instruments import Camera

__all__ = ["IsrConfig", "IsrTask"]


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
            if inputs.get("crosstalk") is not None:
                inputs["crosstalk"] = crosstalk_from_data(inputs["crosstalk"])
            if inputs.get("linearizer") is not None:
                inputs["linearizer"] = linearities_from_data(inputs["linearizer"])
            if (kernel := inputs.pop("newBFKernel", None)) is not None:
                inputs["bfKernel"] = kernel_from_data(kernel)
            exposure = self.run(**inputs).exposure
        butlerQC.put(Struct(outputExposure=to_post_isr(exposure)), outputRefs)

    def run(
        self,
        ccdExposure: RawExposure,  # noqa: N803
        bias: MaskedImage | None = None,
        linearizer: Mapping[str, Linearity] | None = None,
        dark: MaskedImage | None = None,
        flat: MaskedImage | None = None,
        defects: Table | None = None,
        fringes: MaskedImage | Sequence[MaskedImage] | None = None,
        bfKernel: np.ndarray | None = None,  # noqa: N803
        camera: Camera | None = None,
        crosstalk: CrosstalkMatrix | None = None,
    ) -> Struct:
        """Correct one raw frame.

        Parameters
        ----------
        ccdExposure
            Raw frame that its camera has completed.
        bias, dark, flat
            Masters of the trimmed detector; see `skyloom.isr.correct_raw` for their units.
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
        if linearizer is None and detector is not None and self.doLinearize(detector):
            linearizer = _described_linearity(detector)
        exposure = correct_raw(
            ccdExposure,
            bias=bias,
            dark=dark,
            flat=flat,
            defects=defects,
            crosstalk=crosstalk,
            linearities=linearizer,
            brighter_fatter=bfKernel,
            fringes=self._fringes(ccdExposure, fringes),
            pedestals_adu=pedestals,
            settings=self.config.settings(),
        )
        if camera is not None and exposure.physical_filter in camera.filters:
            exposure.band = camera.filters[exposure.physical_filter].band
        for name, value in exposure.metadata.items():
            self.metadata[name] = value
        return Struct(exposure=exposure)

    def doLinearize(self, detector: Detector) -> bool:  # noqa: N802
        """Whether the counts of a detector are to be linearised, by the settings and its description."""
        first = detector.amplifiers[0].nominal_calibrations
        return self.config.doLinearize is not False and first is not None and first.linearity_type != "None"

    def _fringes(
        self, raw: RawExposure, given: MaskedImage | Sequence[MaskedImage] | None
    ) -> Sequence[MaskedImage] | None:
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


def _described_linearity(detector: Detector) -> dict[str, Linearity]:
    """What the camera's description says of the amplifiers."""
    described = {amplifier.name: amplifier.nominal_calibrations for amplifier in detector.amplifiers}
    return {
        name: linearity_of(nominal.linearity_type, nominal.linearity_coefficients)
        for name, nominal in described.items()
        if nominal is not None
    }
