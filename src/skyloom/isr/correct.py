"""The corrections that turn a raw frame into electrons, in their order."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np

from skyloom.errors import BadFrameError
from skyloom.images.exposure import Exposure
from skyloom.images.mask_planes import bitmask

from .amplifiers import AmplifierLayout, layout_of
from .bias import subtract_bias
from .brighter_fatter import correct_brighter_fatter
from .crosstalk import correct_crosstalk
from .dark import subtract_dark
from .defects import mark_defects
from .edges import mark_edges
from .flat import divide_by_flat, normalised_flat
from .fringe import FringeFrame, subtract_fringes
from .interpolation import interpolate_unusable
from .linearity import linearize
from .masters import is_per_adu, is_rate, master_pixels, master_unusable, master_variance
from .mode import PEDESTAL_ONLY, check_mode
from .not_a_number import mark_not_a_number
from .read_order import TrimmedDetector
from .readout import Readout, check_not_empty, read_out
from .saturation import grow
from .saturation_trails import widen_trails
from .settings import InterpolationSettings, IsrSettings
from .variance import counting_variance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from astropy.table import Table
    from lsst.images import MaskedImage

    from skyloom.images.raw import RawExposure

    from .crosstalk_matrix import CrosstalkMatrix
    from .linearity import Linearity

__all__ = ["correct_raw"]

_FOR_BRIGHTER_FATTER = InterpolationSettings(planes=("SAT", "BAD", "UNMASKEDNAN"))


def correct_raw(
    raw: RawExposure,
    *,
    bias: MaskedImage | None = None,
    dark: MaskedImage | None = None,
    flat: MaskedImage | None = None,
    defects: Table | None = None,
    crosstalk: CrosstalkMatrix | None = None,
    linearities: Mapping[str, Linearity] | None = None,
    brighter_fatter: np.ndarray | None = None,
    fringes: Sequence[MaskedImage] | None = None,
    pedestals_adu: Mapping[str, float] | None = None,
    settings: IsrSettings | None = None,
) -> Exposure:
    """Remove the instrument signature of one raw frame.

    In ADU: saturation and suspect masks, overscan, assembly, bias, crosstalk, linearity.  Then gains, amplifier by
    amplifier, and in electrons: variance, masks of defects and saturated trails, brighter-fatter effect, dark, flat,
    fringes.  Then interpolation.

    Parameters
    ----------
    raw
        A raw frame that its camera has completed: with its detector, and for a dark with its observation.
    bias
        Trimmed master in ADU.
    dark
        Trimmed master in electrons (or ADU) a second.
    flat
        Trimmed master of any level; in ADU the gains are applied to it, in any other unit or none it is taken as it
        is.  It is normalised to a median of one over the detector.
    defects
        Boxes ``x0``, ``y0``, ``width``, ``height`` on the trimmed detector.
    crosstalk
        What the detector's amplifiers pick up from each other.
    linearities
        Correction of each amplifier, by its name.
    brighter_fatter
        Kernel ``[y, x]`` of `skyloom.isr.correct_brighter_fatter`, per electron.
    fringes
        Trimmed frames of the fringes' components, of any level; how strong each is comes from the frame itself.
    pedestals_adu
        Nominal bias by amplifier name, for amplifiers that have no overscan, where there is no bias frame either.
    settings
        Which corrections, and how.

    Returns
    -------
    exposure
        In electrons, with the frame's detector, observation and first guess of the projection.  Its metadata say
        which corrections were made and what was found.

    Raises
    ------
    BadFrameError
        If the frame is empty or of the wrong shape, or a required calibration is missing or of the wrong shape.
    """
    settings = settings or IsrSettings()
    if raw.detector is None:
        raise BadFrameError("the frame has no detector.", file=raw.file, cure="Complete it with its camera first.")
    bias = _chosen("bias", bias, settings.use_bias, raw)
    dark = _chosen("dark", dark, settings.use_dark, raw)
    flat = _chosen("flat", flat, settings.use_flat, raw)
    defects = _chosen("defects", defects, settings.use_defects, raw)
    crosstalk = _chosen("crosstalk", crosstalk, settings.use_crosstalk, raw)
    linearities = _chosen("linearity", linearities, settings.use_linearity, raw)
    brighter_fatter = _chosen("brighter-fatter", brighter_fatter, settings.use_brighter_fatter, raw)
    fringes = _chosen("fringes", fringes or None, settings.use_fringes, raw)
    for kind, master in (("bias", bias), ("dark", dark), ("flat", flat)):
        if master is not None:
            check_mode(master, kind, raw)
    metadata: dict[str, Any] = {"LSST ISR UNITS": "electron"}
    for kind, given in {
        "BIAS": bias,
        "CROSSTALK": crosstalk,
        "LINEARIZER": linearities,
        "BF": brighter_fatter,
        "DARK": dark,
        "FLAT": flat,
        "FRINGE": fringes,
        "DEFECTS": defects,
    }.items():
        metadata[f"LSST ISR {kind} APPLIED"] = given is not None

    layouts = layout_of(raw.detector, raw.image.shape, raw.file)
    check_not_empty(raw, layouts)
    y_size, x_size = raw.detector.bbox.shape
    pedestals = (pedestals_adu or {}) if bias is None else None
    counts = read_out(raw, layouts, (y_size, x_size), settings, pedestals_adu=pedestals, metadata=metadata)
    frame = _Frame(raw=raw, image=counts.image, bits=counts.bits, metadata=metadata, settings=settings)
    _correct_bias(frame, bias)
    metadata["LSST ISR BIAS PEDESTAL ONLY"] = bias is not None and bool(bias.metadata.get(PEDESTAL_ONLY))
    _correct_crosstalk(frame, layouts, crosstalk)
    _linearize(frame, layouts, linearities)
    _apply_gains(frame, layouts, counts)
    _mark(frame, defects)
    _correct_brighter_fatter(frame, brighter_fatter)
    _correct_dark(frame, dark)
    _correct_flat(frame, flat)
    _subtract_fringes(frame, fringes)
    frame.variance[(frame.bits & bitmask("NO_DATA")) != 0] = np.inf
    metadata["LSST ISR INTERPOLATED PIXELS"] = interpolate_unusable(
        frame.image, frame.variance, frame.bits, settings.interpolation
    )
    return Exposure.from_arrays(
        frame.image,
        frame.bits,
        frame.variance,
        unit=u.electron,
        x0=raw.detector.bbox.x.start,
        y0=raw.detector.bbox.y.start,
        detector=raw.detector,
        obs_info=raw.obs_info,
        projection=raw.projection,
        metadata=metadata,
    )


@dataclass(kw_only=True, eq=False)
class _Frame:
    """The trimmed detector on its way from ADU to electrons."""

    raw: RawExposure
    image: np.ndarray
    bits: np.ndarray
    metadata: dict[str, Any]
    settings: IsrSettings
    variance: np.ndarray = field(init=False)
    """Starts as the variance of the bias frame (ADU squared), until the gains are applied."""
    gains: np.ndarray = field(init=False)
    """Electrons an ADU, pixel by pixel; set when the gains are applied."""

    def __post_init__(self) -> None:
        self.variance = np.zeros(self.image.shape, np.float32)

    def pixels_of(self, master: MaskedImage, kind: str) -> np.ndarray:
        """Image of a master; its unusable pixels become BAD here."""
        pixels = master_pixels(master, (self.image.shape[0], self.image.shape[1]), kind, self.raw.file)
        self.bits[master_unusable(master)] |= bitmask("BAD")
        return pixels

    def scale_of(self, master: MaskedImage) -> np.ndarray:
        """What turns a master into electrons: the gains where it is in ADU, else one."""
        return self.gains if is_per_adu(master) else np.ones(1, np.float32)


def _chosen[T](kind: str, given: T | None, wanted: bool | None, raw: RawExposure) -> T | None:
    """The calibration to use, as the settings want it."""
    if wanted is False:
        return None
    if wanted and given is None:
        raise BadFrameError(
            f"the settings require {kind}, and there is none.",
            file=raw.file,
            cure="Run 'skyloom calibs build' or 'skyloom calibs import' for this detector and date, or switch the "
            "correction off.",
        )
    return given


def _correct_bias(frame: _Frame, bias: MaskedImage | None) -> None:
    if bias is None:
        return
    subtract_bias(frame.image, frame.pixels_of(bias, "bias"))
    frame.variance += master_variance(bias)


def _correct_crosstalk(frame: _Frame, layouts: list[AmplifierLayout], matrix: CrosstalkMatrix | None) -> None:
    if matrix is None:
        return
    assert frame.raw.detector is not None
    detector = TrimmedDetector(
        image=frame.image,
        bits=frame.bits,
        layouts=layouts,
        corners={amplifier.name: amplifier.readout_corner for amplifier in frame.raw.detector.amplifiers},
    )
    result = correct_crosstalk(detector, matrix, frame.settings.crosstalk)
    frame.metadata["LSST ISR CROSSTALK PIXELS"] = result.marked


def _linearize(frame: _Frame, layouts: list[AmplifierLayout], linearities: Mapping[str, Linearity] | None) -> None:
    if linearities is None:
        return
    result = linearize(frame.image, layouts, linearities, file=frame.raw.file)
    frame.metadata["LSST ISR LINEARIZED AMPLIFIERS"] = result.linearized
    frame.metadata["LSST ISR LINEARITY OUT OF RANGE"] = result.out_of_range


def _apply_gains(frame: _Frame, layouts: list[AmplifierLayout], counts: Readout) -> None:
    """From ADU to electrons, and the variance of what was counted."""
    frame.gains = np.ones(frame.image.shape, np.float32)
    for layout in layouts:
        part = layout.trimmed
        frame.gains[part] = layout.gain
        frame.image[part] *= layout.gain
        frame.variance[part] *= layout.gain**2
        frame.variance[part] += counting_variance(frame.image[part], _read_noise(frame, layout, counts))
        frame.metadata[f"LSST ISR GAIN {layout.name}"] = layout.gain


def _read_noise(frame: _Frame, layout: AmplifierLayout, counts: Readout) -> float:
    """Read noise of an amplifier in electrons: measured in the overscan where there is one, or the camera's."""
    measured = counts.noise_adu.get(layout.name, 0.0) * layout.gain
    use_measured = frame.settings.measured_read_noise and measured > 0
    noise = measured if use_measured else layout.read_noise
    frame.metadata[f"LSST ISR READNOISE {layout.name}"] = noise
    frame.metadata[f"LSST ISR NOISE SOURCE {layout.name}"] = "serial overscan" if use_measured else "amp"
    return noise


