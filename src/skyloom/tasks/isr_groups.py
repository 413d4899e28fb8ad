"""Groups of settings of `IsrTask`, each of one correction."""

from __future__ import annotations

from typing import Any

from lsst.pex.config import ChoiceField, Config, ConfigField, Field, ListField, RangeField

from skyloom.isr import (
    AmplifierOffsetSettings,
    CrosstalkSettings,
    FringeSettings,
    OverscanSettings,
    QualitySettings,
    ThumbnailSettings,
    VignetteSettings,
)

__all__ = [
    "AmpOffsetConfig",
    "CrosstalkConfig",
    "FlatnessConfig",
    "FringeConfig",
    "OverscanConfig",
    "QaConfig",
    "VignetteConfig",
]


class OverscanConfig(Config):
    """How the level of an overscan region is found."""

    fitType: Any = ChoiceField(
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
    numSigmaClip: Any = RangeField(
        dtype=float, default=3.0, min=0.0, doc="Pixels farther from their row's median, in its scatter, are left out."
    )
    leadingColumnsToSkip: Any = RangeField(dtype=int, default=0, min=0, doc="Columns next to the data to leave out.")
    trailingColumnsToSkip: Any = RangeField(dtype=int, default=0, min=0, doc="Columns at the far side to leave out.")
    maxDeviation: Any = RangeField(
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

    minPixelToMask: Any = RangeField(
        dtype=float, default=45000.0, min=0.0, doc="What is this far above the median marks its victims CROSSTALK, ADU."
    )
    doSubtrahendMasking: Any = Field(
        dtype=bool, default=False, doc="Mark where the crosstalk itself, not its source, is that strong."
    )
    crosstalkBackgroundMethod: Any = ChoiceField(
        dtype=str,
        default="None",
        allowed={"None": "Nothing.", "AMP": "The median of each amplifier.", "DETECTOR": "That of the detector."},
        doc="What is taken off the sources.",
    )
    doQuadraticCrosstalkCorrection: Any = Field(dtype=bool, default=False, doc="Use the quadratic coefficients too.")

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


class VignetteConfig(Config):
    """The circle of the focal plane that the optics illuminate."""

    xCenter: Any = Field(dtype=float, default=0.0, doc="Its centre, mm of the focal plane.")
    yCenter: Any = Field(dtype=float, default=0.0, doc="Likewise.")
    radius: Any = RangeField(dtype=float, default=100.0, min=0.0, inclusiveMin=False, doc="Its radius, mm.")
    numPolygonPoints: Any = RangeField(dtype=int, default=100, min=3, doc="Vertices of the polygon that stands for it.")

    def settings(self) -> VignetteSettings:
        """The same as the algorithm takes it."""
        return VignetteSettings(
            x_centre_mm=self.xCenter,
            y_centre_mm=self.yCenter,
            radius_mm=self.radius,
            polygon_points=self.numPolygonPoints,
        )


class AmpOffsetConfig(Config):
    """How steps between amplifiers are measured."""

    ampEdgeInset: Any = RangeField(dtype=int, default=5, min=0, doc="Pixels next to a border to leave out.")
    ampEdgeWidth: Any = RangeField(
        dtype=int, default=64, min=1, doc="Pixels beyond those to measure on, on either side."
    )
    ampEdgeMinFrac: Any = RangeField(
        dtype=float, default=0.5, min=0.0, max=1.0, doc="A border of which less can be used tells nothing."
    )
    ampEdgeMaxOffset: Any = RangeField(
        dtype=float, default=5.0, min=0.0, doc="A larger step is something else, electrons."
    )
    doWindowSmoothing: Any = Field(dtype=bool, default=True, doc="Smooth the steps along a border.")
    ampEdgeWindowFrac: Any = RangeField(
        dtype=float, default=512 / 4176, min=0.0, max=1.0, doc="Over this part of the border."
    )
    doBackground: Any = Field(dtype=bool, default=True, doc="Take a smooth background off first.")
    backgroundFractionSample: Any = RangeField(
        dtype=float,
        default=1.0,
        min=0.0,
        inclusiveMin=False,
        doc="Its cells, in the shorter side of an amplifier; but at least as large as both strips.",
    )
    doDetection: Any = Field(dtype=bool, default=True, doc="Leave sources out.")
    applyWeights: Any = Field(dtype=bool, default=True, doc="Let a border count by its length.")
    doApplyAmpOffset: Any = Field(
        dtype=bool, default=False, doc="Take the offsets off; else they are measured and recorded alone."
    )

    def settings(self) -> AmplifierOffsetSettings:
        """The same as the algorithm takes it."""
        return AmplifierOffsetSettings(
            inset=self.ampEdgeInset,
            depth=self.ampEdgeWidth,
            minimum_fraction=self.ampEdgeMinFrac,
            maximum_offset=self.ampEdgeMaxOffset,
            smoothing_fraction=self.ampEdgeWindowFrac if self.doWindowSmoothing else 0.0,
            fit_slope=self.doBackground,
            weight_by_length=self.applyWeights,
        )


class FlatnessConfig(Config):
    """How the background is sampled."""

    meshX: Any = RangeField(dtype=int, default=256, min=1, doc="Columns of a cell.")
    meshY: Any = RangeField(dtype=int, default=256, min=1, doc="Rows of a cell.")
    doClip: Any = Field(dtype=bool, default=True, doc="Leave outliers out of the mean of a cell.")
    clipSigma: Any = RangeField(dtype=float, default=3.0, min=0.0, doc="They are farther off.")
    nIter: Any = RangeField(dtype=int, default=3, min=1, doc="How often to look for them.")

    def settings(self) -> QualitySettings:
        """The same as the algorithm takes it."""
        return QualitySettings(
            mesh_x=self.meshX,
            mesh_y=self.meshY,
            clip=self.doClip,
            clip_sigma=self.clipSigma,
            clip_passes=self.nIter,
        )


class QaConfig(Config):
    """Figures and pictures for a look at the result."""

    saveStats: Any = Field(
        dtype=bool, default=True, doc="Keep median and scatter of variance and background of each amplifier."
    )
    flatness: Any = ConfigField(dtype=FlatnessConfig, doc="How the background is sampled.")
    doThumbnailOss: Any = Field(
        dtype=bool, default=False, doc="Make a picture of the frame after the overscan is taken off."
    )
    doThumbnailFlattened: Any = Field(dtype=bool, default=False, doc="Make one after the flat.")
    thumbnailBinning: Any = RangeField(dtype=int, default=4, min=1, doc="Pixels to a side that make one.")
    thumbnailStdev: Any = Field(dtype=float, default=3.0, doc="Black is this far below the background, in its scatter.")
    thumbnailRange: Any = RangeField(
        dtype=float, default=5.0, min=0.0, inclusiveMin=False, doc="Range of the stretch, in the unit of the image."
    )
    thumbnailQ: Any = RangeField(
        dtype=float, default=20.0, min=0.0, inclusiveMin=False, doc="Softening of the stretch."
    )
    thumbnailSatBorder: Any = RangeField(
        dtype=int, default=2, min=0, doc="Border about saturated pixels, binned pixels."
    )

    def thumbnails(self) -> ThumbnailSettings:
        """The look of the pictures, as the algorithm takes it."""
        return ThumbnailSettings(
            binning=self.thumbnailBinning,
            black_sigma=self.thumbnailStdev,
            stretch=self.thumbnailRange,
            softening=self.thumbnailQ,
            saturated_border=self.thumbnailSatBorder,
        )
