"""Masks carried to and from files whole.

`lsst.images` takes a mask to the integer image of a file, and back, one plane at a time: with nineteen planes that is
half of the time that reading and writing takes.  Where both sides number their planes alike, which is so for every mask
of skyloom, one pass does the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from lsst.images import Mask

__all__ = ["carry_masks_whole"]


def carry_masks_whole() -> None:
    """Give `lsst.images.Mask.update` the short way, for this process; called again it does nothing."""
    if not hasattr(Mask.update, "__wrapped__"):
        Mask.update = _whole(Mask.update)  # type: ignore[assignment,method-assign]


def _whole(by_plane: Callable[[Mask, Mask], None]) -> Callable[[Mask, Mask], None]:
    @functools.wraps(by_plane)
    def update(self: Mask, other: Mask) -> None:
        if self.bbox != other.bbox or not _numbered_alike(self, other):
            by_plane(self, other)
            return
        self.array[...] |= other.array & self.schema.bitmask(*self.schema.names)

    return update


def _numbered_alike(one: Mask, other: Mask) -> bool:
    """Whether every plane has the same bit in both, and none is missing from either."""
    return one.schema.dtype == other.schema.dtype and [plane and plane.name for plane in one.schema] == [
        plane and plane.name for plane in other.schema
    ]
