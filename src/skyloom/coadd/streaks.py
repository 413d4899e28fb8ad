"""`find_streaks`: the trails of satellites and aircraft on a difference image, also those too faint for a footprint."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from lsst.images import Box

from skyloom.images import SpanSet
from skyloom.kernels.streaks import bin_significance, line_profile, line_votes

__all__ = ["Streak", "StreakSettings", "find_streaks"]

_SIGMA_OF_QUARTILES = 0.741301109252802


@dataclass(frozen=True, kw_only=True)
class StreakSettings:
    """How trails are found."""

    bin_size: int = 8
    """Side, px, of the bins in which lines are looked for."""
    bin_threshold: float = 2.0
    """Sigma from which a bin votes for the lines through it."""
    max_voters: float = 0.1
    """Where more than this part of the bins would, the threshold is raised."""
    pixel_limit: float = 5.0
    """A pixel counts as no more than so many sigma."""
    n_angles: int = 1440
    """Directions that are tried, over half a turn."""
    min_votes: float = 8.0
    """Votes of a line above those that noise gives it, in sigma."""
    min_length: float = 200.0
    """px; shorter ones are left to footprints."""
    chunk: int = 32
    """Pixels along a line over which its profile is summed."""
    chunk_sigma: float = 3.0
    """A chunk in which the trail is that significant supports it."""
    min_support: float = 0.5
    """Part of the chunks between its ends that must."""
    min_evenness: float = 0.35
    """Median over upper quintile of the light of the chunks that do: a source that makes a line fades from its
    middle."""
    max_half_width: int = 40
    """What comes within a bin of this, px, from its middle is no trail."""
    profile_limit: float = 1000.0
    """The same, in sigma, where the width of a trail is measured."""
    edge_level: float = 0.3
    """The band reaches to where the mean profile falls below this, in sigma of a pixel, ..."""
    edge_fraction: float = 0.02
    """... below this part of its peak, ..."""
    edge_sigma: float = 3.0
    """... or below its own noise times this."""
    margin: float = 1.0
    """px that are added on both sides."""
    max_number: int = 8
    """Of trails in one image."""


@dataclass(frozen=True, kw_only=True)
class Streak:
    """A straight band of an image."""

    angle: float
    """Of its normal to the x axis, radians."""
    distance: float
    """Of its line from pixel (0, 0) along the normal, px."""
    low: float
    high: float
    """Edges of the band, px from the line along the normal."""
    start: float
    stop: float
    """Ends of the band along the line, px from the foot of the normal."""
    significance: float
    """Of the whole trail, sigma."""

    @property
    def width(self) -> float:
        """Of the band, px."""
        return self.high - self.low

    def spans(self, box: Box) -> SpanSet:
        """The pixels of the band inside a box."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        y = np.arange(box.y.start, box.y.stop)
        first, last = np.full(y.size, float(box.x.start)), np.full(y.size, float(box.x.stop - 1))
        offset, along = y * s - self.distance, y * c
        for slope, base, low, high in ((c, offset, self.low, self.high), (-s, along, self.start, self.stop)):
            if abs(slope) < 1e-9:
                outside = (base < low) | (base > high)
                last[outside] = first[outside] - 1.0
                continue
            one, other = (low - base) / slope, (high - base) / slope
            first, last = np.maximum(first, np.minimum(one, other)), np.minimum(last, np.maximum(one, other))
        return SpanSet.from_runs(y, np.ceil(first).astype(np.int64), np.floor(last).astype(np.int64) + 1)


