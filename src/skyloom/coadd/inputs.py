"""The inputs of a coadd: references to warps, and one weight for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import astropy.units as u
import numpy as np
from lsst.images import Box

from skyloom.background import render_field
from skyloom.errors import BadFrameError, FrameError
from skyloom.images import Exposure, bitmask, bits_of, pixel_to_radec, radec_to_pixel

if TYPE_CHECKING:
    from lsst.images import SkyProjection
    from lsst.images.fields import Field

__all__ = [
    "CoaddInput",
    "ExposureHandle",
    "WarpHandle",
    "prepare_inputs",
    "reason_of_place",
    "reason_of_projection",
    "reason_of_unit",
    "warp_weight",
]

_WHOLE = ["image", "variance", "mask", "unit", "bbox"]
_MAX_OFFSET = 0.01
"""Pixels by which a sky projection may differ from that of the tract."""
_MAX_SAMPLE = 1_000_000
"""Pixels of the variance plane that are looked at for the weight, every n-th in x and y."""
_MIN_SAMPLE = 10_000
"""With fewer usable ones among them, all are looked at."""


class WarpHandle(Protocol):
    """A reference to a warp: what the butler's deferred handles are, and `ExposureHandle`."""

    @property
    def dataId(self) -> Any:  # noqa: N802
        """Maps "visit" to the warp's visit."""
        ...

    def get(self, *, component: str | None = None, parameters: dict[str, Any] | None = None) -> Any:
        """The warp or a component (image, mask, variance, unit, psf, inputs, bbox); ``parameters["bbox"]`` cuts out.

        The component "components" is a dictionary of those that ``parameters["components"]`` names, in one reading.
        """
        ...


class ExposureHandle:
    """A warp in memory, in the form of a reference."""

    def __init__(self, exposure: Exposure, visit: int) -> None:
        self._exposure = exposure
        self.dataId: Mapping[str, Any] = {"visit": visit}

    def get(self, *, component: str | None = None, parameters: dict[str, Any] | None = None) -> Any:
        """The warp, one of its attributes, or a dictionary of some, cut out by ``parameters["bbox"]``."""
        parameters = parameters or {}
        exposure = self._exposure[parameters["bbox"]] if "bbox" in parameters else self._exposure
        if component == "components":
            return {name: getattr(exposure, name) for name in parameters["components"]}
        return exposure if component is None else getattr(exposure, component)


