"""Every storage class of the seed configuration: put, get, components and cut-outs in a repository."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from lsst.daf.butler import Butler, Config, DatasetRef, DatasetType, FileDataset
from lsst.images import BackgroundMap, Box, Image, MaskedImage
from lsst.images.psfs import PiffWrapper

from fixtures import samples
from skyloom import images
from skyloom.images import RawExposure
from skyloom.repo.formatters import RawExposureFormatter
from skyloom.skymap import DiscreteSkyMap, TractCircle

FRAME = {"instrument": "tiny", "visit": 42, "detector": 3}
IMAGES = {
    "PostIsrImage": (samples.post_isr, images.to_post_isr, images.from_post_isr),
    "VisitImage": (samples.calibrated, images.to_visit_image, images.from_visit_image),
    "WarpImage": (samples.warp, images.to_warp, images.from_warp),
    "CoaddImage": (samples.coadd, images.to_coadd, images.from_coadd),
}


@pytest.fixture(scope="module")
def butler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Butler]:
    """A repository made with the seed and nothing else, with one dataset type a storage class."""
    root = str(tmp_path_factory.mktemp("storage") / "repo")
    Butler.makeRepo(root, config=Config(str(files("skyloom.repo") / "seed.yaml")))
    with Butler.from_config(root, writeable=True, run="run") as butler:
        insert = butler.registry.insertDimensionData
        insert(
            "instrument", {"name": "tiny", "visit_max": 99, "exposure_max": 99, "detector_max": 9, "class_name": "x"}
        )
        insert("physical_filter", {"instrument": "tiny", "name": "r", "band": "r"})
        insert("detector", {"instrument": "tiny", "id": 3, "full_name": "ccd03", "purpose": "SCIENCE"})
        insert("day_obs", {"instrument": "tiny", "id": 20260101})
        insert("visit", {"instrument": "tiny", "id": 42, "name": "42", "physical_filter": "r", "day_obs": 20260101})
        yield butler


def store(butler: Butler, storage_class: str, dataset: Any) -> DatasetRef:
    """Put a dataset under a type of its own."""
    name = f"a_{storage_class}"
    dimensions = ("instrument", "visit", "detector")
    butler.registry.registerDatasetType(DatasetType(name, dimensions, storage_class, universe=butler.dimensions))
    found = butler.find_dataset(name, FRAME, collections="run")
    return butler.put(dataset, name, FRAME) if found is None else found


def component(butler: Butler, ref: DatasetRef, name: str, **parameters: Any) -> Any:
    return butler.get(ref.makeComponentRef(name), parameters=parameters or None)


@pytest.mark.parametrize("kind", IMAGES)
def test_images_come_back_bit_by_bit(butler, kind):
    make, to_disk, from_disk = IMAGES[kind]
    ref = store(butler, kind, to_disk(make()))
    for _ in range(2):
        samples.assert_same(from_disk(butler.get(ref)), make())


@pytest.mark.parametrize("kind", IMAGES)
def test_cut_outs(butler, kind):
    make, to_disk, from_disk = IMAGES[kind]
    ref = store(butler, kind, to_disk(make()))
    y0, x0 = make().bbox.start
    box = Box.factory[y0 + 2 : y0 + 7, x0 + 3 : x0 + 11]
    samples.assert_same(from_disk(butler.get(ref, parameters={"bbox": box})), make()[box])
    image = component(butler, ref, "image", bbox=box)
    assert np.array_equal(image.array, make().image[box].array, equal_nan=True)


@pytest.mark.parametrize("kind", IMAGES)
def test_components_of_images(butler, kind):
    make, to_disk, _ = IMAGES[kind]
    ref = store(butler, kind, to_disk(make()))
    exposure = make()
    assert component(butler, ref, "bbox") == exposure.bbox
    assert component(butler, ref, "unit") == exposure.unit
    assert component(butler, ref, "sky_projection") == exposure.projection
    assert np.array_equal(component(butler, ref, "mask").array, exposure.mask.array)
    assert np.array_equal(component(butler, ref, "variance").array, exposure.variance.array)
    assert isinstance(component(butler, ref, "image"), Image)


@pytest.mark.parametrize("kind", ["PostIsrImage", "VisitImage", "WarpImage"])
def test_observation_and_detector(butler, kind):
    make, to_disk, _ = IMAGES[kind]
    ref = store(butler, kind, to_disk(make()))
    assert component(butler, ref, "obs_info") == make().obs_info
    if kind != "WarpImage":
        assert component(butler, ref, "detector").frame == make().detector.frame


def test_psf_of_a_calibrated_frame_can_be_read_again_and_again(butler):
    ref = store(butler, "VisitImage", images.to_visit_image(samples.calibrated()))
    for _ in range(3):
        psf = component(butler, ref, "psf")
        assert isinstance(psf, PiffWrapper)
        assert images.from_visit_image(butler.get(ref)).psf == samples.pixel_grid()
    assert component(butler, ref, "summary_stats").psfSigma == 1.5
    assert isinstance(component(butler, ref, "backgrounds"), BackgroundMap)


@pytest.mark.parametrize("kind", ["WarpImage", "CoaddImage"])
def test_psf_and_inputs_of_a_coadd(butler, kind):
    make, to_disk, _ = IMAGES[kind]
    ref = store(butler, kind, to_disk(make()))
    for _ in range(2):
        assert component(butler, ref, "psf") == make().psf
        samples.assert_same_table(component(butler, ref, "inputs"), make().inputs)


@pytest.mark.parametrize(
    ("kind", "packed"),
    [
        ("PostIsrImage", set()),
        ("WarpImage", set()),
        ("VisitImage", {"MASK"}),
        ("CoaddImage", {"IMAGE", "MASK", "VARIANCE"}),
    ],
)
def test_which_planes_are_compressed(butler, kind, packed):
    make, to_disk, _ = IMAGES[kind]
    ref = store(butler, kind, to_disk(make()))
    with fits.open(butler.getURI(ref).ospath, disable_image_compression=True) as hdus:
        assert {name for name in ("IMAGE", "MASK", "VARIANCE") if hdus[name].header.get("ZIMAGE")} == packed


def test_calibration_frames_are_stock_masked_images(butler):
    exposure = samples.planes(samples.BOX, images.to_post_isr(samples.post_isr()).unit)
    stored = MaskedImage(exposure.image, mask=exposure.mask, variance=exposure.variance)
    again = butler.get(store(butler, "MaskedImageV2", stored))
    assert np.array_equal(again.image.array, exposure.image.array, equal_nan=True)
    assert np.array_equal(again.mask.array, exposure.mask.array)


def test_small_things(butler):
    things = {
        "SkyloomCamera": samples.camera(),
        "SkyloomSkyMap": DiscreteSkyMap(
            name="map", pixel_scale=0.25, tracts=(TractCircle(ra=150.0, dec=2.0, radius=0.1),)
        ),
        "SkyloomFootprints": samples.footprints(),
        "SkyloomPhotoCalib": samples.photo_calib(),
    }
    suffixes = {
        "SkyloomCamera": ".yaml",
        "SkyloomSkyMap": ".json",
        "SkyloomFootprints": ".fits",
        "SkyloomPhotoCalib": ".json",
    }
    for kind, thing in things.items():
        ref = store(butler, kind, thing)
        again = butler.get(ref)
        assert type(again) is type(thing)
        assert again == thing
        assert butler.getURI(ref).getExtension() == suffixes[kind]


def raw_frame(hdus: int) -> fits.HDUList:
    """A raw file: the image in the primary HDU, or in so many extensions."""
    pixels = np.arange(140, dtype=np.uint16).reshape(10, 14)
    cards = fits.Header({"EXPNUM": 42, "FILTER": "r"})
    if not hdus:
        return fits.HDUList([fits.PrimaryHDU(pixels, cards)])
    parts = [
        fits.ImageHDU(pixels + n, fits.Header({"GAIN": 1.5 + n, "FILTER": "r2"}), name=f"CCD{n}") for n in range(hdus)
    ]
    return fits.HDUList([fits.PrimaryHDU(header=cards), *parts])


@pytest.mark.parametrize(
    ("name", "hdus", "fragment", "first", "gain"),
    [
        ("plain.fits", 0, "", 0, None),
        ("PLAIN.FITS", 0, "", 0, None),
        ("packed.fits.gz", 1, "", 0, 1.5),
        ("many.fits", 3, "hdu=2", 1, 2.5),
        ("named.fits", 3, "hdu=CCD2", 2, 3.5),
        ("tiles.fits.fz", 2, "hdu=2", 1, 2.5),
    ],
)
def test_raw_frames_stay_where_they_are(butler, tmp_path: Path, name, hdus, fragment, first, gain):
    path = tmp_path / name
    content = raw_frame(hdus)
    if name.endswith(".fz"):
        content = fits.HDUList([content[0], *(fits.CompImageHDU(part.data, part.header) for part in content[1:])])
    content.writeto(path)
    kind = "raw_" + "".join(char for char in name if char.isalnum())
    dataset_type = DatasetType(kind, ("instrument", "visit", "detector"), "RawExposure", universe=butler.dimensions)
    butler.registry.registerDatasetType(dataset_type)
    ref = DatasetRef(dataset_type, butler.registry.expandDataId(FRAME), run="run")
    uri = f"{path.as_uri()}#{fragment}" if fragment else path.as_uri()
    butler.ingest(FileDataset(path=uri, refs=[ref], formatter=RawExposureFormatter), transfer="direct")
    raw = butler.get(ref)
    assert isinstance(raw, RawExposure)
    assert raw.file == str(path)
    assert np.array_equal(raw.image, np.arange(140).reshape(10, 14) + first)
    assert raw.image.dtype.kind == "u"
    header = component(butler, ref, "header")
    assert header == raw.header
    assert (header["EXPNUM"], header.get("GAIN"), header["FILTER"]) == (42, gain, "r" if gain is None else "r2")