def find_streaks(
    image: np.ndarray,
    variance: np.ndarray,
    ignored: np.ndarray,
    box: Box,
    settings: StreakSettings | None = None,
) -> list[Streak]:
    """Find straight trails that are brighter than what is around them.

    Bins of the image vote for the lines through them.  The line with most votes above what noise would give it is
    fitted to the pixels, its width and ends are measured on the profile, and it is taken off before the next one is
    looked for.

    Parameters
    ----------
    image, variance
        ``[y, x]``: a difference image, whose sky is zero.
    ignored
        Bool ``[y, x]``: pixels that take no part, such as those of stars.
    box
        The pixels of the image.
    settings
        Limits.

    Returns
    -------
    list of Streak
        In pixels of the box's frame, the most striking first.
    """
    settings = settings or StreakSettings()
    side = settings.bin_size
    bins = bin_significance(image, variance, ignored, side, settings.pixel_limit)
    known = np.isfinite(bins)
    if known.sum() < settings.min_length / side:
        return []
    low, centre, high, bright = np.percentile(bins[known], (25.0, 50.0, 75.0, 100.0 * (1.0 - settings.max_voters)))
    scale = max(_SIGMA_OF_QUARTILES * float(high - low), 1e-6)
    threshold = max(settings.bin_threshold, (bright - centre) / scale)
    baseline = float(centre) / side  # of a pixel
    lines = _Lines(known & ((bins - centre) / scale > threshold), known, settings)
    found: list[Streak] = []
    for _ in range(3 * settings.max_number):
        line = lines.best()
        if line is None or len(found) == settings.max_number:
            break
        angle = line[0]
        start = (angle, line[1] * side + 0.5 * (side - 1) * (math.cos(angle) + math.sin(angle)))
        streak = _measure(image, variance, ignored, start, baseline, settings)
        lines.forget(*((streak.angle, streak.distance, streak.low, streak.high) if streak else (*start, -side, side)))
        if streak is not None:
            found.append(streak)
    return [_moved(streak, box.x.start, box.y.start) for streak in found]


class _Lines:
    """The votes of bright bins for lines, and the length of these.

    Parameters
    ----------
    bright, known
        Bool ``[y, x]``: bins that vote, and those that could have.
    settings
        Limits.
    """

    def __init__(self, bright: np.ndarray, known: np.ndarray, settings: StreakSettings) -> None:
        self._bright, self._known, self._settings = bright, known.copy(), settings
        self._reach = int(math.hypot(*bright.shape)) + 2
        self._angles = np.pi * np.arange(settings.n_angles) / settings.n_angles
        self._votes = self._count(bright)
        self._length = _chords(bright.shape, self._angles, self._reach) - self._count(~known)

    def best(self) -> tuple[float, float] | None:
        """Angle of the normal and distance, in bins, of the line with the most significant votes."""
        share = float(self._bright.sum() / max(self._known.sum(), 1))
        if share == 0.0:
            return None
        # A trail is rarely within one bin: votes for two neighbouring lines count together.
        votes, length = (plane[:, 1:] + plane[:, :-1] for plane in (self._votes, self._length))
        expected = share * np.maximum(length, 0.0)
        score = (votes - expected) / np.sqrt(expected * (1.0 - share) + 1.0)
        score[length < self._settings.min_length / self._settings.bin_size] = 0.0
        at = np.unravel_index(np.argmax(score), score.shape)
        if score[at] < self._settings.min_votes:
            return None
        return float(self._angles[at[0]]), float(at[1]) + 0.5 - self._reach

    def forget(self, angle: float, distance: float, low: float, high: float) -> None:
        """Take the bins of a band out of the vote; all in px."""
        side = self._settings.bin_size
        y, x = (axis * side + 0.5 * (side - 1) for axis in np.indices(self._bright.shape))
        offset = x * math.cos(angle) + y * math.sin(angle) - distance
        gone = self._known & (offset > low - side) & (offset < high + side)
        self._votes -= self._count(gone & self._bright)
        self._length -= self._count(gone)
        self._bright, self._known = self._bright & ~gone, self._known & ~gone

    def _count(self, bins: np.ndarray) -> np.ndarray:
        """How many of some bins lie on each line; ``[angle, distance]``."""
        rows, columns = np.nonzero(bins)
        votes: np.ndarray = line_votes(columns.astype(float), rows.astype(float), self._angles, self._reach)
        return votes


