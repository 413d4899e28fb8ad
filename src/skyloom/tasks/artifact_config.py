"""Connections and configuration of coadds whose artifacts are masked visit by visit."""

from __future__ import annotations

import logging
from typing import Any

from lsst.pex.config import (
    ChoiceField,
    Config,
    ConfigField,
    ConfigurableField,
    Field,
    FieldValidationError,
    ListField,
    RangeField,
)
from lsst.pipe.base.connectionTypes import Input, Output

from skyloom.coadd import (
    AttributionSettings,
    CompareWarpSettings,
    SafeClipSettings,
    StreakSettings,
    TemplateDetectionSettings,
)
from skyloom.images import MASK_PLANES

from .assemble_coadd import AssembleCoaddTask
from .assemble_coadd_config import AssembleCoaddConfig, AssembleCoaddConnections
from .clip_detection import ClipDetectionTask
from .mirrored_config import mirror
from .warp_and_psf_match import DIRECT, PSF_MATCHED

__all__ = [
    "ArtifactCoaddConfig",
    "ArtifactCoaddConnections",
    "CompareWarpAssembleCoaddConfig",
    "CompareWarpAssembleCoaddConnections",
    "CompareWarpDecisionConfig",
    "SafeClipAssembleCoaddConfig",
    "SafeClipAssembleCoaddConnections",
]

_LOG = logging.getLogger(__name__)
_COADD = ("skymap", "tract", "patch", "band")
_WARP = ("instrument", "visit", "skymap", "tract", "patch")
_ATTRIBUTION, _SAFE_CLIP = AttributionSettings(), SafeClipSettings()
_COMPARE, _TEMPLATE = CompareWarpSettings(), TemplateDetectionSettings()


class ArtifactCoaddConnections(AssembleCoaddConnections, dimensions=_COADD):
    """The warps of a patch in one band, their coadd, and what was masked in each."""

    psfMatchedWarps = Input(
        doc="The same warps with the PSF of a model.",
        name="psf_matched_warp",
        storageClass="WarpImage",
        dimensions=_WARP,
        multiple=True,
        deferLoad=True,
        minimum=0,
    )
    artifactMasks = Output(
        doc="What was masked in each warp.",
        name="artifact_mask",
        storageClass="MaskV2",
        dimensions=_WARP,
        multiple=True,
    )
    templateCoadd = Output(
        doc="The static sky, of PSF-matched warps.",
        name="deep_coadd_psf_matched",
        storageClass="CoaddImage",
        dimensions=_COADD,
    )

    def __init__(self, *, config: ArtifactCoaddConfig | None = None) -> None:
        super().__init__(config=config)
        if config is None:
            return
        wanted = {
            "psfMatchedWarps": config.compares(),
            "artifactMasks": config.doWrite and config.doWriteArtifactMasks,
            "templateCoadd": config.doWrite and config.writes_template(),
        }
        for name in (name for name, one in wanted.items() if not one):
            delattr(self, name)


class ArtifactCoaddConfig(AssembleCoaddConfig, pipelineConnections=ArtifactCoaddConnections):
    """What coadds with masked artifacts have in common."""

    doWriteArtifactMasks: Any = Field(dtype=bool, default=False, doc="Write what was masked in each warp?")

    def setDefaults(self) -> None:
        """The plain mean is safe once artifacts are masked."""
        super().setDefaults()  # type: ignore[no-untyped-call]
        self.statistic = "MEAN"

    def compares(self) -> bool:
        """Whether PSF-matched warps are needed."""
        return False

    def writes_template(self) -> bool:
        """Whether the static sky is written."""
        return False

    def validate(self) -> None:
        """Refuse any statistic but the mean; ``doSigmaClip`` is switched off."""
        if self.doSigmaClip:
            _LOG.warning("Artifacts are masked here, not clipped pixel by pixel: doSigmaClip is switched off.")
            self.doSigmaClip = False
        if self.statistic != "MEAN":
            raise FieldValidationError(
                type(self).statistic, self, f"The statistic of this coadd is MEAN, not {self.statistic}."
            )
        super().validate()


