"""Connections and configuration of `MakeCoaddTempExpTask`."""

from __future__ import annotations

from typing import Any

from lsst.pex.config import ChoiceField, Config, ConfigField, ConfigurableField, Field, FieldValidationError, ListField
from lsst.pipe.base import PipelineTaskConfig, PipelineTaskConnections
from lsst.pipe.base.connectionTypes import Output

from skyloom.images import MASK_PLANES
from skyloom.psf import ModelPsfSettings
from skyloom.warp import KERNELS, PsfMatchSettings

from .coadd_input_recorder import CoaddInputRecorderTask
from .make_direct_warp_config import MakeDirectWarpConnections
from .mirrored_config import mirror
from .select_images import WcsSelectImagesTask
from .warp_and_psf_match import DIRECT, PSF_MATCHED, WarpAndPsfMatchTask

__all__ = ["CoaddPsfConfig", "MakeCoaddTempExpConfig", "MakeCoaddTempExpConnections", "ModelPsfConfig"]

_WARP = ("instrument", "visit", "skymap", "tract", "patch")
_FRAMES = MakeDirectWarpConnections


class MakeCoaddTempExpConnections(PipelineTaskConnections, dimensions=_WARP, defaultTemplates={"prefix": ""}):
    """The calibrated frames of a visit, what belongs to them, and the warps; ``prefix`` begins the warps' names."""

    exposures = _FRAMES.exposures
    visit_summary = _FRAMES.visit_summary
    joint_wcs = _FRAMES.joint_wcs
    joint_photo_calib = _FRAMES.joint_photo_calib
    backgrounds = _FRAMES.backgrounds
    sky_corrections = _FRAMES.sky_corrections
    sky_map = _FRAMES.sky_map
    direct = Output(
        doc="The visit on the pixels of the patch's outer box, nJy.",
        name="{prefix}direct_warp",
        storageClass="WarpImage",
        dimensions=_WARP,
    )
    psfMatched = Output(
        doc="The same with the PSF of a model.",
        name="{prefix}psf_matched_warp",
        storageClass="WarpImage",
        dimensions=_WARP,
    )

    def __init__(self, *, config: MakeCoaddTempExpConfig | None = None) -> None:
        super().__init__(config=config)
        if config is None:
            return
        wanted = {
            "visit_summary": config.select.target.uses_visit_summary,
            "joint_wcs": config.doApplyUberCal,
            "joint_photo_calib": config.doApplyUberCal and config.doApplyJointPhotoCalib,
            "backgrounds": not config.bgSubtracted,
            "sky_corrections": config.doApplySkyCorr,
            "direct": config.doWrite and DIRECT in config.warp_types,
            "psfMatched": config.doWrite and PSF_MATCHED in config.warp_types,
        }
        for name in (name for name, one in wanted.items() if not one):
            delattr(self, name)


def _is_plane(name: str) -> bool:
    return name in MASK_PLANES


def _is_odd(size: int) -> bool:
    return size % 2 == 1


class CoaddPsfConfig(Config):
    """How a warp's PSF is made of those of its frames."""

    warpingKernelName: Any = ChoiceField(
        dtype=str,
        default=None,
        optional=True,
        allowed={name: f"order {order}" for name, order in KERNELS.items()},
        doc="Kernel that resamples the PSFs.  It must be that of the frames, and is where it is not set.",
    )


ModelPsfConfig = mirror(
    PsfMatchSettings().model,
    documented={
        "fwhm": "defaultFwhm",
        "size_factor": "sizeFactor",
        "min_size": "minSize",
        "max_size": "maxSize",
        "wing": "addWing",
        "wing_fwhm_factor": "wingFwhmFactor",
        "wing_amplitude": "wingAmplitude",
    },
)


class MakeCoaddTempExpConfig(PipelineTaskConfig, pipelineConnections=MakeCoaddTempExpConnections):
    """Settings of `MakeCoaddTempExpTask`."""

    coaddName: Any = Field(
        dtype=str, default="deep", doc="Coadd name: typically one of deep or goodSeeing; begins documented names."
    )
    select: Any = ConfigurableField(target=WcsSelectImagesTask, doc="Which frames are warped.")
    badMaskPlanes: Any = ListField(
        dtype=str,
        default=["NO_DATA"],
        itemCheck=_is_plane,
        doc="Pixels of a warped frame with one of these planes are left out of the warp.",
    )
    inputRecorder: Any = ConfigurableField(
        target=CoaddInputRecorderTask, doc="What is kept of detectors that have no pixel in the warp."
    )
    warpAndPsfMatch: Any = ConfigurableField(
        target=WarpAndPsfMatchTask, doc="How frames are resampled and their PSFs matched."
    )
    coaddPsf: Any = ConfigField(dtype=CoaddPsfConfig, doc="How the PSF of a warp is made.")
    modelPsf: Any = ConfigField(dtype=ModelPsfConfig, doc="The PSF that matched warps get.")
    doPsfMatch: Any = Field(
        dtype=bool,
        default=False,
        doc="Make a warp of matched PSF, too?",
        deprecated="Use makePsfMatched, which means the same.",
    )
    doApplyUberCal: Any = Field(dtype=bool, default=False, doc="Calibrate the frames by the joint fit of the tract?")
    doApplyJointPhotoCalib: Any = Field(
        dtype=bool, default=True, doc="If doApplyUberCal: by its flux scales, and not by its WCSs alone?"
    )
    matchingKernelSize: Any = Field(
        dtype=int,
        default=21,
        check=_is_odd,
        doc="Size in pixels of matching kernel, odd: the smallest, for it is wider where the PSFs need it.",
    )
    doWrite: Any = Field(dtype=bool, default=True, doc="Write the warps?")
    bgSubtracted: Any = Field(
        dtype=bool, default=True, doc="Work with frames whose background is subtracted?  Else it is put back."
    )
    makeDirect: Any = Field(dtype=bool, default=True, doc="Make warps as they are?")
    makePsfMatched: Any = Field(dtype=bool, default=False, doc="Make warps with the PSF of the model?")
    doApplySkyCorr: Any = Field(
        dtype=bool, default=False, doc="Put the sky of the whole camera in the place of the frames' backgrounds?"
    )

    @property
    def warp_types(self) -> list[str]:
        """Types of warps that are made."""
        wanted = {DIRECT: self.makeDirect, PSF_MATCHED: self.makePsfMatched or self.doPsfMatch}
        return [name for name, one in wanted.items() if one]

    def match_settings(self) -> PsfMatchSettings:
        """How PSFs are matched, as the algorithm takes it."""
        model: ModelPsfSettings = self.modelPsf.settings()
        settings: PsfMatchSettings = self.warpAndPsfMatch.match_settings(model, self.matchingKernelSize)
        return settings

    def validate(self) -> None:
        """Refuse what makes no warp, or one with a wrong PSF."""
        super().validate()  # type: ignore[no-untyped-call]
        kind = type(self)
        if not self.warp_types:
            raise FieldValidationError(kind.makeDirect, self, "makeDirect or makePsfMatched is needed.")
        try:
            kernel = self.warpAndPsfMatch.warp.settings().kernel
            self.match_settings()
        except ValueError as error:
            raise FieldValidationError(kind.warpAndPsfMatch, self, str(error)) from error
        named = self.coaddPsf.warpingKernelName
        if named not in (None, kernel):
            raise FieldValidationError(
                kind.coaddPsf, self, f"PSFs resampled with {named} are not those of frames resampled with {kernel}."
            )
