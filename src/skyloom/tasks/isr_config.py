"""`IsrConfig`: which corrections `IsrTask` makes, and how."""

from __future__ import annotations

import math
from typing import Any

from lsst.pex.config import ChoiceField, ConfigField, DictField, Field, ListField, RangeField
from lsst.pipe.base import PipelineTaskConfig

from skyloom.images import is_mask_plane
from skyloom.isr import (
    BrighterFatterSettings,
    InterpolationSettings,
    IsrSettings,
    OverscanSettings,
    ZeroPointSettings,
)

from .isr_connections import IsrConnections
from .isr_groups import AmpOffsetConfig, CrosstalkConfig, FringeConfig, OverscanConfig, QaConfig, VignetteConfig

__all__ = ["IsrConfig"]

_IF_ANY = "True requires one, False leaves it; None: if there is one."
_ZERO_POINT = 10.0 ** (0.4 * 28.0)


def _switch(default: bool | None, doc: str) -> Any:
    """A correction that needs a calibration."""
    return Field(dtype=bool, optional=True, default=default, doc=f"{doc}: {_IF_ANY}")


def _flag(default: bool, doc: str) -> Any:
    """A correction that needs none."""
    return Field(dtype=bool, default=default, doc=doc)


def _planes(default: list[str], doc: str) -> Any:
    """Names of mask planes."""
    return ListField(dtype=str, default=default, itemCheck=is_mask_plane, doc=doc)


