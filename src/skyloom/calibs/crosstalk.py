"""What the amplifiers of a detector pick up from each other, from frames with bright sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from lsst.images.cameras import ReadoutCorner
from scipy.ndimage import uniform_filter

from skyloom.background import BackgroundSettings, fit_background
from skyloom.errors import BadFrameError
from skyloom.images.mask_planes import bitmask
from skyloom.images.raw import RawExposure
from skyloom.isr import IsrFrame, correct_raw, grow
from skyloom.isr.read_order import TrimmedDetector
from skyloom.kernels.components import dilate_disk
from skyloom.kernels.statistics import clipped_mean

from .crosstalk_fit import LinkSums, add_frame, first_ratios, solve
from .frames import CalibFrames, Raw, collected
from .sky_settings import CrosstalkMasterSettings

if TYPE_CHECKING:
    from lsst.images import MaskedImage

__all__ = ["MeasuredCrosstalk", "measure_crosstalk"]

_SMOOTHING = 3
"""Side of the square (pixels) over which a victim's own sources are looked for."""

_DEAD = 0.5
"""An amplifier with more unusable pixels tells nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MeasuredCrosstalk:
    """The crosstalk of one detector; arrays ``[source, target]``, of counts in ADU."""

    amplifiers: tuple[str, ...]
    """Along both axes."""
    coefficients: np.ndarray
    """Part of the source's own signal that appears in the target; zero where not known."""
    errors: np.ndarray
    """One sigma; infinite where not known."""
    valid: np.ndarray
    """Bool: which coefficients are significant."""
    pixels: np.ndarray
    """Bright pixels of the source that were used."""
    frames: list[int] = field(default_factory=list)
    """Exposures that were used."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Frames that were not, with the reason, by file."""

    @property
    def figures(self) -> dict[str, float]:
        """By which the measurement can be judged."""
        off_diagonal = ~np.eye(len(self.amplifiers), dtype=bool)
        known = off_diagonal & np.isfinite(self.errors)
        return {
            "largest_coefficient": float(np.max(np.abs(self.coefficients[known]), initial=0.0)),
            "median_error": float(np.median(self.errors[known])) if known.any() else float("inf"),
            "valid_fraction": float(np.mean(self.valid[off_diagonal])),
            "median_pixels": float(np.median(self.pixels[off_diagonal])),
        }

    def data(self) -> dict[str, Any]:
        """Plain data, as `skyloom.isr.crosstalk_from_data` reads them."""
        return {
            "amplifiers": list(self.amplifiers),
            "coefficients": self.coefficients.tolist(),
            "valid": self.valid.tolist(),
            "unit": "ADU",
            "errors": self.errors.tolist(),
            "pixels": self.pixels.tolist(),
        }


def measure_crosstalk(
    raws: Sequence[Raw], *, bias: MaskedImage | None = None, settings: CrosstalkMasterSettings | None = None
) -> MeasuredCrosstalk:
    """Measure the crosstalk among the amplifiers of one detector.

    Wherever an amplifier is bright, the others are searched for its image at the pixels that are read at the same
    time.  Their own sources are masked, all amplifiers are fitted at once, and what was found is taken off before the
    next pass: the coefficients tell the part of what a source collected, not of what was read of it.

    Parameters
    ----------
    raws
        Frames with sources that are bright but not saturated, in all amplifiers.
    bias
        Master, in ADU.
    settings
        How.

    Raises
    ------
    BadFrameError
        If too few frames are usable, they were read out in different modes, the detector has one amplifier or
        amplifiers of different shapes, or nothing in the frames is bright enough.
    """
    settings = settings or CrosstalkMasterSettings()
    corners: dict[str, ReadoutCorner] = {}

    def correct(raw: RawExposure) -> np.ndarray:
        assert raw.detector is not None
        corners.update({one.name: ReadoutCorner(one.readout_corner) for one in raw.detector.amplifiers})
        return _counts(raw, bias, settings)

    with collected("crosstalk", raws, correct, settings) as frames:
        _check(frames)
        names = tuple(layout.name for layout in frames.layouts)
        ratios = _first(frames, corners, settings)
        for _ in range(settings.passes):
            sums = LinkSums(amplifiers=len(names))
            for frame in frames.stack.frames:
                _add(sums, _corrected(_in_read_order(frame, frames, corners), ratios), frames, settings)
            change, errors = solve(sums, settings.minimum_pixels)
            ratios = np.where(np.isfinite(errors), ratios + change, 0.0)
        known = np.isfinite(errors)
        if not known.any():
            raise BadFrameError(
                f"no two amplifiers have {settings.minimum_pixels} pixels in common of which one is "
                f"{settings.source_adu:.0f} ADU above its background.",
                cure="Give frames with brighter or more sources, or lower source_adu.",
            )
        return MeasuredCrosstalk(
            amplifiers=names,
            coefficients=ratios,
            errors=errors,
            valid=known & (np.abs(ratios) > settings.significance * errors),
            pixels=sums.pixels.T,
            frames=[facts.exposure for facts in frames.facts],
            left_out=dict(frames.left_out),
        )


