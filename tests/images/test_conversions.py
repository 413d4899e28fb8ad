"""Exposures to the types on disk, through files, and back to the last bit."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from lsst.images import Box, Mask, MaskPlane, MaskSchema, VisitImage
from lsst.images.psfs import GaussianPointSpreadFunction, PiffWrapper
from lsst.images.serialization import open_archive, read_archive, write_archive

from fixtures import samples
from skyloom import images
from skyloom.errors import BadFrameError
from skyloom.images import CoaddImage, Exposure, PostIsrImage, WarpImage, bitmask, plain_metadata

KINDS = {
    "post_isr": (samples.post_isr, images.to_post_isr, images.from_post_isr, PostIsrImage),
    "visit_image": (samples.calibrated, images.to_visit_image, images.from_visit_image, VisitImage),
    "warp": (samples.warp, images.to_warp, images.from_warp, WarpImage),
    "coadd": (samples.coadd, images.to_coadd, images.from_coadd, CoaddImage),
}


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back_in_memory_shares_pixels(kind):
    make, to_disk, from_disk, pytype = KINDS[kind]
    exposure: Exposure = make()
    stored = to_disk(exposure)
    assert type(stored) is pytype
    assert np.shares_memory(stored.image.array, exposure.image.array)
    assert np.shares_memory(stored.mask.array, exposure.mask.array)
    samples.assert_same(from_disk(stored), exposure)


@pytest.mark.parametrize("suffix", ["fits", "json"])
@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back_through_a_file(kind, suffix, tmp_path):
    make, to_disk, from_disk, pytype = KINDS[kind]
    path = str(tmp_path / f"{kind}.{suffix}")
    write_archive(to_disk(make()), path)
    samples.assert_same(from_disk(read_archive(path, pytype)), make())


@pytest.mark.parametrize("kind", KINDS)
def test_cut_outs_and_copies(kind, tmp_path):
    make, to_disk, from_disk, pytype = KINDS[kind]
    exposure = make()
    box = Box.factory[
        exposure.bbox.y.start + 1 : exposure.bbox.y.start + 6, exposure.bbox.x.start + 2 : exposure.bbox.x.start + 9
    ]
    path = str(tmp_path / f"{kind}.fits")
    write_archive(to_disk(exposure), path)
    samples.assert_same(from_disk(read_archive(path, pytype, bbox=box)), exposure[box])
    stored = to_disk(exposure)
    samples.assert_same(from_disk(stored[box]), exposure[box])
    twin = stored.copy()
    twin.image.array[...] = 0
    samples.assert_same(from_disk(stored), make())
    assert type(twin) is pytype


@pytest.mark.parametrize("kind", ["warp", "coadd"])
def test_components_are_read_alone(kind, tmp_path):
    make, to_disk, _, _ = KINDS[kind]
    path = str(tmp_path / f"{kind}.fits")
    write_archive(to_disk(make()), path)
    with open_archive(path, partial=True) as reader:
        assert reader.get_component("psf") == make().psf
        samples.assert_same_table(reader.get_component("inputs"), make().inputs)
        assert reader.get_component("bbox") == samples.PATCH
        assert reader.get_component("band") == "r"


def test_photometric_calibration_goes_through_the_scaling(tmp_path):
    path = str(tmp_path / "visit.fits")
    write_archive(images.to_visit_image(samples.calibrated()), path)
    stored = VisitImage.read(path)
    calib = images.from_visit_image(stored).photo_calib
    truth = samples.photo_calib()
    assert (calib.calibration_mean, calib.calibration_err) == (truth.calibration_mean, truth.calibration_err)
    x, y = np.array([0.0, 5.0, 11.0]), np.array([0.0, 9.0, 3.0])
    assert calib.to_njy(10.0, x, y) == pytest.approx(truth.to_njy(10.0, x, y), rel=1e-14)
    # What plain lsst.images makes of it: back to electrons.
    counts = stored.convert_unit(u.electron)
    assert counts.image.array[0, 0] == pytest.approx(stored.image.array[0, 0] / truth.scale(0.0, 0.0), rel=1e-6)


def test_photometric_calibration_that_is_constant():
    exposure = samples.calibrated()
    exposure.photo_calib = images.PhotoCalib(2.5, 0.01)
    assert images.from_visit_image(images.to_visit_image(exposure)).photo_calib == exposure.photo_calib
    exposure.photo_calib = None
    assert images.from_visit_image(images.to_visit_image(exposure)).photo_calib is None


def test_published_psf_is_piff_or_gaussian():
    assert isinstance(images.to_visit_image(samples.calibrated()).psf, PiffWrapper)
    exposure = samples.calibrated()
    exposure.psf = GaussianPointSpreadFunction(1.5, samples.BOX, 9)
    assert images.from_visit_image(images.to_visit_image(exposure)).psf == exposure.psf
    exposure.psf = samples.coadd_psf()
    with pytest.raises(BadFrameError, match="CoaddPsf cannot be published"):
        images.to_visit_image(exposure)


@pytest.mark.parametrize("missing", ["projection", "psf", "detector", "obs_info", "band"])
def test_a_frame_that_lacks_something_is_not_published(missing):
    exposure = samples.calibrated()
    setattr(exposure, missing, None)
    with pytest.raises(BadFrameError, match=missing):
        images.to_visit_image(exposure)


def test_a_warp_needs_projection_and_coadd_psf():
    exposure = samples.warp()
    exposure.psf = samples.pixel_grid()
    with pytest.raises(BadFrameError, match="must be a CoaddPsf"):
        images.to_warp(exposure)
    exposure.psf, exposure.inputs = None, None
    assert images.from_warp(images.to_warp(exposure)).psf is None
    exposure.projection = None
    with pytest.raises(BadFrameError, match="sky projection"):
        images.to_warp(exposure)


def test_masks_of_other_schemas_are_read_by_name():
    frame = images.to_post_isr(samples.post_isr())
    other = Mask(0, schema=MaskSchema([MaskPlane("SAT", ""), MaskPlane("THEIRS", "")]), bbox=frame.bbox)
    other.set("SAT", np.eye(10, 12, dtype=bool))
    foreign = PostIsrImage(
        frame.image.view(sky_projection=None), mask=other, variance=frame.variance.view(sky_projection=None)
    )
    assert np.array_equal(images.from_post_isr(foreign).bits, np.eye(10, 12, dtype=np.int32) * bitmask("SAT"))


def test_metadata_are_made_plain():
    plain = plain_metadata(
        {"a": np.float32(1.5), "b": {"c": np.int64(3), "d": {"e": "x"}}, "f": [1, 2], "g": u.nJy, "h": np.bool_(True)}
    )
    assert plain == {"a": 1.5, "b.c": 3, "b.d.e": "x", "f": "[1, 2]", "g": "nJy", "h": True}
    assert [type(value) for value in plain.values()] == [float, int, str, str, str, bool]


READ_PLAINLY = """
import sys
from lsst.images import VisitImage
from lsst.images.serialization import public_type_for_schema, read_archive

