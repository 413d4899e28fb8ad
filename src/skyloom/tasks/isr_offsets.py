"""Steps between amplifiers: the background and the sources that their measurement needs to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skyloom.background import BackgroundSettings, fit_background
from skyloom.images import bitmask
from skyloom.isr import AmplifierOffsets, correct_offsets, grow, measure_offsets
from skyloom.kernels.clipped_statistics import clipped_statistics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skyloom.images import Exposure
    from skyloom.isr import AmplifierLayout

    from .isr_groups import AmpOffsetConfig

__all__ = ["correct_amplifier_offsets"]

_SOURCE_SIGMA = 4.0
"""Cutting closer would cut the noise of a high amplifier above and that of a low one below: at 2, an eighth of a step
would be lost, however small it is."""
_SOURCE_MARGIN = 2
"""Pixels about a source, for its wings."""


def correct_amplifier_offsets(
    exposure: Exposure, layouts: Sequence[AmplifierLayout], config: AmpOffsetConfig, file: str
) -> AmplifierOffsets:
    """Measure the levels of amplifiers relative to each other, take them off if the settings say so, and keep them in
    the metadata of the exposure.
    """
    image, bits, settings = exposure.image.array, exposure.bits, config.settings()
    background = None
    if config.doBackground:
        short = min(part.stop - part.start for part in layouts[0].trimmed)
        # In a cell that both strips of a border fit into, the smoothed step is a slope.
        strips = 2 * (config.ampEdgeInset + config.ampEdgeWidth)
        bin_size = max(round(short * config.backgroundFractionSample), strips)
        background = fit_background(image, bits, settings=BackgroundSettings(bin_size=bin_size)).render()
    seen = bits
    if config.doDetection:
        seen = _with_sources(image if background is None else image - background, bits)
    measure = correct_offsets if config.doApplyAmpOffset else measure_offsets
    offsets = measure(image, seen, layouts, settings, background=background, file=file)
    for (one, other), step in offsets.steps.items():
        exposure.metadata[f"LSST ISR AMPOFFSET INTERFACEOFFSET {one}-{other}"] = step
    for name, pedestal in offsets.pedestals.items():
        exposure.metadata[f"LSST ISR AMPOFFSET PEDESTAL {name}"] = pedestal
    exposure.metadata["LSST ISR AMPOFFSET PEDESTAL SUBTRACTED"] = bool(config.doApplyAmpOffset)
    return offsets


def _with_sources(image: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """A copy of the mask with pixels that stand out either way, and those about them, as DETECTED."""
    found = clipped_statistics(image, bits, bitmask("BAD", "SAT", "NO_DATA"))
    seen = bits.copy()
    seen[np.abs(image - found.median) > _SOURCE_SIGMA * found.sigma] |= bitmask("DETECTED")
    grow(seen, bitmask("DETECTED"), _SOURCE_MARGIN)
    return seen
