"""`InterpImageTask`: pixels of a picture given values from those beside them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from lsst.images import Box
from lsst.pex.config import ChoiceField, Config, Field, FieldValidationError
from lsst.pipe.base import Task

from skyloom.coadd import Fallback, InterpolationSettings, fallback_value, interpolate_missing
from skyloom.images import MASK_PLANES, SpanSet, bitmask

if TYPE_CHECKING:
    from skyloom.images import Exposure

__all__ = ["InterpImageConfig", "InterpImageTask"]

_DEFAULTS = InterpolationSettings()


class InterpImageConfig(Config):
    """Settings of `InterpImageTask`."""

    useFallbackValueAtEdge: Any = Field(
        dtype=bool,
        default=_DEFAULTS.fallback_at_edges,
        doc="Smoothly taper to the fallback value at the edge of the image?",
    )
    fallbackValueType: Any = ChoiceField(
        dtype=str,
        default=str(_DEFAULTS.fallback),
        allowed={
            "MEAN": "Mean of the picture.",
            "MEDIAN": "Median of the picture.",
            "MEANCLIP": "Clipped mean of the picture.",
            "USER": "fallbackUserValue.",
        },
        doc="Value for rows without a good pixel, and for the edge of the image.",
    )
    fallbackUserValue: Any = Field(dtype=float, default=_DEFAULTS.user_value, doc="Of USER: that value.")
    negativeFallbackAllowed: Any = Field(
        dtype=bool, default=_DEFAULTS.negative_allowed, doc="May the fallback value be negative?  Else 0 replaces it."
    )
    transpose: Any = Field(dtype=bool, default=_DEFAULTS.transpose, doc="Interpolate along columns?  Else along rows.")

    def settings(self) -> InterpolationSettings:
        """The same as the algorithm takes it."""
        return InterpolationSettings(
            fallback=Fallback(self.fallbackValueType),
            user_value=self.fallbackUserValue,
            negative_allowed=self.negativeFallbackAllowed,
            fallback_at_edges=self.useFallbackValueAtEdge,
            transpose=self.transpose,
        )

    def validate(self) -> None:
        """Refuse a negative value of the user's where none is allowed."""
        super().validate()  # type: ignore[no-untyped-call]
        try:
            self.settings()
        except ValueError as error:
            raise FieldValidationError(type(self).fallbackUserValue, self, str(error)) from error


class InterpImageTask(Task):
    """Interpolate over pixels of a mask plane or over given defects."""

    ConfigClass = InterpImageConfig
    _DefaultName = "interpImage"
    config: InterpImageConfig

    def run(
        self,
        image: Exposure,
        planeName: str | None = None,
        fwhmPixels: float | None = None,
        defects: Iterable[Box | SpanSet] | None = None,
    ) -> None:
        """Interpolate in place.

        Parameters
        ----------
        image
            The picture.  Pixels that get a value get INTRP and keep their other planes; the variance of all that were
            asked for becomes +inf.
        planeName
            Mask plane of the pixels.
        fwhmPixels
            Not used: the prediction is that of a source of 1 pixel sigma, whatever the seeing.
        defects
            The pixels instead: boxes, or sets of spans, in pixels of the picture.

        Raises
        ------
        ValueError
            If both or neither of ``planeName`` and ``defects`` are given, or there is no such plane.
        """
        missing = _wanted(image, planeName, defects)
        settings = self.config.settings()
        fallback, replaced = fallback_value(image.image.array, settings)
        if replaced:
            self.log.warning("the %s of the picture is negative; 0 stands in for it", settings.fallback)
        filled = interpolate_missing(image, missing, settings, fallback)
        self.metadata["interpolated_pixel_count"] = int(filled.sum())
        self.log.info("%d of %d pixels interpolated", int(filled.sum()), int(missing.sum()))


def _wanted(image: Exposure, plane: str | None, defects: Iterable[Box | SpanSet] | None) -> np.ndarray:
    """Which pixels ``[y, x]`` are to be filled."""
    if (plane is None) == (defects is None):
        raise ValueError("Give either planeName or defects.")
    if plane is not None:
        if plane not in MASK_PLANES:
            raise ValueError(f"There is no mask plane {plane!r}; there are {', '.join(MASK_PLANES)}.")
        return np.asarray((image.bits & bitmask(plane)) != 0)
    missing = np.zeros(image.bbox.shape, bool)
    for one in defects or ():
        spans = SpanSet.from_box(one) if isinstance(one, Box) else one
        missing |= spans.to_mask(image.bbox)
    return missing
