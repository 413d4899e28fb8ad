"""The photometric calibration against magnitudes worked out by hand."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from lsst.images import Box
from lsst.images.fields import ChebyshevField

from skyloom.images import PhotoCalib

BOX = Box.factory[0:100, 0:200]


def test_zero_point_and_magnitude_agree():
    calib = PhotoCalib.from_zero_point(27.0, 0.01)
    assert calib.zero_point_mag == pytest.approx(27.0, abs=1e-12)
    assert calib.zero_point_mag_err == pytest.approx(0.01, rel=1e-12)
    assert calib.to_magnitude(100.0) == pytest.approx(22.0, abs=1e-12)
    assert calib.to_njy(1.0) == pytest.approx(10 ** (0.4 * (31.4 - 27.0)))


def test_magnitude_of_a_negative_flux_is_nan():
    magnitude = PhotoCalib(2.0, 0.0).to_magnitude([-1.0, 0.0, 1.0])
    assert list(np.isnan(magnitude)) == [True, True, False]


def test_errors_add_in_quadrature():
    calib = PhotoCalib(2.0, 0.1)
    assert calib.to_njy_err(100.0, 3.0) == pytest.approx(np.hypot(6.0, 10.0))
    assert calib.to_njy_err(100.0, 3.0, with_calibration_error=False) == pytest.approx(6.0)


def test_spatial_part_multiplies():
    # 1 + 0.1 * T1(x): 1 at the centre, 1.1 at the right edge.
    calib = PhotoCalib(2.0, 0.0, ChebyshevField(BOX, np.array([[1.0, 0.1]])))
    assert calib.to_njy(10.0, x=99.5, y=50.0) == pytest.approx(20.0)
    assert calib.to_njy([10.0, 10.0], x=[199.5, -0.5], y=[0.0, 0.0]) == pytest.approx([22.0, 18.0])
    with pytest.raises(ValueError, match="positions x and y"):
        calib.to_njy(1.0)
    field = calib.to_field(BOX)
    assert field.unit == u.nJy / u.electron
    assert field(x=199.5, y=3.0) == pytest.approx(2.2)


def test_constant_field():
    field = PhotoCalib(2.5, 0.0).to_field(BOX)
    assert np.all(field.render(BOX).array == 2.5)


@pytest.mark.parametrize("mean", [0.0, -1.0, np.nan, np.inf])
def test_a_mean_that_is_not_positive_is_refused(mean):
    with pytest.raises(ValueError, match="positive"):
        PhotoCalib(mean, 0.0)
