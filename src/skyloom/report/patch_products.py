"""What the coadd of a patch in one band is told by, as tables and figures take it: from a repository or a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.images import SpanSet, bits_of, pixel_scale
from skyloom.images.mask_planes import bitmask

if TYPE_CHECKING:
    from astropy.table import Table
    from lsst.images import Mask

    from skyloom.images import Exposure

__all__ = ["BandProducts", "clipped_pixels"]

_CLIPPING_PLANES = ("CLIPPED", "STREAK")


def clipped_pixels(mask: Mask) -> SpanSet:
    """The pixels of a visit's artifact mask that were left out because they differ from the other visits.

    They take much less memory than the mask.
    """
    clipped = bits_of(mask) & bitmask(*_CLIPPING_PLANES) != 0
    return SpanSet.from_mask(clipped, mask.bbox.x.start, mask.bbox.y.start)


@dataclass(frozen=True, kw_only=True, eq=False)
class BandProducts:
    """The coadd of a patch in one band and what is known of how it was made; nothing is required but the band."""

    band: str
    run: str = ""
    """Collection that holds the coadd; empty outside of a repository."""
    coadd: Exposure | None = None
    """In nJy, with its PSF and the table of its inputs; None where the assembly failed."""
    n_image: np.ndarray | None = None
    """Number of warps ``[y, x]`` in each pixel."""
    clipped: Mapping[int, SpanSet] = field(default_factory=dict)
    """By visit, what was clipped of its warp, in pixels of the tract; `clipped_pixels` takes it from a mask."""
    warped: frozenset[int] | None = None
    """Visits of which there is a warp of the patch; None where that is not known."""
    summaries: Mapping[int, Table] = field(default_factory=dict)
    """By visit, the summary of its frames."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Figures of the assembly task."""
    failure: str = ""
    """Why there is no coadd; empty where there is one."""
    log: tuple[str, ...] = ()
    """Warnings and errors of the assembly."""
    missing: tuple[str, ...] = ()
    """Files that are gone, in sentences."""

    @property
    def name(self) -> str:
        """As titles have it."""
        return f"Band {self.band}"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the patch."""
        assert self.coadd is not None
        rows, columns = self.coadd.image.array.shape
        return rows, columns

    @property
    def origin(self) -> tuple[int, int]:
        """Position (x, y) of the first pixel on the tract."""
        assert self.coadd is not None
        return self.coadd.bbox.x.start, self.coadd.bbox.y.start

    @property
    def scale_arcsec(self) -> float:
        """Arcsec a pixel at the middle of the patch; NaN where it is not known."""
        if self.coadd is None or self.coadd.projection is None:
            return float("nan")
        box = self.coadd.bbox
        return float(pixel_scale(self.coadd.projection, 0.5 * (box.x.min + box.x.max), 0.5 * (box.y.min + box.y.max)))

    @cached_property
    def filled(self) -> np.ndarray:
        """Bool ``[y, x]``: pixels that hold a measured value."""
        assert self.coadd is not None
        measured = np.isfinite(self.coadd.image.array) & np.isfinite(self.coadd.variance.array)
        return np.asarray(measured & (self.coadd.bits & bitmask("NO_DATA") == 0))

    @property
    def visits(self) -> list[int]:
        """Visits that are in the coadd, sorted."""
        if self.coadd is None or self.coadd.inputs is None:
            return []
        return sorted({int(visit) for visit in self.coadd.inputs["visit"]})
