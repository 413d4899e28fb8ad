"""Files of every version of our types can be read, and no schema changes without a new version."""

from __future__ import annotations

import json

import pytest
from lsst.images.serialization import read_archive

from fixtures import make_fixtures, samples
from skyloom import images

EXPOSURES = {
    "post_isr_image_v1.fits": (samples.post_isr, images.from_post_isr),
    "warp_image_v1.fits": (samples.warp, images.from_warp),
    "coadd_image_v1.fits": (samples.coadd, images.from_coadd),
    "coadd_image_v1.1.fits": (samples.coadd_of_many_kinds, images.from_coadd),
}
VALUES = {
    "footprint_set_v1.fits": samples.footprints,
    "photo_calib_v1.json": samples.photo_calib,
    "pixel_grid_psf_v1.fits": samples.pixel_grid,
}


@pytest.mark.parametrize("name", EXPOSURES)
def test_stored_images(name):
    make, from_disk = EXPOSURES[name]
    samples.assert_same(from_disk(read_archive(str(make_fixtures.HERE / name))), make())


@pytest.mark.parametrize("name", VALUES)
def test_stored_values(name):
    assert read_archive(str(make_fixtures.HERE / name)) == VALUES[name]()


def test_every_file_is_read():
    assert {path.name for path in make_fixtures.HERE.glob("*_v*")} == set(EXPOSURES) | set(VALUES)


@pytest.mark.parametrize("model", make_fixtures.models(), ids=lambda model: model.SCHEMA_NAME)
def test_schemas_are_frozen(model):
    path = make_fixtures.schema_file(model)
    assert path.exists(), f"run {make_fixtures.__file__}"
    assert json.loads(path.read_text()) == make_fixtures.own_schema(model), "give the model a new SCHEMA_VERSION"


def test_entry_points_name_every_model():
    assert len(make_fixtures.models()) == 8
