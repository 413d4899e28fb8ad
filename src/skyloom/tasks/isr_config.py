"""`IsrConfig`: which corrections `IsrTask` makes, and how."""

from __future__ import annotations

from typing import Any

from lsst.pex.config import ChoiceField, Config, ConfigField, Field, ListField, RangeField
from lsst.pipe.base import PipelineTaskConfig

from skyloom.images import MASK_PLANES
from skyloom.isr import (
    BrighterFatterSettings,
    CrosstalkSettings,
    FringeSettings,
    InterpolationSettings,
    IsrSettings,
    OverscanSettings,
)

from .isr_connections import IsrConnections

__all__ = ["CrosstalkConfig", "FringeConfig", "IsrConfig", "OverscanConfig"]

_IF_ANY = "True requires one, False leaves it; None: if there is one."


def _is_plane(name: str) -> bool:
    return name in MASK_PLANES


def _switch(default: bool | None, doc: str) -> Any:
    """A correction that needs a calibration."""
    return Field(dtype=bool, optional=True, default=default, doc=f"{doc}: {_IF_ANY}")


class OverscanConfig(Config):
    """How the level of an overscan region is found."""

    fitType: Any = ChoiceField(  # noqa: N815
        dtype=str,
        default="MEDIAN",
        allowed={
            "MEAN": "One level for the region: its mean.",
            "MEANCLIP": "One level for the region: its mean without outliers.",
            "MEDIAN": "One level for the region: its median.",
            "MEDIAN_PER_ROW": "A level for each row: its median.",
            "MEAN_PER_ROW": "A level for each row: its mean without outliers.",
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
    order: Any = RangeField(
        dtype=int, default=1, min=0, doc="Degree of a polynomial, or number of groups that a spline runs through."
    )
    numSigmaClip: Any = RangeField(  # noqa: N815
        dtype=float, default=3.0, min=0.0, doc="Pixels farther from their row's median, in its scatter, are left out."
    )
    leadingColumnsToSkip: Any = RangeField(  # noqa: N815
        dtype=int, default=0, min=0, doc="Columns next to the data to leave out."
    )
    trailingColumnsToSkip: Any = RangeField(  # noqa: N815
        dtype=int, default=0, min=0, doc="Columns at the far side to leave out."
    )
    maxDeviation: Any = RangeField(  # noqa: N815
        dtype=float,
        default=1000.0,
        min=0.0,
        inclusiveMin=False,
        doc="Pixels farther from the region's median are left out, ADU.",
    )

    def settings(self) -> OverscanSettings:
        """The same as the algorithm takes it."""
        return OverscanSettings(
            method=self.fitType,
            order=self.order,
            n_sigma=self.numSigmaClip,
            skip_leading=self.leadingColumnsToSkip,
            skip_trailing=self.trailingColumnsToSkip,
            max_deviation_adu=self.maxDeviation,
        )


class CrosstalkConfig(Config):
    """How crosstalk is taken off and marked."""

    minPixelToMask: Any = RangeField(  # noqa: N815
        dtype=float, default=45000.0, min=0.0, doc="What is this far above the median marks its victims CROSSTALK, ADU."
    )
    doSubtrahendMasking: Any = Field(  # noqa: N815
        dtype=bool, default=False, doc="Mark where the crosstalk itself, not its source, is that strong."
    )
    crosstalkBackgroundMethod: Any = ChoiceField(  # noqa: N815
        dtype=str,
        default="None",
        allowed={"None": "Nothing.", "AMP": "The median of each amplifier.", "DETECTOR": "That of the detector."},
        doc="What is taken off the sources.",
    )
    doQuadraticCrosstalkCorrection: Any = Field(  # noqa: N815
        dtype=bool, default=False, doc="Use the quadratic coefficients too."
    )

    def settings(self) -> CrosstalkSettings:
        """The same as the algorithm takes it."""
        names: dict[str, Any] = {"None": "NONE", "AMP": "AMPLIFIER", "DETECTOR": "DETECTOR"}
        infinite = float("inf")
        by_signal = self.doSubtrahendMasking
        return CrosstalkSettings(
            background=names[self.crosstalkBackgroundMethod],
            source_level=infinite if by_signal else self.minPixelToMask,
            signal_level=self.minPixelToMask if by_signal else infinite,
            quadratic=self.doQuadraticCrosstalkCorrection,
        )


class FringeConfig(Config):
    """How strong the fringes are is measured."""

    filters: Any = ListField(dtype=str, default=[], doc="Filters whose frames must have a fringe frame.")
    num: Any = RangeField(dtype=int, default=30000, min=1, doc="Places at which the contrast is measured.")
    small: Any = RangeField(dtype=int, default=3, min=1, doc="Half the side of the box that sees a fringe, px.")
    large: Any = RangeField(dtype=int, default=30, min=1, doc="Half the side of the box about it, px.")
    iterations: Any = RangeField(dtype=int, default=20, min=1, doc="How often to look for outliers, at most.")
    clip: Any = RangeField(dtype=float, default=3.0, min=0.0, doc="Outliers are farther off, in the scatter.")
    pedestal: Any = Field(dtype=bool, default=False, doc="Take the median off each fringe frame.")

    def settings(self) -> FringeSettings:
        """The same as the algorithm takes it."""
        return FringeSettings(
            positions=self.num,
            small_radius=self.small,
            large_radius=self.large,
            iterations=self.iterations,
            n_sigma=self.clip,
            pedestal=self.pedestal,
        )


class IsrConfig(PipelineTaskConfig, pipelineConnections=IsrConnections):
    """Settings of `IsrTask`."""

    observation_types: Any = ListField(
        dtype=str, default=["science"], doc="Frames of these types are corrected; empty: all frames."
    )
    doBias: Any = _switch(True, "Subtract a bias")  # noqa: N815
    doDark: Any = _switch(True, "Subtract a dark")  # noqa: N815
    doFlat: Any = _switch(True, "Divide by a flat")  # noqa: N815
    doDefect: Any = _switch(True, "Mask defects")  # noqa: N815
    doCrosstalk: Any = _switch(False, "Take off the amplifiers' crosstalk")  # noqa: N815
    doLinearize: Any = Field(  # noqa: N815
        dtype=bool,
        optional=True,
        default=True,
        doc="Linearise the counts where a calibration, or the camera's description, says how; False leaves them.",
    )
    doBrighterFatter: Any = _switch(False, "Move charge back that was repelled")  # noqa: N815
    doFringe: Any = Field(  # noqa: N815
        dtype=bool,
        optional=True,
        default=True,
        doc="Take off fringes: True requires a frame for the filters named, False leaves them; None: if there is one.",
    )
    overscan: Any = ConfigField(dtype=OverscanConfig, doc="Overscan columns, read after those of the data.")
    parallel_overscan: Any = ConfigField(dtype=OverscanConfig, doc="Overscan rows, read after those of the data.")
    crosstalk: Any = ConfigField(dtype=CrosstalkConfig, doc="How crosstalk is taken off.")
    fringe: Any = ConfigField(dtype=FringeConfig, doc="How fringes are measured.")
    brighterFatterMaxIter: Any = RangeField(  # noqa: N815
        dtype=int, default=10, min=1, doc="How often charge is moved back, at most."
    )
    brighterFatterThreshold: Any = RangeField(  # noqa: N815
        dtype=float, default=1000.0, min=0.0, doc="Change of the whole image at which that ends, electrons."
    )
    doFluxConservingBrighterFatterCorrection: Any = Field(  # noqa: N815
        dtype=bool, default=False, doc="Move charge between neighbours so that none is lost or made."
    )
    growSaturationFootprintSize: Any = RangeField(  # noqa: N815
        dtype=int, default=1, min=0, doc="Pixels to grow saturated areas by."
    )
    doWidenSaturationTrails: Any = Field(  # noqa: N815
        dtype=bool, default=True, doc="Widen saturated areas along the rows, the more the wider they are."
    )
    doEmpiricalReadNoise: Any = Field(  # noqa: N815
        dtype=bool, default=False, doc="Take the read noise from the overscan where there is one, not the camera's."
    )
    flat_minimum: Any = RangeField(
        dtype=float, default=0.1, min=0.0, max=1.0, doc="Pixels of less relative response are bad."
    )
    maskListToInterpolate: Any = ListField(  # noqa: N815
        dtype=str,
        default=["SAT", "BAD", "UNMASKEDNAN"],
        itemCheck=_is_plane,
        doc="Pixels with one of these mask planes get a value from their neighbours.",
    )
    interpolate_max_run: Any = RangeField(
        dtype=int, default=16, min=1, doc="Longest run of such pixels to bridge; wider areas become NO_DATA."
    )

    def setDefaults(self) -> None:  # noqa: N802
        """Leave the parallel overscan alone."""
        super().setDefaults()  # type: ignore[no-untyped-call]
        self.parallel_overscan.fitType = "NONE"

    def settings(self) -> IsrSettings:
        """The same as the algorithm takes it."""
        return IsrSettings(
            use_bias=self.doBias,
            use_dark=self.doDark,
            use_flat=self.doFlat,
            use_defects=self.doDefect,
            use_crosstalk=self.doCrosstalk,
            use_linearity=None if self.doLinearize else self.doLinearize,
            use_brighter_fatter=self.doBrighterFatter,
            use_fringes=None if self.doFringe else self.doFringe,
            serial_overscan=self.overscan.settings(),
            parallel_overscan=self.parallel_overscan.settings(),
            crosstalk=self.crosstalk.settings(),
            brighter_fatter=BrighterFatterSettings(
                method="FLUX_CONSERVING" if self.doFluxConservingBrighterFatterCorrection else "COULTON18",
                max_iterations=self.brighterFatterMaxIter,
                threshold=self.brighterFatterThreshold,
            ),
            fringes=self.fringe.settings(),
            widen_trails=self.doWidenSaturationTrails,
            grow_saturated=self.growSaturationFootprintSize,
            measured_read_noise=self.doEmpiricalReadNoise,
            flat_minimum=self.flat_minimum,
            interpolation=InterpolationSettings(
                planes=tuple(self.maskListToInterpolate), max_run=self.interpolate_max_run
            ),
        )
