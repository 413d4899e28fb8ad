"""The unvignetted part of the focal plane, and the pixels of a detector outside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from lsst.images import Box, NoOverlapError, Polygon

from skyloom.kernels.polygon import inside_polygon

if TYPE_CHECKING:
    from lsst.images import Region
    from lsst.images.cameras import Detector

__all__ = ["VignetteSettings", "mark_outside", "unvignetted_field", "valid_polygon"]


@dataclass(frozen=True, kw_only=True)
class VignetteSettings:
    """The circle of the focal plane that the optics illuminate."""

    x_centre_mm: float = 0.0
    y_centre_mm: float = 0.0
    radius_mm: float = 100.0
    polygon_points: int = 100
    """Vertices, on the circle, of the polygon that stands for it."""

    def __post_init__(self) -> None:
        if not self.radius_mm > 0:
            raise ValueError(f"The radius has to be positive; it is {self.radius_mm} mm.")
        if self.polygon_points < 3:
            raise ValueError(f"A polygon has at least 3 vertices, not {self.polygon_points}.")


def unvignetted_field(settings: VignetteSettings) -> Polygon:
    """The illuminated circle as a polygon in focal-plane mm, its vertices clockwise."""
    angle = np.linspace(0.0, 2 * np.pi, settings.polygon_points, endpoint=False)[::-1]
    return Polygon(
        x_vertices=settings.x_centre_mm + settings.radius_mm * np.cos(angle),
        y_vertices=settings.y_centre_mm + settings.radius_mm * np.sin(angle),
    )


def valid_polygon(detector: Detector, field: Region) -> Polygon | None:
    """The part of a detector inside a region of the focal plane.

    Parameters
    ----------
    detector
        With its transform from pixels to the focal plane.
    field
        Focal-plane mm.

    Returns
    -------
    polygon
        Pixels of the trimmed detector, its edges half a pixel outside the outermost pixel centres; None where the two
        do not overlap.

    Raises
    ------
    ValueError
        If the overlap has holes or several parts.
    """
    outline = Polygon.from_box(detector.bbox).transform(detector.to_focal_plane)
    try:
        overlap = outline.intersection(field)
    except NoOverlapError:
        return None
    if not isinstance(overlap, Polygon):
        raise ValueError(f"The overlap of detector {detector.name} with the field is not one polygon without holes.")
    return overlap.transform(detector.to_focal_plane.inverted())


def mark_outside(
    image: np.ndarray,
    bits: np.ndarray,
    polygon: Polygon | None,
    bit: int,
    *,
    box: Box,
    value: float | None = None,
) -> int:
    """Set ``bit`` in ``bits`` (``[y, x]``, in place) at pixels whose centre is outside a polygon.

    Parameters
    ----------
    image
        Receives ``value`` at those pixels, in place; untouched where that is None.
    polygon
        Pixels; None marks all of them.
    bit
        The integer of the mask plane.
    box
        Where the arrays lie.

    Returns
    -------
    count
        Pixels marked.
    """
    if polygon is None:
        outside = np.ones(bits.shape, dtype=bool)
    else:
        outside = inside_polygon(polygon.x_vertices, polygon.y_vertices, bits.shape, box.x.start, box.y.start)
        np.logical_not(outside, out=outside)
    count = int(np.count_nonzero(outside))
    if count:
        bits[outside] |= bit
        if value is not None:
            image[outside] = value
    return count