def no_skyloom():
    return not [name for name in sys.modules if name.startswith("skyloom")]

frame = read_archive(sys.argv[1])
assert type(frame) is VisitImage and no_skyloom()
sky = frame.sky_projection.pixel_to_sky(x=3.0, y=4.0)
psf = frame.psf.compute_kernel_image(x=3.0, y=4.0).array[3, 3]
for value in (psf, sky.ra.deg, sky.dec.deg, frame.photometric_scaling(x=3.0, y=4.0)):
    print(repr(float(value)))
assert frame.backgrounds.subtracted.name == "sky" and "VIGNETTED" in frame.mask.schema.names
assert no_skyloom()
coadd = read_archive(sys.argv[2])
print(type(coadd).__name__, len(coadd.psf.components))
for name in sys.argv[3:]:
    print(public_type_for_schema(name).__name__)
"""
SCHEMAS = {
    "skyloom_coadd_image": "CoaddImage",
    "skyloom_warp_image": "WarpImage",
    "skyloom_post_isr_image": "PostIsrImage",
    "skyloom_coadd_psf": "CoaddPsf",
    "skyloom_pixel_grid_psf": "PixelGridPsf",
    "skyloom_photo_calib": "PhotoCalib",
    "skyloom_footprint_set": "FootprintSet",
    "skyloom_inputs_table": "Table",
}


def test_files_open_with_plain_lsst_images(tmp_path):
    """Calibrated frames without any of our code; coadds because the entry points name their models."""
    frame, coadd = str(tmp_path / "frame.fits"), str(tmp_path / "coadd.fits")
    exposure = samples.calibrated()
    write_archive(images.to_visit_image(exposure), frame)
    write_archive(images.to_coadd(samples.coadd()), coadd)
    command = [sys.executable, "-c", READ_PLAINLY, frame, coadd, *SCHEMAS]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    psf, ra, dec, scaling = (float(line) for line in lines[:4])
    assert psf == pytest.approx(exposure.psf.stamps(3.0, 4.0, centred=True)[0][0, 3, 3], abs=1e-12)
    assert (ra, dec) == pytest.approx([float(value) for value in images.pixel_to_radec(exposure.projection, 3.0, 4.0)])
    assert scaling == pytest.approx(float(exposure.photo_calib.scale(3.0, 4.0)), rel=1e-14)
    assert lines[4:] == ["CoaddImage 2", *SCHEMAS.values()]


@pytest.mark.parametrize("kind", KINDS)
def test_astropy_reads_the_same_sky(kind: str, tmp_path: Path):
    make: Callable[[], Exposure] = KINDS[kind][0]
    exposure = make()
    path = str(tmp_path / f"{kind}.fits")
    write_archive(KINDS[kind][1](exposure), path)
    with fits.open(path) as hdus:
        wcs = WCS(hdus["IMAGE"].header)
        assert hdus["IMAGE"].header["BUNIT"] == str(exposure.unit)
    x, y = np.array([0.0, 5.5, 11.0]), np.array([9.0, 3.25, 0.0])
    ra, dec = wcs.all_pix2world(x, y, 0)
    at = images.radec_to_pixel(exposure.projection, ra, dec)
    assert np.allclose(at[0] - exposure.bbox.x.start, x, atol=1e-6)
    assert np.allclose(at[1] - exposure.bbox.y.start, y, atol=1e-6)


def test_astropy_reads_the_sky_of_a_tpv_frame(tmp_path):
    """The form of TPV that lsst.images writes by itself drops the distortion."""
    exposure = samples.post_isr()
    header = samples.wcs_header(CTYPE1="RA---TPV", CTYPE2="DEC--TPV", PV1_1=1.0, PV2_1=1.0, PV1_4=0.5, PV2_4=0.7)
    for name in ("A_ORDER", "B_ORDER", "A_2_0", "B_1_1"):
        del header[name]
    exposure.projection = images.projection_from_header(header, samples.detector().frame)
    write_archive(images.to_post_isr(exposure), str(tmp_path / "tpv.fits"))
    ra, dec = WCS(fits.getheader(tmp_path / "tpv.fits", "IMAGE")).all_pix2world([0.0, 11.0], [9.0, 0.0], 0)
    x, y = images.radec_to_pixel(exposure.projection, ra, dec)
    assert np.allclose([x, y], [[0.0, 11.0], [9.0, 0.0]], atol=1e-4)


def test_many_inputs_are_one_table(tmp_path):
    """The number of HDUs does not grow with the number of inputs."""
    from dataclasses import replace

    from skyloom.psf import CoaddPsf

    exposure = samples.coadd()
    part = exposure.psf.components[0]
    exposure.psf = CoaddPsf(
        [replace(part, visit=number) for number in range(30)], exposure.psf.projection, exposure.psf.bounds
    )
    path = str(tmp_path / "coadd.fits")
    write_archive(images.to_coadd(exposure), path)
    with fits.open(path) as hdus:
        names = [hdu.name for hdu in hdus]
    assert len(names) < 12, names
    assert read_archive(path).psf == exposure.psf
