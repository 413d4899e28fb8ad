"""Bring in frames that come without instrument signature, and define their visits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lsst.daf.butler import Butler, DatasetIdGenEnum, DatasetRef

from skyloom.errors import BadFrameError
from skyloom.images import to_post_isr
from skyloom.images.exposure import Exposure
from skyloom.instruments import Camera

from .collections import post_isr_run
from .exposures import insert_exposures
from .frames import Frame, Rejection
from .ingest import IngestResult, new_frames, sort_frames
from .post_isr_pixels import read_post_isr
from .visits import define_visits

__all__ = ["ingest_corrected_frames", "ingest_post_isr", "read_post_isr"]


def ingest_post_isr(
    butler: Butler,
    camera: Camera,
    paths: Iterable[Path],
    *,
    masks: Path | None = None,
    workers: int = 1,
    advance: Callable[[], object] = lambda: None,
) -> IngestResult:
    """Write frames without instrument signature as ``post_isr``, and define their visits.

    Frames whose exposure and detector are there already are left as they are.  Parameters are those of
    `skyloom.repo.ingest.ingest_raws`; ``masks`` is that of `read_post_isr`.
    """
    frames, rejected = sort_frames(camera, paths, workers=workers, advance=advance)
    result = ingest_corrected_frames(butler, camera, frames, masks=masks, workers=workers)
    result.rejected = rejected + result.rejected
    return result


def ingest_corrected_frames(
    butler: Butler, camera: Camera, frames: list[Frame], *, masks: Path | None = None, workers: int = 1
) -> IngestResult:
    """Write corrected frames of which the headers have been read; parameters are those of `ingest_post_isr`."""
    run = post_isr_run(camera.name)
    fresh, known, rejected = new_frames(butler, camera.name, "post_isr", run, frames, lambda *_: True)
    result = IngestResult(known=known, rejected=rejected)
    with butler.transaction():
        insert_exposures(butler, fresh)
    with ThreadPoolExecutor(max_workers=max(workers, 1)) as pool:
        for some in _batches(fresh, 2 * max(workers, 1)):
            read = list(pool.map(lambda frame: _try_read(camera, frame, masks), some))
            result.rejected.extend(one for one in read if isinstance(one, Rejection))
            good = [(frame, one) for frame, one in zip(some, read, strict=True) if not isinstance(one, Rejection)]
            # Visits first: a frame that is there counts as known, and would never get its visit.
            result.visits += define_visits(butler, camera, [frame for frame, _ in good])
            for frame, exposure in good:
                _put(butler, camera, frame, exposure)
                result.ingested += 1
    return result


def _batches(frames: list[Frame], size: int) -> Iterable[list[Frame]]:
    """Parts of the list, so that only as many frames as are worked on lie in memory."""
    return (frames[start : start + size] for start in range(0, len(frames), size))


def _try_read(camera: Camera, frame: Frame, masks: Path | None) -> Exposure | Rejection:
    try:
        return read_post_isr(camera, frame, masks)
    except BadFrameError as error:
        return Rejection(frame.path, error)


def _put(butler: Butler, camera: Camera, frame: Frame, exposure: Exposure) -> None:
    data_id = butler.registry.expandDataId(instrument=camera.name, exposure=frame.exposure, detector=frame.detector)
    ref = DatasetRef(
        butler.get_dataset_type("post_isr"),
        data_id,
        run=post_isr_run(camera.name),
        id_generation_mode=DatasetIdGenEnum.DATAID_TYPE_RUN,
    )
    butler.put(to_post_isr(exposure), ref)