def _correct_dark(frame: _Frame, dark: MaskedImage | None) -> None:
    if dark is None:
        return
    file = frame.raw.file
    if not is_rate(dark):
        raise BadFrameError(
            f"the dark frame is in {dark.image.unit}, not in electrons or ADU a second.",
            file=file,
            cure="Divide it by its dark time and import it again.",
        )
    seconds, scale = _dark_time(frame.raw), frame.scale_of(dark)
    subtract_dark(frame.image, frame.pixels_of(dark, "dark") * scale, seconds, file=file)
    frame.variance += master_variance(dark) * (seconds * scale) ** 2
    frame.metadata["LSST ISR DARK TIME"] = seconds


def _dark_time(raw: RawExposure) -> float:
    """Seconds over which dark current gathered: the dark time of the observation, else its exposure time."""
    if raw.obs_info is None:
        return math.nan
    for time in (raw.obs_info.dark_time, raw.obs_info.exposure_time):
        if time is not None and math.isfinite(time.to_value(u.s)):
            return float(time.to_value(u.s))
    return math.nan


def _correct_flat(frame: _Frame, flat: MaskedImage | None) -> None:
    if flat is None:
        return
    scale = frame.scale_of(flat)
    response, level = normalised_flat(frame.pixels_of(flat, "flat") * scale, master_unusable(flat), file=frame.raw.file)
    spread = master_variance(flat) * (scale / level) ** 2
    bad = divide_by_flat(frame.image, frame.variance, response, spread, minimum=frame.settings.flat_minimum)
    frame.bits[bad] |= bitmask("BAD")


