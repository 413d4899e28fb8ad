"""Files of a camera that are not its raw frames as this description has them: single amplifiers, corrected frames,
masters; how they are told from raw frames, and what they mean.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .parts import BoxDescription, ExpressionText, Part

__all__ = ["CorrectedDescription", "MastersDescription", "SeparateAmplifierDescription"]


class SeparateAmplifierDescription(Part):
    """An amplifier in files that hold an image for each, which are put together to the detector's raw image."""

    recognise: ExpressionText
    """True for the header of this amplifier's image."""
    data: BoxDescription
    """In that image: the pixels that saw light."""
    serial_overscan: BoxDescription | None = None
    parallel_overscan: BoxDescription | None = None
    prescan: BoxDescription | None = None
    flip_x: bool = False
    """Whether columns are mirrored on the way to the raw image."""
    flip_y: bool = False
    """Whether rows are."""
    cards: dict[str, str] = Field(default_factory=dict)
    """Keywords that the header of the detector's raw image gets, and those that they come from."""


class CorrectedDescription(Part):
    """Frames that another pipeline has freed of the instrument signature, beside the raw ones."""

    recognise: ExpressionText
    """True for the header of such a frame."""
    gain: Annotated[float, Field(gt=0)]
    """Electrons that a count of any amplifier stands for: a flat field has brought them to one scale."""
    blank: float | None = None
    """Count that stands for masked pixels."""
    saturation: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Part of the saturation level from which on pixels are saturated: they were divided by the flat field."""
    keep: list[str] = Field(default_factory=list)
    """Keywords to keep with the frame: how it was corrected."""


class MastersDescription(Part):
    """Master calibrations that another pipeline has made."""

    recognise: ExpressionText
    """True for the header of a master; it has the observation type of its kind."""
    units: dict[str, str] = Field(default_factory=dict)
    """Units of their pixels by kind, where the header does not tell them."""
    begin: str | None = None
    """Keyword of the first day for which they hold."""
    end: str | None = None
    """Keyword of the last day."""
    includes_bias: ExpressionText | None = None
    """True for the header of a dark from which the bias was not taken off."""
