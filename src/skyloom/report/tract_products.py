"""`FilterProducts`: all that the pictures of a joint calibration are drawn from, of one filter of a tract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table

from .tract_geometry import FrameGeometry, frame_geometries

if TYPE_CHECKING:
    from skyloom.instruments import Camera
    from skyloom.skymap import Tract

__all__ = ["FilterProducts", "WarpRecord"]


@dataclass(frozen=True, kw_only=True)
class WarpRecord:
    """One visit on one patch."""

    visit: int
    patch: int
    exists: bool = True
    """Whether the warp was written."""
    filled: float = float("nan")
    """Share of the patch's pixels that have a value; NaN where it is not known."""
    left_out: tuple[str, ...] = ()
    """Detectors that were left out, and why."""
    own_calibration: bool = False
    """Whether the frames kept a calibration of their own, because the joint one was missing."""
    failure: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class FilterProducts:
    """What a joint fit and the warps left of a tract in one filter; what is missing is None or empty."""

    physical_filter: str
    camera: Camera
    tract: Tract
    band: str = ""
    run: str = ""
    """The run of the joint fit."""
    failure: str = ""
    """Why the joint fit failed; empty if it did not."""
    log: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    """Products that should be there and cannot be read, in words."""
    measurements: Table | None = None
    stars: Table | None = None
    history: Table | None = None
    metrics: Table | None = None
    wcs: Mapping[int, Table] = field(default_factory=dict)
    """By visit, what the fit of positions says of its detectors (`skyloom.jointcal.WCS_COLUMNS`)."""
    photo_calib: Mapping[int, Table] = field(default_factory=dict)
    """By visit, what the fit of fluxes says of its detectors (`skyloom.jointcal.PHOTO_CALIB_COLUMNS`)."""
    summaries: Mapping[int, Table] = field(default_factory=dict)
    """By visit, the summary of its frames with the calibration that the fit began with."""
    warps: Sequence[WarpRecord] = ()

    @property
    def name(self) -> str:
        """Filter and band, as titles have it."""
        known = self.band and self.band != self.physical_filter
        return f"Filter {self.physical_filter}" + (f" (band {self.band})" if known else "")

    @cached_property
    def geometries(self) -> dict[tuple[int, int], FrameGeometry]:
        """By visit and detector, where a frame lies on the sky."""
        return frame_geometries(self.camera, self.wcs, self.summaries)

    @cached_property
    def figures(self) -> dict[str, float]:
        """The counts of the fit by name; empty without them."""
        if self.metrics is None:
            return {}
        return {str(row["name"]): float(row["value"]) for row in self.metrics}

    @cached_property
    def pixel_scale(self) -> float:
        """Median scale of the frames, arcsec a pixel; NaN without a frame."""
        scales = [one.scale_arcsec for one in self.geometries.values()]
        return float(np.median(scales)) if scales else float("nan")
