"""`make_sky_frame`: the pattern that the sky of many visits has in common on each detector of a camera."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from skyloom.errors import BadFrameError

from .focal_plane import VisitSky, fit_focal_plane
from .focal_plane_settings import FocalPlaneSettings
from .sky_cells import SkyCells
from .sky_frame import SkyFrame

__all__ = ["SkyFrameSettings", "SkyFrames", "make_sky_frame"]

_LOG = logging.getLogger(__name__)
_CERTAIN = 4.0
"""Standard errors from which on a deviation is no chance."""
_LEAST_TO_CLIP = 5
"""Of fewer visits none can be told to be off."""
_LEAST_RMS = 2.0
"""A pattern that is less than this many times its noise is none."""
_STAYING = 0.5
"""What is seen in more of the visits than this does not move with the sky."""


@dataclass(frozen=True, kw_only=True)
class SkyFrameSettings:
    """Knobs of sky frames."""

    minimum_visits: int = 3
    """Fewer visits cannot tell what stays from what moves; nor is a cell known that fewer of them show."""
    minimum_sky: float = 50.0
    """Visits of a fainter sky are left out, electrons."""
    n_sigma: float = 4.0
    """Visits further than this from the others do not count in a cell, in scatters."""
    passes: int = 3
    """How often the skies are fitted with the pattern found before."""
    maximum_scatter: float = 0.3
    """Largest relative deviation of a visit's pattern over its sky from the others'."""
    focal_plane: FocalPlaneSettings = field(default_factory=FocalPlaneSettings)
    """How the sky of a visit is fitted."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SkyFrames:
    """The sky frames of a camera in one filter, and what they can be judged by."""

    frames: dict[int, SkyFrame]
    """By the id of the detector."""
    visits: list[int]
    """That were used."""
    left_out: dict[int, str]
    """Visits that were not, with the reason."""
    level: float
    """Median level of the sky, electrons."""
    rms: float
    """Of the pattern."""
    noise: float
    """Typical standard error of a cell of it."""
    ratio_scatter: float
    """Relative scatter of pattern over sky among the visits."""


def make_sky_frame(visits: Mapping[int, Mapping[int, SkyCells]], settings: SkyFrameSettings | None = None) -> SkyFrames:
    """Find what the skies of visits have in common beyond smooth skies.

    From each visit the smooth sky over the camera is taken off; the rest is divided by the strength of the pattern, and
    of all visits the mean is taken, outliers left out.  The skies are fitted with the pattern found before.  The first
    one is what the median of all skies, each over its level, has beyond a smooth sky, for which the levels of the
    detectors are matched at their borders.

    Parameters
    ----------
    visits
        Cells by visit and by the id of the detector, of one filter.  Visits of different places of the sky tell more
        than dithers of one.
    settings
        Knobs; the defaults where not given.

    Raises
    ------
    BadFrameError
        If too few visits are usable, or their skies have no pattern in common.
    """
    return _Maker(visits, settings or SkyFrameSettings()).run()


class _Maker:
    """The state of the making of sky frames."""

    def __init__(self, visits: Mapping[int, Mapping[int, SkyCells]], settings: SkyFrameSettings) -> None:
        self._settings, self._visits = settings, dict(sorted(visits.items()))
        self._left_out: dict[int, str] = {}
        self._frames: dict[int, SkyFrame] = {}
        self._skies: dict[int, VisitSky] = {}

    def run(self) -> SkyFrames:
        self._begin()
        for _ in range(self._settings.passes):
            self._fit_skies()
            self._leave_out_odd()
            self._combine()
        patterns = _joined(frame.pattern for frame in self._frames.values())
        rms = float(np.sqrt(np.nanmean(patterns**2)))
        noise = float(np.nanmedian(_joined(frame.error for frame in self._frames.values())))
        if rms < _LEAST_RMS * noise:
            raise BadFrameError(
                f"the skies have no pattern in common: its rms is {rms:.2g} of the sky, its noise {noise:.2g}.",
                cure="Give more visits, or do without a sky frame.",
            )
        ratios = self._ratios()
        return SkyFrames(
            frames=self._frames,
            visits=list(self._skies),
            left_out=self._left_out,
            level=float(np.median([sky.level for sky in self._skies.values()])),
            rms=rms,
            noise=noise,
            ratio_scatter=float(np.std(ratios) / np.median(ratios)),
        )

    def _fit_skies(self) -> None:
        """Fit the sky of each visit with the frames that there are; leave out visits that cannot be."""
        self._skies = {}
        for visit, cells in self._visits.items():
            if visit in self._left_out:
                continue
            try:
                sky = fit_focal_plane(cells, self._frames, self._settings.focal_plane)
            except BadFrameError as error:
                self._left_out[visit] = error.cause
                continue
            if sky.level < self._settings.minimum_sky:
                least = self._settings.minimum_sky
                self._left_out[visit] = f"its sky is {sky.level:.0f} electrons, {least:.0f} are the least"
                continue
            self._skies[visit] = sky
        self._check()

    def _check(self) -> None:
        """See that enough visits are left."""
        if len(self._skies) < self._settings.minimum_visits:
            reasons = "; ".join(f"visit {visit}: {reason}" for visit, reason in self._left_out.items())
            raise BadFrameError(
                f"{len(self._skies)} usable visits; {self._settings.minimum_visits} are the least"
                f"{f' (left out: {reasons})' if reasons else ''}.",
                cure="Give more visits of this filter.",
            )

    def _begin(self) -> None:
        """The frames from the median of all skies, in which nothing is left that moves."""
        levels = {visit: _level(cells) for visit, cells in self._visits.items()}
        usual = float(np.median(list(levels.values())))
        each: dict[int, list[SkyCells]] = {}
        for visit, cells in self._visits.items():
            for one, mesh in cells.items():
                each.setdefault(one, []).append(_at_level(mesh, usual / levels[visit]))
        least = self._settings.minimum_visits
        medians = {one: _median(meshes) for one, meshes in each.items() if len(meshes) >= least}
        if not medians:
            raise BadFrameError(
                f"no detector was seen in {least} visits, the least.", cure="Give more visits of this filter."
            )
        sky = fit_focal_plane(
            medians, settings=replace(self._settings.focal_plane, bright_threshold=np.inf, dark_fraction=np.inf)
        )
        self._frames = _centred({one: _frame(medians[one], *_sample(sky, one, sky.level)) for one in medians})

    def _combine(self) -> None:
        """The frames from what the skies have beyond smooth ones, over the strength of the pattern in them.

        The pattern times the level of a sky is then what that sky has of it, in the median.
        """
        typical = float(np.median(self._ratios()))
        frames = {}
        for one in self._frames:
            skies = [sky for sky in self._skies.values() if one in sky.detectors and not sky.detectors[one].odd]
            found = _mean(
                [_sample(sky, one, sky.strength / typical) for sky in skies], _moving(skies, one), self._settings
            )
            if found is None:
                _LOG.warning("detector %d has no sky frame: %d visits show it.", one, len(skies))
                continue
            frames[one] = _frame(skies[0].detectors[one].cells, *found)
        self._frames = _centred(frames)

    def _ratios(self) -> np.ndarray:
        return np.array([sky.strength / sky.level for sky in self._skies.values()])

    def _leave_out_odd(self) -> None:
        """Leave out visits whose pattern is weak for their sky, or strong, beyond doubt."""
        ratios = self._ratios()
        typical = float(np.median(ratios))
        for (visit, sky), ratio in zip(list(self._skies.items()), (ratios / typical).tolist(), strict=True):
            doubt = _CERTAIN * sky.strength_error / abs(sky.level * typical)
            if abs(ratio - 1.0) > max(self._settings.maximum_scatter, doubt):
                self._left_out[visit] = f"its pattern over its sky is {ratio:.2f} of the others'"
                del self._skies[visit]
        self._check()


