"""Steps of the background between the amplifiers of a detector, from the pixels on either side of their borders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from skyloom.errors import BadFrameError
from skyloom.images.mask_planes import bitmask
from skyloom.kernels.statistics import clipped_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .amplifiers import AmplifierLayout, Region

__all__ = ["AmplifierOffsetSettings", "AmplifierOffsets", "correct_offsets", "measure_offsets"]


@dataclass(frozen=True, kw_only=True)
class AmplifierOffsetSettings:
    """How steps between amplifiers are measured."""

    inset: int = 5
    """Pixels next to a border to leave out."""
    depth: int = 64
    """Pixels beyond those to measure on, on either side."""
    minimum_fraction: float = 0.5
    """A border at which less than this of its length can be used tells nothing."""
    maximum_offset: float = 5.0
    """A larger step is something else, a saturated star for one (unit of the image)."""
    smoothing_fraction: float = 512 / 4176
    """Length of the running mean along a border, relative to the border; 0 for none."""
    fit_slope: bool = True
    """Take the step at the border itself, by the slope of the background across it: that of a fitted background is
    always wrong there, since the fit has smoothed the step.  Without it the noise is less than half as large."""
    weight_by_length: bool = True
    """Whether a border counts by its length."""
    ignored_planes: tuple[str, ...] = (
        "BAD",
        "SAT",
        "INTRP",
        "CR",
        "EDGE",
        "DETECTED",
        "DETECTED_NEGATIVE",
        "SUSPECT",
        "NO_DATA",
    )
    """Pixels with one of these planes do not count."""


@dataclass(frozen=True, kw_only=True)
class AmplifierOffsets:
    """Levels of amplifiers relative to each other, in the unit of the image."""

    pedestals: dict[str, float]
    """By amplifier: what to take off it.  Their sum is zero, over every group of amplifiers that measured borders
    connect."""
    steps: dict[tuple[str, str], float]
    """By two amplifiers: the first less the second at their border, where that could be measured."""


@dataclass(frozen=True, kw_only=True)
class _Border:
    """Where two amplifiers meet; numbers are their places in the list."""

    first: int
    second: int
    axis: int
    """0 where they meet along a row, 1 along a column."""
    at: int
    """Row (column) of the trimmed detector at which the second begins."""
    along: slice
    """Columns (rows) that they share."""

    @property
    def length(self) -> int:
        return int(self.along.stop - self.along.start)


def measure_offsets(
    image: np.ndarray,
    bits: np.ndarray,
    layouts: Sequence[AmplifierLayout],
    settings: AmplifierOffsetSettings,
    *,
    background: np.ndarray | None = None,
    file: str | None = None,
) -> AmplifierOffsets:
    """Find the pedestals that explain the steps at the borders between amplifiers best (least squares).

    Parameters
    ----------
    image, bits
        Pixels and mask bits ``[y, x]`` of the trimmed detector; sources have to be marked as DETECTED.
    layouts
        The amplifiers, all of one size.
    settings
        Which pixels, and how.
    background
        ``[y, x]``, taken off for the measurement; smooth at the borders.
    file
        The frame, for errors.

    Raises
    ------
    BadFrameError
        If the amplifiers are of different sizes, or too small for the strips to measure on.
    """
    _check_sizes(layouts, settings, file)
    steps: dict[tuple[str, str], float] = {}
    matrix, vector = np.zeros((len(layouts), len(layouts))), np.zeros(len(layouts))
    for border in _borders(layouts):
        step = _step(image, bits, background, border, settings)
        if step is None:
            continue
        a, b = border.first, border.second
        steps[layouts[a].name, layouts[b].name] = step
        weight = border.length if settings.weight_by_length else 1.0
        matrix[[a, b], [a, b]] += weight
        matrix[[a, b], [b, a]] -= weight
        vector[[a, b]] += weight * step, -weight * step
    # Steps leave the mean level open: of all solutions the smallest is taken.
    pedestals = np.linalg.lstsq(matrix, vector, rcond=None)[0]
    names = [layout.name for layout in layouts]
    return AmplifierOffsets(pedestals=dict(zip(names, pedestals.tolist(), strict=True)), steps=steps)


def correct_offsets(
    image: np.ndarray,
    bits: np.ndarray,
    layouts: Sequence[AmplifierLayout],
    settings: AmplifierOffsetSettings,
    *,
    background: np.ndarray | None = None,
    file: str | None = None,
) -> AmplifierOffsets:
    """Measure the pedestals of the amplifiers and take them off ``image`` in place; see `measure_offsets`."""
    offsets = measure_offsets(image, bits, layouts, settings, background=background, file=file)
    for layout in layouts:
        image[layout.trimmed] -= offsets.pedestals[layout.name]
    return offsets


def _check_sizes(layouts: Sequence[AmplifierLayout], settings: AmplifierOffsetSettings, file: str | None) -> None:
    sizes = {tuple(extent.stop - extent.start for extent in layout.trimmed) for layout in layouts}
    if len(sizes) != 1:
        raise BadFrameError(
            "the amplifiers are of different sizes: "
            + ", ".join(f"{rows} x {columns}" for rows, columns in sorted(sizes))
            + " pixels (rows x columns).",
            file=file,
            cure="Leave the amplifier offsets out for this camera.",
        )
    short = min(sizes.pop())
    if settings.depth >= short - 2 * settings.inset:
        raise BadFrameError(
            f"strips of {settings.depth} pixels do not fit an amplifier of {short} with {settings.inset} left out at "
            "each side.",
            file=file,
            cure="Choose a smaller 'depth' or 'inset'.",
        )


def _borders(layouts: Sequence[AmplifierLayout]) -> Iterator[_Border]:
    for first, one in enumerate(layouts):
        for second, other in enumerate(layouts):
            for axis in (0, 1):
                shared = one.trimmed[1 - axis], other.trimmed[1 - axis]
                along = slice(max(part.start for part in shared), min(part.stop for part in shared))
                if one.trimmed[axis].stop == other.trimmed[axis].start and along.start < along.stop:
                    yield _Border(first=first, second=second, axis=axis, at=other.trimmed[axis].start, along=along)


def _step(
    image: np.ndarray,
    bits: np.ndarray,
    background: np.ndarray | None,
    border: _Border,
    settings: AmplifierOffsetSettings,
) -> float | None:
    """Level of the first amplifier less that of the second, at their border; None where too little can be used."""
    sides = []
    for start in (border.at - settings.inset - settings.depth, border.at + settings.inset):
        across = slice(start, start + settings.depth)
        region: Region = (across, border.along) if border.axis == 0 else (border.along, across)
        pixels = image[region].astype(np.float64) - (0.0 if background is None else background[region])
        pixels[(bits[region] & bitmask(*settings.ignored_planes)) != 0] = np.nan
        pixels[~np.isfinite(pixels)] = np.nan
        sides.append((pixels.T if border.axis == 1 else pixels, np.arange(start, start + settings.depth) - border.at))
    (first, first_at), (second, second_at) = (_medians(*side) for side in sides)
    steps = first - second
    if settings.fit_slope:
        slopes = np.concatenate([_slopes(*side) for side in sides])
        steps -= clipped_mean(slopes[np.isfinite(slopes)], 3.0, 3)[0] * (first_at - second_at)
    if np.isfinite(steps).mean() < settings.minimum_fraction:
        return None
    steps = _running_mean(steps, int(settings.smoothing_fraction * border.length))
    step = float(clipped_mean(steps[np.isfinite(steps)], 3.0, 3)[0])
    return step if abs(step) <= settings.maximum_offset else None


def _medians(strip: np.ndarray, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median over the depth of a strip ``[depth, along]``, and median distance of the pixels that count; else NaN."""
    usable = np.isfinite(strip)
    lines = usable.any(axis=0)
    level, place = np.full(strip.shape[1], np.nan), np.full(strip.shape[1], np.nan)
    level[lines] = np.nanmedian(strip[:, lines], axis=0)
    place[lines] = np.nanmedian(np.where(usable, distance[:, None], np.nan)[:, lines], axis=0)
    return level, place


def _slopes(strip: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Change of a strip ``[depth, along]`` a pixel of distance, at each place along it, from its two halves."""
    half = len(distance) // 2
    low, low_at = _medians(strip[:half], distance[:half])
    high, high_at = _medians(strip[half:], distance[half:])
    return np.asarray((high - low) / (high_at - low_at))


def _running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean of the numbers in a window about each place; NaN without any."""
    if window <= 1:
        return values
    usable = np.isfinite(values)
    share = ndimage.uniform_filter1d(usable.astype(np.float64), window, mode="constant")
    total = ndimage.uniform_filter1d(np.where(usable, values, 0.0), window, mode="constant")
    # The filter adds and subtracts as it goes on, so that an empty window is only nearly so.
    return np.asarray(np.where(share > 0.5 / window, total / np.maximum(share, 0.5 / window), np.nan))