@dataclass(frozen=True, eq=False)
class CoaddInput:
    """A warp that takes part in a coadd."""

    visit: int
    weight: float
    """1 / clipped mean of the variance plane, 1 / nJy^2."""
    handle: WarpHandle
    bbox: Box
    """Pixels of the warp; all others of the patch are missing."""
    scale: float = 1.0
    """What the warp's pixels are multiplied by."""
    offset: Field | None = None
    """What is added to them after that, on the pixels of the tract."""
    offset_rms: float = 0.0
    """Its error, by which their variance grows."""

    def planes(self, box: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Image, variance and mask bits ``[y, x]`` inside a box of the warp, read for this call."""
        parts = self.handle.get(
            component="components", parameters={"components": ["image", "variance", "mask"], "bbox": box}
        )
        image, variance = parts["image"].array, parts["variance"].array
        if self.scale != 1.0:
            image, variance = image * np.float32(self.scale), variance * np.float32(self.scale**2)
        if self.offset is not None:
            image = image + render_field(self.offset, box)
        if self.offset_rms:
            variance = variance + np.float32(self.offset_rms**2)
        return image, variance, bits_of(parts["mask"])


def prepare_inputs(
    handles: Iterable[WarpHandle],
    bad_planes: Iterable[str],
    *,
    sigma_clip: float = 3.0,
    clip_iter: int = 2,
    scale_of: Callable[[WarpHandle], float] | None = None,
    reason_against: Callable[[WarpHandle], str | None] | None = None,
) -> tuple[list[CoaddInput], dict[int, str]]:
    """Weigh warps, and say which cannot take part and why.

    Parameters
    ----------
    handles
        References to warps.
    bad_planes
        Mask planes that exclude a sample.
    sigma_clip, clip_iter
        Clipping of the variance planes, as for `warp_weight`.
    scale_of
        Tells what a warp's pixels are multiplied by, in whatever unit they are.  Warps of which it raises a
        `FrameError` are left out.
    reason_against
        Tells why a warp cannot take part, before its pixels are read; None if it can.

    Returns
    -------
    inputs
        Ordered by visit.
    skipped
        Visit to reason, and what to do.

    Raises
    ------
    BadFrameError
        If two warps are of the same visit.
    """
    inputs: dict[int, CoaddInput] = {}
    skipped: dict[int, str] = {}
    bad = bitmask(*bad_planes)
    for handle in handles:
        visit = int(handle.dataId["visit"])
        if visit in inputs or visit in skipped:
            raise BadFrameError(f"Visit {visit} appears twice among the warps.", cure="Give one warp a visit.")
        reason = None if reason_against is None else reason_against(handle)
        if reason is not None:
            skipped[visit] = reason
            continue
        try:
            scale = 1.0 if scale_of is None else float(scale_of(handle))
        except FrameError as error:
            skipped[visit] = str(error)
            continue
        parts = handle.get(component="components", parameters={"components": _WHOLE})
        weight = warp_weight(parts["variance"].array, bits_of(parts["mask"]), bad, sigma_clip, clip_iter)
        reason = None if scale_of is not None else reason_of_unit(parts["unit"])
        reason = reason or _reason_of_pixels(parts, weight)
        if reason is not None:
            skipped[visit] = reason
        else:
            inputs[visit] = CoaddInput(visit, weight / scale**2, handle, parts["bbox"], scale)
    return [inputs[visit] for visit in sorted(inputs)], skipped


def reason_of_unit(unit: u.UnitBase | None) -> str | None:
    """Why a warp in a unit cannot take part in a coadd in nJy; None where it can."""
    if unit == u.nJy:
        return None
    said = "it does not say its unit" if unit is None else f"it is in {unit}, not nJy"
    return f"{said}: calibrate its frames, or make a coadd in counts (doScaleZeroPoint)"


def reason_of_place(own: Box, box: Box) -> str | None:
    """Why a warp on its own pixels cannot take part in a coadd on those of a box; None where it can."""
    if all(max(one.start, other.start) < min(one.stop, other.stop) for one, other in ((own.x, box.x), (own.y, box.y))):
        return None
    return f"its pixels {own} are none of the patch's, {box}: make it for this patch"


def reason_of_projection(one: SkyProjection[Any], tract: SkyProjection[Any], box: Box) -> str | None:
    """Why the pixels of a warp, in a box, are not those of the tract; None where they are."""
    if one is tract:
        return None
    x, y = (part.ravel() for part in np.meshgrid([box.x.start, box.x.stop - 1.0], [box.y.start, box.y.stop - 1.0]))
    there = radec_to_pixel(tract, *pixel_to_radec(one, x, y))
    offset = float(np.hypot(there[0] - x, there[1] - y).max())
    if offset <= _MAX_OFFSET:
        return None
    return f"its sky projection is not that of the tract, by {offset:.3g} px: make it anew with this sky map"


def _reason_of_pixels(parts: Mapping[str, Any], weight: float) -> str | None:
    """Why a warp has nothing to add; None where it has."""
    if not weight > 0.0:
        return "no pixel with a finite positive variance: look at the variance planes of its frames"
    if not np.isfinite(parts["image"].array).any():
        return "no pixel with a value: look at its frames"
    return None


def warp_weight(variance: np.ndarray, bits: np.ndarray, bad: int, sigma_clip: float = 3.0, clip_iter: int = 2) -> float:
    """1 / clipped mean of a variance plane; 0 where no pixel has a finite positive variance.

    Parameters
    ----------
    variance
        ``[y, x]``.  Of large planes every n-th pixel is looked at in x and y, a million in all.
    bits
        Mask bits ``[y, x]``.
    bad
        Pixels with any of these bits do not count.
    sigma_clip
        Limit, standard deviations: first about the median, by the interquartile range, then about the mean of those
        that stayed.
    clip_iter
        How often to clip.
    """
    step = int(np.ceil(np.sqrt(variance.size / _MAX_SAMPLE)))
    values = _usable(variance[::step, ::step], bits[::step, ::step], bad)
    if values.size < _MIN_SAMPLE:
        values = _usable(variance, bits, bad)
    if values.size == 0:
        return 0.0
    low, centre, high = np.percentile(values, (25.0, 50.0, 75.0))
    scale = 0.741301109252802 * (high - low)
    for _ in range(clip_iter):
        kept = values[np.abs(values - centre) <= sigma_clip * scale]
        if kept.size == 0:
            break
        centre = float(kept.mean())
        if kept.size > 1:
            scale = float(kept.std(ddof=1))
    return float(1.0 / centre)


def _usable(variance: np.ndarray, bits: np.ndarray, bad: int) -> np.ndarray:
    """The finite positive variances without bad bits, float64."""
    values: np.ndarray = variance[np.isfinite(variance) & (variance > 0.0) & (bits & bad == 0)]
    return values.astype(np.float64)
