"""Level and tilt of the skies of many frames of one detector."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

__all__ = ["SkyTilts", "block_medians"]

_BLOCK = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class SkyTilts:
    """The skies as planes."""

    levels: np.ndarray
    """In the middle of the detector, ``[n]``."""
    slopes: np.ndarray
    """Relative change from the middle to the upper and to the right edge, ``[n, 2]``, less that of all frames."""

    @classmethod
    def of(cls, blocks: np.ndarray) -> SkyTilts:
        """Fit planes.

        Parameters
        ----------
        blocks
            Medians ``[n, y, x]`` of equal blocks of the frames, not a number where unknown.
        """
        y, x = (part.ravel() for part in np.meshgrid(*(_middles(n) for n in blocks.shape[1:]), indexing="ij"))
        design = np.column_stack([np.ones_like(x), y, x])
        found = np.array([_plane(design, values) for values in blocks.reshape(len(blocks), -1)])
        slopes = found[:, 1:] / found[:, :1]
        return cls(levels=found[:, 0], slopes=slopes - slopes.mean(axis=0))

    def plane(self, index: int, shape: tuple[int, ...]) -> np.ndarray:
        """The sky of a frame: level and tilt against the others, float32 ``[y, x]``."""
        y, x = (np.linspace(-1.0, 1.0, length, dtype=np.float32) for length in shape)
        up, right = self.slopes[index].tolist()
        return np.asarray(np.float32(self.levels[index]) * (1.0 + up * y[:, None] + right * x), np.float32)


def block_medians(image: np.ndarray) -> np.ndarray:
    """Medians ``[y, x]`` of the numbers in blocks of 64 pixels of an image; not a number where there is none."""
    y_edges, x_edges = (np.linspace(0, length, max(length // _BLOCK, 2) + 1).astype(int) for length in image.shape)
    blocks = [[image[y0:y1, x0:x1] for x0, x1 in pairwise(x_edges)] for y0, y1 in pairwise(y_edges)]
    return np.array([[_median(block) for block in row] for row in blocks], np.float32)


def _median(block: np.ndarray) -> float:
    known = block[np.isfinite(block)]
    return float(np.median(known)) if known.size else float("nan")


def _middles(number: int) -> np.ndarray:
    """Of so many equal pieces of the interval from -1 to 1."""
    return (2.0 * np.arange(number) + 1.0) / number - 1.0


def _plane(design: np.ndarray, values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    return np.asarray(np.linalg.lstsq(design[known], values[known].astype(np.float64), rcond=None)[0])