def _chords(shape: tuple[int, ...], angles: np.ndarray, reach: int) -> np.ndarray:
    """Length, in bins, of every line within the image; ``[angle, distance]``."""
    c, s = np.cos(angles)[:, np.newaxis], np.sin(angles)[:, np.newaxis]
    distance = np.arange(-reach, reach + 1)[np.newaxis, :]
    low, high = np.full((angles.size, distance.size), -np.inf), np.full((angles.size, distance.size), np.inf)
    # Along the line by t: x = d cos - t sin, y = d sin + t cos.
    for base, slope, size in ((distance * c, -s, shape[1]), (distance * s, c, shape[0])):
        flat = np.abs(slope) < 1e-9
        with np.errstate(divide="ignore", invalid="ignore"):
            one, other = (-0.5 - base) / slope, (size - 0.5 - base) / slope
        outside = (base < -0.5) | (base > size - 0.5)
        first = np.where(flat, np.where(outside, np.inf, -np.inf), np.minimum(one, other))
        last = np.where(flat, np.where(outside, -np.inf, np.inf), np.maximum(one, other))
        low, high = np.maximum(low, first), np.minimum(high, last)
    chords: np.ndarray = np.maximum(high - low, 0.0)
    return chords


def _measure(
    image: np.ndarray,
    variance: np.ndarray,
    ignored: np.ndarray,
    line: tuple[float, float],
    baseline: float,
    settings: StreakSettings,
) -> Streak | None:
    """The band about a line, fitted to the pixels; None where no trail is there."""
    height, width = image.shape
    reach, chunk, limit = height + width, settings.chunk, settings.pixel_limit
    for half in (3 * settings.bin_size, 2 * settings.bin_size, 2 * settings.bin_size):
        total, number = line_profile(image, variance, ignored, line, half, chunk, limit)
        line = _refit(total - baseline * number, number, line, chunk, reach)
    half = settings.max_half_width
    total, number = line_profile(image, variance, ignored, line, half, chunk, settings.profile_limit)
    total -= baseline * number
    low, high = _edges(total, number, half, settings)
    if high < low or max(-low, high) >= half - settings.bin_size:
        return None
    beside = number[:, [low + half - settings.bin_size, high + half + settings.bin_size]].sum(axis=0)
    if beside.min() < 0.3 * number[:, low + half : high + half + 1].sum(axis=0).max():
        return None  # the border of the image, where a background rises
    core = slice(low + half, high + half + 1)
    signal, count = total[:, core].sum(axis=1), number[:, core].sum(axis=1)
    usable = count >= 0.25 * chunk * (high - low + 1)
    supports = usable & (signal > settings.chunk_sigma * np.sqrt(np.maximum(count, 1)))
    ends = _ends(supports, usable, settings)
    if ends is None:
        return None
    first, last = ends
    light = signal[first : last + 1][supports[first : last + 1]]
    if np.median(light) < settings.min_evenness * np.percentile(light, 80.0):
        return None
    significance = float(signal[first : last + 1].sum() / math.sqrt(max(count[first : last + 1].sum(), 1)))
    start, stop = _to_border(first, last, usable, chunk, reach)
    return Streak(
        angle=line[0],
        distance=line[1],
        low=low - 0.5 - settings.margin,
        high=high + 0.5 + settings.margin,
        start=start,
        stop=stop,
        significance=significance,
    )


