"""Surroundings of bright objects: circles, boxes, units, borders."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table

from coadd.mock_warps import BOX, TRACT, warp
from skyloom.coadd import mask_bright_objects
from skyloom.errors import BadFrameError
from skyloom.images import bitmask, pixel_to_radec

BIT = bitmask("BRIGHT_OBJECT")
SCALE = 0.25


def catalogue(*rows: dict[str, Any]) -> Table:
    """Objects at pixels x, y, with sizes in pixels."""
    lines = []
    for number, row in enumerate(rows):
        ra, dec = (float(v) for v in pixel_to_radec(TRACT, row.pop("x"), row.pop("y")))
        sizes = {name: row.pop(name, 0.0) * SCALE for name in ("radius", "width", "height")}
        lines.append({"id": number, "ra": ra, "dec": dec, "angle": 0.0, **sizes, **row})
    return Table(lines)


def masked(objects: Table) -> np.ndarray:
    frame = warp(1, np.zeros(BOX.shape), bits=bitmask("SAT"))
    mask_bright_objects(frame, objects, BIT)
    assert (frame.bits & bitmask("SAT") != 0).all()
    return np.asarray(frame.bits & BIT != 0)


def grid() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[BOX.y.start : BOX.y.stop, BOX.x.start : BOX.x.stop]
    return x, y


@pytest.mark.parametrize("centre", [(10, 20), (-122, 20), (77, 255), (90, 20)])
def test_circle(centre: tuple[int, int]) -> None:
    x, y = grid()
    found = masked(catalogue({"type": "circle", "x": centre[0] + 0.3, "y": centre[1] - 0.3, "radius": 25.9}))
    np.testing.assert_array_equal(found, (x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= 25**2)


def test_box_along_the_pixels() -> None:
    x, y = grid()
    found = masked(catalogue({"type": "box", "x": 12.4, "y": 30.2, "width": 10.0, "height": 41.0}))
    np.testing.assert_array_equal(found, (x >= 7) & (x <= 17) & (y >= 9) & (y <= 50))


def test_turned_box_is_refused_by_name() -> None:
    with pytest.raises(BadFrameError, match=r"box of bright object 1 is turned by 1.0 degrees"):
        masked(catalogue({"type": "circle", "x": 0, "y": 0}, {"type": "box", "x": 0, "y": 0, "angle": 1.0}))


def test_unknown_types_are_told() -> None:
    frame = warp(1, np.zeros(BOX.shape))
    objects = catalogue(
        {"type": "ellipse", "x": 0, "y": 0, "radius": 9}, {"type": "circle", "x": 0, "y": 0, "radius": 3}
    )
    assert mask_bright_objects(frame, objects, BIT) == {"0": "ellipse"}
    assert (frame.bits != 0).sum() == 29


def test_units_of_the_columns_count() -> None:
    plain = catalogue({"type": "circle", "x": 10, "y": 20, "radius": 25.9})
    other = plain.copy()
    other["radius"] = (other["radius"] / 3600.0) * u.deg
    other["ra"] = np.radians(other["ra"]) * u.rad
    other["dec"] = np.radians(other["dec"]) * u.rad
    assert masked(plain).sum() == 1961  # lattice points within 25 of the origin
    np.testing.assert_array_equal(masked(other), masked(plain))


def test_object_on_the_other_side_of_the_sky_is_nowhere() -> None:
    assert not masked(Table([{"id": 1, "ra": 330.0, "dec": -2.0, "type": "circle", "radius": 50.0}])).any()
