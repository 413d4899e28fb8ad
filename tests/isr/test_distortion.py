from __future__ import annotations

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS, Sip
from lsst.images import Box, SkyProjection
from lsst.images._transforms import _ast
from lsst.images.cameras import CameraFrameSet, Detector

from skyloom.errors import BadFrameError
from skyloom.images.fits_wcs import fits_header
from skyloom.images.projection import radec_to_pixel
from skyloom.instruments import Camera
from skyloom.isr.distortion import distorted_projection

PIXEL_MM = 0.0135
RADIANS_PER_MM = 1 / 14805.4
BEND = 2e-6
"""Relative growth of the field angle per square mm of radius: 2 % at 100 mm."""
AXIS = (-3100.25, 7300.75)
"""Pixel of the optical axis, off the detector."""
TURN = np.radians(180.0)
GRID_X, GRID_Y = (axis.ravel() for axis in np.meshgrid(np.linspace(0, 1023, 5), np.linspace(0, 1023, 5)))


def distorting(detector: Detector, bend: float, *, mirrored: bool = False) -> Detector:
    """The same detector behind optics whose field angle is s r (1 + bend r^2), the inverse by iteration."""
    frames = _ast.FrameSet(_ast.Frame(2, "Ident=FOCAL_PLANE,Unit(1)=mm,Unit(2)=mm"))
    s, k = RADIANS_PER_MM, RADIANS_PER_MM * bend
    side = -1 if mirrored else 1
    terms = [[side * s, 1, 1, 0], [side * k, 1, 3, 0], [side * k, 1, 1, 2], [s, 2, 0, 1], [k, 2, 0, 3], [k, 2, 2, 1]]
    optics = _ast.PolyMap(terms, 2, "IterInverse=1,NiterInverse=20,TolInverse=1e-12")
    frames.addFrame(1, optics, _ast.Frame(2, "Ident=FIELD_ANGLE,Unit(1)=rad,Unit(2)=rad"))
    turn = np.array([[np.cos(TURN), np.sin(TURN)], [-np.sin(TURN), np.cos(TURN)]]) / PIXEL_MM
    pixels = _ast.Frame(2, "Ident=DETECTOR_0")
    pixels._impl.Bottom_1, pixels._impl.Top_1 = 0, 1024
    pixels._impl.Bottom_2, pixels._impl.Top_2 = 0, 1024
    frames.addFrame(1, _ast.CmpMap(_ast.MatrixMap(turn), _ast.ShiftMap(list(AXIS)), True), pixels)
    return Detector(detector._attributes, detector.amplifiers, CameraFrameSet("bent", frames), visit=5)


def tangent_plane() -> WCS:
    """North up and a little turned, the tangent point on the axis."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [150.0, 2.2], np.array(AXIS) + 1
    scale, angle = np.degrees(PIXEL_MM * RADIANS_PER_MM), np.radians(12.0)
    wcs.wcs.cd = scale * np.array([[-np.cos(angle), np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.set()
    return wcs


def projected(detector: Detector) -> SkyProjection:
    return SkyProjection.from_fits_wcs(tangent_plane(), detector.frame)


def arcsec_between(one: SkyCoord, other: SkyCoord) -> np.ndarray:
    return np.asarray(one.separation(other).arcsec)


@pytest.fixture(scope="module")
def bent(camera: Camera) -> Detector:
    return distorting(camera.detector(0), BEND)


@pytest.mark.parametrize("mirrored", [False, True])
def test_radial_distortion_matches_its_sip_polynomial(camera: Camera, mirrored: bool) -> None:
    bent = distorting(camera.detector(0), BEND, mirrored=mirrored)
    wcs = tangent_plane()
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    a, b = np.zeros((4, 4)), np.zeros((4, 4))
    a[3, 0] = a[1, 2] = b[0, 3] = b[2, 1] = BEND * PIXEL_MM**2
    wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
    found = distorted_projection(projected(bent), bent).pixel_to_sky(x=GRID_X, y=GRID_Y)
    assert arcsec_between(found, wcs.pixel_to_world(GRID_X, GRID_Y)).max() < 2e-4
    assert arcsec_between(found, tangent_plane().pixel_to_world(GRID_X, GRID_Y)).min() > 5.0


def test_there_and_back(bent: Detector) -> None:
    projection = distorted_projection(projected(bent), bent)
    sky = projection.pixel_to_sky(x=GRID_X, y=GRID_Y)
    x, y = radec_to_pixel(projection, sky.ra.deg, sky.dec.deg)
    np.testing.assert_allclose(x, GRID_X, atol=1e-5)
    np.testing.assert_allclose(y, GRID_Y, atol=1e-5)


def test_it_has_a_fits_form(bent: Detector) -> None:
    projection = distorted_projection(projected(bent), bent)
    header, residual_px = fits_header(projection, Box.from_shape((1024, 1024)))
    assert residual_px < 1e-4
    found = projection.pixel_to_sky(x=GRID_X, y=GRID_Y)
    assert arcsec_between(found, WCS(header).pixel_to_world(GRID_X, GRID_Y)).max() < 1e-4


def test_the_axis_stays(bent: Detector) -> None:
    found = distorted_projection(projected(bent), bent).pixel_to_sky(x=AXIS[0], y=AXIS[1])
    assert arcsec_between(found, SkyCoord(150.0, 2.2, unit="deg")) < 1e-6


def test_without_distortion_nothing_changes(camera: Camera) -> None:
    straight = distorting(camera.detector(0), 0.0)
    found = distorted_projection(projected(straight), straight).pixel_to_sky(x=GRID_X, y=GRID_Y)
    assert arcsec_between(found, tangent_plane().pixel_to_world(GRID_X, GRID_Y)).max() < 1e-6


def test_a_camera_of_constant_scale(camera: Camera) -> None:
    detector = camera.detector(0)
    projection = SkyProjection.from_fits_wcs(tangent_plane(), detector.frame)
    found = distorted_projection(projection, detector).pixel_to_sky(x=GRID_X, y=GRID_Y)
    assert arcsec_between(found, tangent_plane().pixel_to_world(GRID_X, GRID_Y)).max() < 1e-6


def test_the_projection_of_another_detector(bent: Detector, camera: Camera) -> None:
    with pytest.raises(BadFrameError, match="the projection is from"):
        distorted_projection(projected(camera.detector(0)), bent)
