"""`ClipDetectionTask`: the footprints of a difference image, with the documented names of its settings."""

from __future__ import annotations

from typing import Any

from lsst.pex.config import ChoiceField, Config, Field, FieldValidationError, RangeField
from lsst.pipe.base import Task

from skyloom.coadd import ClipDetectionSettings, Regions, detect_regions
from skyloom.images import Exposure

__all__ = ["ClipDetectionConfig", "ClipDetectionTask"]

_DEFAULTS = ClipDetectionSettings()


class ClipDetectionConfig(Config):
    """Settings of `ClipDetectionTask`."""

    thresholdType: Any = ChoiceField(
        dtype=str,
        default="pixel_stdev",
        allowed={"pixel_stdev": "In standard deviations of each pixel, by the variance plane."},
        doc="What the threshold is measured in.",
    )
    thresholdValue: Any = RangeField(
        dtype=float, default=_DEFAULTS.threshold, min=0.0, inclusiveMin=False, doc="Threshold of a pixel."
    )
    thresholdPolarity: Any = ChoiceField(
        dtype=str,
        default=_DEFAULTS.polarity,
        allowed={"both": "Above and below zero.", "positive": "Above zero.", "negative": "Below zero."},
        doc="On which side of zero footprints lie.",
    )
    minPixels: Any = RangeField(
        dtype=int, default=_DEFAULTS.min_pixels, min=1, doc="Pixels above the threshold that a footprint has."
    )
    nSigmaToGrow: Any = RangeField(
        dtype=float, default=_DEFAULTS.grow_sigmas, min=0.0, doc="Footprints grow by this many PSF sigmas."
    )
    isotropicGrow: Any = Field(dtype=bool, default=_DEFAULTS.isotropic_grow, doc="By discs?  Else by diamonds.")
    returnOriginalFootprints: Any = Field(dtype=bool, default=False, doc="Are footprints given as before they grow?")
    doSmooth: Any = Field(dtype=bool, default=_DEFAULTS.smooth, doc="Is the image smoothed with the PSF first?")
    doTempLocalBackground: Any = Field(dtype=bool, default=False, doc="A difference has no background: only False.")
    reEstimateBackground: Any = Field(dtype=bool, default=False, doc="A difference has no background: only False.")

    def settings(self) -> ClipDetectionSettings:
        """The same as the algorithm takes it."""
        return ClipDetectionSettings(
            threshold=self.thresholdValue,
            min_pixels=self.minPixels,
            grow_sigmas=0.0 if self.returnOriginalFootprints else self.nSigmaToGrow,
            isotropic_grow=self.isotropicGrow,
            polarity=self.thresholdPolarity,
            smooth=self.doSmooth,
        )

    def validate(self) -> None:
        """Refuse to fit a background to a difference: artifacts would be part of it."""
        super().validate()  # type: ignore[no-untyped-call]
        for name in ("doTempLocalBackground", "reEstimateBackground"):
            if getattr(self, name):
                field = getattr(type(self), name)
                raise FieldValidationError(field, self, "The background of a difference is zero.")


class ClipDetectionTask(Task):
    """Find where a difference image is not zero."""

    ConfigClass = ClipDetectionConfig
    _DefaultName = "clipDetection"
    config: ClipDetectionConfig

    def run(self, exposure: Exposure, sigma: float | None = None) -> Regions:
        """Find footprints, and mark them in the mask, in place.

        Parameters
        ----------
        exposure
            The difference.
        sigma
            Of its PSF, px; None: of the PSF that it has.

        Returns
        -------
        skyloom.coadd.Regions
            Grown footprints, those above and below zero merged where they overlap.

        Raises
        ------
        skyloom.errors.PsfError
            If the width of the PSF is not known, and needed.
        """
        return detect_regions(exposure, self.config.settings(), sigma)
