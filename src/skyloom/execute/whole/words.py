"""An inventory and a plan in words, for people."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from skyloom.repo.frames import Rejection

from .costs import in_words
from .inventory import SCIENCE, Inventory, Seen
from .plan import Plan, count_of

__all__ = ["describe_estimate", "describe_inventory", "describe_left_out", "describe_plan"]

_MOST, _NAMED = 20, 3
"""Causes, and files of each, that are named."""


def describe_inventory(inventory: Inventory) -> list[str]:
    """A line a kind of frames, and one a file that is left out."""
    camera = inventory.camera
    n_frames = f"{count_of(len(inventory.frames), 'frame')} of {camera.name}"
    other = f", beside {count_of(inventory.n_others, 'other file')}" if inventory.n_others else ""
    known = f"; the repository has {inventory.n_known} of the frames" if inventory.n_known else ""
    lines = [f"{count_of(inventory.n_files, 'FITS file')}{other}: {n_frames}{known}"]
    if not inventory.n_files:
        lines = [f"the repository has {n_frames}"]
    kinds = Counter(one.kind for one in inventory.frames)
    order = sorted(kinds, key=lambda name: (name == SCIENCE, name))
    lines += [f"  {kind:8} {_of_kind(inventory.of(kind), with_filters=kind not in ('bias', 'dark'))}" for kind in order]
    return lines + [f"  {line}" for line in describe_left_out(inventory.rejections)]


def describe_left_out(rejections: Sequence[Rejection]) -> list[str]:
    """A line a cause, with the keyword, the cure and the names of some files."""
    causes: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for one in rejections:
        causes[one.error.keyword or "", one.error.cause, one.error.cure].append(one.path.name)
    lines = []
    for (keyword, cause, cure), names in list(causes.items())[:_MOST]:
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        told = " ".join(part for part in (f"{keyword}:" if keyword else "", cause, cure) if part)
        lines.append(f"left out {', '.join(names[:_NAMED])}{more}: {told}")
    if len(causes) > _MOST:
        lines.append(f"left out {sum(map(len, list(causes.values())[_MOST:]))} more for other causes")
    return lines


def _of_kind(frames: Sequence[Seen], *, with_filters: bool) -> str:
    exposures = {one.exposure: one for one in frames}
    detectors = {one.detector for one in frames}
    parts = [f"{count_of(len(exposures), 'exposure')} of {count_of(len(detectors), 'detector')}"]
    if with_filters:
        filters = Counter(one.physical_filter for one in exposures.values())
        parts.append(", ".join(f"{count} {name}" for name, count in sorted(filters.items())))
    nights = sorted({one.night for one in frames})
    parts.append(f"night {nights[0]}" if len(nights) == 1 else f"{len(nights)} nights ({nights[0]} to {nights[-1]})")
    times = sorted({round(one.exposure_time, 3) for one in frames})
    parts.append(f"{times[0]:g} s" if len(times) == 1 else f"{times[0]:g} to {times[-1]:g} s")
    if any(one.corrected for one in frames):
        parts.append("without instrument signature")
    return "; ".join(parts)


def describe_plan(plan: Plan) -> list[str]:
    """A line a part; the name of a part stands before its first line alone."""
    lines, before = [], ""
    for name, text in plan.lines:
        lines.append(f"  {name if name != before else '':12} {text}")
        before = name
    return lines


def describe_estimate(plan: Plan, processes: int, place: Path, *, compiled: bool) -> str:
    """One line, with a warning where the disk of a repository has less room than that.

    ``compiled`` is whether the kernels are compiled.
    """
    estimate = plan.estimate(processes=processes, compiled=compiled)
    what = "Estimate"
    if plan.inventory.n_known:
        what = "Estimate for what is left" if plan.rest else "Estimate for all, less what is kept of earlier calls"
    first = "" if compiled else ", with the compilation of the kernels, which the first run on a machine does"
    line = (
        f"{what}: {estimate.quanta} quanta, {in_words(estimate.wall_s)} with -j {processes}{first}; "
        f"{_size(estimate.disk_mb)} on disk"
    )
    there = next(one for one in (place, *place.absolute().parents) if one.exists())
    free = shutil.disk_usage(there).free / 1e6
    return line if free > estimate.disk_mb else f"{line}, of which {_size(free)} are free"


def _size(megabytes: float) -> str:
    return f"{megabytes / 1e3:.1f} GB" if megabytes >= 1000 else f"{max(round(megabytes, -1), 10):.0f} MB"
