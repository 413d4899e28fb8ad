"""Raw frames as counts above the bias, before gains and flat field come in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from skyloom.errors import BadFrameError
from skyloom.images.mask_planes import bitmask
from skyloom.isr import check_not_empty, layout_of, master_planes, read_out
from skyloom.isr.bias import subtract_bias
from skyloom.isr.linearity import linearize
from skyloom.isr.mode import check_mode

if TYPE_CHECKING:
    from lsst.images import MaskedImage

    from skyloom.images.raw import RawExposure
    from skyloom.isr import IsrSettings, Linearity

__all__ = ["usable_counts"]


def usable_counts(
    raw: RawExposure,
    settings: IsrSettings,
    *,
    bias: MaskedImage | None = None,
    linearities: Mapping[str, Linearity] | None = None,
) -> np.ndarray:
    """Trimmed pixels ``[y, x]`` in ADU above overscan and bias, not a number where saturated, bad or not read.

    Parameters
    ----------
    raw
        A frame that its camera has completed.
    settings
        How saturation is told, and the overscan taken off.
    bias
        Master bias in ADU; without one amplifiers without overscan keep their pedestal.
    linearities
        Correction of each amplifier, by its name.

    Raises
    ------
    BadFrameError
        If the frame is empty, has no detector, or a calibration does not fit it.
    """
    if raw.detector is None:
        raise BadFrameError("the frame has no detector.", file=raw.file, cure="Complete it with its camera first.")
    layouts = layout_of(raw.detector, raw.image.shape, raw.file)
    check_not_empty(raw, layouts)
    y_size, x_size = raw.detector.bbox.shape
    counts = read_out(raw, layouts, (y_size, x_size), settings, pedestals_adu=None, metadata={})
    if bias is not None:
        check_mode(bias, "bias", raw)
        planes = master_planes(bias, counts.image.shape, "bias", raw.file)
        subtract_bias(counts.image, np.zeros_like(counts.image), counts.bits, planes)
    if linearities is not None:
        linearize(counts.image, layouts, linearities, file=raw.file)
    counts.image[(counts.bits & bitmask("SAT", "BAD", "NO_DATA")) != 0] = np.nan
    return counts.image
