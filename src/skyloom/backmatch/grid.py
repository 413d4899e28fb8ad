"""`SuperpixelGrid`: the overlapping superpixels of a tract, and the cells of which they are made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from lsst.images import Box

__all__ = ["SuperpixelGrid"]


@dataclass(frozen=True)
class SuperpixelGrid:
    """Superpixels two pitches wide, one pitch apart, each the sum of 2 x 2 cells.

    Superpixel i covers (i - 1/2) to (i + 3/2) pitches from the edge of the tract, so that its centre lies at
    i pitch + (pitch - 1) / 2; cell m covers (m - 1/2) to (m + 1/2) pitches.
    """

    box: Box
    """Of the tract."""
    x_bin: float
    y_bin: float

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of superpixels: as many pitches as fit on the tract, at least one."""
        return max(1, int(self.box.y.size / self.y_bin)), max(1, int(self.box.x.size / self.x_bin))

    @property
    def y(self) -> np.ndarray:
        """Centres of the rows of superpixels, px."""
        return np.asarray(self.box.y.start + np.arange(self.shape[0]) * self.y_bin + (self.y_bin - 1.0) / 2.0)

    @property
    def x(self) -> np.ndarray:
        """Centres of the columns of superpixels, px."""
        return np.asarray(self.box.x.start + np.arange(self.shape[1]) * self.x_bin + (self.x_bin - 1.0) / 2.0)

    @property
    def y_edges(self) -> np.ndarray:
        """First row of each row of cells, and one past the last, px; int64, two more than rows of superpixels."""
        return _edges(self.box.y.start, self.shape[0], self.y_bin)

    @property
    def x_edges(self) -> np.ndarray:
        """First column of each column of cells, and one past the last, px."""
        return _edges(self.box.x.start, self.shape[1], self.x_bin)

    def inside(self, box: Box) -> np.ndarray:
        """``[row, column]``: whether the centre of a superpixel lies in a box."""
        rows = (self.y >= box.y.start - 0.5) & (self.y <= box.y.stop - 0.5)
        columns = (self.x >= box.x.start - 0.5) & (self.x <= box.x.stop - 0.5)
        return np.outer(rows, columns)


def _edges(start: int, n: int, pitch: float) -> np.ndarray:
    return start + np.floor((np.arange(n + 2) - 0.5) * pitch + 0.5).astype(np.int64)
