"""Places without a source, to be measured like sources: what comes out tells the noise of every flux."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from lsst.images import Box
from scipy.stats import qmc

from skyloom.images.exposure import Exposure
from skyloom.images.footprints import PEAK_DTYPE, Footprint, FootprintSet
from skyloom.images.mask_planes import bitmask
from skyloom.images.spans import SpanSet

__all__ = ["SkySourceSettings", "place_sky_sources"]


@dataclass(frozen=True, kw_only=True)
class SkySourceSettings:
    """How places without a source are sought."""

    count: int = 100
    """Places wanted; a crowded frame may have fewer."""
    radius: float = 8.0
    """Of the disk that has to be free, px; it is the footprint."""
    trials_a_source: int = 5
    """Places that are tried for each that is wanted."""
    avoided_planes: tuple[str, ...] = ("DETECTED", "DETECTED_NEGATIVE", "BAD", "NO_DATA")
    """A disk holds no pixel of these."""


def place_sky_sources(exposure: Exposure, seed: int, settings: SkySourceSettings | None = None) -> FootprintSet:
    """Disks that hold no source, evenly spread over a frame.

    The places come from a scrambled Halton sequence (Halton 1960, Numer. Math. 2, 84), which leaves no large gaps.

    Parameters
    ----------
    exposure
        With its detection planes; left as it is.
    seed
        Of the scrambling.
    settings
        Knobs.

    Returns
    -------
    FootprintSet
        One footprint a place, with one peak of value 0.
    """
    settings = settings or SkySourceSettings()
    box, margin = exposure.bbox, int(settings.radius) + 1
    height, width = box.shape
    disk = SpanSet(np.array([0]), np.array([0]), np.array([1])).dilated(settings.radius)
    taken = (exposure.bits & bitmask(*settings.avoided_planes)) != 0
    found: list[Footprint] = []
    if min(height, width) > 2 * margin:
        sequence = qmc.Halton(2, scramble=True, rng=seed)
        trials = sequence.random(settings.trials_a_source * settings.count)
        columns = (margin + trials[:, 0] * (width - 2 * margin)).astype(int)
        rows = (margin + trials[:, 1] * (height - 2 * margin)).astype(int)
        for x, y in zip(columns, rows, strict=True):
            if len(found) == settings.count:
                break
            spans = disk.shifted(x, y)
            if not _reads(taken, spans):
                # The next disk keeps a radius of empty pixels from this one.
                _write(taken, disk.dilated(settings.radius).shifted(x, y))
                peak = np.array([(x + box.x.min, y + box.y.min, 0.0)], PEAK_DTYPE)
                found.append(Footprint(spans.shifted(box.x.min, box.y.min), peak))
    return FootprintSet(found, Box.factory[box.y.start : box.y.stop, box.x.start : box.x.stop])


def _reads(plane: np.ndarray, spans: SpanSet) -> bool:
    """Whether a pixel of the spans is set."""
    return any(plane[y, a:b].any() for y, a, b in zip(spans.y, spans.x0, spans.x1, strict=True))


def _write(plane: np.ndarray, spans: SpanSet) -> None:
    """Set the pixels of spans, which may reach over the border."""
    for y, a, b in zip(spans.y, spans.x0, spans.x1, strict=True):
        if 0 <= y < plane.shape[0]:
            plane[y, max(a, 0) : max(b, 0)] = True