def _correct_brighter_fatter(frame: _Frame, kernel: np.ndarray | None) -> None:
    """Move charge back.  Unusable pixels get a value for this alone, for they repelled charge too."""
    if kernel is None:
        return
    whole, bits = frame.image.copy(), frame.bits.copy()
    interpolate_unusable(whole, np.empty_like(whole), bits, _FOR_BRIGHTER_FATTER)
    moved = whole.copy()
    change = correct_brighter_fatter(moved, kernel, frame.settings.brighter_fatter, file=frame.raw.file)
    moved -= whole
    moved[~np.isfinite(moved)] = 0.0
    frame.image += moved
    mark_edges(frame.bits, bitmask("EDGE"), max(kernel.shape) // 2)
    frame.metadata["LSST ISR BF ITERS"] = change.iterations
    frame.metadata["LSST ISR BF CONVERGED"] = change.converged


def _subtract_fringes(frame: _Frame, fringes: Sequence[MaskedImage] | None) -> None:
    if fringes is None:
        return
    frames = [
        FringeFrame(
            pattern=frame.pixels_of(fringe, "fringe") * frame.scale_of(fringe),
            variance=master_variance(fringe) * frame.scale_of(fringe) ** 2,
            unusable=master_unusable(fringe),
        )
        for fringe in fringes
    ]
    seed = 0 if frame.raw.obs_info is None else frame.raw.obs_info.exposure_id or 0
    fit = subtract_fringes(frame.image, frame.variance, frame.bits, frames, frame.settings.fringes, seed)
    frame.metadata["LSST ISR FRINGE AMPLITUDES"] = [float(one) for one in fit.amplitudes]
    frame.metadata["LSST ISR FRINGE RMS"] = fit.rms


def _mark(frame: _Frame, defects: Table | None) -> None:
    """Masks that need the whole detector."""
    if frame.settings.widen_trails:
        frame.metadata["LSST ISR TRAIL PIXELS"] = widen_trails(frame.bits, bitmask("SAT"))
    grow(frame.bits, bitmask("SAT"), frame.settings.grow_saturated)
    if defects is not None:
        frame.metadata["LSST ISR DEFECT PIXELS"] = mark_defects(frame.bits, defects, bitmask("BAD"))
    frame.metadata["NUMNANS"] = mark_not_a_number(
        frame.image, frame.variance, frame.bits, bitmask("UNMASKEDNAN"), allowed=bitmask("NO_DATA")
    )
