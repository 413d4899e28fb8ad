"""Find the defects of a camera's detectors in the frames of a repository, and certify them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from lsst.daf.butler import Butler, CollectionType, DatasetRef, Timespan  # type: ignore[attr-defined]

from skyloom.calibs import DefectMap, DefectSettings, find_defects
from skyloom.errors import BadFrameError, FrameError, RepositoryError
from skyloom.images import bitmask
from skyloom.instruments import Camera
from skyloom.isr import InterpolationSettings, IsrSettings, correct_raw

from .calibrations import certify, validity_run
from .collections import defaults_collection

__all__ = ["FRAME_TYPES", "DetectorDefects", "make_defects"]

FRAME_TYPES = ("raw", "post_isr")

# Pixels as they were read: what is known of bad ones must not hide them, nor the flat even them out.
_AS_READ = IsrSettings(
    use_bias=False,
    use_dark=False,
    use_flat=False,
    use_defects=False,
    interpolation=InterpolationSettings(planes=()),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class DetectorDefects:
    """What became of one detector."""

    detector: int
    frames: int
    """Frames that were used."""
    found: DefectMap | None = None
    boxes: int = 0
    """Boxes that were certified."""
    error: FrameError | None = None


def make_defects(
    butler: Butler,
    camera: Camera,
    *,
    validity: Timespan,
    where: str = "",
    detectors: Sequence[int] | None = None,
    frame_type: str | None = None,
    collections: Sequence[str] | None = None,
    settings: DefectSettings | None = None,
    max_frames: int = 25,
    replace: bool = False,
    advance: Callable[[], object] = lambda: None,
) -> list[DetectorDefects]:
    """Find the defects of each detector and certify them as ``defects``.

    A detector whose search fails is told in the result; the others go on.

    Parameters
    ----------
    butler
        A writeable butler.
    camera
        The camera.
    validity
        Dates for which the defects hold.
    where
        Query expression that selects the frames, as for ``skyloom run``.
    detectors
        Ids; all when None.
    frame_type
        ``raw`` or ``post_isr``; None for raw frames where there are any.  Pixels of post-ISR frames that are masked as
        BAD stay defects.
    collections
        Where the frames are; the camera's inputs when None.
    settings
        Thresholds of the search.
    max_frames
        Most frames a detector, chosen evenly over those selected; they are held in memory at the same time.
    replace
        Whether defects that are certified for the same dates give way.
    advance
        Called after each detector.

    Raises
    ------
    RepositoryError
        If no frame is selected, or defects are certified for part of the dates already and ``replace`` is False.
    """
    chosen = list(collections or [defaults_collection(camera.name)])
    kinds = FRAME_TYPES if frame_type is None else (frame_type,)
    refs = next((found for kind in kinds if (found := _query(butler, camera, kind, chosen, where))), [])
    wanted = set(camera.detector_ids if detectors is None else detectors)
    by_detector = {number: [ref for ref in refs if ref.dataId["detector"] == number] for number in sorted(wanted)}
    if not any(by_detector.values()):
        raise RepositoryError(
            f"no {' or '.join(kinds)} frame of {camera.name} is selected.",
            cure="Ingest frames first, or correct --where, --collections or --detector.",
        )
    run = validity_run(camera.name, "defects", validity)
    butler.collections.register(run, CollectionType.RUN)
    results = []
    for number, frames in by_detector.items():
        result = _search(butler, camera, number, _evenly(frames, max_frames), settings or DefectSettings())
        if result.found is not None:
            data_id = {"instrument": camera.name, "detector": number}
            certify(butler, "defects", result.found.boxes(), data_id, run=run, validity=validity, replace=replace)
        results.append(result)
        advance()
    return results


def _query(butler: Butler, camera: Camera, kind: str, collections: list[str], where: str) -> list[DatasetRef]:
    """Frames of the sky or darks, in the order of their exposures."""
    condition = f"instrument = '{camera.name}' AND exposure.observation_type IN ('science', 'dark')"
    found = butler.query_datasets(
        kind,
        collections=collections,
        where=f"({where}) AND {condition}" if where else condition,
        find_first=True,
        limit=None,
        explain=False,
    )
    return sorted(found, key=lambda ref: (ref.dataId["exposure"], ref.dataId["detector"]))


def _evenly(refs: list[DatasetRef], most: int) -> list[DatasetRef]:
    if len(refs) <= most:
        return refs
    return [refs[index] for index in np.linspace(0, len(refs) - 1, most).round().astype(int)]


def _search(
    butler: Butler, camera: Camera, detector: int, refs: list[DatasetRef], settings: DefectSettings
) -> DetectorDefects:
    images: list[np.ndarray] = []
    try:
        for ref in refs:
            try:
                images.append(_read(butler, camera, ref))
            except BadFrameError:
                continue  # an empty or broken frame says nothing of the detector
        found = find_defects(images, settings)
    except FrameError as error:
        return DetectorDefects(detector=detector, frames=len(images), error=error)
    return DetectorDefects(detector=detector, frames=len(images), found=found, boxes=len(found.boxes()))


def _read(butler: Butler, camera: Camera, ref: DatasetRef) -> np.ndarray:
    """Pixels ``[y, x]`` of the trimmed detector, not-a-number where nothing was read."""
    dataset = butler.get(ref)
    if ref.datasetType.name == "raw":
        raw = camera.complete(dataset, detector_id=int(ref.dataId["detector"]))
        return np.asarray(correct_raw(raw, settings=_AS_READ).image.array)
    bad = (dataset.mask.array[..., 0] & bitmask("BAD", "NO_DATA")) != 0
    return np.where(bad, np.float32(np.nan), dataset.image.array)
