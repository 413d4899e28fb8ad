"""`MakePsfMatchedWarpTask`: the warp of a visit with the PSF of a model."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

from lsst.pex.config import ConfigField, FieldValidationError
from lsst.pipe.base import (
    PipelineTask,
    PipelineTaskConfig,
    PipelineTaskConnections,
    QuantumContext,
    Struct,
)
from lsst.pipe.base.connectionTypes import Input, Output

from skyloom.images import Exposure, from_warp, to_warp
from skyloom.psf import ModelPsfSettings
from skyloom.warp import MatchedWarp, PsfMatchSettings, match_visit_warp

from .failure import failing_frames
from .mirrored_config import mirror

__all__ = ["MakePsfMatchedWarpConfig", "MakePsfMatchedWarpConnections", "MakePsfMatchedWarpTask"]

_DEFAULTS = PsfMatchSettings()


class MakePsfMatchedWarpConnections(
    PipelineTaskConnections, dimensions=("instrument", "visit", "skymap", "tract", "patch")
):
    """The warp of a visit, before and after."""

    warp = Input(
        doc="The visit on the pixels of the patch, nJy, with the PSFs of its detectors.",
        name="direct_warp",
        storageClass="WarpImage",
        dimensions=("instrument", "visit", "skymap", "tract", "patch"),
    )
    matched_warp = Output(
        doc="The same with the PSF of a model.",
        name="psf_matched_warp",
        storageClass="WarpImage",
        dimensions=("instrument", "visit", "skymap", "tract", "patch"),
    )


class MakePsfMatchedWarpConfig(PipelineTaskConfig, pipelineConnections=MakePsfMatchedWarpConnections):
    """Settings of `MakePsfMatchedWarpTask`."""

    model: Any = ConfigField(dtype=mirror(_DEFAULTS.model), doc="The PSF that all warps get.")
    match: Any = ConfigField(dtype=mirror(_DEFAULTS), doc="How they get it.")

    def settings(self) -> PsfMatchSettings:
        """The same as the algorithm takes it."""
        settings = cast("PsfMatchSettings", self.match.settings())
        return dataclasses.replace(settings, model=cast("ModelPsfSettings", self.model.settings()))

    def validate(self) -> None:
        """Refuse values that no warp can be matched with."""
        super().validate()  # type: ignore[no-untyped-call]
        try:
            self.settings()
        except ValueError as error:
            raise FieldValidationError(type(self).match, self, str(error)) from error


class MakePsfMatchedWarpTask(PipelineTask):
    """Convolve the warp of a visit so that its PSF becomes a model, each detector by itself."""

    ConfigClass = MakePsfMatchedWarpConfig
    _DefaultName = "make_psf_matched_warp"
    config: MakePsfMatchedWarpConfig

    def runQuantum(
        self,
        butlerQC: QuantumContext,
        inputRefs: Any,
        outputRefs: Any,
    ) -> None:
        """Read the warp of a visit, and write the matched one."""
        inputs = cast("dict[str, Any]", butlerQC.get(inputRefs))
        with failing_frames(self):
            matched = self.run(from_warp(inputs["warp"])).matched_warp
        butlerQC.put(Struct(matched_warp=to_warp(matched)), outputRefs)

    def run(self, warp: Exposure) -> Struct:
        """Match the PSF of a warp.

        Parameters
        ----------
        warp
            As `MakeDirectWarpTask` makes it.

        Returns
        -------
        Struct
            ``matched_warp``: an `skyloom.images.Exposure` on the same pixels, with the inputs that it has and their
            PSF.

        Raises
        ------
        skyloom.errors.PsfError
            If no detector can be matched: mostly since its PSF is broader than the model.
        """
        result = match_visit_warp(warp, self.config.settings())
        for detector, error in result.failures.items():
            self.log.warning("detector %d is left out: %s", detector, error)
        self._report(result)
        return Struct(matched_warp=result.warp)

    def _report(self, result: MatchedWarp) -> None:
        kernels = result.kernels
        self.metadata["detectors"] = sorted(kernels)
        self.metadata["detectors_left_out"] = sorted(result.failures)
        self.metadata["residuals"] = [kernels[detector].residual for detector in sorted(kernels)]
        self.metadata["noise_gains"] = [kernels[detector].noise_gain for detector in sorted(kernels)]
