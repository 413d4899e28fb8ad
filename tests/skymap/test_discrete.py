"""Discrete sky maps: geometry, look-ups, identity and storage."""

from __future__ import annotations

import hashlib
import json
import struct

import numpy as np
import pydantic
import pytest
from astropy.wcs import WCS
from lsst.images import Box

from skyloom.skymap import DiscreteSkyMap, TractCircle

CIRCLES = (TractCircle(ra=150.0, dec=2.0, radius=0.1), TractCircle(ra=10.0, dec=-60.0, radius=0.2))


def sky_map(**changes: object) -> DiscreteSkyMap:
    return DiscreteSkyMap(
        **{"name": "test", "tracts": CIRCLES, "pixel_scale": 0.25, "patch_size": (500, 400)} | changes
    )


def test_tract_encloses_its_circle_in_whole_patches_centred() -> None:
    tract = sky_map().tract(0)
    # 0.1 degrees are tan(0.1 deg) / 0.25" = 1440.0015 px: pixels -1440..1440, 2881 in all
    assert tract.n_patches == (6, 8)
    assert tract.bbox == Box.from_shape((3200, 3000))
    header = tract.wcs_header()
    # 119 px of padding in x (59 below), 319 in y (159 below); FITS counts from 1
    assert (header["CRPIX1"], header["CRPIX2"]) == (1440 + 59 + 1, 1440 + 159 + 1)
    assert header["CD1_1"] == -0.25 / 3600
    assert header["CD2_2"] == 0.25 / 3600


def test_orientation_is_the_usual_one() -> None:
    tract = sky_map().tract(0)
    wcs = WCS(tract.wcs_header())
    x, y = wcs.wcs_world2pix([150.0, 150.01, 150.0], [2.0, 2.0, 2.01], 0)
    assert x[1] < x[0]
    assert y[2] > y[0]
    assert y[2] - y[0] == pytest.approx(0.01 * 3600 / 0.25, rel=1e-6)


def test_rotation_turns_the_grid() -> None:
    tract = sky_map(rotation=90.0).tract(0)
    x, y = tract.pixels_of(np.array([150.0, 150.01]), np.array([2.0, 2.0]))
    assert y[1] - y[0] == pytest.approx(0.01 * np.cos(np.radians(2)) * 3600 / 0.25, rel=1e-5)
    assert x[1] == pytest.approx(x[0], abs=0.01)


def test_projection_header_and_patch_header_agree() -> None:
    tract = sky_map(rotation=12.0).tract(1)
    patch = tract.patch((3, 2))
    x, y = np.array([1510.0, 1900.5]), np.array([830.25, 1111.0])
    sky = tract.projection.pixel_to_sky(x=x, y=y)
    ra, dec = WCS(tract.wcs_header(patch.outer_bbox)).wcs_pix2world(
        x - patch.outer_bbox.x.start, y - patch.outer_bbox.y.start, 0
    )
    np.testing.assert_allclose(sky.ra.deg, ra, atol=1e-10)
    np.testing.assert_allclose(sky.dec.deg, dec, atol=1e-10)
    assert tract.projection.pixel_frame.bbox == tract.bbox


def test_inner_boxes_tile_and_outer_boxes_are_clipped() -> None:
    tract = sky_map().tract(0)
    count = np.zeros(tract.bbox.shape, int)
    for number, patch in enumerate(tract.patches()):
        assert patch.id == number == tract.n_patches[0] * patch.iy + patch.ix
        assert tract.bbox.contains(patch.outer_bbox)
        assert patch.outer_bbox.contains(patch.inner_bbox)
        count[patch.inner_bbox.slice_within(tract.bbox)] += 1
    assert (count == 1).all()
    assert tract.patch(0).outer_bbox == Box.factory[0:500, 0:600]
    assert tract.patch((1, 1)).outer_bbox == Box.factory[300:900, 400:1100]


