"""`CoaddPsfComponent`: what a coadd keeps of one input, a detector of a visit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from lsst.images import Box, SkyProjection
from lsst.images.fields import Field
from lsst.images.psfs import PointSpreadFunction

from .warped import WARP_ORDER

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["CoaddPsfComponent", "Region"]


class Region(Protocol):
    """A part of a frame, such as a `skyloom.images.SpanSet` or a `lsst.images.Polygon`."""

    def contains(self, *, x: Any, y: Any) -> Any:
        """Whether positions x, y lie inside: bool of their shape."""
        ...


@dataclass(frozen=True, kw_only=True)
class CoaddPsfComponent:
    """One input of a coadd: a detector of a visit."""

    visit: int
    detector: int
    weight: float
    """Weight of the input's pixels in the mean."""
    psf: PointSpreadFunction
    """Point-spread function on the input's own pixels."""
    projection: SkyProjection[Any]
    """Sky projection of the input's own pixels."""
    bbox: Box
    """Pixels of the input that were warped."""
    valid: Region | None = None
    """The part of ``bbox``, on the input's own pixels, that contributed; None for all of it."""
    warp_order: int = WARP_ORDER
    """Kernel with which the input was warped: 1 for bilinear, n >= 2 for Lanczos-n."""
    aperture_corrections: Mapping[str, Field] = field(default_factory=dict)
    """Name of a flux to what multiplies it to the total flux of a star, on the input's own pixels."""

    def __post_init__(self) -> None:
        if not self.weight > 0.0:
            raise ValueError(f"The weight of visit {self.visit}, detector {self.detector} is {self.weight}.")
        if self.warp_order < 1:
            raise ValueError(f"No kernel has order {self.warp_order}.")

    def covers(self, u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether positions on the input's pixels lie on a pixel that contributed."""
        box = self.bbox
        inside = (u >= box.x.start - 0.5) & (u < box.x.stop - 0.5) & (v >= box.y.start - 0.5) & (v < box.y.stop - 0.5)
        if self.valid is not None:
            inside[inside] = self.valid.contains(x=u[inside], y=v[inside])
        return inside
