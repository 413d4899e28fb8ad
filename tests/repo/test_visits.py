"""Regions of visits hold the frames wherever the pointing error put them."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.daf.butler import Butler
from lsst.sphgeom import LonLat, UnitVector3d
from tiny_camera import WriteFrame

from skyloom.images.projection import pixel_to_radec
from skyloom.instruments import Camera
from skyloom.repo.ingest import ingest_raws
from skyloom.repo.visits import padded_polygon, padding_deg


def vector(ra: float, dec: float) -> UnitVector3d:
    return UnitVector3d(LonLat.fromDegrees(ra % 360.0, dec))


@pytest.mark.parametrize("centre", [(150.0, 2.0), (0.0, 0.0), (359.99, 60.0), (10.0, 89.9), (200.0, -89.99)])
@pytest.mark.parametrize("padding", [0.01, 1.0])
def test_padding_reaches_every_direction(centre: tuple[float, float], padding: float) -> None:
    rng = np.random.default_rng(3)
    corners = np.array(centre)[:, None] + np.array([[-0.05, 0.05, 0.05, -0.05], [-0.05, -0.05, 0.05, 0.05]])
    corners[1] = np.clip(corners[1], -90, 90)
    region = padded_polygon(corners[0], corners[1], padding)
    for ra, dec in corners.T:
        start = vector(ra, dec)
        for _ in range(50):
            axis = np.cross([start.x(), start.y(), start.z()], rng.standard_normal(3))
            axis /= np.linalg.norm(axis)
            angle = np.radians(padding) * 0.9999
            point = np.array([start.x(), start.y(), start.z()])
            moved = point * np.cos(angle) + np.cross(axis, point) * np.sin(angle)
            assert region.contains(UnitVector3d(*map(float, moved)))
    far = 1.2 * padding + 0.2
    assert not region.contains(vector(centre[0], centre[1] - far if centre[1] > 0 else centre[1] + far))


def test_regions_of_a_visit(butler: Butler, tiny: Camera, write_frame: WriteFrame) -> None:
    ingest_raws(butler, tiny, [write_frame(5, 0)])
    (visit,) = butler.query_dimension_records("visit", instrument="tiny")
    assert (visit.id, visit.name, visit.physical_filter, visit.exposure_time) == (5, "5", "r", 12.0)
    right = tiny.projection(1, ra=150.0, dec=2.0)
    ra, dec = pixel_to_radec(right, 19.0, 15.0)
    assert not visit.region.contains(vector(float(ra), float(dec)))
    # The other detector comes later: the visit grows, the first detector's region stays.
    assert ingest_raws(butler, tiny, [write_frame(5, 1)]).visits == 0
    (visit,) = butler.query_dimension_records("visit", instrument="tiny")
    assert visit.region.contains(vector(float(ra), float(dec)))
    regions = butler.query_dimension_records("visit_detector_region", instrument="tiny", visit=5)
    assert [record.detector for record in regions] == [0, 1]
    # A frame that is off by the whole pointing error is still inside its own region.
    shifted = tiny.projection(1, ra=150.0, dec=2.0 + tiny.pointing_error_deg)
    corners = pixel_to_radec(shifted, [-0.5, 19.5, 19.5, -0.5], [-0.5, -0.5, 29.5, 29.5])
    for corner in zip(*corners, strict=True):
        assert regions[1].region.contains(vector(*map(float, corner)))


def test_padding_grows_with_all_errors(tiny: Camera) -> None:
    radius = (12 + np.hypot(20, 30) / 2) * 10 / 3600
    assert padding_deg(tiny) == pytest.approx(2 / 60 + radius * (0.01 + np.radians(1.0)))


def test_visits_are_found_by_position(butler: Butler, tiny: Camera, write_frame: WriteFrame) -> None:
    ingest_raws(butler, tiny, [write_frame(5, 0), write_frame(6, 0, RA=170.0)])
    with butler.query() as query:
        found = query.where("visit_detector_region.region OVERLAPS POINT(150.02, 2.0)", instrument="tiny")
        visits = {data_id["visit"] for data_id in found.data_ids(["visit", "detector"])}
    assert visits == {5}
