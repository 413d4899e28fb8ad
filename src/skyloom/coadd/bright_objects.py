"""`mask_bright_objects`: the surroundings of catalogued bright objects masked in a coadd."""

from __future__ import annotations

import math
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import Row, Table
from lsst.images import Box

from skyloom.errors import BadFrameError
from skyloom.images import Exposure, SpanSet, pixel_scale, radec_to_pixel

__all__ = ["mask_bright_objects", "object_spans"]

_FAR = 1e8
"""Pixels; what the projection says of the other side of the sky is farther, or not a number."""


def mask_bright_objects(exposure: Exposure, objects: Table, bit: int) -> dict[str, str]:
    """Set a bit on the pixels of bright objects, in place.

    Parameters
    ----------
    exposure
        A coadd with a sky projection.
    objects
        Columns ``id``; ``ra``, ``dec`` (degrees where the column has no unit); ``type``: circle or box; ``radius`` of
        a circle, ``width`` and ``height`` of a box along x and y (arcsec where the column has no unit); ``angle`` of a
        box, 0 where there is no such column.
    bit
        Integer of the mask plane.

    Returns
    -------
    dict
        Objects of an unknown type: id to type.  They are left out.

    Raises
    ------
    BadFrameError
        If a box is turned.
    """
    box, projection = exposure.bbox, exposure.projection
    if projection is None:
        raise BadFrameError("A coadd without a sky projection cannot show where bright objects are.")
    middle = 0.5 * (box.x.min + box.x.max), 0.5 * (box.y.min + box.y.max)
    scale = float(pixel_scale(projection, *middle))
    left_out: dict[str, str] = {}
    for row in objects:
        x, y = (
            float(np.squeeze(part))
            for part in radec_to_pixel(projection, _value(row, "ra", u.deg), _value(row, "dec", u.deg))
        )
        if not (abs(x) < _FAR and abs(y) < _FAR):
            continue
        spans = object_spans(row, x, y, scale)
        if spans is None:
            left_out[str(row["id"])] = str(row["type"])
        else:
            exposure.bits[spans.to_mask(box)] |= bit
    return left_out


def object_spans(row: Row, x: float, y: float, scale: float) -> SpanSet | None:
    """The pixels of a bright object at a position; None where its type is unknown.

    Parameters
    ----------
    row
        Of the table that `mask_bright_objects` takes.
    x, y
        Its pixel.
    scale
        Arcsec a pixel.
    """
    kind = str(row["type"]).lower()
    if kind == "circle":
        column, line = math.floor(x + 0.5), math.floor(y + 0.5)
        centre = SpanSet.from_box(Box.factory[line : line + 1, column : column + 1])
        return centre.dilated(int(_value(row, "radius", u.arcsec) / scale))
    if kind != "box":
        return None
    angle = _value(row, "angle", u.deg) if "angle" in row.colnames else 0.0
    if angle != 0.0:
        raise BadFrameError(
            f"The box of bright object {row['id']} is turned by {angle} degrees.",
            cure="Give boxes along the pixels, or circles.",
        )
    half_x, half_y = (0.5 * _value(row, name, u.arcsec) / scale for name in ("width", "height"))
    return SpanSet.from_box(
        Box.factory[
            math.floor(y - half_y) : math.floor(y + half_y) + 1, math.floor(x - half_x) : math.floor(x + half_x) + 1
        ]
    )


def _value(row: Row, name: str, unit: u.UnitBase) -> float:
    """A number of a row in a unit, which it is taken to be in where it has none."""
    value: Any = row[name]
    return float(value.to_value(unit)) if isinstance(value, u.Quantity) else float(value) * _factor(row, name, unit)


def _factor(row: Row, name: str, unit: u.UnitBase) -> float:
    own = row.table[name].unit
    return 1.0 if own is None else float(own.to(unit))
