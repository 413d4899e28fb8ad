"""What is told of a corrected frame: figures for its metadata, warnings, and copies in coarser pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from lsst.images import Image, MaskedImage

from skyloom.images import Exposure
from skyloom.isr import amplifier_statistics, bin_bits, bin_image
from skyloom.kernels.clipped_statistics import clipped_statistics

if TYPE_CHECKING:
    from skyloom.isr import AmplifierLayout

    from .isr_config import IsrConfig

__all__ = ["binned", "record_statistics", "warnings_of"]


def record_statistics(exposure: Exposure, layouts: Sequence[AmplifierLayout], config: IsrConfig) -> None:
    """Keep figures of each amplifier in the metadata of the exposure, as the settings want them."""
    metadata = exposure.metadata
    if config.doStandardStatistics:
        levels = {
            layout.name: metadata[key] * layout.gain
            for layout in layouts
            if (key := f"LSST ISR OVERSCAN SERIAL MEDIAN {layout.name}") in metadata
        }
        metadata |= amplifier_statistics(exposure.image.array, exposure.bits, layouts, levels)
    if config.qa.saveStats:
        for layout in layouts:
            part = layout.trimmed
            for what, plane in (("VARIANCE", exposure.variance), ("BACKGROUND", exposure.image)):
                if what == "BACKGROUND" and config.doStandardStatistics:
                    median, sigma = (metadata[f"LSST ISR FINAL {kind} {layout.name}"] for kind in ("MEDIAN", "STDEV"))
                else:
                    median, _, sigma, *_ = clipped_statistics(plane.array[part], exposure.bits[part])
                metadata[f"ISR {what} {layout.name} MEDIAN"] = median
                metadata[f"ISR {what} {layout.name} STDEV"] = sigma


def warnings_of(metadata: Mapping[str, Any]) -> list[str]:
    """What a user should know of a corrected frame, a line each."""
    lines = []
    if bad := metadata.get("LSST ISR BAD AMPLIFIERS"):
        lines.append(f"amplifiers {', '.join(bad)} are bad as a whole.")
    if count := metadata.get("NUMNANS"):
        lines.append(f"{count} pixels are not numbers.")
    if metadata.get("LSST ISR BF CONVERGED") is False:
        lines.append("the brighter-fatter correction did not converge.")
    if metadata.get("LSST ISR FRINGE SAMPLES") == 0:
        lines.append("no place tells how strong the fringes are: none were subtracted.")
    if outside := metadata.get("LSST ISR LINEARITY OUT OF RANGE"):
        lines.append(f"{outside} pixels are outside the range of the linearity correction.")
    return lines


def binned(exposure: Exposure, factor: int) -> MaskedImage:
    """Means of blocks of ``factor`` x ``factor`` pixels, with their variances; +inf where none was measured."""
    spread = exposure.variance.array
    measured = bin_image(np.isfinite(spread), factor) * np.float32(factor**2)
    with np.errstate(invalid="ignore"):
        variance = np.where(measured > 0, bin_image(spread, factor) / measured, np.float32(np.inf))
    coarse = Exposure.from_arrays(
        bin_image(exposure.image.array, factor), bin_bits(exposure.bits, factor), variance, unit=exposure.unit
    )
    return MaskedImage(
        Image(coarse.image.array, bbox=coarse.bbox, unit=exposure.unit), mask=coarse.mask, variance=coarse.variance
    )
