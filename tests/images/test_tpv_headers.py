"""Headers fitted to maps, as TAN-SIP and as TPV, as astropy and skyloom read them."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS
from lsst.images import Box, DetectorFrame, SkyProjection

from skyloom.astrometry.tangent import from_tangent_plane
from skyloom.catalog.matching import separation_arcsec
from skyloom.images import (
    fits_header,
    header_of_map,
    headers_of_maps,
    pixel_to_radec,
    projection_from_header,
)

BOX = Box.factory[20:4020, -30:2018]
FRAME = DetectorFrame(instrument="x", detector=1, bbox=BOX)
SCALE_ARCSEC = 0.25
AXIS_PX = (9000.0, 7000.0)
"""Where the optical axis is: 0.8 degrees off."""


def camera(x: np.ndarray, y: np.ndarray, ripple_px: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A wide camera whose scale is 1.6 % larger a degree off its axis: no polynomial, and 7 px off a plane."""
    u, v = np.asarray(x) - AXIS_PX[0], np.asarray(y) - AXIS_PX[1]
    u = u + ripple_px * np.sin(2.0 * np.pi * v / 1500.0)
    radius = np.hypot(u, v) * SCALE_ARCSEC / 3600.0
    stretch = (np.cosh(0.18 * radius) + 0.001 * radius**3) * SCALE_ARCSEC / 3600.0
    return from_tangent_plane(-u * stretch, v * stretch, 210.0, -35.0)


def rippled(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same with ripples that polynomials of order 7 cannot follow."""
    return camera(x, y, ripple_px=0.03)


def positions(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Positions [n] over the box, its very corners included."""
    x = np.linspace(BOX.x.start - 0.5, BOX.x.stop - 0.5, count)
    y = np.linspace(BOX.y.start - 0.5, BOX.y.stop - 0.5, count)
    grid = np.meshgrid(x, y)
    return grid[0].ravel(), grid[1].ravel()


def distance_px(header, to_sky) -> float:
    """Largest distance of a header, as astropy reads it, from a map."""
    x, y = positions()
    read = WCS(header).all_pix2world(x - BOX.x.start, y - BOX.y.start, 0)
    return float(separation_arcsec(*read, *to_sky(x, y)).max()) / SCALE_ARCSEC


@pytest.mark.parametrize("form", ["sip", "tpv"])
def test_a_wide_camera_is_followed_to_less_than_a_thousandth_of_a_pixel(form):
    header, residual = header_of_map(camera, BOX, form)
    assert header["CTYPE1"] == {"sip": "RA---TAN-SIP", "tpv": "RA---TPV"}[form]
    assert residual < 1e-5
    # The check has other positions than the fit, and the scale here is not that of the axis.
    assert distance_px(header, camera) < 1.1 * residual + 2e-9


@pytest.mark.parametrize("form", ["sip", "tpv"])
def test_what_no_polynomial_follows_is_told_in_the_header(form):
    header, residual = header_of_map(rippled, BOX, form)
    assert header["WCSRESID"] == residual
    assert "pix" in header.comments["WCSRESID"]
    assert 1e-3 < residual < 0.04
    assert distance_px(header, rippled) == pytest.approx(residual, rel=0.1)


def test_both_forms_are_the_same_map():
    x, y = positions(9)
    sky = [
        WCS(header_of_map(rippled, BOX, form)[0]).all_pix2world(x - BOX.x.start, y - BOX.y.start, 0)
        for form in ("sip", "tpv")
    ]
    assert separation_arcsec(*sky[0], *sky[1]).max() / SCALE_ARCSEC < 1e-7


def test_tpv_has_no_radial_terms_and_its_linear_ones_change_nothing():
    header, _ = header_of_map(camera, BOX, "tpv")
    for axis in (1, 2):
        assert not {f"PV{axis}_{number}" for number in (0, 3, 11, 23, 39)}.intersection(header)
        assert header[f"PV{axis}_1"] == pytest.approx(1.0, abs=1e-12)
        assert header[f"PV{axis}_2"] == pytest.approx(0.0, abs=1e-12)
    assert not any(name.startswith(("A_", "B_", "AP_", "BP_")) for name in header)


def test_tpv_is_read_back_as_the_same_projection():
    header, residual = header_of_map(camera, BOX, "tpv")
    projection = projection_from_header(header, FRAME, x0=BOX.x.start, y0=BOX.y.start)
    x, y = positions(9)
    off = separation_arcsec(*pixel_to_radec(projection, x, y), *camera(x, y))
    assert off.max() / SCALE_ARCSEC < 1.1 * residual + 2e-9


def test_a_plain_projection_needs_no_distortion_in_either_form():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [210.0, -35.0], [900.0, 1900.0]
    wcs.wcs.cd = SCALE_ARCSEC / 3600.0 * np.diag([-1.0, 1.0])
    for form in ("sip", "tpv"):
        header, residual = fits_header(SkyProjection.from_fits_wcs(wcs, FRAME), BOX, form)
        assert (header["CTYPE1"], residual) == ("RA---TAN", 0.0)
        assert "WCSRESID" not in header


def test_a_sip_projection_is_written_as_tpv():
    sip, known = header_of_map(camera, BOX, "sip")
    projection = projection_from_header(sip, FRAME, x0=BOX.x.start, y0=BOX.y.start)
    header, residual = fits_header(projection, BOX, "tpv")
    assert header["CTYPE1"] == "RA---TPV"
    assert 0.0 < residual < 1e-6
    assert distance_px(header, camera) < 1.1 * known + residual


def test_many_boxes_at_once_are_each_as_alone():
    boxes = [BOX, Box.factory[0:100, 500:900], Box.factory[3000:3001, 0:2000]]

    def to_sky(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert x.shape == y.shape
        assert x.shape[0] == 3
        return camera(x, y)

    for box, (cards, residual) in zip(boxes, headers_of_maps(to_sky, boxes), strict=True):
        alone, its_residual = header_of_map(camera, box)
        assert {len(card) for card in cards.split("\n")} == {80}
        assert residual == pytest.approx(its_residual, rel=1e-2)
        for name in ("CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2", "CD1_1", "CD1_2", "CD2_1", "CD2_2"):
            values = {line[:8].strip(): line[10:].split("/")[0] for line in cards.split("\n")}
            assert float(values[name]) == pytest.approx(alone[name], rel=1e-12, abs=1e-17)
