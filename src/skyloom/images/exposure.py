"""`Exposure`: the mutable frame that flows through the stages, from instrument signature removal to the coadd."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from lsst.images import Box, Image, Mask, SkyProjection

from .mask_planes import MASK_SCHEMA, bits_of

if TYPE_CHECKING:
    from astro_metadata_translator import ObservationInfo
    from astropy.table import Table
    from lsst.images import BackgroundMap, ObservationSummaryStats, Polygon
    from lsst.images.cameras import Detector
    from lsst.images.fields import Field
    from lsst.images.psfs import PointSpreadFunction

    from .photo_calib import PhotoCalib

__all__ = ["Exposure"]


@dataclass(kw_only=True, eq=False)
class Exposure:
    """Image, mask and variance of one detector or one patch, with what is known of them so far.

    Every attribute may be replaced; "modified in place" in a task's documentation means that the pixels and the
    attributes of the object passed in change.  The three planes share one bounding box.
    """

    image: Image
    """Pixel values, float32, in `unit`."""
    mask: Mask
    """Mask planes of `MASK_SCHEMA`."""
    variance: Image
    """Variance of the pixel values, float32, in `unit` squared; +inf where nothing was measured."""
    unit: u.UnitBase
    """Unit of the pixels: ADU, electron or nJy."""
    detector: Detector | None = None
    obs_info: ObservationInfo | None = None
    band: str | None = None
    """Short name of the passband."""
    projection: SkyProjection[Any] | None = None
    """Maps pixels (x, y; the centre of the first pixel is the box's start) to ICRS."""
    psf: PointSpreadFunction | None = None
    aperture_corrections: dict[str, Field] = field(default_factory=dict)
    """Flux algorithm name to the field that multiplies its flux to the total flux of a star."""
    backgrounds: BackgroundMap | None = None
    photo_calib: PhotoCalib | None = None
    """What turned, or would turn, instrumental fluxes into nJy."""
    valid_polygon: Polygon | None = None
    """Part of the detector, in its pixels, that sees the sky; None for all of it.  Not kept on disk."""
    transmission: Any = None
    """A `skyloom.isr.TransmissionCurve`: throughput in the pixels of the detector.  Not kept on disk."""
    summary: ObservationSummaryStats | None = None
    inputs: Table | None = None
    """For a warp or coadd: one row an input (visit, detector, weight, ...)."""
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.image.bbox == self.mask.bbox == self.variance.bbox:
            raise ValueError(
                f"Image ({self.image.bbox}), mask ({self.mask.bbox}) and variance ({self.variance.bbox}) "
                "bounding boxes do not agree."
            )

    @classmethod
    def from_arrays(
        cls,
        image: np.ndarray,
        mask: np.ndarray | None = None,
        variance: np.ndarray | None = None,
        *,
        unit: u.UnitBase,
        x0: int = 0,
        y0: int = 0,
        **attributes: Any,
    ) -> Exposure:
        """Wrap ``[y, x]`` arrays of one shape whose first pixel is at (x0, y0); no mask means no bit set, no
        variance means +inf.
        """
        box = Box.from_shape(image.shape, start=(y0, x0))
        pixels = Image(np.asarray(image, dtype=np.float32), bbox=box)
        plane = Mask(0, schema=MASK_SCHEMA, bbox=box)
        if mask is not None:
            bits_of(plane)[...] = mask
        spread = np.full(image.shape, np.inf, np.float32) if variance is None else variance
        return cls(
            image=pixels,
            mask=plane,
            variance=Image(np.asarray(spread, dtype=np.float32), bbox=box),
            unit=unit,
            **attributes,
        )

    @property
    def bbox(self) -> Box:
        """The bounding box that the planes share."""
        return self.image.bbox

    @property
    def bits(self) -> np.ndarray:
        """The mask as a writable ``[y, x]`` int32 array."""
        return bits_of(self.mask)

    @property
    def physical_filter(self) -> str | None:
        """Full name of the filter, where the observation says it."""
        return None if self.obs_info is None else self.obs_info.physical_filter

    def __getitem__(self, box: Box) -> Exposure:
        """The part inside ``box``, as views of the same pixels."""
        part = copy.copy(self)
        part.image, part.mask, part.variance = self.image[box], self.mask[box], self.variance[box]
        part.metadata = dict(self.metadata)
        return part

    def copy(self) -> Exposure:
        """A copy with pixels and metadata of its own."""
        twin = copy.copy(self)
        twin.image, twin.mask, twin.variance = self.image.copy(), self.mask.copy(), self.variance.copy()
        twin.metadata = dict(self.metadata)
        twin.aperture_corrections = dict(self.aperture_corrections)
        return twin
