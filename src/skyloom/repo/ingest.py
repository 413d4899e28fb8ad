"""Bring raw frames into a repository and define their visits; frames that cannot be used are told, not fatal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from lsst.daf.butler import (
    Butler,
    DatasetIdGenEnum,
    DatasetRef,
    FileDataset,
)
from lsst.resources import ResourcePath

from skyloom.errors import BadFrameError
from skyloom.instruments import Camera

from .collections import raw_run
from .exposures import consistent_frames, doubled, insert_exposures
from .frames import Frame, Rejection, describe_files
from .hdu_formatters import formatter_of
from .raw_files import fragment_of
from .visits import define_visits

__all__ = ["TRANSFERS", "IngestResult", "ingest_raw_frames", "ingest_raws", "new_frames", "sort_frames"]

TRANSFERS = ("direct", "copy", "symlink", "hardlink", "relsymlink", "move")


@dataclass
class IngestResult:
    """What a call of ingest did."""

    ingested: int = 0
    """Frames that are new in the repository."""
    known: int = 0
    """Frames that were there already, from the same file."""
    visits: int = 0
    """Visits that are new."""
    rejected: list[Rejection] = field(default_factory=list)

    @property
    def succeeded(self) -> bool:
        """Whether any file was good."""
        return self.ingested + self.known > 0


def sort_frames(
    camera: Camera,
    paths: Iterable[Path],
    *,
    workers: int,
    advance: Callable[[], object],
    center: tuple[float, float] | None = None,
) -> tuple[list[Frame], list[Rejection]]:
    """Frames that can be used, and files that cannot; ``center`` is the pointing of frames that tell none."""
    frames: list[Frame] = []
    rejected: list[Rejection] = []
    for found in describe_files(camera, paths, workers=workers, advance=advance, center=center):
        if isinstance(found, Frame):
            frames.append(found)
        else:
            rejected.append(found)
    return frames, rejected


def ingest_raws(
    butler: Butler,
    camera: Camera,
    paths: Iterable[Path],
    *,
    transfer: str = "direct",
    workers: int = 1,
    advance: Callable[[], object] = lambda: None,
) -> IngestResult:
    """Ingest raw frames and define the visits of those that show the sky; corrected frames are left out.

    Calling it again with the same files changes nothing.

    Parameters
    ----------
    butler
        A writeable butler.
    camera
        The camera of the frames.
    paths
        Absolute paths of files.
    transfer
        ``direct`` leaves the files where they are; the others bring them into the repository.
    workers
        Threads that read headers.
    advance
        Called once a file.
    """
    frames, rejected = sort_frames(camera, paths, workers=workers, advance=advance)
    result = ingest_raw_frames(butler, camera, [frame for frame in frames if not frame.corrected], transfer=transfer)
    result.rejected = rejected + [_no_raw(frame) for frame in frames if frame.corrected] + result.rejected
    return result


def ingest_raw_frames(butler: Butler, camera: Camera, frames: list[Frame], *, transfer: str = "direct") -> IngestResult:
    """Ingest raw frames of which the headers have been read; parameters are those of `ingest_raws`."""
    fresh, known, rejected = new_frames(butler, camera.name, "raw", raw_run(camera.name), frames, same_file)
    result = IngestResult(ingested=len(fresh), known=known, rejected=rejected)
    with butler.transaction():
        insert_exposures(butler, fresh)
        _ingest(butler, camera, fresh, transfer)
        result.visits = define_visits(butler, camera, fresh)
    return result


def _no_raw(frame: Frame) -> Rejection:
    error = BadFrameError(
        "the frame comes without instrument signature, it is no raw one.",
        file=str(frame.path),
        cure="Bring it in with 'skyloom ingest'.",
    )
    return Rejection(frame.path, error)


def new_frames(
    butler: Butler,
    instrument: str,
    dataset_type: str,
    run: str,
    frames: list[Frame],
    is_same: Callable[[Butler, DatasetRef, Frame], bool],
) -> tuple[list[Frame], int, list[Rejection]]:
    """Frames that a run lacks, how many it has from the same file, and those that contradict what is there."""
    wanted = {frame.exposure for frame in frames}
    records = butler.query_dimension_records("exposure", instrument=instrument, explain=False, limit=None)
    good, rejected = consistent_frames(frames, {record.id: record for record in records if record.id in wanted})
    refs = butler.query_datasets(dataset_type, collections=run, instrument=instrument, explain=False, limit=None)
    there = {(ref.dataId["exposure"], ref.dataId["detector"]): ref for ref in refs}
    fresh: list[Frame] = []
    known = 0
    for frame in good:
        ref = there.get(frame.key)
        if ref is None:
            fresh.append(frame)
        elif is_same(butler, ref, frame):
            known += 1
        else:
            rejected.append(doubled(frame, str(_place(butler, ref))))
    return fresh, known, rejected


def same_file(butler: Butler, ref: DatasetRef, frame: Frame) -> bool:
    """Whether a dataset is the frame's own file, or the copy of one of the same size that lies in the repository."""
    place = _place(butler, ref)
    if place.ospath == str(frame.path):
        return True
    roots = [root for root in butler.get_datastore_roots().values() if root is not None]
    inside = any(place.relative_to(root) is not None for root in roots)
    return bool(inside and place.size() == frame.path.stat().st_size)


def _place(butler: Butler, ref: DatasetRef) -> ResourcePath:
    return butler.getURI(ref).replace(fragment="")


def _ingest(butler: Butler, camera: Camera, frames: list[Frame], transfer: str) -> None:
    """Register frames where they lie, or in a copy (or link) of their file, one for all frames of a file."""
    if transfer == "direct":
        butler.ingest(
            *[_dataset(butler, camera, frame, ResourcePath(str(frame.path))) for frame in frames], transfer="direct"
        )
        return
    by_file: dict[Path, list[Frame]] = {}
    for frame in frames:
        by_file.setdefault(frame.path, []).append(frame)
    for path, members in by_file.items():
        first = _dataset(butler, camera, members[0], ResourcePath(str(path)), within=True)
        butler.ingest(first, transfer=transfer)
        place = butler.getURI(first.refs[0])
        rest = [_dataset(butler, camera, frame, place, within=True) for frame in members[1:]]
        butler.ingest(*rest, transfer=None)


def _dataset(butler: Butler, camera: Camera, frame: Frame, path: ResourcePath, *, within: bool = False) -> FileDataset:
    """A frame and its file; where in it, is told by the fragment, or by the formatter of a file in the repository."""
    data_id = butler.registry.expandDataId(instrument=camera.name, exposure=frame.exposure, detector=frame.detector)
    # Deterministic ids: the same frame has the same id in every repository.
    ref = DatasetRef(
        butler.get_dataset_type("raw"),
        data_id,
        run=raw_run(camera.name),
        id_generation_mode=DatasetIdGenEnum.DATAID_TYPE_RUN,
    )
    if frame.hdu is not None and not within:
        path = path.replace(fragment=fragment_of(frame.hdu))
    return FileDataset(path=path, refs=[ref], formatter=formatter_of(frame.hdu if within else None, frame.center))
