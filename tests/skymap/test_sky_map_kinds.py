"""What all kinds of sky maps share: tiles, look-ups, identity, copies and definitions."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
import struct

import numpy as np
import pydantic
import pytest
import yaml

from skyloom.skymap import (
    CellPatches,
    ClippedPatches,
    DodecahedronSkyMap,
    EquatorialSkyMap,
    HealpixSkyMap,
    SkyMap,
    Tract,
    convex_polygon,
    sky_map_from_dict,
    unit_vectors,
)
from skymap.whole_sky import KINDS, coarse, discrete, random_positions

every_kind = pytest.mark.parametrize("skymap", KINDS.values(), ids=KINDS.keys())


def sample(skymap: SkyMap) -> list[Tract]:
    """At most five tracts, the first and the last among them."""
    numbers = np.unique(np.linspace(0, len(skymap) - 1, 5).round().astype(int))
    return [skymap.tract(int(number)) for number in numbers]


@every_kind
def test_patches_tile_a_tract(skymap: SkyMap) -> None:
    for tract in sample(skymap):
        (nx, ny), (dx, dy) = tract.n_patches, tract.patch_size
        assert (tract.bbox.x.start, tract.bbox.y.start, tract.bbox.x.stop, tract.bbox.y.stop) == (
            0,
            0,
            nx * dx,
            ny * dy,
        )
        assert len(tract) == nx * ny
        for number in (0, nx - 1, nx, len(tract) - 1):
            patch = tract.patch(number)
            assert patch.id == number == nx * patch.iy + patch.ix
            assert (patch.inner_bbox.x.start, patch.inner_bbox.y.start) == (patch.ix * dx, patch.iy * dy)
            assert (patch.inner_bbox.x.size, patch.inner_bbox.y.size) == (dx, dy)
            assert patch.outer_bbox == patch.inner_bbox.padded(tract.patch_border).intersection(tract.bbox)


@every_kind
def test_positions_beyond_the_corners_are_on_no_patch(skymap: SkyMap) -> None:
    for tract in sample(skymap):
        right, top = tract.bbox.x.stop, tract.bbox.y.stop
        outside = tract.grid.positions_of(np.array([-1.6, right + 0.6]), np.array([-1.6, top + 0.6]))
        for ra, dec in zip(*outside, strict=True):
            with pytest.raises(LookupError, match="is not on tract"):
                tract.find_patch(ra, dec)
        inside = tract.grid.positions_of(np.array([-0.4, right - 0.6]), np.array([-0.4, top - 0.6]))
        assert [tract.find_patch(ra, dec).id for ra, dec in zip(*inside, strict=True)] == [0, len(tract) - 1]
        assert not tract.contains((tract.ra + 180) % 360, -tract.dec)


@every_kind
def test_outline_ends_at_the_edge_of_the_outer_pixels(skymap: SkyMap) -> None:
    for tract in sample(skymap):
        shift = 0.01 / skymap.pixel_scale
        right, top = tract.bbox.x.stop - 0.5, tract.bbox.y.stop - 0.5
        x, y = np.array([-0.5, right, right, -0.5]), np.array([-0.5, -0.5, top, top])
        inward = np.array([1, -1, -1, 1]), np.array([1, 1, -1, -1])
        for sign, expected in ((1, True), (-1, False)):
            at = tract.grid.positions_of(x + sign * shift * inward[0], y + sign * shift * inward[1])
            held = tract.region.contains(*np.ascontiguousarray(unit_vectors(*at).T))
            assert held.tolist() == [expected] * 4


@every_kind
def test_own_centre_looks_up_to_the_tract(skymap: SkyMap) -> None:
    ra, dec = skymap.centres
    assert np.array_equal(skymap.tract_ids(ra, dec), np.arange(len(skymap)))
    for tract in sample(skymap):
        assert (tract.ra, tract.dec) == pytest.approx((ra[tract.id], dec[tract.id]))
        assert tract.contains(tract.ra, tract.dec)
        assert skymap.find_tract(tract.ra, tract.dec).id == tract.id


@pytest.mark.parametrize("kind", ["rings", "healpix", "dodecahedron", "dodecahedron on poles"])
def test_tracts_cover_the_sky(kind: str) -> None:
    skymap = KINDS[kind]
    ra, dec = random_positions(400)
    assert skymap.contains(ra, dec).all()
    numbers = skymap.tract_ids(ra, dec)
    for tract in skymap.all_tracts():
        mine = numbers == tract.id
        assert tract.contains(ra[mine], dec[mine]).all()
        held = tract.inner_region.contains(np.radians(ra), np.radians(dec))
        assert np.array_equal(held, mine) or kind == "healpix"  # the edges of whose pixels are no great circles
    for position in zip(ra[:20], dec[:20], strict=True):
        found = [tract.id for tract in skymap.tracts_containing(*position)]
        assert found == [tract.id for tract in skymap.all_tracts() if tract.contains(*position)]


@every_kind
def test_position_is_in_the_inner_box_of_its_patch(skymap: SkyMap) -> None:
    rng = np.random.default_rng(2)
    for tract in sample(skymap):
        x, y = rng.uniform(-0.49, tract.bbox.x.stop - 0.51, 5), rng.uniform(-0.49, tract.bbox.y.stop - 0.51, 5)
        for px, py, ra, dec in zip(x, y, *tract.grid.positions_of(x, y), strict=True):
            box = tract.find_patch(ra, dec).inner_bbox
            assert box.contains(x=int(np.floor(px + 0.5)), y=int(np.floor(py + 0.5)))


@every_kind
def test_copies_have_the_same_pixels(skymap: SkyMap) -> None:
    text = skymap.to_yaml()
    again = [
        pickle.loads(pickle.dumps(skymap)),
        copy.copy(skymap),
        copy.deepcopy(skymap),
        sky_map_from_dict(json.loads(json.dumps(skymap.to_dict()))),
        sky_map_from_dict(yaml.safe_load(text)),
    ]
    tract = skymap.tract(len(skymap) - 1)
    at = np.array([-1000.0, 1000.0]), np.array([-532.5, 532.5])
    for other in again:
        assert other == skymap
        assert hash(other) == hash(skymap)
        assert type(other) is type(skymap)
        twin = other.tract(tract.id)
        assert twin == tract
        assert np.array_equal(twin.vertices, tract.vertices)
        assert np.array_equal(twin.grid.positions_of(*at), tract.grid.positions_of(*at))
        assert twin.patch(3) == tract.patch(3)


def test_every_setting_is_part_of_the_identity() -> None:
    shared = [
        {"tract_overlap": overlap} for overlap in (0.0, 0.01, 0.1)
    ] + [
        {"pixel_scale": 0.3},
        {"projection": "ZEA"},
        {"rotation": 3.0},
        {"patch_border": 0},
        {"patch_border": 101},
        {"patch_size": (1005, 2032)},
        {"patch_size": (5062, 5431)},
        {"layout": {"kind": "cells"}},
        {"layout": {"kind": "cells", "cell_border": 51}},
        {"layout": {"kind": "cells", "cells_per_patch": 21}},
        {"layout": {"kind": "cells", "border_cells": 2}},
    ]  # fmt: skip
    own: dict[str, list[dict[str, object]]] = {
        "discrete": [{"tracts": KINDS["discrete"].to_dict()["tracts"][:11]}],
        "rings": [{"num_rings": 4}, {"ra_start": 1.0}, {"numbering": 0}],
        "equatorial": [{"num_tracts": 5}, {"dec_range": (-1.25, 1.5)}],
        "healpix": [{"nside": 4}, {"nest": True}],
        "dodecahedron": [{"tracts_on_poles": True}],
    }
    seen = set()
    for kind, changes in own.items():
        skymap = KINDS[kind].model_copy(update={"tract_overlap": 2.0})
        digests = [skymap.sha1, *(skymap.model_copy(update=change).sha1 for change in changes)]
        for change in shared:
            definition = {
                key: value for key, value in skymap.to_dict().items() if key != "layout" or "layout" in change
            }
            digests.append(sky_map_from_dict(definition | change).sha1)
        assert len(set(digests)) == 1 + len(changes) + len(shared)
        assert not seen & set(digests)
        seen |= set(digests)
        assert skymap.model_copy(update={"name": "x"}).sha1 == skymap.sha1


def test_identities_are_the_published_digests() -> None:
    clipped = struct.pack("<iiidd3sd", 4000, 4000, 100, 1.0, 0.333, b"STG", 0.0)
    cells = struct.pack("<iiiiidd3sd", 150, 150, 50, 20, 1, 1.0, 0.333, b"STG", 0.0)
    rings = struct.pack("<id", 3, 0.0)
    assert coarse().sha1 == hashlib.sha1(b"RingsSkyMap" + clipped + rings).digest()
    assert coarse(layout=CellPatches()).sha1 == hashlib.sha1(b"RingsSkyMap" + cells + rings).digest()
    wide = struct.pack("<iiidd3sd", 4000, 4000, 250, 3.5, 0.2, b"STG", 0.0)
    assert KINDS["dodecahedron"].sha1 == hashlib.sha1(b"DodecaSkyMap" + wide + struct.pack("<?", False)).digest()
    cylindrical = struct.pack("<iiidd3sd", 4000, 4000, 100, 1.0, 0.333, b"CEA", 0.0)
    band = struct.pack("<i2d", 4, -1.25, 1.25)
    assert KINDS["equatorial"].sha1 == hashlib.sha1(b"EquatSkyMap" + cylindrical + band).digest()


@pytest.mark.parametrize("poles", [False, True])
def test_faces_of_a_dodecahedron(poles: bool) -> None:
    skymap = DodecahedronSkyMap(name="d", tracts_on_poles=poles)
    vectors = unit_vectors(*skymap.centres)
    angle = np.degrees(np.arccos(np.clip(vectors @ vectors.T, -1, 1)))
    assert len(skymap) == 12
    assert np.isclose(angle, 63.434948822922, atol=1e-9).sum(axis=1).tolist() == [5] * 12
    assert (np.diff(np.round(skymap.centres[1], 3)) <= 0).all()
    assert skymap.centres[0][:2] == pytest.approx([0.0, 0.0] if poles else [0.0, 120.0])
    if poles:
        assert [(t.grid.ra, t.grid.dec) for t in (skymap.tract(0), skymap.tract(11))] == [(0.0, 90.0), (0.0, -90.0)]
    # Each corner of a face is one of two others.
    corners = np.concatenate([unit_vectors(*tract.vertices.T) for tract in skymap.all_tracts()])
    assert (np.isclose(corners @ corners.T, 1.0, atol=1e-12).sum(axis=1) == 3).all()


def test_slices_of_an_equatorial_band() -> None:
    skymap = EquatorialSkyMap(name="e")
    vectors = unit_vectors(*skymap.centres)
    angle = np.degrees(np.arccos(np.clip(vectors @ vectors.T, -1, 1)))
    assert np.isclose(angle, 90.0).sum(axis=1).tolist() == [2] * 4
    for tract in skymap.all_tracts():
        assert tract.wcs_header()["CTYPE1"] == "RA---CEA"
        assert (tract.grid.ra, tract.grid.dec) == (45 + 90 * tract.id, 0.0)
        x = np.linspace(-0.5, tract.bbox.x.stop - 0.5, 30)
        edges = [tract.grid.positions_of(x, np.full(30, y))[1] for y in (-0.5, tract.bbox.y.stop - 0.5)]
        for dec in edges:
            np.testing.assert_allclose(dec, dec[0], rtol=0, atol=1e-10)
        assert edges[0][0] < -1.25 - 0.5
        assert edges[1][0] > 1.25 + 0.5
    assert skymap.tract_ids(np.array([1.0, 89.0, 91.0, 359.0]), np.zeros(4)).tolist() == [0, 0, 1, 3]
    high = EquatorialSkyMap(name="e", num_tracts=12, dec_range=(20.0, 24.0))
    assert high.tract(3).grid.dec == 0.0
    assert high.tract(3).contains(np.array([90.1, 119.9, 105.0]), np.array([20.0, 24.0, 22.0])).all()


def test_discrete_tracts_are_squares_around_their_circles() -> None:
    skymap = discrete(tract_overlap=0.5)
    for tract, circle in zip(skymap.all_tracts(), skymap.tracts, strict=True):
        x, y = tract.pixels_of(np.array([circle.ra, circle.ra]), np.array([circle.dec + 2.49, circle.dec - 2.49]))
        assert tract.bbox.contains(x=int(x[0]), y=int(y[0]))
        assert tract.bbox.contains(x=int(x[1]), y=int(y[1]))
        # tan(2.5 deg) / 0.25" = 36023 px on each side: 37 patches of 2000
        assert tract.n_patches == (37, 37)
    assert skymap.tract_ids(151.0, 3.0) == 4


def test_nearest_centre_of_several_is_the_lowest() -> None:
    equatorial = KINDS["equatorial"]
    assert equatorial.tract_ids(np.array([90.0, 180.0, 270.0, 0.0]), np.zeros(4)).tolist() == [0, 1, 2, 0]
    assert KINDS["dodecahedron"].tract_ids(np.array([0.0, 77.0]), np.array([90.0, -90.0])).tolist() == [0, 9]


def test_healpix_numbers_are_the_standard_ones() -> None:
    # The twelve base pixels of Gorski et al. (2005): four in the north, four on the equator, four in the south
    base = HealpixSkyMap(name="h", nside=1)
    z = np.degrees(np.arcsin(2 / 3))
    expected = (
        [(45 + 90 * k, z) for k in range(4)] + [(90 * k, 0) for k in range(4)] + [(45 + 90 * k, -z) for k in range(4)]
    )
    np.testing.assert_allclose(np.transpose(base.centres), expected, atol=1e-12)
    nested = HealpixSkyMap(name="h", nside=2, nest=True)
    # The first pixel of each base pixel is at its southern corner, the fourth at its northern one
    assert [nested.tract(number).ra for number in (0, 3, 16, 19)] == pytest.approx([45, 45, 0, 0])
    assert nested.tract(16).dec < nested.tract(0).dec < nested.tract(3).dec


@every_kind
def test_outlines_on_the_far_side_touch_nothing(skymap: SkyMap) -> None:
    tract = skymap.tract(0)
    ra, dec = (tract.ra + 180.0 + np.array([-0.1, 0.1, 0.1, -0.1])) % 360, -tract.dec + np.array([-0.1, -0.1, 0.1, 0.1])
    ra, dec = np.where(np.abs(dec) > 90, ra + 180, ra), np.where(np.abs(dec) > 90, np.sign(dec) * 180 - dec, dec)
    assert 0 not in skymap.patch_ids_around(ra, dec)
    assert 0 not in {found.id for found, _ in skymap.patches_overlapping(convex_polygon(ra, dec))}


def test_old_definitions_of_discrete_sky_maps_still_read() -> None:
    stored = {
        "kind": "discrete",
        "name": "old",
        "tracts": [{"ra": 150.0, "dec": 2.0, "radius": 0.1}],
        "pixel_scale": 0.25,
        "patch_size": [500, 400],
        "patch_border": 30,
        "tract_overlap": 0.0,
        "rotation": 0.0,
    }
    skymap = sky_map_from_dict(stored)
    assert skymap.layout == ClippedPatches(size=(500, 400), border=30)
    assert skymap.tract(0).n_patches == (6, 8)
    assert skymap.projection == "TAN"
    del stored["patch_border"]
    assert sky_map_from_dict(stored).patch_border == 100


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ({"kind": "cubes"}, "discriminator|tag"),
        ({"kind": "rings"}, "num_rings"),
        ({"kind": "rings", "num_rings": 3, "num_tracts": 3}, "num_tracts"),
        ({"kind": "rings", "num_rings": 3, "projection": "ZPN"}, "projection"),
        ({"kind": "rings", "num_rings": 3, "projection": "CAR"}, "projection"),
        ({"kind": "rings", "num_rings": 3, "ra_start": 360.0}, "ra_start"),
        ({"kind": "equatorial", "num_tracts": 2}, "num_tracts"),
        ({"kind": "equatorial", "dec_range": [2, 1]}, "empty or reaches a pole"),
        ({"kind": "healpix", "nside": 3}, "power of 2"),
        ({"kind": "dodecahedron", "patch_size": 0}, "empty"),
        ({"kind": "dodecahedron", "layout": {"kind": "cells", "cell_size": 0}}, "cell_size"),
        ({"kind": "discrete", "pixel_scale": 1.0, "tracts": []}, "tracts"),
        ({"kind": "equatorial", "projection": "TAN", "num_tracts": 3, "tract_overlap": 80}, "too wide"),
    ],
)
def test_wrong_definitions_are_refused(definition: dict[str, object], message: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=message):
        sky_map_from_dict({"name": "x"} | definition)
