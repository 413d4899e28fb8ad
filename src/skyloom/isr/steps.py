"""The corrections as steps of one list: what each takes from the frame, and what it leaves in the metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np

from skyloom.errors import BadFrameError
from skyloom.images.mask_planes import bitmask

from .bad_regions import fill_bad_regions
from .bias import subtract_bias
from .brighter_fatter import correct_brighter_fatter
from .crosstalk import correct_crosstalk
from .dark import dark_time, subtract_dark
from .defects import mark_defects
from .edges import mark_edges
from .flat import divide_by_flat, flat_level
from .fringe import FringeFrame, subtract_fringes
from .gains import apply_gains, level_amplifiers
from .illumination import divide_by_illumination
from .interpolation import interpolate_unusable
from .linearity import Linearity, linearize
from .masters import MasterSource, is_rate, loaded
from .mode import PEDESTAL_ONLY
from .not_a_number import mark_not_a_number
from .read_order import TrimmedDetector
from .saturation import grow
from .saturation_trails import widen_trails
from .vignette import mark_outside, unvignetted_field, valid_polygon

if TYPE_CHECKING:
    from astropy.table import Table
    from lsst.images import MaskedImage

    from .crosstalk_matrix import CrosstalkMatrix
    from .frame import IsrFrame

__all__ = [
    "step_bias",
    "step_brighter_fatter",
    "step_crosstalk",
    "step_dark",
    "step_flat",
    "step_fringes",
    "step_gains",
    "step_illumination",
    "step_interpolation",
    "step_linearity",
    "step_masks",
    "step_vignette",
]


def step_bias(frame: IsrFrame, source: MasterSource | None) -> None:
    """Subtract the bias."""
    frame.metadata["LSST ISR BIAS PEDESTAL ONLY"] = False
    if source is None:
        return
    bias = loaded(source)
    frame.metadata["LSST ISR BIAS PEDESTAL ONLY"] = bool(bias.metadata.get(PEDESTAL_ONLY))
    subtract_bias(frame.image, frame.variance, frame.bits, frame.planes_of(bias, "bias"))


def step_crosstalk(frame: IsrFrame, matrix: CrosstalkMatrix | None) -> None:
    """Take off what the amplifiers picked up from each other."""
    if matrix is None:
        return
    assert frame.raw.detector is not None
    detector = TrimmedDetector(
        image=frame.image,
        bits=frame.bits,
        layouts=frame.layouts,
        corners={amplifier.name: amplifier.readout_corner for amplifier in frame.raw.detector.amplifiers},
    )
    result = correct_crosstalk(detector, matrix, frame.settings.crosstalk)
    frame.metadata["LSST ISR CROSSTALK PIXELS"] = result.marked


def step_linearity(frame: IsrFrame, linearities: Mapping[str, Linearity] | None) -> None:
    """Make the counts proportional to the light."""
    if linearities is None:
        return
    result = linearize(frame.image, frame.layouts, linearities, file=frame.raw.file)
    frame.metadata["LSST ISR LINEARIZED AMPLIFIERS"] = result.linearized
    frame.metadata["LSST ISR LINEARITY OUT OF RANGE"] = result.out_of_range


def step_gains(frame: IsrFrame) -> None:
    """From ADU to electrons, and the variance of what was counted."""
    noises = {}
    for layout in frame.layouts:
        name = layout.name
        measured = frame.noise_adu.get(name, 0.0) * layout.gain
        use_measured = frame.settings.measured_read_noise and measured > 0
        noises[name] = measured if use_measured else layout.read_noise
        source = "serial overscan" if use_measured else "amp"
        frame.metadata[f"LSST GAIN {name}"] = frame.metadata[f"LSST ISR GAIN {name}"] = layout.gain
        frame.metadata[f"LSST READNOISE {name}"] = frame.metadata[f"LSST ISR READNOISE {name}"] = noises[name]
        frame.metadata[f"LSST ISR NOISE SOURCE {name}"] = frame.metadata["LSST ISR NOISE SOURCE"] = source
    frame.metadata["LSST ISR GAIN SOURCE"] = "amp"
    frame.metadata["LSST ISR READNOISE UNITS"] = "electron"
    plane = frame.settings.negative_plane
    negative = apply_gains(frame.image, frame.variance, frame.bits, frame.layouts, noises, negative_plane=plane)
    if plane is not None:
        frame.metadata["LSST ISR NEGATIVE PIXELS"] = negative
    if frame.settings.level_amplifiers:
        for name, factor in level_amplifiers(frame.image, frame.variance, frame.bits, frame.layouts).items():
            frame.metadata[f"LSST ISR GAIN FACTOR {name}"] = factor
    if not frame.settings.count_variance:
        frame.variance[...] = 1.0
    frame.unit = u.electron


def step_masks(frame: IsrFrame, defects: Table | None) -> None:
    """Masks that need the whole detector."""
    settings, metadata = frame.settings, frame.metadata
    if defects is not None:
        metadata["LSST ISR DEFECT PIXELS"] = mark_defects(frame.bits, defects, bitmask("BAD"))
    regions = [layout.trimmed for layout in frame.layouts] if settings.edge_of_amplifiers else None
    mark_edges(frame.bits, bitmask("SUSPECT"), settings.edge_width, regions)
    if settings.mark_not_a_number:
        metadata["NUMNANS"] = mark_not_a_number(
            frame.image, frame.variance, frame.bits, bitmask("UNMASKEDNAN"), allowed=bitmask("NO_DATA")
        )
    if settings.widen_trails:
        metadata["LSST ISR TRAIL PIXELS"] = widen_trails(frame.bits, bitmask("SAT"))
    grow(frame.bits, bitmask("SAT"), settings.grow_saturated)


def step_brighter_fatter(frame: IsrFrame, kernel: np.ndarray | None) -> None:
    """Undo the brighter-fatter effect.  Unusable pixels get a value for this alone, for they repelled charge too."""
    if kernel is None:
        return
    settings = frame.settings
    whole, bits = frame.image.copy(), frame.bits.copy()
    interpolate_unusable(whole, np.empty_like(whole), bits, settings.brighter_fatter_interpolation)
    moved = whole.copy()
    change = correct_brighter_fatter(moved, kernel, settings.brighter_fatter, file=frame.raw.file)
    moved -= whole
    moved[~np.isfinite(moved)] = 0.0
    frame.image += moved
    mark_edges(frame.bits, bitmask("EDGE"), max(kernel.shape) // 2)
    for plane in settings.brighter_fatter_interpolation.planes:
        grow(frame.bits, bitmask(plane), settings.brighter_fatter_grow)
    frame.metadata["LSST ISR BF ITERS"] = change.iterations
    frame.metadata["LSST ISR BF CONVERGED"] = change.converged


def step_dark(frame: IsrFrame, source: MasterSource | None) -> None:
    """Subtract the dark current of the frame's dark time."""
    if source is None:
        return
    dark, file = loaded(source), frame.raw.file
    if not is_rate(dark):
        raise BadFrameError(
            f"the dark frame is in {dark.image.unit}, not in electrons or ADU a second.",
            file=file,
            cure="Divide it by its dark time and import it again.",
        )
    seconds, planes, factors = dark_time(frame.raw.obs_info), frame.planes_of(dark, "dark"), frame.factors_of(dark)
    for layout in frame.layouts:
        part, factor = layout.trimmed, seconds * factors[layout.name]
        subtract_dark(frame.image[part], frame.variance[part], frame.bits[part], planes[part], factor, file=file)
    frame.metadata["LSST ISR DARK TIME"] = seconds


