"""Projections from headers against astropy's own reading of them."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io.fits import Header
from astropy.wcs import WCS
from lsst.images import Box, DetectorFrame

from skyloom.errors import BadFrameError
from skyloom.images import corner_polygon, pixel_scale, pixel_to_radec, projection_from_header, radec_to_pixel

BOX = Box.factory[0:900, 0:1000]
FRAME = DetectorFrame(instrument="x", detector=1, bbox=BOX)
SIP = {"A_ORDER": 3, "B_ORDER": 3, "A_2_0": 1e-6, "B_1_1": -2e-6, "A_0_3": 1e-9, "B_0_2": 3e-6}
INVERSE = {"AP_ORDER": 2, "BP_ORDER": 2, "AP_2_0": -1e-6, "BP_1_1": 2e-6, "BP_0_2": -3e-6}
TPV = {"PV1_1": 1.0, "PV1_4": 1e-2, "PV2_1": 1.0, "PV2_5": 2e-2, "PV1_7": 0.05}


def header(kind: str, ra: float = 150.0, dec: float = 2.0, radesys: str = "ICRS", **more: float) -> Header:
    cards = Header({"NAXIS": 2, "NAXIS1": 1000, "NAXIS2": 900, "RADESYS": radesys})
    if radesys == "FK5":
        cards["EQUINOX"] = 2000.0
    cards["CTYPE1"], cards["CTYPE2"] = {
        "TAN": ("RA---TAN", "DEC--TAN"),
        "SIP": ("RA---TAN-SIP", "DEC--TAN-SIP"),
        "TPV": ("RA---TPV", "DEC--TPV"),
    }[kind]
    cards["CUNIT1"] = cards["CUNIT2"] = "deg"
    cards["CRVAL1"], cards["CRVAL2"], cards["CRPIX1"], cards["CRPIX2"] = ra, dec, 480.0, 410.0
    cards["CD1_1"], cards["CD1_2"], cards["CD2_1"], cards["CD2_2"] = -7e-5, 1e-6, 2e-6, 7.1e-5
    cards.update(more)
    return cards


@pytest.mark.parametrize(
    ("kind", "more"),
    [("TAN", {}), ("SIP", SIP), ("SIP", SIP | INVERSE), ("TPV", TPV)],
    ids=["tan", "sip", "sip-ap", "tpv"],
)
@pytest.mark.parametrize(("ra", "dec"), [(150.0, 2.0), (359.99, -85.0)])
def test_header_there_and_back(kind, more, ra, dec):
    cards = header(kind, ra, dec, **more)
    projection = projection_from_header(cards, FRAME, x0=10, y0=20)
    rng = np.random.default_rng(1)
    x, y = rng.uniform(10, 1010, 50), rng.uniform(20, 920, 50)
    found = SkyCoord(*pixel_to_radec(projection, x, y), unit="deg")
    truth = SkyCoord(*WCS(cards).all_pix2world(x - 10, y - 20, 0), unit="deg")
    assert found.separation(truth).arcsec.max() < 1e-6
    # The inverse is that of the forward polynomial, not the header's rough one.
    back = radec_to_pixel(projection, found.ra.deg, found.dec.deg)
    assert np.abs(back[0] - x).max() < 1e-6
    assert np.abs(back[1] - y).max() < 1e-6


def test_fk5_is_converted_to_icrs():
    projection = projection_from_header(header("TAN", radesys="FK5"), FRAME)
    found = SkyCoord(*pixel_to_radec(projection, 479.0, 409.0), unit="deg")
    truth = SkyCoord(150.0, 2.0, unit="deg", frame="fk5").icrs
    assert found.separation(truth).arcsec < 1e-3
    assert found.separation(SkyCoord(150.0, 2.0, unit="deg")).arcsec > 5e-3


def test_scalars_and_scale():
    projection = projection_from_header(header("TAN"), FRAME)
    ra, dec = pixel_to_radec(projection, 479.0, 409.0)
    assert (ra.shape, float(ra), float(dec)) == ((), pytest.approx(150.0), pytest.approx(2.0))
    expected = 3600 * np.sqrt(7e-5 * 7.1e-5 + 1e-6 * 2e-6)
    assert pixel_scale(projection, 479.0, 409.0) == pytest.approx(expected, rel=1e-6)
    assert pixel_scale(projection, [479.0, 900.0], [409.0, 3.0]).shape == (2,)


def test_corner_polygon_takes_the_outer_edges():
    projection = projection_from_header(header("TAN"), FRAME)
    x, y = radec_to_pixel(projection, *corner_polygon(projection, BOX))
    assert np.allclose(x, [-0.5, 999.5, 999.5, -0.5], atol=1e-6)
    assert np.allclose(y, [-0.5, -0.5, 899.5, 899.5], atol=1e-6)


def test_a_header_without_wcs_is_refused():
    with pytest.raises(BadFrameError, match="no celestial WCS"):
        projection_from_header(Header({"NAXIS": 2}), FRAME)
