"""The raw frames of a master: corrected one by one, and those left out told with the reason."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import astropy.units as u
import numpy as np

from skyloom.errors import BadFrameError
from skyloom.images.raw import RawExposure
from skyloom.isr import AmplifierLayout, layout_of

from .frame_stack import FrameStack
from .settings import MasterSettings

__all__ = ["CalibFrames", "FrameFacts", "Raw", "check_one_mode", "collected"]

type Raw = Callable[[], RawExposure]
"""Reads a raw frame, completed by its camera, when it is called; may raise `BadFrameError`."""
type Correction = Callable[[RawExposure], np.ndarray]
"""From a raw frame to the trimmed pixels float32 ``[y, x]`` of which the master is made; may raise `BadFrameError`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameFacts:
    """What is known of a frame beside its pixels."""

    exposure: int
    file: str
    mode: dict[str, str]
    seconds: float
    """Dark time, or the exposure time where it is not told."""
    layouts: list[AmplifierLayout]


@dataclass(kw_only=True, eq=False)
class CalibFrames:
    """Corrected frames of one detector with what is known of them."""

    kind: str
    stack: FrameStack
    settings: MasterSettings
    facts: list[FrameFacts] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    """Reason by file (or place, where the file is not known)."""

    def __len__(self) -> int:
        return len(self.facts)

    @property
    def layouts(self) -> list[AmplifierLayout]:
        """Amplifiers, as the first frame has them."""
        return self.facts[0].layouts

    def of(self, amplifier: AmplifierLayout) -> np.ndarray:
        """Pixels of an amplifier in all frames, ``[n, y, x]``."""
        return self.stack.frames[(slice(None), *amplifier.trimmed)]

    def leave_out(self, reasons: Mapping[int, str]) -> None:
        """Take frames out, by index, each with a reason."""
        if not reasons:
            return
        self.left_out |= {self.facts[index].file: reason for index, reason in reasons.items()}
        wanted = [index for index in range(len(self)) if index not in reasons]
        self.stack.keep(wanted)
        self.facts = [self.facts[index] for index in wanted]

    def check(self) -> None:
        """See that enough frames are left, all of one read-out mode.

        Raises
        ------
        BadFrameError
            If not.
        """
        if len(self) < self.settings.minimum_frames:
            reasons = "; ".join(f"{file}: {reason}" for file, reason in self.left_out.items())
            raise BadFrameError(
                f"{len(self)} usable {self.kind} frame{'' if len(self) == 1 else 's'}; {self.settings.minimum_frames} "
                f"are the least{f' (left out: {reasons})' if reasons else ''}.",
                cure=f"Ingest more {self.kind} frames, or select others.",
            )
        check_one_mode(self.kind, self.facts)

    def leave_out_odd_levels(self, noise: Callable[[AmplifierLayout], float], scales: np.ndarray | None = None) -> None:
        """Leave out frames whose level stands apart from the others': light leaked in, or they are something else.

        Parameters
        ----------
        noise
            Noise of a pixel of an amplifier, in the unit of the frames.
        scales
            What to divide the level of each frame by, ``[n]``.
        """
        scale = np.ones(len(self)) if scales is None else scales
        odd: dict[int, str] = {}
        for amplifier in self.layouts:
            levels = np.array([np.nanmedian(frame) for frame in self.of(amplifier)]) / scale
            centre = np.median(levels)
            scatter = 1.4826 * np.median(np.abs(levels - centre))
            tolerance = self.settings.level_tolerance * noise(amplifier)
            limit = np.maximum(self.settings.level_deviation * scatter, tolerance / scale)
            for index in np.flatnonzero(np.abs(levels - centre) > limit):
                odd.setdefault(
                    int(index), f"level {levels[index]:.4g} in amplifier {amplifier.name}, the others have {centre:.4g}"
                )
        self.leave_out(odd)


class _HasMode(Protocol):
    """A frame of a known read-out mode."""

    @property
    def file(self) -> str: ...

    @property
    def mode(self) -> Mapping[str, str]: ...


def check_one_mode(kind: str, frames: Sequence[_HasMode]) -> None:
    """See that all frames were read out in one mode.

    Raises
    ------
    BadFrameError
        If not.
    """
    first = frames[0]
    for frame in frames[1:]:
        differing = sorted(key for key in {**first.mode, **frame.mode} if first.mode.get(key) != frame.mode.get(key))
        if differing:
            key = differing[0]
            raise BadFrameError(
                f"{kind} frames of different read-out modes: {frame.mode.get(key)!r} here, "
                f"{first.mode.get(key)!r} in {first.file}.",
                file=frame.file,
                keyword=key,
                cure="Select the frames of one mode with --where.",
            )


@contextmanager
def collected(kind: str, raws: Sequence[Raw], correct: Correction, settings: MasterSettings) -> Iterator[CalibFrames]:
    """Read and correct the frames of a master; those that cannot be are left out.

    Raises
    ------
    BadFrameError
        If too few are left, or they were read out in different modes.
    """
    with FrameStack(len(raws), settings.memory_mb) as stack:
        frames = CalibFrames(kind=kind, stack=stack, settings=settings)
        for place, read in enumerate(raws):
            try:
                raw = read()
                pixels = correct(raw)
            except BadFrameError as error:
                frames.left_out[error.file or f"frame {place}"] = error.cause
                continue
            stack.add(pixels)
            frames.facts.append(_facts(raw))
        frames.check()
        yield frames


def _facts(raw: RawExposure) -> FrameFacts:
    assert raw.detector is not None
    info = raw.obs_info
    times = () if info is None else (info.dark_time, info.exposure_time)
    seconds = next((float(time.to_value(u.s)) for time in times if time is not None), math.nan)
    return FrameFacts(
        exposure=-1 if info is None or info.exposure_id is None else info.exposure_id,
        file=raw.file,
        mode=raw.mode,
        seconds=seconds,
        layouts=layout_of(raw.detector, raw.image.shape, raw.file),
    )
