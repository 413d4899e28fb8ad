"""Mark the border of a detector or of its amplifiers, where the electric field in the silicon is bent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from .amplifiers import Region

__all__ = ["mark_edges"]


def mark_edges(bits: np.ndarray, bit: int, width: int, regions: Iterable[Region] | None = None) -> None:
    """Set ``bit`` in ``bits`` (``[y, x]``, in place) on the outermost ``width`` pixels.

    Parameters
    ----------
    bits
        Mask bits of the trimmed detector.
    bit
        The integer of the mask plane.
    width
        Pixels; 0 or less marks nothing.
    regions
        Regions to mark the border of, such as those of the amplifiers; None for the detector.
    """
    if width <= 0:
        return
    for part in [bits] if regions is None else [bits[region] for region in regions]:
        for lines in (part, part.T):
            lines[:width] |= bit
            lines[max(len(lines) - width, 0) :] |= bit