def step_flat(frame: IsrFrame, source: MasterSource | None) -> None:
    """Divide by the flat over its level."""
    if source is None:
        return
    flat = loaded(source)
    planes, factors = frame.planes_of(flat, "flat"), frame.factors_of(flat)
    settings = frame.settings
    level = settings.flat_scale
    if settings.flat_scaling != "USER":
        level = flat_level(planes, frame.layouts, factors, settings.flat_scaling, file=frame.raw.file)
    for layout in frame.layouts:
        part, scale = layout.trimmed, factors[layout.name] / level
        minimum = settings.flat_minimum
        divide_by_flat(frame.image[part], frame.variance[part], frame.bits[part], planes[part], scale, minimum=minimum)
    frame.metadata["LSST ISR FLAT LEVEL"] = level


def step_fringes(frame: IsrFrame, fringes: Sequence[MasterSource] | None) -> None:
    """Subtract the fringes."""
    if fringes is None:
        return
    frames = [_fringe_frame(frame, loaded(fringe)) for fringe in fringes]
    seed = 0 if frame.raw.obs_info is None else frame.raw.obs_info.exposure_id or 0
    fit = subtract_fringes(frame.image, frame.variance, frame.bits, frames, frame.settings.fringes, seed)
    frame.metadata["LSST ISR FRINGE AMPLITUDES"] = [float(one) for one in fit.amplitudes]
    frame.metadata["LSST ISR FRINGE RMS"] = fit.rms
    frame.metadata["LSST ISR FRINGE SAMPLES"] = fit.samples


def _fringe_frame(frame: IsrFrame, fringe: MaskedImage) -> FringeFrame:
    """A fringe frame in electrons."""
    planes, factors = frame.planes_of(fringe, "fringe"), frame.factors_of(fringe)
    scale = np.ones(frame.image.shape, np.float32)
    for layout in frame.layouts:
        scale[layout.trimmed] = factors[layout.name]
    return FringeFrame(
        pattern=planes.image * scale,
        variance=planes.usable_variance() * scale**2,
        unusable=planes.unusable_pixels(),
    )


def step_vignette(frame: IsrFrame) -> None:
    """Mark what the optics do not illuminate."""
    settings, detector = frame.settings.vignette, frame.raw.detector
    if settings is None or detector is None:
        return
    polygon = valid_polygon(detector, unvignetted_field(settings))
    bit = bitmask("VIGNETTED", "NO_DATA")
    frame.metadata["LSST ISR VIGNETTED PIXELS"] = mark_outside(
        frame.image, frame.bits, polygon, bit, box=detector.bbox, value=np.nan
    )


def step_illumination(frame: IsrFrame, illumination: MasterSource | None) -> None:
    """Divide by the illumination frame."""
    if illumination is None:
        return
    planes = frame.planes_of(loaded(illumination), "illumination")
    scale = frame.settings.illumination_scale
    divide_by_illumination(frame.image, frame.variance, frame.bits, planes, scale=scale)


def step_interpolation(frame: IsrFrame) -> None:
    """Give unusable pixels a value, and those without data none."""
    settings = frame.settings
    # What is interpolated needs no level first.
    if settings.fill_bad is not None and "BAD" not in settings.interpolation.planes:
        count, level = fill_bad_regions(frame.image, frame.bits, settings.fill_bad)
        frame.metadata["LSST ISR BAD PIXELS FILLED"] = count
        frame.metadata["LSST ISR BAD PIXELS LEVEL"] = level
    frame.metadata["LSST ISR INTERPOLATED PIXELS"] = interpolate_unusable(
        frame.image, frame.variance, frame.bits, settings.interpolation
    )
    if settings.vignette is not None and settings.vignette_value is not None:
        frame.image[(frame.bits & bitmask("VIGNETTED")) != 0] = settings.vignette_value