class CompareWarpDecisionConfig(Config):
    """How artifacts are found on the differences of PSF-matched warps and the static sky."""

    assembleStaticSkyModel: Any = ConfigurableField(target=AssembleCoaddTask, doc="How the static sky is made.")
    detect: Any = ConfigurableField(target=ClipDetectionTask, doc="How candidates are found on a difference.")
    detectTemplateThreshold: Any = RangeField(
        dtype=float,
        default=_TEMPLATE.threshold,
        min=0.0,
        inclusiveMin=False,
        doc="Sigma, through the PSF, of very bright sources of the static sky.",
    )
    detectTemplateGrow: Any = RangeField(
        dtype=float, default=_TEMPLATE.grow_sigmas, min=0.0, doc="Their footprints grow by this many PSF sigmas."
    )
    detectTemplateIterMultiplier: Any = RangeField(
        dtype=float,
        default=_TEMPLATE.multiplier,
        min=1.0,
        inclusiveMin=False,
        doc="Where they cover too much, the threshold is raised by this factor, ...",
    )
    maxDetectTemplateIter: Any = RangeField(
        dtype=int, default=_TEMPLATE.max_iterations, min=0, doc="... so many times at most."
    )
    maxTemplateMasked: Any = RangeField(
        dtype=float, default=_TEMPLATE.max_masked, min=0.0, max=1.0, inclusiveMax=True, doc="Too much of the patch."
    )
    doFilterMorphological: Any = Field(
        dtype=bool, default=_COMPARE.mask_streaks, doc="Look for straight trails, and mask them in STREAK?"
    )
    maskStreaks: Any = ConfigField(dtype=mirror(StreakSettings()), doc="How trails are found.")
    maxNumEpochs: Any = RangeField(
        dtype=int, default=_COMPARE.max_n_epochs, min=0, doc="Artifacts are seen in no more visits than this, and ..."
    )
    maxFractionEpochsLow: Any = RangeField(
        dtype=float,
        default=_COMPARE.max_fraction_low,
        min=0.0,
        max=1.0,
        inclusiveMax=True,
        doc="... than this part of few visits; ...",
    )
    maxFractionEpochsHigh: Any = RangeField(
        dtype=float,
        default=_COMPARE.max_fraction_high,
        min=0.0,
        max=1.0,
        inclusiveMax=True,
        doc="... of many visits this part is added to maxNumEpochs.",
    )
    spatialThreshold: Any = RangeField(
        dtype=float,
        default=_COMPARE.spatial_threshold,
        min=0.0,
        max=1.0,
        inclusiveMax=True,
        doc="A candidate with more than this part of such pixels is an artifact.",
    )
    doScaleWarpVariance: Any = Field(
        dtype=bool, default=_COMPARE.scale_variance, doc="Scale the variance of a difference to its scatter?"
    )
    doPreserveContainedBySource: Any = Field(
        dtype=bool, default=_COMPARE.preserve_contained, doc="Leave candidates within a very bright source alone?"
    )
    doPrefilterArtifacts: Any = Field(dtype=bool, default=True, doc="Drop candidates on bad pixels?")
    prefilterArtifactsMaskPlanes: Any = ListField(
        dtype=str,
        default=list(_COMPARE.prefilter_planes),
        itemCheck=lambda name: name in MASK_PLANES,
        doc="Planes of bad pixels.",
    )
    prefilterArtifactsRatio: Any = RangeField(
        dtype=float,
        default=_COMPARE.prefilter_ratio,
        min=0.0,
        max=1.0,
        inclusiveMax=True,
        doc="Dropped are those with no more than this part of good pixels.",
    )
    doRequireMatched: Any = Field(
        dtype=bool,
        default=_COMPARE.require_matched,
        doc="Leave out pixels of warps that have no PSF-matched value, in which nothing can be looked for?",
    )

    def setDefaults(self) -> None:
        """The static sky is the clipped mean of matched warps; differences are not smoothed."""
        super().setDefaults()  # type: ignore[no-untyped-call]
        sky, default = self.assembleStaticSkyModel, _COMPARE.static_sky
        sky.warpType, sky.statistic = PSF_MATCHED, str(default.statistic)
        sky.sigmaClip, sky.clipIter = default.sigma_clip, default.clip_iter
        sky.badMaskPlanes = list(default.bad_planes)
        sky.doWrite, sky.doNImage = False, False
        detect = self.detect
        detect.thresholdValue, detect.nSigmaToGrow = _COMPARE.detection.threshold, _COMPARE.detection.grow_sigmas
        detect.minPixels, detect.doSmooth = _COMPARE.detection.min_pixels, _COMPARE.detection.smooth

    def decision_settings(self) -> CompareWarpSettings:
        """The same as the algorithm takes it."""
        return CompareWarpSettings(
            static_sky=self.assembleStaticSkyModel.value.settings(),
            detection=self.detect.value.settings(),
            template_detection=TemplateDetectionSettings(
                threshold=self.detectTemplateThreshold,
                grow_sigmas=self.detectTemplateGrow,
                max_masked=self.maxTemplateMasked,
                multiplier=self.detectTemplateIterMultiplier,
                max_iterations=self.maxDetectTemplateIter,
            ),
            preserve_contained=self.doPreserveContainedBySource,
            scale_variance=self.doScaleWarpVariance,
            prefilter_planes=tuple(self.prefilterArtifactsMaskPlanes) if self.doPrefilterArtifacts else (),
            prefilter_ratio=self.prefilterArtifactsRatio,
            max_n_epochs=self.maxNumEpochs,
            max_fraction_low=self.maxFractionEpochsLow,
            max_fraction_high=self.maxFractionEpochsHigh,
            spatial_threshold=self.spatialThreshold,
            mask_streaks=self.doFilterMorphological,
            streaks=self.maskStreaks.settings(),
            require_matched=self.doRequireMatched,
        )

    def validate(self) -> None:
        """Refuse a static sky that would be written in the place of the coadd."""
        super().validate()  # type: ignore[no-untyped-call]
        field, sky = type(self).assembleStaticSkyModel, self.assembleStaticSkyModel
        if sky.doNImage:
            raise FieldValidationError(field, self, "The static sky has no n_image of its own: doNImage must be off.")
        if sky.doWrite and sky.warpType == getattr(self, "warpType", DIRECT):
            raise FieldValidationError(
                field, self, "The static sky and the coadd would be one dataset: their warpType must differ."
            )


