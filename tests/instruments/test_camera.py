"""The camera made from YAML: geometry, first projection, translation and its refusals."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from astro_metadata_translator import ObservationInfo
from astropy.io.fits import Header
from lsst.images.cameras import ReadoutCorner

from skyloom.errors import BadFrameError, CameraError
from skyloom.images.projection import pixel_to_radec, radec_to_pixel
from skyloom.images.raw import RawExposure
from skyloom.instruments import Camera


@pytest.fixture(scope="module")
def camera() -> Camera:
    return Camera.read("simulated")


def header(**changes: object) -> Header:
    cards = {
        "INSTRUME": "simulated",
        "EXPNUM": 42,
        "DETNUM": 2,
        "FILTER": "r",
        "EXPTIME": 30.0,
        "DATE-OBS": "2026-01-01T03:04:05.678",
        "RA": 150.0,
        "DEC": 2.0,
        "ROTANG": 0.0,
        "OBJECT": "field",
        "IMGTYPE": "science",
        "AIRMASS": 1.1,
    } | {key.replace("_", "-"): value for key, value in changes.items()}
    return Header({key: value for key, value in cards.items() if value is not None})


def test_shipped_cameras_are_valid_and_keep_their_text() -> None:
    assert "simulated" in Camera.shipped()
    for name in Camera.shipped():
        camera = Camera.read(name)
        assert camera.name.lower() == name
        assert Camera.from_yaml(camera.to_yaml()) == camera
        assert pickle.loads(pickle.dumps(camera)) == camera


def test_detector_has_the_contracted_boxes(camera: Camera) -> None:
    detector = camera.detector(2, visit=7)
    assert (detector.name, detector.id, detector.visit) == ("ccd02", 2, 7)
    assert detector.bbox.shape == (1024, 1024)
    assert camera.raw_shape(2) == (1040, 1088)
    right = detector.amplifiers[1]
    assert right.assembled_raw_geometry is not None
    assert right.nominal_calibrations is not None
    assert right.assembled_raw_geometry.data_bbox.x.start == 576
    assert right.readout_corner is ReadoutCorner.LR
    assert right.nominal_calibrations.gain == 1.7


def test_north_is_up_and_east_left_at_position_angle_zero(camera: Camera) -> None:
    lower_left = camera.projection(0, ra=150.0, dec=0.0)
    ra, dec = pixel_to_radec(lower_left, [500.0, 500.0, 600.0], [500.0, 600.0, 500.0])
    assert dec[1] - dec[0] == pytest.approx(100 * 0.25 / 3600, rel=1e-5)
    assert ra[2] - ra[0] == pytest.approx(-100 * 0.25 / 3600, rel=1e-5)


def test_boresight_is_the_centre_of_the_mosaic(camera: Camera) -> None:
    # The inner corner of each CCD's pixels is half a gap (20 px) from the boresight in both axes.
    inner = {0: (1023.5, 1023.5), 1: (-0.5, 1023.5), 2: (1023.5, 1023.5), 3: (-0.5, 1023.5)}
    for detector, (x, y) in inner.items():
        projection = camera.projection(detector, ra=150.0, dec=0.0)
        ra, dec = pixel_to_radec(projection, x, y)
        if detector in (2, 3):  # turned by 180 degrees: their inner corners are those of the opposite neighbour
            ra, dec = pixel_to_radec(projection, 1023.5 - x - 0.5, y)
        assert abs(dec) * 3600 / 0.25 == pytest.approx(20, abs=1e-3)
        assert abs(ra - 150.0) * 3600 / 0.25 == pytest.approx(20, abs=1e-3)


def test_top_row_is_upside_down(camera: Camera) -> None:
    ra, dec = pixel_to_radec(camera.projection(2, ra=150.0, dec=0.0), [500.0, 500.0], [500.0, 600.0])
    assert dec[1] < dec[0]
    assert dec[0] > 0
    assert ra[0] > 150.0


def test_position_angle_turns_y_towards_east(camera: Camera) -> None:
    projection = camera.projection(0, ra=150.0, dec=0.0, rotation_deg=90.0)
    ra, dec = pixel_to_radec(projection, [500.0, 500.0, 600.0], [500.0, 600.0, 500.0])
    assert ra[1] - ra[0] == pytest.approx(100 * 0.25 / 3600, rel=1e-5)
    assert dec[2] - dec[0] == pytest.approx(100 * 0.25 / 3600, rel=1e-5)


def test_a_flipped_camera_mirrors_x() -> None:
    text = Camera.read("simulated").to_yaml()
    mirrored = Camera.from_yaml(text.replace("position_angle: 0 deg", "position_angle: 0 deg\nflipped: true"))
    ra, _ = pixel_to_radec(mirrored.projection(0, ra=150.0, dec=0.0), [500.0, 600.0], [500.0, 500.0])
    assert ra[1] > ra[0]


def test_frame_set_agrees_with_the_projection(camera: Camera) -> None:
    """Focal-plane positions from AST and sky positions from TAN tell the same geometry."""
    for number in camera.detector_ids:
        focal = camera.detector(number).to_focal_plane.apply_forward(x=100.0, y=900.0)
        projection = camera.projection(number, ra=150.0, dec=0.0)
        ra, dec = (np.radians(angle) for angle in pixel_to_radec(projection, 100.0, 900.0))
        east = np.tan(ra - np.radians(150.0))
        north = np.tan(dec) / np.cos(ra - np.radians(150.0))
        radians_per_mm = np.radians(0.25 / 3600) / 0.015
        np.testing.assert_allclose([focal.x, focal.y], [-east / radians_per_mm, north / radians_per_mm], atol=1e-9)


def test_projection_and_its_inverse_agree(camera: Camera) -> None:
    projection = camera.projection(3, ra=359.99, dec=-60.0, rotation_deg=33.0)
    x, y = radec_to_pixel(projection, *pixel_to_radec(projection, [3.0, 1000.0], [5.0, 17.0]))
    np.testing.assert_allclose([x, y], [[3.0, 1000.0], [5.0, 17.0]], atol=1e-6)


def test_translation(camera: Camera) -> None:
    info = camera.translate(header(), "frame.fits")
    assert (info.instrument, info.exposure_id, info.visit_id, info.detector_num) == ("simulated", 42, 42, 2)
    assert info.detector_name == "ccd02"
    assert info.physical_filter == "r"
    assert info.exposure_time is not None
    assert info.exposure_time.to_value("s") == 30.0
    assert info.datetime_begin is not None
    assert info.datetime_begin.utc.isot == "2026-01-01T03:04:05.678"
    assert info.observing_day == 20260101
    assert info.tracking_radec is not None
    assert info.tracking_radec.ra.deg == pytest.approx(150.0)
    assert info.can_see_sky is True
    assert info.has_simulated_content is True


def test_translator_class_agrees_with_translate(camera: Camera) -> None:
    ours = camera.translate(header())
    theirs = ObservationInfo(header(), translator_class=camera.translator, pedantic=True)
    assert theirs.to_simple() == ours.to_simple()


def test_biases_need_neither_pointing_nor_filter(camera: Camera) -> None:
    info = camera.translate(header(IMGTYPE="zero", RA=None, DEC=None, FILTER=None, OBJECT=None))
    assert info.observation_type == "bias"
    assert info.physical_filter is None
    assert info.tracking_radec is None
    assert info.can_see_sky is False


@pytest.mark.parametrize(
    ("keyword", "value", "words"),
    [
        ("EXPTIME", None, "exposure time"),
        ("EXPTIME", "long", "no number"),
        ("EXPTIME", -3.0, "negative"),
        ("EXPNUM", None, "exposure id"),
        ("EXPNUM", 1.5, "no whole number"),
        ("DATE-OBS", None, "date"),
        ("DATE-OBS", "2026-01-01", "no time of day"),
        ("DATE-OBS", "yesterday evening", "no date"),
        ("FILTER", None, "filter"),
        ("FILTER", "H-alpha", "none of the camera's filters g, r, i"),
        ("RA", None, "the ra comes from there"),
        ("DEC", 91.0, "outside -90 to 90"),
        ("DETNUM", 9, "none of simulated"),
        ("INSTRUME", "other", "frames of simulated have 'simulated'"),
    ],
)
def test_bad_headers_name_file_keyword_and_cure(camera: Camera, keyword: str, value: object, words: str) -> None:
    with pytest.raises(BadFrameError) as caught:
        camera.translate(header(**{keyword.replace("-", "_"): value}), "night/frame.fits")
    assert words in str(caught.value)
    assert keyword in str(caught.value)
    assert "frame.fits" in str(caught.value)
    assert caught.value.cure


def test_complete_fills_what_the_raw_lacks(camera: Camera) -> None:
    raw = RawExposure(image=np.zeros((1040, 1088), np.uint16), header=header(), file="a.fits")
    full = camera.complete(raw)
    assert full.detector is not None
    assert full.detector.visit == 42
    assert full.obs_info is not None
    assert full.projection is not None
    assert full.projection.pixel_frame == full.detector.frame
    assert raw.detector is None
    bias = RawExposure(image=raw.image, header=header(IMGTYPE="bias"), file="b.fits")
    assert camera.complete(bias).projection is None


def test_complete_refuses_the_wrong_shape(camera: Camera) -> None:
    raw = RawExposure(image=np.zeros((1024, 1024), np.uint16), header=header(), file="a.fits")
    with pytest.raises(BadFrameError, match=r"\(1024, 1024\).*\(1040, 1088\)"):
        camera.complete(raw)


SMALL = """
name: small
pixel_scale: 2 arcsec
pointing_error: 10 arcmin
detectors:
  - id: 0
    name: ccd
    size: [60, 40]
    amplifiers:
      - {name: all, box: {x: [0, 60], y: [0, 40]}, gain: 2.0, read_noise: 7.0, saturation: 4000,
         gain_keyword: EGAIN, readout_corner: UL, flip_y: true}
