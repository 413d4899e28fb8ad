"""A master frame: pixels with their variance, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import astropy.units as u
import numpy as np
from lsst.images import Image, Mask, MaskedImage

from skyloom.images.mask_planes import MASK_SCHEMA, bitmask, bits_of
from skyloom.isr import PEDESTAL_ONLY, mode_cards

from .frame_stack import Combined
from .frames import CalibFrames

__all__ = ["Master", "make_master", "master_image"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Master:
    """A master frame of one detector."""

    image: MaskedImage
    """Its metadata name the frames used, the read-out mode and the figures."""
    figures: dict[str, float]
    """By which the master can be judged; the names carry the units."""
    frames: list[int] = field(default_factory=list)
    """Exposures that were used."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Frames that were not, with the reason, by file."""


def master_image(pixels: np.ndarray, variance: np.ndarray, unit: u.UnitBase) -> MaskedImage:
    """Pixels and variance ``[y, x]`` as a masked image; pixels that are not numbers are BAD."""
    mask = Mask(0, schema=MASK_SCHEMA, shape=pixels.shape)
    bits_of(mask)[~np.isfinite(pixels)] |= bitmask("BAD")
    return MaskedImage(Image(pixels, unit=unit), mask=mask, variance=Image(variance, unit=unit**2))


def make_master(
    frames: CalibFrames,
    combined: Combined,
    unit: u.UnitBase,
    figures: Mapping[str, float],
    *,
    pedestal_only: bool = False,
) -> Master:
    """The master of a stack, with the record of what it was made of."""
    image = master_image(combined.image, combined.variance, unit)
    figures = {"clipped_fraction": combined.clipped_fraction, **figures}
    image.metadata["LSST CALIB KIND"] = frames.kind
    image.metadata["LSST CALIB FRAMES"] = " ".join(str(facts.exposure) for facts in frames.facts)
    image.metadata["LSST CALIB LEFT OUT"] = len(frames.left_out)
    image.metadata[PEDESTAL_ONLY] = pedestal_only
    image.metadata.update(mode_cards(frames.facts[0].mode))
    image.metadata.update({f"LSST CALIB {name.upper().replace('_', ' ')}": value for name, value in figures.items()})
    return Master(
        image=image,
        figures=dict(figures),
        frames=[facts.exposure for facts in frames.facts],
        left_out=dict(frames.left_out),
    )