class SafeClipAssembleCoaddConnections(ArtifactCoaddConnections, dimensions=_COADD):
    """Those of `SafeClipAssembleCoaddTask`."""


class SafeClipAssembleCoaddConfig(ArtifactCoaddConfig, pipelineConnections=SafeClipAssembleCoaddConnections):
    """Settings of `SafeClipAssembleCoaddTask`."""

    clipDetection: Any = ConfigurableField(
        target=ClipDetectionTask, doc="How regions are found where the mean and the clipped mean differ."
    )
    minClipFootOverlap: Any = RangeField(
        dtype=float,
        default=_ATTRIBUTION.min_overlap,
        min=0.0,
        max=1.0,
        inclusiveMax=True,
        doc="A region is clipped in the one visit, of several, that has detected more than this part of it.",
    )
    minClipFootOverlapSingle: Any = RangeField(
        dtype=float,
        default=_ATTRIBUTION.min_overlap_single,
        min=0.0,
        max=1.0,
        inclusiveMax=True,
        doc="The same where only one visit has detected anything.",
    )
    minClipFootOverlapDouble: Any = RangeField(
        dtype=float,
        default=_ATTRIBUTION.min_overlap_double,
        min=0.0,
        max=1.0,
        inclusiveMax=True,
        doc="It is clipped in two visits, of at least four, that have detected more than this part of it, if ...",
    )
    maxClipFootOverlapDouble: Any = RangeField(
        dtype=float,
        default=_ATTRIBUTION.max_overlap_double,
        min=0.0,
        max=1.0,
        inclusiveMax=True,
        doc="... the others have detected no more than this part.",
    )
    minBigOverlap: Any = RangeField(
        dtype=int,
        default=_ATTRIBUTION.min_big_overlap,
        min=0,
        doc="Pixels: a visit's own footprint with more clipped ones is clipped as a whole.",
    )
    doConfirmClip: Any = Field(
        dtype=bool,
        default=_ATTRIBUTION.confirm,
        doc="Must a visit also differ from the clipped mean by more than another seeing would make it?",
    )
    doDetectUnmarked: Any = Field(
        dtype=bool, default=_ATTRIBUTION.search_unmarked, doc="Search warps without DETECTED pixels for sources?"
    )
    doFlagAllClipped: Any = Field(
        dtype=bool,
        default=False,
        doc="Does the coadd get CLIPPED all over a clipped region, or only where a warp lost a sample?",
    )
    artifactDecision: Any = ChoiceField(
        dtype=str,
        default="safeClip",
        allowed={
            "safeClip": "What clipping takes from the mean.",
            "union": "That, and what differs from the static sky of PSF-matched warps.",
            "intersection": "What both find.",
        },
        doc="What is masked.",
    )
    compareWarp: Any = ConfigField(
        dtype=CompareWarpDecisionConfig, doc="For union and intersection: how the second decision is made."
    )

    def setDefaults(self) -> None:
        """Clip hard where the mean and the clipped mean are compared."""
        super().setDefaults()
        self.sigmaClip, self.clipIter = _SAFE_CLIP.n_sigma, _SAFE_CLIP.iterations
        # Of two decisions the first one can do without matched values.
        self.compareWarp.doRequireMatched = False

    def compares(self) -> bool:
        """Whether PSF-matched warps are needed."""
        return str(self.artifactDecision) != "safeClip"

    def clip_settings(self) -> SafeClipSettings:
        """The settings of the decision as the algorithm takes them."""
        return SafeClipSettings(
            n_sigma=self.sigmaClip,
            iterations=self.clipIter,
            bad_planes=tuple(self.badMaskPlanes),
            detection=self.clipDetection.value.settings(),
            attribution=AttributionSettings(
                min_overlap=self.minClipFootOverlap,
                min_overlap_single=self.minClipFootOverlapSingle,
                min_overlap_double=self.minClipFootOverlapDouble,
                max_overlap_double=self.maxClipFootOverlapDouble,
                min_big_overlap=self.minBigOverlap,
                confirm=self.doConfirmClip,
                search_unmarked=self.doDetectUnmarked,
            ),
            max_memory_mb=min(self.max_memory_mb, _SAFE_CLIP.max_memory_mb),
        )

    def validate(self) -> None:
        """Refuse overlaps by which visits cannot be told apart."""
        super().validate()
        if self.maxClipFootOverlapDouble > self.minClipFootOverlapDouble:
            raise FieldValidationError(
                type(self).maxClipFootOverlapDouble, self, "It must not be above minClipFootOverlapDouble."
            )


class CompareWarpAssembleCoaddConnections(ArtifactCoaddConnections, dimensions=_COADD):
    """Those of `CompareWarpAssembleCoaddTask`."""


class CompareWarpAssembleCoaddConfig(
    CompareWarpDecisionConfig, ArtifactCoaddConfig, pipelineConnections=CompareWarpAssembleCoaddConnections
):
    """Settings of `CompareWarpAssembleCoaddTask`."""

    def setDefaults(self) -> None:
        """Edges of detectors exclude nothing: they are told apart by themselves."""
        super().setDefaults()
        self.badMaskPlanes = [name for name in self.badMaskPlanes if name != "EDGE"]
        self.removeMaskPlanes = [*(name for name in self.removeMaskPlanes if name != "EDGE"), "EDGE"]

    def compares(self) -> bool:
        """Whether PSF-matched warps are needed."""
        return True

    def writes_template(self) -> bool:
        """Whether the static sky is written."""
        return bool(self.assembleStaticSkyModel.doWrite)
