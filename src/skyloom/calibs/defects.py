"""Find the defects of a detector in ordinary frames: sky and stars move from frame to frame, defects stay.

Each frame is freed of its sky and of all that is wider than a few pixels (the median of a small square around each
pixel), and divided by its noise.  At each pixel the frames are ranked, and the mean of a range of ranks is taken: from
the lower part for hot pixels, so that up to two fifths of the frames may have a star there, and from the upper part
for cold ones.  What then stands out does so in most frames.  A peak that leads smoothly down to all its neighbours is
a star in a field that did not move, and is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sized
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from astropy.table import Table
from scipy import ndimage

from skyloom.errors import BadFrameError
from skyloom.kernels.median import median_filter
from skyloom.kernels.statistics import clipped_mean

from .boxes import boxes_from_map
from .frame_stack import FrameStack
from .settings import DefectSettings

__all__ = ["DefectMap", "find_defects"]

_HOT_RANKS, _COLD_RANKS = (0.2, 0.6), (0.4, 0.8)
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class DefectMap:
    """What was found on one detector; arrays ``[y, x]``."""

    hot: np.ndarray
    """Bool."""
    cold: np.ndarray
    """Bool; pixels that are not a number in most frames are among them."""
    excess: np.ndarray
    """Persistent excess over the surroundings, in units of the noise of one frame (float32)."""
    n_frames: int
    """Frames that it was found in."""
    settings: DefectSettings

    @property
    def defective(self) -> np.ndarray:
        """Hot or cold, grown as the settings say."""
        found = self.hot | self.cold
        if self.settings.grow > 0:
            found = ndimage.binary_dilation(found, iterations=self.settings.grow)
        return np.asarray(found)

    @property
    def fraction(self) -> float:
        """Fraction of the detector that is defective."""
        return float(self.defective.mean())

    def boxes(self) -> Table:
        """Boxes ``x0``, ``y0``, ``width``, ``height`` that cover the defects; the metadata say how they were found."""
        table = boxes_from_map(self.defective)
        table.meta |= {
            "defects_hot_pixels": int(self.hot.sum()),
            "defects_cold_pixels": int(self.cold.sum()),
            "defects_threshold": self.settings.threshold,
        }
        return table


def find_defects(
    frames: Iterable[np.ndarray], settings: DefectSettings | None = None, *, capacity: int | None = None
) -> DefectMap:
    """Find the pixels that stand out from their surroundings in most frames of one detector.

    Parameters
    ----------
    frames
        Trimmed images ``[y, x]`` of one shape, raw or corrected, of the sky or dark; not-a-number where unknown.
        Frames of a field that drifts or is dithered serve best.  They are taken one by one.
    settings
        Thresholds.
    capacity
        Most frames to come, where `frames` has no length.

    Returns
    -------
    defects
        Maps of hot and cold pixels.

    Raises
    ------
    BadFrameError
        If there are too few frames, their shapes differ, or more pixels stand out than can be defects.
    """
    settings = settings or DefectSettings()
    most = len(frames) if isinstance(frames, Sized) else capacity
    if most is None:
        raise TypeError("Frames without a length need a capacity.")
    with FrameStack(most, settings.memory_mb) as residuals:
        unknown = _gather(frames, residuals, settings)
        n_frames = len(residuals)
        low, low_scatter = _persistent(residuals, _HOT_RANKS)
        high, high_scatter = _persistent(residuals, _COLD_RANKS)
    hot = _above(low, low_scatter, settings)
    stars = _stars(low, hot, settings)
    hot &= ~stars
    cold = _above(-high, high_scatter, settings)
    for excess, scatter, found in ((low, low_scatter, hot), (-high, high_scatter, cold)):
        columns = _runs(excess, found, stars, scatter, settings)
        rows = _runs(excess.T, found.T, stars.T, scatter, settings).T
        found |= columns | rows
    cold = (cold | unknown) & ~hot
    excess = np.where(np.abs(high) > np.abs(low), high, low)
    result = DefectMap(hot=hot, cold=cold, excess=excess, n_frames=n_frames, settings=settings)
    if result.fraction > settings.maximum_fraction:
        raise BadFrameError(
            f"{100 * result.fraction:.1f} % of the detector stands out in most frames; at most "
            f"{100 * settings.maximum_fraction:.1f} % can be defects.",
            cure="Leave out frames that are not of the sky, raise --threshold, or look at the frames.",
            defective_fraction=result.fraction,
        )
    return result


def _gather(frames: Iterable[np.ndarray], residuals: FrameStack, settings: DefectSettings) -> np.ndarray:
    """Put what stands out of each frame on a stack; true where most frames know nothing (``[y, x]``)."""
    missing = np.zeros(0, np.int32)
    for frame in frames:
        if len(residuals) and frame.shape != missing.shape:
            raise BadFrameError(
                f"frames of different shapes: {sorted({frame.shape, missing.shape})}.",
                cure="Give frames of one detector and read-out mode.",
            )
        residual, unknown = _normalised_residual(frame, settings.window)
        residuals.add(residual)
        missing = missing + unknown if missing.size else unknown.astype(np.int32)
    if len(residuals) < settings.minimum_frames:
        raise BadFrameError(
            f"{len(residuals)} frames cannot tell defects from stars; {settings.minimum_frames} are needed.",
            cure="Give more frames of this detector, best of different pointings.",
        )
    return np.asarray(missing > 0.5 * len(residuals))


def _normalised_residual(frame: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """A frame less the median of each pixel's surroundings, over its noise (float32), and where it is not a number.

    There the residual is zero.
    """
    image = np.array(frame, dtype=np.float32)
    unknown = ~np.isfinite(image)
    if unknown.all():
        return np.zeros_like(image), unknown
    if unknown.any():
        image[unknown] = np.median(image[~unknown])
    image -= median_filter(image, window)
    _, noise, _ = clipped_mean(image[~unknown].astype(np.float64), 3.0)
    image /= max(noise, float(np.finfo(np.float32).tiny))
    image[unknown] = 0.0
    return image, unknown


def _persistent(residuals: FrameStack, ranks: tuple[float, float]) -> tuple[np.ndarray, float]:
    """Mean over a range of ranks of the frames, less its level over the detector; and its scatter there."""
    number = len(residuals)
    first, last = int(ranks[0] * number), max(int(np.ceil(ranks[1] * number)), int(ranks[0] * number) + 1)
    mean = np.empty(residuals[0].shape, np.float32)
    for row in range(0, len(mean), _ROWS_AT_ONCE):
        part = np.sort(residuals.frames[:, row : row + _ROWS_AT_ONCE], axis=0)
        mean[row : row + _ROWS_AT_ONCE] = part[first:last].mean(axis=0)
    level, scatter, _ = clipped_mean(mean.ravel().astype(np.float64), 3.0)
    mean -= np.float32(level)
    return mean, scatter


def _above(excess: np.ndarray, scatter: float, settings: DefectSettings) -> np.ndarray:
    return np.asarray((excess > settings.threshold) & (excess > settings.significance * scatter))


def _stars(excess: np.ndarray, candidates: np.ndarray, settings: DefectSettings) -> np.ndarray:
    """Peaks among the candidates that all four neighbours share, and what lies around them: light from the sky.

    A hot pixel, a pair, a square of four, a column all have a dark neighbour; a star seen through an atmosphere, or
    optics, of at least two pixels FWHM has none.  The square whose median was taken off spreads a star's traces.
    """
    labels, number = ndimage.label(candidates, structure=np.ones((3, 3)))
    if number == 0:
        return np.zeros_like(candidates)
    peaks = np.array(ndimage.maximum_position(excess, labels, np.arange(1, number + 1)))
    padded = np.pad(excess, 1, mode="reflect")
    y, x = peaks[:, 0] + 1, peaks[:, 1] + 1
    darkest = np.min([padded[y, x - 1], padded[y, x + 1], padded[y - 1, x], padded[y + 1, x]], axis=0)
    is_star = np.concatenate([[False], darkest > settings.star_fraction * padded[y, x]])
    return np.asarray(ndimage.maximum_filter(is_star[labels], size=2 * settings.window + 1))


def _runs(
    excess: np.ndarray, found: np.ndarray, stars: np.ndarray, scatter: float, settings: DefectSettings
) -> np.ndarray:
    """Pieces of columns that stand out as a whole, pixel for pixel too faintly, or with gaps.

    The median of a piece is taken without the pixels that were found already, so that neither hot pixels nor stars take
    their column along; a piece most of which was found is filled.
    """
    result = np.zeros_like(found)
    edges = np.linspace(0, len(excess), max(len(excess) // settings.run_length, 1) + 1).astype(int)
    for first, last in pairwise(edges):
        rows = slice(first, last)
        level = _median_of_rest(excess[rows], found[rows] | stars[rows])
        # The columns of one piece show how much such medians scatter, the flat field included.
        _, spread, _ = clipped_mean(level[np.isfinite(level)].astype(np.float64), 3.0)
        spread = np.nanmax([spread, 1.25 * scatter / np.sqrt(last - first)])
        with np.errstate(invalid="ignore"):
            faint = (level > settings.significance * spread) & (level > settings.threshold / np.sqrt(last - first))
        mostly_found = found[rows].mean(axis=0) > 0.5
        result[rows, faint | mostly_found] = True
    return result


def _median_of_rest(excess: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Median of each column without the pixels found; NaN where nothing is left."""
    ordered = np.sort(np.where(found, np.nan, excess), axis=0)
    rest = np.sum(~found, axis=0)
    columns = np.arange(excess.shape[1])
    middle = 0.5 * (
        ordered[np.maximum(rest - 1, 0) // 2, columns] + ordered[np.minimum(rest // 2, len(found) - 1), columns]
    )
    return np.asarray(np.where(rest > 0, middle, np.nan))
