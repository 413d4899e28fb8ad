"""Flats of one detector in pairs: the same exposure time, filter and level."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import astropy.units as u
import numpy as np

from skyloom.errors import BadFrameError
from skyloom.images.raw import RawExposure
from skyloom.isr import AmplifierLayout, layout_of

from .frame_stack import FrameStack
from .frames import Raw
from .pair_settings import PairSettings

__all__ = ["Flat", "FlatPair", "FlatPairs"]

_STRIDE = 7  # of the pixels that the level of a frame is taken from; no divisor of the usual periods of a read-out


@dataclass(frozen=True, kw_only=True, eq=False)
class Flat:
    """What is known of a flat beside its pixels."""

    exposure: int
    file: str
    seconds: float
    """Exposure time."""
    begin_s: float
    """When it began, in seconds of TAI since some day; NaN where it is not known."""
    physical_filter: str
    monitor: float
    """What the header says of the light; NaN where nothing was asked for."""
    mode: dict[str, str]
    layouts: list[AmplifierLayout]
    level_adu: float
    """Median of the detector."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FlatPair:
    """Two flats of the same light."""

    flats: tuple[Flat, Flat]
    pixels: tuple[np.ndarray, np.ndarray]
    """ADU above the bias, float32 ``[y, x]``."""


@dataclass(kw_only=True, eq=False)
class FlatPairs:
    """Reads flats one by one and gives them out in pairs.

    A frame is paired with the first one before it that is still alone and has the same filter, exposure time and level,
    so that pairs are as near in time as they can be.
    """

    raws: Sequence[Raw]
    correct: Callable[[RawExposure], np.ndarray]
    """From a raw frame to ADU above the bias ``[y, x]``; may raise `BadFrameError`."""
    settings: PairSettings
    monitor: str = ""
    """Header keyword that tells the light."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Frames that were not used, with the reason, by file (or place, where the file is not known)."""

    def __iter__(self) -> Iterator[FlatPair]:
        with FrameStack(len(self.raws), self.settings.memory_mb) as stack:
            waiting = _Waiting(stack, self.settings)
            for place, read in enumerate(self.raws):
                try:
                    raw = read()
                    pixels = self.correct(raw)
                    flat = _facts(raw, pixels, self.monitor)
                except BadFrameError as error:
                    self.left_out[error.file or f"frame {place}"] = error.cause
                    continue
                pair = waiting.paired(flat, pixels)
                if pair is not None:
                    yield pair
            self.left_out |= {
                flat.file: f"there is no second flat of {flat.seconds:g} s and {flat.level_adu:.0f} ADU in filter "
                f"{flat.physical_filter}"
                for flat in waiting.flats
            }


class _Waiting:
    """Frames without a partner yet."""

    def __init__(self, stack: FrameStack, settings: PairSettings) -> None:
        self._stack, self._settings = stack, settings
        self._places: list[tuple[Flat, int]] = []
        self._free: list[int] = []

    @property
    def flats(self) -> list[Flat]:
        return [flat for flat, _ in self._places]

    def paired(self, flat: Flat, pixels: np.ndarray) -> FlatPair | None:
        """The pair of a frame and the one that waited for it; without one, it waits itself."""
        for index, (other, place) in enumerate(self._places):
            if self._alike(other, flat):
                del self._places[index]
                self._free.append(place)
                return FlatPair(flats=(other, flat), pixels=(self._stack[place].copy(), pixels))
        if self._free:
            place = self._free.pop()
            self._stack[place][...] = pixels
        else:
            place = len(self._stack)
            self._stack.add(pixels)
        self._places.append((flat, place))
        return None

    def _alike(self, one: Flat, other: Flat) -> bool:
        settings = self._settings
        return (
            one.physical_filter == other.physical_filter
            and math.isclose(one.seconds, other.seconds, rel_tol=settings.time_tolerance)
            and math.isclose(one.level_adu, other.level_adu, rel_tol=settings.level_tolerance)
        )


def _facts(raw: RawExposure, pixels: np.ndarray, monitor: str) -> Flat:
    assert raw.detector is not None
    info = raw.obs_info
    time = None if info is None else info.exposure_time
    begin = None if info is None else info.datetime_begin
    if time is None or not time.to_value(u.s) > 0:
        raise BadFrameError("it has no exposure time.", file=raw.file)
    return Flat(
        exposure=-1 if info is None or info.exposure_id is None else info.exposure_id,
        file=raw.file,
        seconds=float(time.to_value(u.s)),
        begin_s=math.nan if begin is None else 86400.0 * float(begin.tai.mjd),
        physical_filter=str(info.physical_filter if info is not None and info.physical_filter else "unknown"),
        monitor=_monitored(raw, monitor) if monitor else math.nan,
        mode=raw.mode,
        layouts=layout_of(raw.detector, raw.image.shape, raw.file),
        level_adu=float(np.nanmedian(pixels[::_STRIDE, ::_STRIDE])),
    )


def _monitored(raw: RawExposure, keyword: str) -> float:
    """The light that a header tells."""
    try:
        light = float(raw.header[keyword])
    except (KeyError, TypeError, ValueError) as error:
        raise BadFrameError(f"its header has no number in {keyword}.", file=raw.file, keyword=keyword) from error
    if not light > 0:
        raise BadFrameError(f"its header has {keyword} = {light:g}.", file=raw.file, keyword=keyword)
    return light
