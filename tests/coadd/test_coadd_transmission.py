"""Throughput and aperture corrections of coadds: weighted means of the inputs that cover a position."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.images import Box
from lsst.images.fields import ChebyshevField

from coadd.mock_warps import BOX, TRACT, inputs_of, warp
from skyloom.coadd import assemble_coadd
from skyloom.coadd.transmission import CoaddTransmission
from skyloom.errors import NoOverlapError
from skyloom.isr.transmission import RectangularTransmission

LEFT = Box.factory[-45:256, -123:0]
WAVELENGTHS = np.array([5000.0, 6000.0, 7000.0])


def curve(level: float) -> RectangularTransmission:
    """Throughput that rises with x and falls with wavelength, on the pixels of the detector."""
    x = np.array([-200.0, 200.0])
    throughput = level + 1e-3 * x[None, :, None] - 1e-5 * (WAVELENGTHS - 6000.0) + np.zeros((2, 1, 1))
    return RectangularTransmission(wavelengths=WAVELENGTHS, throughput=throughput, x=x, y=np.array([-100.0, 300.0]))


def test_throughput_is_the_weighted_mean_of_those_that_cover_the_point() -> None:
    warps = [warp(1, np.zeros(BOX.shape)), warp(2, np.zeros(LEFT.shape), box=LEFT), warp(3, np.zeros(BOX.shape))]
    coadd, _ = assemble_coadd(inputs_of(warps, [1.0, 3.0, 2.0]), BOX, TRACT)
    curves = {(1, 1): curve(0.4), (2, 1): curve(0.8)}
    x, y = np.array([-100.0, 50.0, -5.5]), np.array([0.0, 100.0, 250.0])
    found = CoaddTransmission(psf=coadd.psf, curves=curves).sample_at(x, y, WAVELENGTHS)
    both = (curves[1, 1].sample_at(x, y, WAVELENGTHS) + 3 * curves[2, 1].sample_at(x, y, WAVELENGTHS)) / 4
    expected = np.where((x < 0)[:, None], both, curves[1, 1].sample_at(x, y, WAVELENGTHS))
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    assert CoaddTransmission(psf=coadd.psf, curves=curves).sample_at(3.0, 4.0, 6000.0).shape == (1,)
    with pytest.raises(NoOverlapError, match=r"x = 50.0, y = 100.0"):
        CoaddTransmission(psf=coadd.psf, curves={(2, 1): curve(0.8)}).sample_at(x, y, WAVELENGTHS)


def test_aperture_corrections_come_with_the_coadd() -> None:
    def field(value: float, slope: float = 0.0) -> ChebyshevField:
        return ChebyshevField(BOX, np.array([[value, slope]]))

    warps = [
        warp(1, np.zeros(BOX.shape), corrections={"psf": field(1.1, 0.02), "kron": field(1.3)}),
        warp(2, np.zeros(LEFT.shape), box=LEFT, corrections={"psf": field(1.2)}),
    ]
    coadd, _ = assemble_coadd(inputs_of(warps, [1.0, 3.0]), BOX, TRACT)
    assert set(coadd.aperture_corrections) == {"psf", "kron"}
    x, y = np.array([-60.0, 40.0]), np.array([10.0, 20.0])
    own = field(1.1, 0.02)(x=x, y=y)
    expected = [(own[0] + 3 * 1.2) / 4, own[1]]
    np.testing.assert_allclose(coadd.aperture_corrections["psf"](x=x, y=y), expected, rtol=1e-12)
    np.testing.assert_allclose(coadd.aperture_corrections["kron"](x=x, y=y), 1.3)