filters: {Clear: {band: clear, reference: V, aliases: [C]}}
header:
  exposure_id: {expression: "int(round((mjd(header['DATE-OBS']) - 51544) * 86400))"}
  exposure_time: [EXPOSURE, EXPTIME]
  date: DATE-OBS
  ra: OBJCTRA
  dec: OBJCTDEC
  filter: {keyword: FILTER, default: Clear}
  observation_type: {keyword: IMAGETYP, values: {Lights: science}}
"""

SMALL_HEADER = {
    "DATE-OBS": "2024-05-06T22:00:00.2",
    "EXPTIME": " 60.0 ",
    "OBJCTRA": "10 00 00",
    "OBJCTDEC": "-20 30 00",
    "FILTER": "C",
    "IMAGETYP": "Lights",
    "EGAIN": 1.25,
}


def test_small_telescope_headers() -> None:
    camera = Camera.from_yaml(SMALL)
    info = camera.translate(SMALL_HEADER)
    assert info.tracking_radec is not None
    assert info.tracking_radec.ra.deg == pytest.approx(150.0)
    assert info.tracking_radec.dec.deg == pytest.approx(-20.5)
    assert info.physical_filter == "Clear"
    assert info.observation_type == "science"
    assert info.exposure_id == round((60436 - 51544) * 86400 + 79200.2)
    assert camera.filters["Clear"].reference == "V"
    assert camera.pointing_error_deg == pytest.approx(1 / 6)


def test_no_overscan_and_flips_and_gain_from_the_header() -> None:
    detector = Camera.from_yaml(SMALL).detector(0, header=SMALL_HEADER)
    (amplifier,) = detector.amplifiers
    geometry = amplifier.assembled_raw_geometry
    assert geometry is not None
    assert not geometry.bbox.contains(geometry.serial_overscan_bbox)
    assert not geometry.bbox.contains(geometry.parallel_overscan_bbox)
    assert geometry.readout_corner is ReadoutCorner.UL
    assert amplifier.readout_corner is ReadoutCorner.LL
    assert amplifier.nominal_calibrations is not None
    assert amplifier.nominal_calibrations.gain == 1.25


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("gain: 2.0", "gain: -2.0", "detectors.0.amplifiers.0.gain"),
        ("gain: 2.0", "gian: 2.0", "detectors.0.amplifiers.0.gian"),
        ("pointing_error: 10 arcmin", "pointing_error: 10", "pointing_error"),
        ("pointing_error: 10 arcmin", "pointing_error: 10 pc", "pointing_error"),
        ("size: [60, 40]", "size: [60, 41]", "cover 2400 pixels"),
        ("size: [60, 40]", "size: [50, 48]", "leaves its 50x48 pixels"),
        ("  ra: OBJCTRA\n", "", "header.ra"),
        ("  date: DATE-OBS\n", "", "header.date"),
        ("name: small", "name: a small one", "name"),
        ("51544) * 86400))", "51544) * 86400).__class__)", "not allowed"),
        ("name: small", "name: [small", "not valid YAML"),
    ],
)
def test_wrong_descriptions_name_the_field(old: str, new: str, words: str) -> None:
    with pytest.raises(CameraError) as caught:
        Camera.from_yaml(SMALL.replace(old, new), file="small.yaml")
    assert words in str(caught.value)
    assert "small.yaml" in str(caught.value)


def test_unknown_camera_lists_the_shipped_ones() -> None:
    with pytest.raises(CameraError, match="simulated"):
        Camera.read("no-such-camera")
