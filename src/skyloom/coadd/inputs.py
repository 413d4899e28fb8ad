"""The inputs of a coadd: references to warps, and one weight for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import astropy.units as u
import numpy as np
from lsst.images import Box

from skyloom.errors import BadFrameError
from skyloom.images import Exposure, bitmask, bits_of

__all__ = ["CoaddInput", "ExposureHandle", "WarpHandle", "prepare_inputs", "warp_weight"]

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

    def planes(self, box: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Image, variance and mask bits ``[y, x]`` inside a box of the warp, read for this call."""
        parts = self.handle.get(
            component="components", parameters={"components": ["image", "variance", "mask"], "bbox": box}
        )
        return parts["image"].array, parts["variance"].array, bits_of(parts["mask"])


def prepare_inputs(handles: Iterable[WarpHandle], bad_planes: Iterable[str]) -> tuple[list[CoaddInput], dict[int, str]]:
    """Weigh warps, and say which cannot take part and why.

    Returns
    -------
    inputs
        Ordered by visit.
    skipped
        Visit to reason.

    Raises
    ------
    BadFrameError
        If a warp is not in nJy, or two are of the same visit.
    """
    inputs: dict[int, CoaddInput] = {}
    skipped: dict[int, str] = {}
    for handle in handles:
        visit = int(handle.dataId["visit"])
        if visit in inputs or visit in skipped:
            raise BadFrameError(f"Visit {visit} appears twice among the warps.", cure="Give one warp a visit.")
        parts = handle.get(component="components", parameters={"components": ["variance", "mask", "unit", "bbox"]})
        _check_unit(parts["unit"], visit)
        weight = warp_weight(parts["variance"].array, bits_of(parts["mask"]), bitmask(*bad_planes))
        if weight > 0.0:
            inputs[visit] = CoaddInput(visit, weight, handle, parts["bbox"])
        else:
            skipped[visit] = "no pixel with a finite positive variance"
    return [inputs[visit] for visit in sorted(inputs)], skipped


def _check_unit(unit: u.UnitBase | None, visit: int) -> None:
    if unit != u.nJy:
        raise BadFrameError(f"The warp of visit {visit} is in {unit}, not nJy.", cure="Calibrate its frames.")


def warp_weight(variance: np.ndarray, bits: np.ndarray, bad: int) -> float:
    """1 / mean of a variance plane, clipped at 3 sigma twice; 0 where no pixel has a finite positive variance.

    Parameters
    ----------
    variance
        ``[y, x]``.
    bits
        Mask bits ``[y, x]``.
    bad
        Pixels with any of these bits do not count.
    """
    step = int(np.ceil(np.sqrt(variance.size / _MAX_SAMPLE)))
    values = _usable(variance[::step, ::step], bits[::step, ::step], bad)
    if values.size < _MIN_SAMPLE:
        values = _usable(variance, bits, bad)
    if values.size == 0:
        return 0.0
    low, centre, high = np.percentile(values, (25.0, 50.0, 75.0))
    scale = 0.741301109252802 * (high - low)
    for _ in range(2):
        kept = values[np.abs(values - centre) <= 3.0 * scale]
        if kept.size == 0:
            break
        centre, scale = float(kept.mean()), float(kept.std())
    return float(1.0 / centre)


def _usable(variance: np.ndarray, bits: np.ndarray, bad: int) -> np.ndarray:
    """The finite positive variances without bad bits, float64."""
    values: np.ndarray = variance[np.isfinite(variance) & (variance > 0.0) & (bits & bad == 0)]
    return values.astype(np.float64)
