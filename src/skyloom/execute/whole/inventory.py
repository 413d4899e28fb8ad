"""What there is: frames by kind, filter and night, from the headers of files and from the registry of a repository."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from lsst.daf.butler import Butler
from lsst.sphgeom import LonLat

from skyloom.errors import BadFrameError, RepositoryError
from skyloom.instruments import Camera
from skyloom.instruments.header import ON_SKY
from skyloom.repo.collections import post_isr_run, raw_run
from skyloom.repo.detector_hdus import find_detectors
from skyloom.repo.exposures import consistent_frames
from skyloom.repo.frame_files import SUFFIXES, find_image, merged_header, open_frame
from skyloom.repo.frames import Frame, Rejection, describe_files
from skyloom.repo.setup import instruments

__all__ = ["Inventory", "Seen", "fitting_camera", "frame_paths", "look"]

SCIENCE = next(iter(ON_SKY))


@dataclass(frozen=True)
class Seen:
    """One frame, of a detector of an exposure."""

    exposure: int
    detector: int
    kind: str
    """Observation type, such as ``bias`` or ``science``."""
    physical_filter: str
    night: int
    """As the integer YYYYMMDD."""
    exposure_time: float
    """Seconds."""
    corners: tuple[np.ndarray, np.ndarray] | None
    """ra, dec in degrees of corners that hold the frame; None off the sky."""
    corrected: bool
    """Whether it comes without instrument signature."""
    mid_year: float = np.nan
    """Julian year in which it was taken."""
    path: Path | None = None
    """Its file; None where it is known from the repository alone."""


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """The frames that a command would work on."""

    camera: Camera
    frames: Sequence[Seen]
    """One for each detector of an exposure; where one is there both raw and corrected, the raw one."""
    read: Sequence[Frame] = ()
    """Frames of which the headers have been read, doubles and contradictions among them."""
    rejections: Sequence[Rejection] = ()
    """Files, or parts of them, that cannot be used."""
    unread: Sequence[Rejection] = ()
    """Those of them that gave no frame."""
    n_files: int = 0
    """FITS files that were looked at."""
    n_others: int = 0
    """Files below the folders that are no FITS files by their names."""
    n_known: int = 0
    """Frames that the repository has already."""
    modes: Mapping[str, Counter[tuple[tuple[str, str], ...]]] = field(default_factory=dict)
    """Observation type: read-out modes with the exposures of each, where the camera tells modes."""
    mode_of: Mapping[int, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """Exposure: its read-out mode."""

    def of(self, kind: str) -> list[Seen]:
        """The frames of an observation type."""
        return [one for one in self.frames if one.kind == kind]

    def exposures(self, kind: str, physical_filter: str | None = None) -> set[int]:
        """Exposures of an observation type, and of a filter where one is named."""
        return {one.exposure for one in self.of(kind) if physical_filter in (None, one.physical_filter)}

    @cached_property
    def science(self) -> list[Seen]:
        """Frames of the sky."""
        return self.of(SCIENCE)

    @property
    def new(self) -> int:
        """Frames that the repository does not have."""
        return len(self.frames) - self.n_known

    @property
    def corrected(self) -> bool:
        """Whether all frames of the sky come without instrument signature."""
        return bool(self.science) and all(one.corrected for one in self.science)

    def band(self, physical_filter: str) -> str:
        """Band of a filter."""
        entry = self.camera.filters.get(physical_filter)
        return physical_filter if entry is None else entry.band


def frame_paths(folders: Iterable[str | Path], leave_out: Iterable[Path]) -> tuple[list[Path], int]:
    """FITS files among and below the paths that are named, and how many other files are there.

    What lies below one of the paths ``leave_out`` (a repository, a report, masters, a catalogue) does not count.

    Raises
    ------
    RepositoryError
        If a path does not exist.
    """
    without = [path.resolve() for path in leave_out]
    found: set[Path] = set()
    others = 0
    for folder in map(Path, folders):
        if not folder.exists():
            raise RepositoryError("no such file or folder.", file=str(folder), cure="Check the path.")
        for path in folder.rglob("*") if folder.is_dir() else (folder,):
            if path.name.startswith(".") or not path.is_file():
                continue
            place = path.resolve()
            if any(place == one or one in place.parents for one in without):
                continue
            if path.name.lower().endswith(SUFFIXES) or not folder.is_dir():
                found.add(path.absolute())
            else:
                others += 1
    return sorted(found), others


def fitting_camera(paths: Sequence[Path], cameras: Sequence[Camera]) -> dict[str, int]:
    """Of each camera by its name, how many of some files its description recognises.

    A description that recognises frames by nothing at all fits none.
    """
    counts = dict.fromkeys((camera.name for camera in cameras), 0)
    for path in paths:
        header = _any_header(path)
        for camera in cameras:
            if header is not None and camera.description.recognise and _recognises(camera, header):
                counts[camera.name] += 1
    return counts


def _any_header(path: Path) -> Any:
    """The header of the first image of a file; None where it cannot be read."""
    try:
        with open_frame(path) as hdus:
            return merged_header(hdus, find_image(hdus, path))
    except (BadFrameError, OSError):
        return None


def _recognises(camera: Camera, header: Any) -> bool:
    try:
        camera.reader(header).check_camera()
    except BadFrameError:
        return False
    return True


def look(
    camera: Camera,
    paths: Sequence[Path],
    *,
    butler: Butler | None = None,
    n_others: int = 0,
    center: tuple[float, float] | None = None,
    workers: int = 1,
    advance: Callable[[], object] = lambda: None,
) -> Inventory:
    """Read the headers of files, and what a repository has already; nothing is written.

    Parameters
    ----------
    camera
        The camera of the frames.
    paths
        Absolute paths of files.
    butler
        The repository, where there is one.
    n_others
        Files that are no FITS files, for the account.
    center
        Boresight (ra, dec), degree, of frames whose headers have none.
    workers
        Files read at a time.
    advance
        Called once a file.
    """
    frames: list[Frame] = []
    rejections: list[Rejection] = []
    for found in describe_files(camera, paths, workers=workers, advance=advance, center=center):
        if isinstance(found, Frame):
            frames.append(found)
        else:
            rejections.append(found)
    unread = list(rejections)
    good: list[Frame] = []
    for corrected in (False, True):  # an exposure may be there as both
        some, bad = consistent_frames([one for one in frames if one.corrected is corrected], {})
        good += some
        rejections += bad
    known = {} if butler is None else _known(butler, camera)
    merged = {(one.exposure, one.detector): one for one in map(_seen, reversed(good))}
    mode_of = _modes(camera, good)
    merged = known | merged
    return Inventory(
        camera=camera,
        frames=[merged[key] for key in sorted(merged)],
        read=frames,
        rejections=rejections,
        unread=unread,
        n_files=len(paths),
        n_others=n_others,
        n_known=len(known),
        modes=_count_modes(merged.values(), mode_of),
        mode_of=mode_of,
    )


def _seen(frame: Frame) -> Seen:
    info = frame.info
    assert info.exposure_time is not None
    return Seen(
        exposure=frame.exposure,
        detector=frame.detector,
        kind=str(info.observation_type),
        physical_filter=info.physical_filter or "none",
        night=int(info.observing_day or 0),
        exposure_time=float(info.exposure_time.to_value(u.s)),
        corners=frame.corners,
        corrected=frame.corrected,
        mid_year=np.nan if info.datetime_begin is None else float(info.datetime_begin.jyear),
        path=frame.path,
    )


def _known(butler: Butler, camera: Camera) -> dict[tuple[int, int], Seen]:
    """The frames that a repository has."""
    if camera.name not in instruments(butler):
        return {}
    regions = {
        (record.visit, record.detector): record.region
        for record in butler.query_dimension_records(
            "visit_detector_region", instrument=camera.name, explain=False, limit=None
        )
    }
    found: dict[tuple[int, int], Seen] = {}
    for name, run, corrected in (("post_isr", post_isr_run(camera.name), True), ("raw", raw_run(camera.name), False)):
        refs = butler.query_datasets(name, run, with_dimension_records=True, explain=False, limit=None)
        for ref in refs:
            record: Any = ref.dataId.records["exposure"]
            key = (int(ref.dataId["exposure"]), int(ref.dataId["detector"]))
            begin = record.timespan.begin
            found[key] = Seen(
                *key,
                kind=record.observation_type,
                physical_filter=record.physical_filter,
                night=int(record.day_obs),
                exposure_time=float(record.exposure_time),
                corners=_vertices(regions.get(key)),
                corrected=corrected,
                mid_year=np.nan if begin is None else float(begin.jyear),
            )
    return found


def _vertices(region: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """Corners of a region on the sky, degrees."""
    if region is None:
        return None
    places = [LonLat(vertex) for vertex in region.getVertices()]
    ra, dec = ([getattr(place, axis)().asDegrees() for place in places] for axis in ("getLon", "getLat"))
    return np.array(ra), np.array(dec)


def _modes(camera: Camera, frames: Sequence[Frame]) -> dict[int, tuple[tuple[str, str], ...]]:
    """Read-out modes of exposures, from the header of one of their detectors."""
    if not camera.description.mode_keywords:
        return {}
    found: dict[int, tuple[tuple[str, str], ...]] = {}
    for frame in frames:
        if frame.exposure in found or frame.corrected:
            continue
        with open_frame(frame.path) as hdus:
            (place, *_) = find_detectors(camera, hdus, frame.path).images
            part = place.hdu[0] if isinstance(place.hdu, tuple) else place.hdu
            header = merged_header(hdus, find_image(hdus, frame.path, part))
        found[frame.exposure] = tuple(sorted(camera.reader(header, str(frame.path)).mode().items()))
    return found


def _count_modes(
    frames: Iterable[Seen], mode_of: Mapping[int, tuple[tuple[str, str], ...]]
) -> dict[str, Counter[tuple[tuple[str, str], ...]]]:
    counts: dict[str, Counter[tuple[tuple[str, str], ...]]] = defaultdict(Counter)
    for kind, exposure in {(one.kind, one.exposure) for one in frames}:
        if exposure in mode_of:
            counts[kind][mode_of[exposure]] += 1
    return dict(counts)
