"""Frames that come without instrument signature: from counts to electrons, with a variance and masks."""

from __future__ import annotations

from pathlib import Path

import astropy.units as u
import numpy as np
from lsst.images.cameras import Detector

from skyloom.errors import BadFrameError
from skyloom.images.exposure import Exposure
from skyloom.images.mask_planes import bitmask
from skyloom.instruments import Camera
from skyloom.instruments.given_pointing import with_pointing
from skyloom.instruments.processed import CorrectedDescription
from skyloom.isr import InterpolationSettings
from skyloom.isr.interpolation import interpolate_unusable

from .frame_files import read_pixels
from .frames import Frame
from .survey_masks import mask_file, read_survey_mask
from .trim import trimmed

__all__ = ["electrons", "read_post_isr"]

_BLANK_SIGNIFICANCE = 5.0
"""A count is blank where the level of the frame is farther from it than this, in the frame's scatter."""


def electrons(
    counts: np.ndarray,
    detector: Detector,
    soft_bias_adu: float,
    *,
    common_gain: float | None = None,
    saturation: float = 1.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, variance and mask bits of corrected counts, amplifier by amplifier.

    With the gain g and the read noise r of the amplifier, electrons are ``e = g * (counts - soft_bias)`` and their
    variance is ``max(e, 0) + r**2``: right for frames that hold their sky, whose photons are in ``e``.  Where a flat
    field has brought all amplifiers to one scale, of the gain G, the image is ``G / g * e`` and the variance
    ``(G / g)**2`` times that.

    Parameters
    ----------
    counts
        ADU ``[y, x]`` of the trimmed detector.
    detector
        Detector with nominal gain, read noise and saturation.
    soft_bias_adu
        What was added to all pixels.
    common_gain
        G; None for counts that have each amplifier's own gain.
    saturation
        Part of the saturation level from which on pixels are saturated.

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
        scale = 1.0 if common_gain is None else common_gain / nominal.gain
        level = counts[part].astype(np.float64) - soft_bias_adu
        signal = level * nominal.gain
        good = np.isfinite(level)
        image[part] = np.where(good, scale * signal, np.nan)
        variance[part] = np.where(good, scale**2 * (np.maximum(signal, 0.0) + nominal.read_noise**2), np.inf)
        bits[part] = np.where(good, 0, bitmask("NO_DATA"))
        bits[part] |= np.where(good & (level >= saturation * nominal.saturation), bitmask("SAT"), 0)
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
    if isinstance(frame.hdu, tuple):
        raise BadFrameError(
            "a corrected frame in parts, an amplifier each.", file=file, cure="Leave it out, or put it together."
        )
    counts, header = read_pixels(frame.path, frame.hdu)
    header = with_pointing(header, frame.center)
    detector = camera.detector(frame.detector, frame.exposure, header=header, file=file)
    counts = trimmed(counts, detector)
    soft_bias = camera.reader(header, file).soft_bias()
    corrected = camera.description.corrected
    if corrected is None:
        image, variance, bits = electrons(counts, detector, soft_bias)
    else:
        image, variance, bits = _of_a_raw_camera(counts, detector, soft_bias, corrected)
    if masks is not None:
        bits |= read_survey_mask(mask_file(camera, masks, frame.path), camera, image.shape)
    name = frame.info.physical_filter
    kept = {} if corrected is None else {key: header[key] for key in corrected.keep if key in header}
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
        metadata={"SKYLOOM FILE": frame.path.name, "SKYLOOM SOFT BIAS": soft_bias, **kept},
    )


def _of_a_raw_camera(
    counts: np.ndarray, detector: Detector, soft_bias: float, corrected: CorrectedDescription
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, variance and bits as `electrons` gives them; masked pixels are BAD and interpolated, as after our own
    removal of the signature.
    """
    image, variance, bits = electrons(
        counts, detector, soft_bias, common_gain=corrected.gain, saturation=corrected.saturation
    )
    if corrected.blank is not None and _tells_blanks(counts, corrected.blank):
        bits[counts == corrected.blank] |= bitmask("BAD")
    interpolate_unusable(image, variance, bits, InterpolationSettings(planes=("SAT", "BAD", "UNMASKEDNAN")))
    return image, variance, bits


def _tells_blanks(counts: np.ndarray, blank: float) -> bool:
    """Whether the sky is so far from the blank count that no good pixel of it happens to have that count."""
    low, level, high = np.nanpercentile(counts[::4, ::4], (25.0, 50.0, 75.0))
    return bool(abs(level - blank) > _BLANK_SIGNIFICANCE * 0.7413 * max(high - low, 1.0))