def _level(cells: Mapping[int, SkyCells]) -> float:
    """Median of the cells of a visit."""
    return float(np.nanmedian(_joined(one.level for one in cells.values())))


def _at_level(cells: SkyCells, factor: float) -> SkyCells:
    """The cells times a factor."""
    return replace(cells, level=cells.level * factor, noise=cells.noise * factor)


def _median(each: list[SkyCells]) -> SkyCells:
    """The median of the levels of several visits, where any of them is known."""
    levels = np.stack([one.level for one in each])
    known = np.isfinite(levels).any(axis=0)
    levels[:, ~known] = 0.0  # a median needs a number
    return replace(each[0], level=np.where(known, np.nanmedian(levels, axis=0), np.nan))


def _frame(cells: SkyCells, pattern: np.ndarray, error: np.ndarray) -> SkyFrame:
    return SkyFrame(pattern=pattern, error=error, y=cells.y, x=cells.x, box=cells.box)


def _sample(sky: VisitSky, detector: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """What one visit tells of the pattern in each cell ``[cell_y, cell_x]``, NaN where nothing; and its error."""
    one = sky.detectors[detector]
    value = (one.cells.level - sky.smooth(*one.cells.places())) / strength
    error = one.cells.noise / np.sqrt(np.maximum(one.cells.count, 1)) / strength
    return value, error


def _moving(skies: list[VisitSky], detector: int) -> np.ndarray:
    """Where each visit has light or shadow ``[visit, cell_y, cell_x]``; what most of them have is pattern."""
    odd = np.stack([sky.detectors[detector].bright | sky.detectors[detector].dark for sky in skies])
    return np.asarray(odd & (odd.mean(axis=0) <= _STAYING))


def _mean(
    samples: list[tuple[np.ndarray, np.ndarray]], bright: np.ndarray, settings: SkyFrameSettings
) -> tuple[np.ndarray, np.ndarray] | None:
    """Clipped mean of the visits in each cell, weighted by their errors, and its error; None if no cell has enough."""
    values, errors = (np.stack([sample[place] for sample in samples]) for place in (0, 1))
    known = np.isfinite(values) & np.isfinite(errors) & (errors > 0) & ~bright
    shown = known.sum(axis=0) >= settings.minimum_visits
    if not shown.any():
        return None
    apart = np.where(known, values, np.nan)
    apart[:, ~shown] = 0.0  # a median needs a number
    apart = np.abs(apart - np.nanmedian(apart, axis=0))
    limit = settings.n_sigma * np.maximum(1.4826 * np.nanmedian(apart, axis=0), errors)
    used = known & shown & ((apart <= limit) | (known.sum(axis=0) < _LEAST_TO_CLIP))
    weights = np.where(used, 1.0 / np.square(np.where(used, errors, 1.0)), 0.0)
    total, enough = weights.sum(axis=0), used.sum(axis=0) >= settings.minimum_visits
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (weights * np.where(used, values, 0.0)).sum(axis=0) / total
        return np.where(enough, mean, np.nan), np.where(enough, 1.0 / np.sqrt(total), np.nan)


def _centred(frames: dict[int, SkyFrame]) -> dict[int, SkyFrame]:
    """The frames without the level that all have in common, which belongs to the sky."""
    level = float(np.nanmedian(_joined(frame.pattern for frame in frames.values())))
    return {one: replace(frame, pattern=frame.pattern - level) for one, frame in frames.items()}


def _joined(meshes: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([mesh.ravel() for mesh in meshes])
