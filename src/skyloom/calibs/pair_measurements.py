"""All pairs of flats of a detector, measured amplifier by amplifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import BadFrameError
from skyloom.isr import AmplifierLayout

from .counts import usable_counts
from .flat_pairs import Flat, FlatPairs
from .frames import Raw, check_one_mode
from .full_well import FullWell, full_well
from .pair_settings import PairSettings
from .pair_statistics import PairStatistics, pair_statistics

if TYPE_CHECKING:
    from lsst.images import MaskedImage

    from skyloom.isr import Linearity

__all__ = ["AmplifierPairs", "Measured", "PairMeasurements", "measure_pairs"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """A calibration that is plain data."""

    data: dict[str, Any]
    figures: dict[str, float]
    """By which it can be judged; the names carry the units."""
    frames: list[int]
    """Exposures that were used."""
    left_out: dict[str, str]
    """Frames that were not, with the reason, by file."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AmplifierPairs:
    """One amplifier in all pairs; arrays have a row for each pair, not a number where it could not be measured."""

    layout: AmplifierLayout
    levels_adu: np.ndarray
    """``[pair]``."""
    frame_levels_adu: np.ndarray
    """Of the two frames, ``[pair, 2]``."""
    covariances_adu2: np.ndarray
    """``[pair, rows apart, columns apart]``."""
    pixels: np.ndarray
    """``[pair]``."""
    full_well: FullWell

    @property
    def variances_adu2(self) -> np.ndarray:
        """``[pair]``."""
        return np.asarray(self.covariances_adu2[:, 0, 0])

    def usable(self, fraction: float) -> np.ndarray:
        """Bool ``[pair]``: pairs up to a fraction of the full well; all where it was not reached."""
        highest = fraction * self.full_well.level_adu if self.full_well.reached else np.inf
        with np.errstate(invalid="ignore"):
            return np.asarray(self.levels_adu <= highest)

    def fitted(self, settings: PairSettings, least: int = 0) -> np.ndarray:
        """Bool ``[pair]``: the pairs to fit; none where they are of too few different levels."""
        usable = self.usable(settings.fit_to)
        number = _different(self.levels_adu[usable], settings.level_tolerance)
        return usable & (number >= max(settings.minimum_levels, least))


@dataclass(frozen=True, kw_only=True, eq=False)
class PairMeasurements:
    """What all pairs tell."""

    amplifiers: dict[str, AmplifierPairs]
    flats: list[tuple[Flat, Flat]]
    left_out: dict[str, str]

    @property
    def frames(self) -> list[int]:
        """Exposures of the pairs, in their order."""
        return sorted(flat.exposure for pair in self.flats for flat in pair)


def measure_pairs(
    raws: Sequence[Raw],
    settings: PairSettings,
    *,
    bias: MaskedImage | None = None,
    linearities: Mapping[str, Linearity] | None = None,
    monitor: str = "",
) -> PairMeasurements:
    """Measure the flats of one detector in pairs, two frames in memory at a time.

    Parameters
    ----------
    raws
        What reads the flats.
    settings
        How.
    bias
        Master bias in ADU.
    linearities
        Correction of each amplifier, by its name.
    monitor
        Header keyword that tells the light of an exposure.

    Raises
    ------
    BadFrameError
        If there are too few pairs, or flats of different read-out modes.
    """
    pairs = FlatPairs(
        raws=raws,
        correct=lambda raw: usable_counts(raw, settings.isr, bias=bias, linearities=linearities),
        settings=settings,
        monitor=monitor,
    )
    flats: list[tuple[Flat, Flat]] = []
    rows: dict[str, list[PairStatistics | None]] = {}
    for pair in pairs:
        flats.append(pair.flats)
        for layout in pair.flats[0].layouts:
            first, second = (pixels[layout.trimmed] for pixels in pair.pixels)
            found = pair_statistics(first, second, lags=settings.lags, n_sigma=settings.n_sigma)
            rows.setdefault(layout.name, []).append(found)
    number = _different(np.array([pair[0].level_adu for pair in flats]), settings.level_tolerance)
    if number < settings.minimum_levels:
        raise _too_few(number, pairs, settings)
    check_one_mode("flat", [flat for pair in flats for flat in pair])
    layouts = {layout.name: layout for layout in flats[0][0].layouts}
    return PairMeasurements(
        amplifiers={name: _gathered(layouts[name], found, settings) for name, found in rows.items()},
        flats=flats,
        left_out=pairs.left_out,
    )


def _gathered(layout: AmplifierLayout, found: list[PairStatistics | None], settings: PairSettings) -> AmplifierPairs:
    missing = np.full((settings.lags + 1, settings.lags + 1), np.nan)
    levels = np.array([np.nan if one is None else one.level_adu for one in found])
    covariances = np.array([missing if one is None else one.covariances_adu2 for one in found])
    pixels = np.array([0 if one is None else one.pixels for one in found])
    return AmplifierPairs(
        layout=layout,
        levels_adu=levels,
        frame_levels_adu=np.array([(np.nan, np.nan) if one is None else one.levels_adu for one in found]),
        covariances_adu2=covariances,
        pixels=pixels,
        full_well=full_well(levels, covariances[:, 0, 0], pixels, settings.turn_over),
    )


def _different(levels_adu: np.ndarray, tolerance: float) -> int:
    """Number of levels that differ by more than a relative tolerance."""
    number, last = 0, 0.0
    for level in np.sort(levels_adu[levels_adu > 0]):
        if level > last * (1.0 + tolerance):
            number, last = number + 1, float(level)
    return number


def _too_few(number: int, pairs: FlatPairs, settings: PairSettings) -> BadFrameError:
    reasons = [f"{file}: {reason}" for file, reason in pairs.left_out.items()]
    shown = "; ".join(reasons[:5]) + ("; ..." if len(reasons) > 5 else "")
    return BadFrameError(
        f"pairs of flats of {number} level{'' if number == 1 else 's'}; {settings.minimum_levels} are the least"
        f"{f' (left out: {shown})' if shown else ''}.",
        cure="Take two flats each of more exposure times, from faint to saturated.",
    )
