"""Connections and configuration of `AssembleCoaddTask`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lsst.pex.config import (
    ChoiceField,
    ConfigField,
    ConfigurableField,
    DictField,
    Field,
    FieldValidationError,
    ListField,
    RangeField,
)
from lsst.pipe.base import PipelineTaskConfig, PipelineTaskConnections
from lsst.pipe.base.connectionTypes import Input, Output, PrerequisiteInput

from skyloom.coadd import CoaddSettings, ErrorSource, Statistic
from skyloom.images import is_mask_plane

from .input_map import HealSparseInputMapTask
from .interp_image import InterpImageTask
from .make_coadd_temp_exp_config import CoaddPsfConfig
from .match_backgrounds import MatchBackgroundsTask
from .scale_zero_point import ScaleZeroPointTask
from .select_images import WcsSelectImagesTask
from .warp_and_psf_match import DIRECT, PSF_MATCHED

__all__ = ["AssembleCoaddConfig", "AssembleCoaddConnections"]

_DEFAULTS = CoaddSettings()
_COADD = ("skymap", "tract", "patch", "band")
_INTERPOLATED = ("CLIPPED", "MEAN", "MEDIAN", "MEANCLIP", "VARIANCE", "VARIANCECLIP")
_MATCHED = {"warps": "psf_matched_warp", "coadd": "deep_coadd_psf_matched", "n_image": "deep_coadd_psf_matched_n_image"}
"""Names of the datasets of matched warps."""


class AssembleCoaddConnections(PipelineTaskConnections, dimensions=_COADD):
    """The warps of a patch in one band, and their coadd."""

    warps = Input(
        doc="Warps of the visits that overlap the patch.",
        name="direct_warp",
        storageClass="WarpImage",
        dimensions=("instrument", "visit", "skymap", "tract", "patch"),
        multiple=True,
        deferLoad=True,
    )
    sky_map = Input(doc="The sky map.", name="sky_map", storageClass="SkyloomSkyMap", dimensions=("skymap",))
    selectedVisits = Input(
        doc="Visits to combine, as keys, in the order in which they are taken.",
        name="deep_visits",
        storageClass="StructuredDataDict",
        dimensions=("instrument", "skymap", "tract", "patch", "band"),
    )
    brightObjectMask = PrerequisiteInput(
        doc="Bright objects: id, ra, dec, type, radius, width, height, angle.",
        name="bright_object_mask",
        storageClass="ArrowAstropy",
        dimensions=_COADD,
        minimum=0,
    )
    coadd = Output(
        doc="Weighted mean of the warps, nJy, with the PSF and the table of its inputs.",
        name="deep_coadd",
        storageClass="CoaddImage",
        dimensions=_COADD,
    )
    n_image = Output(
        doc="Number of warps in each pixel.", name="deep_coadd_n_image", storageClass="ImageV2", dimensions=_COADD
    )
    inputMap = Output(
        doc="Which detectors of which visits see each part of the sky.",
        name="deep_coadd_input_map",
        storageClass="HealSparseMap",
        dimensions=_COADD,
    )

    def __init__(self, *, config: AssembleCoaddConfig | None = None) -> None:
        super().__init__(config=config)
        if config is None:
            return
        wanted = {
            "selectedVisits": config.doSelectVisits,
            "brightObjectMask": config.doMaskBrightObjects,
            "coadd": config.doWrite,
            "n_image": config.doWrite and config.doNImage,
            "inputMap": config.doWrite and config.doInputMap,
        }
        for name in (name for name, one in wanted.items() if not one):
            delattr(self, name)
        if config.warpType == PSF_MATCHED:
            for name, matched in _MATCHED.items():
                own = getattr(self, name, None)
                if own is not None and own.name == getattr(AssembleCoaddConnections, name).name:
                    setattr(self, name, replace(own, name=matched))


class AssembleCoaddConfig(PipelineTaskConfig, pipelineConnections=AssembleCoaddConnections):
    """Settings of `AssembleCoaddTask`."""

    coaddName: Any = Field(
        dtype=str, default="deep", doc="Coadd name: typically one of deep or goodSeeing; begins documented names."
    )
    warpType: Any = ChoiceField(
        dtype=str,
        default=DIRECT,
        allowed={DIRECT: "Warps with the PSFs of their frames.", PSF_MATCHED: "Warps with the PSF of a model."},
        doc="Which warps are combined.",
    )
    select: Any = ConfigurableField(
        target=WcsSelectImagesTask, doc="Of the classic command line: the frames whose visits are combined."
    )
    subregionSize: Any = ListField(
        dtype=int,
        default=[2000, 2000],
        length=2,
        itemCheck=lambda size: size > 0,
        doc="Width and height of as many pixels as are combined at once; the result does not depend on it.",
    )
    max_memory_mb: Any = RangeField(
        dtype=float,
        default=_DEFAULTS.max_memory_mb,
        min=0.0,
        inclusiveMin=False,
        doc="Memory for the stack of pixels, MB: with many warps fewer pixels are combined at once.",
    )
    statistic: Any = ChoiceField(
        dtype=str,
        default=str(_DEFAULTS.statistic),
        allowed={str(one): "See skyloom.coadd.Statistic." for one in Statistic},
        doc="How the samples of a pixel become one value.",
    )
    doSigmaClip: Any = Field(
        dtype=bool, default=False, doc="Use MEANCLIP, whatever statistic says?", deprecated="Set statistic to MEANCLIP."
    )
    doOnlineForMean: Any = Field(
        dtype=bool, default=False, doc="Of MEAN: read one warp at a time, whole, and keep sums?"
    )
    n_sigma: Any = RangeField(
        dtype=float,
        default=_DEFAULTS.n_sigma,
        min=0.0,
        inclusiveMin=False,
        doc="Of CLIPPED: limit of the clipping, sigma.",
    )
    iterations: Any = RangeField(
        dtype=int, default=_DEFAULTS.iterations, min=0, doc="Of CLIPPED: how often to look for outliers."
    )
    structure: Any = RangeField(
        dtype=float,
        default=_DEFAULTS.structure,
        min=0.0,
        doc="Of CLIPPED: slack of the clipping, as a part of the median image's range within two pixels.",
    )
    sigmaClip: Any = RangeField(
        dtype=float,
        default=_DEFAULTS.sigma_clip,
        min=0.0,
        inclusiveMin=False,
        doc="Of MEANCLIP and its like, and of the variance planes for the weights: limit of the clipping, sigma.",
    )
    clipIter: Any = RangeField(dtype=int, default=_DEFAULTS.clip_iter, min=1, doc="How often these clip.")
    calcErrorFromInputVariance: Any = Field(
        dtype=bool,
        default=True,
        doc="Of MEAN and MEANCLIP: is the variance that of the warps' variances?  Else that of the samples' scatter.",
    )
    calcErrorMosaicMode: Any = Field(
        dtype=bool,
        default=False,
        doc="Is it the mean of the warps' variances, as for warps that hardly overlap?  calcErrorFromInputVariance "
        "must then be off.",
    )
    badMaskPlanes: Any = ListField(
        dtype=str, default=list(_DEFAULTS.bad_planes), itemCheck=is_mask_plane, doc="Planes that exclude a sample."
    )
    removeMaskPlanes: Any = ListField(
        dtype=str,
        default=list(_DEFAULTS.remove_planes),
        itemCheck=is_mask_plane,
        doc="Planes not handed on to the coadd.",
    )
    maskPropagationThresholds: Any = DictField(
        keytype=str,
        itemtype=float,
        default=dict(_DEFAULTS.propagation_thresholds),
        keyCheck=is_mask_plane,
        doc="A plane is also set where left-out samples that have it carry more than this share of the weight.",
    )
    coaddPsf: Any = ConfigField(dtype=CoaddPsfConfig, doc="How the PSFs of the frames are resampled.")
    min_inputs: Any = RangeField(dtype=int, default=1, min=1, doc="With fewer warps no coadd is made.")
    doSelectVisits: Any = Field(dtype=bool, default=False, doc="Combine the visits of selectedVisits only?")
    doScaleZeroPoint: Any = Field(
        dtype=bool, default=False, doc="Make a coadd in counts of a fixed zero point?  Else in nJy."
    )
    scaleZeroPoint: Any = ConfigurableField(target=ScaleZeroPointTask, doc="The zero point.")
    doMatchBackgrounds: Any = Field(
        dtype=bool, default=False, doc="Bring the warps to the sky of one of them before they are combined?"
    )
    matchBackgrounds: Any = ConfigurableField(target=MatchBackgroundsTask, doc="How.")
    autoReference: Any = Field(
        dtype=bool, default=True, doc="May matchBackgrounds choose the one to whose sky the others are brought?"
    )
    maxMatchResidualRatio: Any = RangeField(
        dtype=float,
        default=1.1,
        min=0.0,
        doc="Warps with a larger mean square of the pixels after matching, over their variance, are left out.",
    )
    maxMatchResidualRMS: Any = RangeField(
        dtype=float, default=1.0, min=0.0, doc="So are those with larger rms of the levels after matching, nJy."
    )
    doInterp: Any = Field(
        dtype=bool,
        default=False,
        doc="Give pixels that no warp has a value?  They keep NO_DATA and the variance +inf.",
    )
    interpImage: Any = ConfigurableField(target=InterpImageTask, doc="How they get it.")
    doMaskBrightObjects: Any = Field(dtype=bool, default=False, doc="Mask bright objects?")
    brightObjectMaskName: Any = Field(dtype=str, default="BRIGHT_OBJECT", doc="Mask plane of bright objects.")
    doWrite: Any = Field(dtype=bool, default=True, doc="Write the coadd?")
    doNImage: Any = Field(dtype=bool, default=True, doc="Write the number of warps in each pixel?")
    doInputMap: Any = Field(
        dtype=bool, default=False, doc="Make a map of the inputs?  It needs the package healsparse."
    )
    inputMapper: Any = ConfigurableField(target=HealSparseInputMapTask, doc="How the map of the inputs is made.")

    def settings(self) -> CoaddSettings:
        """The same as the algorithm takes it."""
        statistic = Statistic.MEANCLIP if self.doSigmaClip else Statistic(self.statistic)
        source = ErrorSource.INPUTS if self.calcErrorFromInputVariance else ErrorSource.SCATTER
        return CoaddSettings(
            statistic=statistic,
            n_sigma=self.n_sigma,
            iterations=self.iterations,
            structure=self.structure,
            sigma_clip=self.sigmaClip,
            clip_iter=self.clipIter,
            error_source=ErrorSource.MOSAIC if self.calcErrorMosaicMode else source,
            online=self.doOnlineForMean and statistic is Statistic.MEAN,
            bad_planes=tuple(self.badMaskPlanes),
            remove_planes=tuple(self.removeMaskPlanes),
            propagation_thresholds=dict(self.maskPropagationThresholds),
            subregion_size=(self.subregionSize[0], self.subregionSize[1]),
            max_memory_mb=self.max_memory_mb,
        )

    def validate(self) -> None:
        """Refuse what cannot be combined, or not be interpolated."""
        super().validate()  # type: ignore[no-untyped-call]
        kind = type(self)
        statistic = str(self.settings().statistic)
        if self.doInterp and statistic not in _INTERPOLATED:
            raise FieldValidationError(
                kind.doInterp, self, f"A {statistic} is not interpolated; {', '.join(_INTERPOLATED)} are."
            )
        if self.doScaleZeroPoint and self.doMatchBackgrounds:
            raise FieldValidationError(kind.doMatchBackgrounds, self, "Only warps in nJy are matched.")
        if self.doMatchBackgrounds and not self.autoReference and self.matchBackgrounds.value.refWarpVisit is None:
            raise FieldValidationError(kind.autoReference, self, "matchBackgrounds.refWarpVisit must name the visit.")
        if self.calcErrorMosaicMode and self.calcErrorFromInputVariance:
            raise FieldValidationError(
                kind.calcErrorMosaicMode, self, "calcErrorFromInputVariance must be off for that."
            )
