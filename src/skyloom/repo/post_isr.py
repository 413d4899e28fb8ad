"""Bring in frames that come without instrument signature: from counts to electrons, with a variance and masks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import astropy.units as u
import numpy as np
from lsst.daf.butler import Butler, DatasetIdGenEnum, DatasetRef
from lsst.images.cameras import Detector

from skyloom.errors import BadFrameError
from skyloom.images import to_post_isr
from skyloom.images.exposure import Exposure
from skyloom.images.mask_planes import bitmask
from skyloom.instruments import Camera

from .collections import post_isr_run
from .exposures import insert_exposures
from .frame_files import read_pixels
from .frames import Frame, Rejection
from .ingest import IngestResult, new_frames, sort_frames
from .survey_masks import mask_file, read_survey_mask
from .visits import define_visits

__all__ = ["electrons", "ingest_post_isr", "read_post_isr"]


def electrons(
    counts: np.ndarray, detector: Detector, soft_bias_adu: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, variance and mask bits of corrected counts, amplifier by amplifier.

    With the gain g and the read noise r of the amplifier, electrons are ``e = g * (counts - soft_bias)`` and their
    variance is ``max(e, 0) + r**2``: right for frames that hold their sky, whose photons are in ``e``.

    Parameters
    ----------
    counts
        ADU ``[y, x]`` of the trimmed detector.
    detector
        Detector with nominal gain, read noise and saturation.
    soft_bias_adu
        What was added to all pixels.

    Returns
    -------
    image, variance, bits
        float32, float32 (+inf where a pixel is not a number) and int32, ``[y, x]``.
    """
    image = np.full(counts.shape, np.nan, np.float32)
    variance = np.full(counts.shape, np.inf, np.float32)
    bits = np.full(counts.shape, bitmask("NO_DATA"), np.int32)
    for amplifier in detector.amplifiers:
        part = amplifier.bbox.slice_within(detector.bbox)
        nominal = amplifier.nominal_calibrations
        assert nominal is not None  # cameras always state them
        level = counts[part].astype(np.float64) - soft_bias_adu
        signal = level * nominal.gain
        good = np.isfinite(level)
        image[part] = np.where(good, signal, np.nan)
        variance[part] = np.where(good, np.maximum(signal, 0.0) + nominal.read_noise**2, np.inf)
        bits[part] = np.where(good, 0, bitmask("NO_DATA"))
        bits[part] |= np.where(good & (level >= nominal.saturation), bitmask("SAT"), 0)
        bits[part] |= np.where(good & (level >= nominal.suspect_level), bitmask("SUSPECT"), 0)
    return image, variance, bits


def read_post_isr(camera: Camera, frame: Frame, masks: Path | None = None) -> Exposure:
    """The exposure in electrons of a frame that came without instrument signature.

    Parameters
    ----------
    camera
        The camera.
    frame
        What is known of the frame.
    masks
        Folder with the survey's own mask of each frame, where the camera's description says how to read it.

    Raises
    ------
    BadFrameError
        If the file, or its mask, cannot be read.
    """
    file = str(frame.path)
    counts, header = read_pixels(frame.path, frame.hdu)
    detector = camera.detector(frame.detector, frame.exposure, header=header, file=file)
    soft_bias = camera.reader(header, file).soft_bias()
    image, variance, bits = electrons(counts, detector, soft_bias)
    if masks is not None:
        bits |= read_survey_mask(mask_file(camera, masks, frame.path), camera, image.shape)
    name = frame.info.physical_filter
    return Exposure.from_arrays(
        image,
        bits,
        variance,
        unit=u.electron,
        x0=detector.bbox.x.start,
        y0=detector.bbox.y.start,
        detector=detector,
        obs_info=frame.info,
        band=None if name is None else camera.filters[name].band,
        projection=camera.guess_projection(header, file, detector, frame.info),
        metadata={"SKYLOOM FILE": frame.path.name, "SKYLOOM SOFT BIAS": soft_bias},
    )


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
    run = post_isr_run(camera.name)
    fresh, known, more = new_frames(butler, camera.name, "post_isr", run, frames, lambda *_: True)
    result = IngestResult(known=known, rejected=rejected + more)
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
