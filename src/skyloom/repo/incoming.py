"""Bring in whatever frames there are: raw ones, and such as come without instrument signature."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from lsst.daf.butler import Butler

from skyloom.instruments import Camera

from .frames import Frame, Rejection
from .ingest import IngestResult, ingest_raw_frames, sort_frames
from .ingest_record import record_left_out
from .post_isr import ingest_corrected_frames

__all__ = ["ingest", "ingest_frames"]


def ingest(
    butler: Butler,
    camera: Camera,
    paths: Iterable[Path],
    *,
    masks: Path | None = None,
    transfer: str = "direct",
    workers: int = 1,
    advance: Callable[[], object] = lambda: None,
    center: tuple[float, float] | None = None,
) -> IngestResult:
    """Ingest raw frames as ``raw``, and frames without instrument signature as ``post_isr``.

    One exposure may be there as both: pipelines that begin with raw frames take the one, those that begin with
    corrected ones the other.  What is left out is added to the record of the repository, see `read_left_out`.

    Parameters
    ----------
    butler
        A writeable butler.
    camera
        The camera of the frames.
    paths
        Absolute paths of files.
    masks
        Folder with the survey's own masks of corrected frames.
    transfer
        What happens to raw files, see `skyloom.repo.ingest.ingest_raws`.
    workers
        Files read at a time.
    advance
        Called once a file.
    center
        Boresight (ra, dec), degree, of the frames whose headers have none; the camera's description gives the rest
        of their first projection.
    """
    frames, rejected = sort_frames(camera, paths, workers=workers, advance=advance, center=center)
    return ingest_frames(butler, camera, frames, rejected, masks=masks, transfer=transfer, workers=workers)


def ingest_frames(
    butler: Butler,
    camera: Camera,
    frames: list[Frame],
    rejected: list[Rejection],
    *,
    masks: Path | None = None,
    transfer: str = "direct",
    workers: int = 1,
) -> IngestResult:
    """Ingest frames of which the headers have been read; ``rejected`` are files that could not be used."""
    raw = ingest_raw_frames(butler, camera, [one for one in frames if not one.corrected], transfer=transfer)
    corrected = ingest_corrected_frames(
        butler, camera, [one for one in frames if one.corrected], masks=masks, workers=workers
    )
    result = IngestResult(
        ingested=raw.ingested + corrected.ingested,
        known=raw.known + corrected.known,
        visits=raw.visits + corrected.visits,
        rejected=rejected + raw.rejected + corrected.rejected,
    )
    record_left_out(butler, camera, result.rejected)
    return result