class IsrConfig(PipelineTaskConfig, pipelineConnections=IsrConnections):
    """Settings of `IsrTask`, in the order of the corrections."""

    observation_types: Any = ListField(
        dtype=str, default=["science"], doc="Frames of these types are corrected; empty: all frames."
    )
    fallbackFilterName: Any = Field(
        dtype=str,
        default=None,
        optional=True,
        doc="Of the classic command line: filter whose calibrations serve where there is none of the frame's own.",
    )
    expectWcs: Any = _flag(True, "Warn where a frame has no projection.")

    doAddDistortionModel: Any = _flag(
        False, "Put the optics' distortion into the projection, for frames whose projection has none."
    )

    # Levels of the raw counts.
    doSaturation: Any = _flag(True, "Mark saturated pixels.")
    saturation: Any = Field(
        dtype=float, default=math.nan, doc="Level of saturation in place of the amplifiers', ADU; NaN for theirs."
    )
    doSuspect: Any = _flag(False, "Mark pixels beyond the level up to which the response is trusted.")
    doOverscan: Any = _flag(True, "Take the overscan off.")
    overscan: Any = ConfigField(dtype=OverscanConfig, doc="Overscan columns, read after those of the data.")
    parallel_overscan: Any = ConfigField(dtype=OverscanConfig, doc="Overscan rows, read after those of the data.")
    doAssembleCcd: Any = _flag(
        True, "Put the amplifiers together; False for frames without a detector, which are one amplifier."
    )
    gain: Any = Field(dtype=float, default=math.nan, doc="Of a frame without a detector, electrons an ADU.")
    readNoise: Any = Field(dtype=float, default=0.0, doc="Of a frame without a detector, electrons.")

    # In ADU.
    doBias: Any = _switch(True, "Subtract a bias")
    doCrosstalk: Any = _switch(False, "Take off the amplifiers' crosstalk")
    crosstalk: Any = ConfigField(dtype=CrosstalkConfig, doc="How crosstalk is taken off.")
    doLinearize: Any = Field(
        dtype=bool,
        optional=True,
        default=True,
        doc="Linearise the counts where a calibration, or the camera's description, says how; False leaves them.",
    )

    # To electrons.
    doApplyGains: Any = _flag(
        False, "Has no effect: gains are always applied, before the variance; with a flat it is refused."
    )
    normalizeGains: Any = _flag(False, "Bring the amplifiers to one median after the gains; refused with a flat.")
    usePtcGains: Any = _flag(False, "Take the gains from the photon-transfer curve.")
    doVariance: Any = _flag(True, "Give each pixel its variance; else 1.")
    doEmpiricalReadNoise: Any = _flag(
        False, "Take the read noise from the overscan where there is one, not the camera's."
    )
    usePtcReadNoise: Any = _flag(False, "Take the read noise from the photon-transfer curve.")
    maskNegativeVariance: Any = _flag(True, "Mark pixels so negative that electrons plus read noise squared are none.")
    negativeVarianceMaskName: Any = Field(
        dtype=str, default="BAD", check=is_mask_plane, doc="Mask plane of those pixels."
    )

    # Masks.
    doDefect: Any = _switch(True, "Mark defects")
    numEdgeSuspect: Any = RangeField(dtype=int, default=0, min=0, doc="Pixels this near to an edge become SUSPECT.")
    edgeMaskLevel: Any = ChoiceField(
        dtype=str,
        default="DETECTOR",
        allowed={"DETECTOR": "Edges of the detector.", "AMP": "Edges of every amplifier."},
        doc="Which edges.",
    )
    doNanMasking: Any = _flag(True, "Mark pixels that are not numbers.")
    doWidenSaturationTrails: Any = _flag(True, "Widen saturated areas along the rows, the more the wider they are.")
    growSaturationFootprintSize: Any = RangeField(dtype=int, default=1, min=0, doc="Pixels to grow saturated areas by.")
    doCameraSpecificMasking: Any = _flag(False, "Call `IsrTask.mask_camera_specific`.")

    # In electrons.
    doBrighterFatter: Any = _switch(False, "Move charge back that was repelled")
    doFluxConservingBrighterFatterCorrection: Any = _flag(
        False, "Move charge between neighbours so that none is lost or made."
    )
    brighterFatterMaxIter: Any = RangeField(
        dtype=int, default=10, min=1, doc="How often charge is moved back, at most."
    )
    brighterFatterThreshold: Any = RangeField(
        dtype=float, default=1000.0, min=0.0, doc="Change of the whole image at which that ends, electrons."
    )
    brighterFatterMaskListToInterpolate: Any = _planes(
        ["SAT", "BAD", "NO_DATA", "UNMASKEDNAN"], "Pixels that get a value for this alone."
    )
    brighterFatterMaskGrowSize: Any = RangeField(
        dtype=int, default=0, min=0, doc="Pixels to grow those planes by afterwards."
    )
    doDark: Any = _switch(True, "Subtract a dark")
    doStrayLight: Any = _flag(False, "Call `IsrTask.subtract_stray_light`.")
    doFlat: Any = _switch(True, "Divide by a flat")
    flatScalingType: Any = ChoiceField(
        dtype=str,
        default="MEDIAN",
        allowed={
            "MEDIAN": "Its median over the detector.",
            "MEAN": "Its mean over the detector.",
            "USER": "The number flatUserScale, as for flats that keep the levels of detectors apart.",
        },
        doc="What the flat is divided by first.",
    )
    flatUserScale: Any = RangeField(
        dtype=float, default=1.0, min=0.0, inclusiveMin=False, doc="Level of the flat where the user gives it."
    )
    flat_minimum: Any = RangeField(
        dtype=float, default=0.1, min=0.0, max=1.0, doc="Pixels of less relative response are bad."
    )
    doFringe: Any = Field(
        dtype=bool,
        optional=True,
        default=True,
        doc="Take off fringes: True requires a frame for the filters named, False leaves them; None: if there is one.",
    )
    fringe: Any = ConfigField(dtype=FringeConfig, doc="How fringes are measured.")
    fringeAfterFlat: Any = _flag(True, "Take fringes off after the flat; else before.")
    doVignette: Any = _flag(False, "Find the part of the detector that the optics illuminate.")
    vignette: Any = ConfigField(dtype=VignetteConfig, doc="What the optics illuminate.")
    doMaskVignettePolygon: Any = _flag(True, "Mark pixels outside it VIGNETTED and NO_DATA.")
    vignetteValue: Any = Field(
        dtype=float, optional=True, default=None, doc="Value of those pixels; None: not a number."
    )
    doAttachTransmissionCurve: Any = _flag(False, "Attach the throughput of all between star and counts.")
    doUseOpticsTransmission: Any = _flag(True, "Let the optics' be part of it.")
    doUseFilterTransmission: Any = _flag(True, "The filter's.")
    doUseSensorTransmission: Any = _flag(True, "The detector's.")
    doUseAtmosphereTransmission: Any = _flag(True, "The atmosphere's.")
    doIlluminationCorrection: Any = _flag(False, "Divide by an illumination frame.")
    illumScale: Any = RangeField(dtype=float, default=1.0, min=0.0, inclusiveMin=False, doc="Over this number.")
    illumFilters: Any = ListField(
        dtype=str, default=[], doc="Filters whose frames are divided, and must have an illumination frame."
    )

    # Values for pixels without one.
    doSetBadRegions: Any = _flag(True, "Give bad pixels the level of the frame, if nothing better.")
    badStatistic: Any = ChoiceField(
        dtype=str,
        default="MEDIAN",
        allowed={"MEDIAN": "Median of the others.", "MEANCLIP": "Their mean without outliers."},
        doc="What that level is.",
    )
    doInterpolate: Any = _flag(True, "Give unusable pixels a value from their neighbours.")
    maskListToInterpolate: Any = _planes(["SAT", "BAD"], "Those with one of these mask planes.")
    doSaturationInterpolation: Any = _flag(True, "And those with SAT; False: not those.")
    doNanInterpolation: Any = _flag(True, "And those with UNMASKEDNAN.")
    interpolate_max_run: Any = RangeField(
        dtype=int, default=16, min=1, doc="Longest run of such pixels to bridge; wider areas become NO_DATA."
    )
    doSaveInterpPixels: Any = _flag(False, "Keep the frame as it was before.")

    # About the result.
    fluxMag0T1: Any = DictField(
        keytype=str,
        itemtype=float,
        default={"Unknown": _ZERO_POINT},
        doc="Electrons in a second of a source of magnitude 0, by filter.",
    )
    defaultFluxMag0T1: Any = RangeField(
        dtype=float, default=_ZERO_POINT, min=0.0, inclusiveMin=False, doc="The same for all other filters."
    )
    doAmpOffset: Any = _flag(False, "Measure the steps between amplifiers.")
    ampOffset: Any = ConfigField(dtype=AmpOffsetConfig, doc="How.")
    doMeasureBackground: Any = _flag(False, "Measure how bright and how flat the background is.")
    doStandardStatistics: Any = _flag(True, "Keep counts of masked pixels and levels of each amplifier.")
    qa: Any = ConfigField(dtype=QaConfig, doc="Figures and pictures.")
    doBinnedExposures: Any = _flag(False, "Make two copies in coarser pixels.")
    binFactor1: Any = RangeField(dtype=int, default=8, min=1, doc="Pixels to a side of the first.")
    binFactor2: Any = RangeField(dtype=int, default=64, min=1, doc="Pixels to a side of the second.")
    doHeaderProvenance: Any = _flag(True, "Name the calibrations in the metadata.")
    doWrite: Any = _flag(True, "Write the frame.")

    def setDefaults(self) -> None:
        """Leave the parallel overscan alone."""
        super().setDefaults()  # type: ignore[no-untyped-call]
        self.parallel_overscan.fitType = "NONE"

    def validate(self) -> None:
        """Refuse settings that contradict each other."""
        super().validate()  # type: ignore[no-untyped-call]
        if (self.doApplyGains or self.normalizeGains) and self.doFlat:
            raise ValueError(
                "doApplyGains or normalizeGains, and doFlat: gains or a flat level the amplifiers, not both."
            )
        if self.ampOffset.doApplyAmpOffset and not self.doAmpOffset:
            raise ValueError("ampOffset.doApplyAmpOffset needs doAmpOffset.")

    def settings(self, physical_filter: str | None = None) -> IsrSettings:
        """The same as the algorithm takes it, for frames of a filter."""
        no_overscan = OverscanSettings(method="NONE")
        illuminated = self.doIlluminationCorrection and physical_filter in self.illumFilters
        return IsrSettings(
            use_bias=self.doBias,
            use_dark=self.doDark,
            use_flat=self.doFlat,
            use_defects=self.doDefect,
            use_crosstalk=self.doCrosstalk,
            use_linearity=None if self.doLinearize else self.doLinearize,
            use_brighter_fatter=self.doBrighterFatter,
            use_fringes=None if self.doFringe else self.doFringe,
            use_illumination=bool(illuminated),
            mark_saturated=self.doSaturation,
            mark_suspect=self.doSuspect,
            saturation_adu=self.saturation if math.isfinite(self.saturation) else None,
            serial_overscan=self.overscan.settings() if self.doOverscan else no_overscan,
            parallel_overscan=self.parallel_overscan.settings() if self.doOverscan else no_overscan,
            crosstalk=self.crosstalk.settings(),
            measured_read_noise=self.doEmpiricalReadNoise,
            level_amplifiers=self.normalizeGains,
            count_variance=self.doVariance,
            negative_plane=self.negativeVarianceMaskName if self.maskNegativeVariance and self.doVariance else None,
            widen_trails=self.doWidenSaturationTrails,
            grow_saturated=self.growSaturationFootprintSize,
            edge_width=self.numEdgeSuspect,
            edge_of_amplifiers=self.edgeMaskLevel == "AMP",
            mark_not_a_number=self.doNanMasking,
            brighter_fatter=BrighterFatterSettings(
                method="FLUX_CONSERVING" if self.doFluxConservingBrighterFatterCorrection else "COULTON18",
                max_iterations=self.brighterFatterMaxIter,
                threshold=self.brighterFatterThreshold,
            ),
            brighter_fatter_interpolation=InterpolationSettings(
                planes=tuple(self.brighterFatterMaskListToInterpolate), max_run=self.interpolate_max_run
            ),
            brighter_fatter_grow=self.brighterFatterMaskGrowSize,
            fringes=self.fringe.settings(),
            fringes_first=not self.fringeAfterFlat,
            flat_scaling=self.flatScalingType,
            flat_scale=self.flatUserScale,
            flat_minimum=self.flat_minimum,
            vignette=self.vignette.settings() if self.doVignette and self.doMaskVignettePolygon else None,
            vignette_value=self.vignetteValue,
            illumination_scale=self.illumScale,
            fill_bad=self.badStatistic if self.doSetBadRegions else None,
            interpolation=self.interpolation(),
        )

    def interpolation(self) -> InterpolationSettings:
        """Which pixels get a value from their neighbours."""
        planes = set(self.maskListToInterpolate) - {"SAT"}
        planes |= {"SAT"} if self.doSaturationInterpolation else set()
        planes |= {"UNMASKEDNAN"} if self.doNanInterpolation else set()
        return InterpolationSettings(
            planes=tuple(sorted(planes)) if self.doInterpolate else (), max_run=self.interpolate_max_run
        )

    def zero_points(self) -> ZeroPointSettings:
        """What a source of magnitude 0 gives, as the algorithm takes it."""
        return ZeroPointSettings(
            counts_per_second=dict(self.fluxMag0T1), default_counts_per_second=self.defaultFluxMag0T1
        )
