"""`SkyFrame`: the pattern of the sky on one detector, which grows with the level of the sky."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from lsst.images import BackgroundMap
from lsst.images.fields import SplineField

from skyloom.errors import BadFrameError

from .mesh import fill_missing

if TYPE_CHECKING:
    from lsst.images import Box

    from .sky_cells import SkyCells

__all__ = ["SkyFrame", "from_frame_map", "to_frame_map"]

_PATTERN, _ERROR = "sky_frame", "sky_frame_error"


@dataclass(frozen=True, kw_only=True, eq=False)
class SkyFrame:
    """What the sky of a detector has beyond a smooth sky over the camera, over the level of that sky.

    Steps between detectors, ghosts of the optics, glow, the rest of fringes: what stays where it is while the
    telescope moves.
    """

    pattern: np.ndarray
    """``[cell_y, cell_x]``; NaN where it is not known."""
    error: np.ndarray
    """``[cell_y, cell_x]`` standard error."""
    y: np.ndarray
    x: np.ndarray
    """Centres of rows and columns of cells, px."""
    box: Box
    """Of the detector."""

    def on(self, cells: SkyCells) -> np.ndarray:
        """The pattern in the cells of a frame, those that are not known filled from their neighbours.

        Raises
        ------
        BadFrameError
            If the frame has other cells, or no cell is known.
        """
        if self.box != cells.box or self.pattern.shape != cells.level.shape:
            raise BadFrameError(
                f"the sky frame has {self.pattern.shape} cells on {self.box}, the frame {cells.level.shape} on "
                f"{cells.box}.",
                cure="Make a sky frame with the same bin_size.",
            )
        if not np.isfinite(self.pattern).any():
            raise BadFrameError("the sky frame is not known in any cell.", cure="Make one of more visits.")
        return fill_missing(self.pattern)


def to_frame_map(frame: SkyFrame) -> BackgroundMap:
    """The sky frame as it is stored."""
    result = BackgroundMap()
    words = {_PATTERN: "Pattern of the sky over its level.", _ERROR: "Standard error of the pattern."}
    for name, mesh in ((_PATTERN, frame.pattern), (_ERROR, frame.error)):
        field = SplineField(
            frame.box,
            np.array(mesh, np.float64),
            y=np.array(frame.y, np.float64),
            x=np.array(frame.x, np.float64),
            unit=u.dimensionless_unscaled,
        )
        result.add(name, field, words[name])
    return result


def from_frame_map(stored: BackgroundMap) -> SkyFrame:
    """The sky frame as the algorithms take it.

    Raises
    ------
    BadFrameError
        If what is stored is no sky frame.
    """
    fields = [stored[name].field if name in stored else None for name in (_PATTERN, _ERROR)]
    pattern, error = fields
    if not (isinstance(pattern, SplineField) and isinstance(error, SplineField)):
        raise BadFrameError(f"no sky frame among {', '.join(stored) or 'nothing'}.", cure="Make one.")
    return SkyFrame(
        pattern=np.array(pattern.data),
        error=np.array(error.data),
        y=np.array(pattern.y),
        x=np.array(pattern.x),
        box=pattern.bounds.bbox,
    )