def _counts(raw: RawExposure, bias: MaskedImage | None, settings: CrosstalkMasterSettings) -> np.ndarray:
    """ADU above the bias ``[y, x]``, as the correction of crosstalk finds them; saturated pixels are not numbers."""
    counts = np.empty(0)

    def take(step: str, frame: IsrFrame) -> None:
        nonlocal counts
        if step == "bias":
            bits = frame.bits.copy()
            grow(bits, bitmask("SAT"), 1)
            counts = np.where((bits & bitmask("SAT", "BAD", "NO_DATA")) != 0, np.float32(np.nan), frame.image)

    correct_raw(raw, bias=bias, settings=settings.isr, watch=take)
    return counts


def _check(frames: CalibFrames) -> None:
    shapes = {frames.of(layout).shape for layout in frames.layouts}
    if len(frames.layouts) < 2 or len(shapes) > 1:
        what = "one amplifier" if len(frames.layouts) < 2 else "amplifiers of different shapes"
        raise BadFrameError(
            f"the detector has {what}: no pixels of two are read at the same time.",
            file=frames.facts[0].file,
            cure="Leave crosstalk out for this detector.",
        )


def _in_read_order(frame: np.ndarray, frames: CalibFrames, corners: Mapping[str, ReadoutCorner]) -> np.ndarray:
    """The amplifiers ``[amplifier, y, x]`` from their read-out corners on; pixels unusable in one are so in all, but
    for dead amplifiers, which are zero.
    """
    no_bits = np.broadcast_to(np.int32(0), frame.shape)
    detector = TrimmedDetector(image=frame, bits=no_bits, layouts=frames.layouts, corners=corners)
    views = np.stack(detector.amplifiers(frame, [layout.name for layout in frames.layouts]))
    views[np.isnan(views).mean(axis=(1, 2)) > _DEAD] = 0.0
    views[:, ~np.isfinite(views).all(axis=0)] = np.nan
    return views


def _corrected(counts: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """What the amplifiers collected, given the ratios: the same float32 ``[amplifier, y, x]`` without crosstalk."""
    inverse = np.linalg.inv(np.eye(len(ratios)) + ratios.T)
    return np.asarray(np.tensordot(inverse.astype(np.float32), counts, axes=1))


def _above_background(counts: np.ndarray) -> np.ndarray:
    """Counts above the smooth background of each amplifier."""
    clear = np.zeros(counts.shape[1:], np.int32)
    bins = BackgroundSettings(bin_size=64)
    return np.stack([one - fit_background(one, clear, settings=bins).render() for one in counts])


def _first(frames: CalibFrames, corners: Mapping[str, ReadoutCorner], settings: CrosstalkMasterSettings) -> np.ndarray:
    """Median ratios of each frame, and of these the median."""
    found = []
    for frame in frames.stack.frames:
        signals = _above_background(_in_read_order(frame, frames, corners))
        found.append(first_ratios(signals, signals > settings.source_adu))
    known = np.isfinite(found).any(axis=0)
    middle = np.nanmedian(np.where(known, found, 0.0), axis=0)
    return np.asarray(np.where(known, middle, 0.0))


def _add(sums: LinkSums, counts: np.ndarray, frames: CalibFrames, settings: CrosstalkMasterSettings) -> None:
    """Add a frame whose crosstalk, as far as known, is taken off."""
    signals = _above_background(counts)
    floors = np.array([(layout.read_noise / layout.gain) ** 2 for layout in frames.layouts])
    usable = np.stack(
        [_without_own_light(signal, np.sqrt(floor), settings) for signal, floor in zip(signals, floors, strict=True)]
    )
    add_frame(sums, counts, signals > settings.source_adu, usable, floors, settings.block)


def _without_own_light(signal: np.ndarray, read_noise: float, settings: CrosstalkMasterSettings) -> np.ndarray:
    """Where an amplifier holds nothing but its background, bool ``[y, x]``."""
    finite = np.isfinite(signal)
    smooth = uniform_filter(np.where(finite, signal, 0.0), _SMOOTHING)
    _, noise, _ = clipped_mean(smooth[finite].astype(np.float64), 3.0)
    noise = max(noise, read_noise / _SMOOTHING)
    own = np.asarray(dilate_disk(smooth > settings.own_sigma * noise, settings.own_grow))
    _, scatter, _ = clipped_mean(signal[finite & ~own].astype(np.float64), 3.0)
    return np.asarray(finite & ~own & (np.abs(signal) <= settings.n_sigma * max(scatter, read_noise)))
