"""The pixels of amplifiers in the order in which they are read out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from lsst.images.cameras import ReadoutCorner

from skyloom.errors import BadFrameError

from .amplifiers import AmplifierLayout
from .assembly import as_assembled

__all__ = ["TrimmedDetector"]


@dataclass(frozen=True, kw_only=True, eq=False)
class TrimmedDetector:
    """A detector whose overscan is taken off, and how its amplifiers are read out."""

    image: np.ndarray
    """``[y, x]``."""
    bits: np.ndarray
    """int32 mask bits ``[y, x]``."""
    layouts: Sequence[AmplifierLayout]
    """The amplifiers, all of one shape."""
    corners: Mapping[str, ReadoutCorner]
    """By amplifier name, the corner at which it is read out, on the trimmed detector."""
    variance: np.ndarray | None = None
    """``[y, x]``; None where there is none yet."""

    def amplifiers(self, plane: np.ndarray | None, names: Sequence[str]) -> list[np.ndarray]:
        """Views ``[y, x]`` of the named amplifiers in one plane, whose first pixel is that at the read-out corner; none
        of a plane that is not there.
        """
        if plane is None:
            return []
        layouts = {layout.name: layout for layout in self.layouts}
        flips = [ReadoutCorner(self.corners[name]).as_flips() for name in names]
        return [
            as_assembled(plane[layouts[name].trimmed], flip_x=flip.x, flip_y=flip.y)
            for name, flip in zip(names, flips, strict=True)
        ]

    def gains(self, names: Sequence[str]) -> np.ndarray:
        """Electrons an ADU of the named amplifiers."""
        gains = {layout.name: layout.gain for layout in self.layouts}
        return np.array([gains[name] for name in names])

    def check_names(self, names: Sequence[str]) -> None:
        """See that these are the amplifiers, and that it is known where they are read out.

        Raises
        ------
        BadFrameError
            If they are not.
        """
        own = {layout.name for layout in self.layouts}
        if own != set(names) or not own <= set(self.corners):
            raise BadFrameError(
                f"the crosstalk matrix is for amplifiers {sorted(names)}, the detector has {sorted(own)}, and read-out "
                f"corners are known of {sorted(self.corners)}.",
                cure="Import a crosstalk matrix of this detector, or switch the correction off.",
            )
