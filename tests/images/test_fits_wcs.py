"""FITS headers of projections, as astropy reads them."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.wcs import WCS
from lsst.images import Box, DetectorFrame, SkyProjection

from fixtures import samples
from skyloom.images import (
    fits_header,
    pixel_to_radec,
    projection_from_header,
    radec_to_pixel,
    wcs_residual,
    with_fits_form,
)

BOX = Box.factory[0:900, 0:1000]
FRAME = DetectorFrame(instrument="x", detector=1, bbox=BOX)
TPV = {
    "CTYPE1": "RA---TPV",
    "CTYPE2": "DEC--TPV",
    "PV1_1": 1.0,
    "PV1_4": 1e-2,
    "PV2_1": 1.0,
    "PV2_5": 2e-2,
    "PV1_7": 0.05,
}


def sip() -> SkyProjection:
    return projection_from_header(samples.wcs_header(A_2_0=1e-6, B_1_1=-2e-6, CRPIX1=480.0, CRPIX2=410.0), FRAME)


def tpv() -> SkyProjection:
    header = samples.wcs_header(CRPIX1=480.0, CRPIX2=410.0, **TPV)
    for name in ("A_ORDER", "B_ORDER", "A_2_0", "B_1_1"):
        del header[name]
    return projection_from_header(header, FRAME)


def separation_px(header, projection, box) -> float:
    """Largest distance over the corners and middle, px."""
    x = np.array([box.x.min, box.x.max, box.x.max, 333.25]) + 0.0
    y = np.array([box.y.min, box.y.min, box.y.max, 444.75]) + 0.0
    ra, dec = WCS(header).all_pix2world(x - box.x.start, y - box.y.start, 0)
    at = radec_to_pixel(projection, ra, dec)
    return float(np.hypot(at[0] - x, at[1] - y).max())


@pytest.mark.parametrize("box", [BOX, Box.factory[300:600, 250:500]])
def test_sip_is_exact(box):
    header, residual = fits_header(sip(), box)
    assert residual == 0.0
    assert header["CTYPE1"] == "RA---TAN-SIP"
    assert separation_px(header, sip(), box) < 1e-6


@pytest.mark.parametrize("box", [BOX, Box.factory[300:600, 250:500]])
def test_tpv_becomes_sip_with_its_residual(box):
    """FITS has TPV, but the plain form of it that lsst.images gives drops the distortion: 0.08 arcsec here."""
    header, residual = fits_header(tpv(), box)
    assert header["CTYPE1"] == "RA---TAN-SIP"
    assert 0 < residual < 1e-4
    assert separation_px(header, tpv(), box) <= residual * 1.01
    # The inverse polynomials serve readers that do not iterate.
    wcs = WCS(header)
    ra, dec = pixel_to_radec(tpv(), 444.0, 555.0)
    flat = np.array(wcs.wcs_world2pix(ra, dec, 1)) - wcs.wcs.crpix
    back = flat + [
        sum(header.get(f"{name}_{p}_{q}", 0.0) * flat[0] ** p * flat[1] ** q for p in range(9) for q in range(9))
        for name in ("AP", "BP")
    ]
    assert back + wcs.wcs.crpix - 1 + [box.x.start, box.y.start] == pytest.approx([444.0, 555.0], abs=1e-3)


def test_a_form_is_added_only_where_there_is_none():
    assert with_fits_form(sip(), BOX) == sip()
    helped = with_fits_form(tpv(), BOX)
    assert helped.pixel_to_sky_transform == tpv().pixel_to_sky_transform
    form = helped.as_fits_wcs(BOX, allow_approximation=True)
    assert wcs_residual(form.to_header(relax=True), tpv(), BOX) < 1e-4
    assert with_fits_form(helped, BOX) is helped