def _refit(
    total: np.ndarray, number: np.ndarray, line: tuple[float, float], chunk: int, reach: int
) -> tuple[float, float]:
    """The line through the middles of the profile's chunks, by weighted least squares without outliers."""
    half = (total.shape[1] - 1) // 2
    offsets = np.arange(-half, half + 1)
    along = (np.arange(total.shape[0]) + 0.5) * chunk - reach
    mean = total / np.maximum(number, 1)
    mean -= np.median(mean, axis=1, keepdims=True)
    smooth = np.apply_along_axis(np.convolve, 1, mean, np.full(5, 0.2), "same")
    strength = smooth.max(axis=1)
    used = (number.min(axis=1) > 0) & (strength > 0.0)
    if used.sum() < 3:
        return line
    weight = np.where(smooth > 0.5 * strength[:, np.newaxis], smooth, 0.0)
    middle = (weight * offsets).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-12)
    for _ in range(4):
        slope, base = np.polyfit(along[used], middle[used], 1, w=np.minimum(strength[used], 2.0))
        off = middle - base - slope * along
        spread = max(1.5 * float(np.median(np.abs(off[used]))), 0.3)
        kept = used & (np.abs(off) < 2.5 * spread)
        if kept.sum() < 3:
            break
        used = kept
    # Along the line by t the middle is at base + slope t: turn the normal, and move the line.
    angle = line[0] - math.atan(slope)
    distance = line[1] * math.cos(angle - line[0]) + base * math.cos(angle - line[0])
    return angle, distance


def _edges(total: np.ndarray, number: np.ndarray, half: int, settings: StreakSettings) -> tuple[int, int]:
    """First and last pixel of the trail across the line; (1, 0) where there is none."""
    counts = number.sum(axis=0)
    mean = total.sum(axis=0) / np.maximum(counts, 1)
    mean -= np.median(mean[np.abs(np.arange(-half, half + 1)) > half // 2])
    noise = settings.edge_sigma / np.sqrt(np.maximum(counts, 1))
    level = np.maximum(settings.edge_level, settings.edge_fraction * mean.max())
    level = np.maximum(np.minimum(level, 0.5 * mean.max()), noise)
    above = mean > level
    near = slice(half - settings.bin_size // 2, half + settings.bin_size // 2 + 1)
    if not above[near].any():
        return 1, 0
    low = high = near.start + int(np.argmax(np.where(above[near], mean[near], -np.inf)))
    while low > 0 and above[low - 1]:
        low -= 1
    while high < above.size - 1 and above[high + 1]:
        high += 1
    return low - half, high - half


def _ends(supports: np.ndarray, usable: np.ndarray, settings: StreakSettings) -> tuple[int, int] | None:
    """First and last chunk of a trail; None where too little supports it."""
    at = np.flatnonzero(supports)
    if not at.size:
        return None
    # Chunks far off that noise or a star lights up are cut off: ends are where support begins to prevail.
    score = np.cumsum(np.where(supports, 1.0, np.where(usable, -1.0, 0.0)))
    rise = score - np.minimum.accumulate(np.concatenate([[0.0], score[:-1]]))
    last = int(np.argmax(rise))
    before = np.concatenate([[0.0], score[: last + 1]])
    first = int(len(before) - 1 - np.argmin(before[::-1])) if last else 0
    first = min(first, last)
    inside = slice(first, last + 1)
    length = (last - first + 1) * settings.chunk
    if length < settings.min_length or supports[inside].sum() < settings.min_support * max(usable[inside].sum(), 1):
        return None
    return first, last


def _to_border(first: int, last: int, usable: np.ndarray, chunk: int, reach: int) -> tuple[float, float]:
    """Ends of a band along its line; one that comes near the border of the image goes on over it."""
    whole = np.flatnonzero(usable)
    start = -math.inf if first - whole[0] <= 2 else (first - 1) * chunk - reach
    stop = math.inf if whole[-1] - last <= 2 else (last + 2) * chunk - reach
    return float(start), float(stop)


def _moved(streak: Streak, x0: int, y0: int) -> Streak:
    """The same band where the first pixel is (x0, y0)."""
    c, s = math.cos(streak.angle), math.sin(streak.angle)
    along = y0 * c - x0 * s
    return Streak(
        angle=streak.angle,
        distance=streak.distance + x0 * c + y0 * s,
        low=streak.low,
        high=streak.high,
        start=streak.start + along,
        stop=streak.stop + along,
        significance=streak.significance,
    )