def test_patch_ids_find_the_inner_box() -> None:
    tract = sky_map().tract(1)
    rng = np.random.default_rng(1)
    x = rng.uniform(-0.49, tract.bbox.x.stop - 0.51, 200)
    y = rng.uniform(-0.49, tract.bbox.y.stop - 0.51, 200)
    sky = tract.projection.pixel_to_sky(x=x, y=y)
    for px, py, number in zip(x, y, tract.patch_ids(sky.ra.deg, sky.dec.deg), strict=True):
        assert tract.patch(int(number)).inner_bbox.contains(x=int(np.floor(px + 0.5)), y=int(np.floor(py + 0.5)))


def test_containment_ends_at_the_pixel_edges_and_not_at_the_antipode() -> None:
    tract = sky_map().tract(0)
    edge = tract.bbox.x.stop - 0.5
    sky = tract.projection.pixel_to_sky(x=np.array([-0.51, -0.49, edge - 0.01, edge + 0.01]), y=np.full(4, 30.0))
    assert tract.contains(sky.ra.deg, sky.dec.deg).tolist() == [False, True, True, False]
    assert not tract.contains(330.0, -2.0)
    assert tract.patch_ids(330.0, -2.0) == -1


def test_regions_hold_their_own_corners_only() -> None:
    tract = sky_map().tract(0)
    patch = tract.patch(7)
    box = patch.outer_bbox
    from skyloom.skymap import unit_vectors

    def held(x: float, y: float) -> bool:
        sky = tract.projection.pixel_to_sky(x=x, y=y)
        return bool(patch.region.contains(*[np.atleast_1d(v) for v in unit_vectors(sky.ra.deg, sky.dec.deg)])[0])

    assert held(box.x.start - 0.45, box.y.start - 0.45)
    assert not held(box.x.start - 0.55, box.y.start - 0.55)
    assert tract.region.contains(patch.region)


def test_nearest_tract_and_containment_in_any() -> None:
    skymap = sky_map()
    assert skymap.tract_ids(np.array([149.0, 11.0]), np.array([3.0, -58.0])).tolist() == [0, 1]
    assert skymap.contains(np.array([150.05, 100.0]), np.array([2.0, 2.0])).tolist() == [True, False]


def test_identity_is_the_published_digest_of_the_geometry() -> None:
    skymap = sky_map()
    expected = hashlib.sha1(b"DiscreteSkyMap")
    expected.update(struct.pack("<iiidd3sd", 500, 400, 100, 0.0, 0.25, b"TAN", 0.0))
    expected.update(struct.pack("<6d", 150.0, 10.0, 2.0, -60.0, 0.1, 0.2))
    assert skymap.sha1 == expected.digest()
    assert skymap == sky_map(name="other")
    changes = [
        {"pixel_scale": 0.26},
        {"patch_size": (501, 400)},
        {"patch_border": 101},
        {"tract_overlap": 0.01},
        {"rotation": 1.0},
        {"tracts": CIRCLES[:1]},
    ]
    assert len({skymap.sha1, *(sky_map(**change).sha1 for change in changes)}) == 1 + len(changes)


def test_definition_survives_json() -> None:
    skymap = sky_map(rotation=3.0)
    again = DiscreteSkyMap.from_dict(json.loads(json.dumps(skymap.to_dict())))
    assert again == skymap
    assert again.name == "test"
    assert DiscreteSkyMap.model_validate_json(skymap.model_dump_json()).tract(0).bbox == skymap.tract(0).bbox


def test_wrong_definitions_and_numbers_are_refused() -> None:
    with pytest.raises(pydantic.ValidationError):
        sky_map(pixel_scale=0.0)
    with pytest.raises(pydantic.ValidationError, match="empty"):
        sky_map(patch_size=(0, 10))
    with pytest.raises(IndexError, match="2 tracts"):
        sky_map().tract(2)
    with pytest.raises(IndexError, match="6 x 8 patches"):
        sky_map().tract(0).patch(48)
    with pytest.raises(IndexError):
        sky_map().tract(0).patch(-1)
