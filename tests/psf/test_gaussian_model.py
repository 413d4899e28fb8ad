"""Model PSFs have the width that is asked for, and stamps of the size that the rule gives."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.images import Box
from lsst.images.psfs import GaussianPointSpreadFunction
from scipy.optimize import brentq

from skyloom.psf import DoubleGaussianPsf, ModelPsfSettings, model_psf, psf_sigma, psf_stamps

BOX = Box.factory[0:100, 0:100]


def width_at_half_maximum(psf: DoubleGaussianPsf) -> float:
    sigma, wing, amplitude = psf.numbers

    def profile(r: float) -> float:
        return float(np.exp(-0.5 * (r / sigma) ** 2) + amplitude * np.exp(-0.5 * (r / wing) ** 2))

    return float(2 * brentq(lambda r: profile(r) - 0.5 * profile(0.0), 1e-3, 50.0))


@pytest.mark.parametrize("fwhm", [2.5, 7.7])
def test_width_is_the_one_asked_for(fwhm: float) -> None:
    single = model_psf(ModelPsfSettings(fwhm=fwhm, wing=False), BOX)
    assert isinstance(single, GaussianPointSpreadFunction)
    assert psf_sigma(single) == pytest.approx(fwhm / 2.3548200450, rel=1e-3)
    double = model_psf(ModelPsfSettings(fwhm=fwhm, wing_fwhm_factor=2.5, wing_amplitude=0.1), BOX)
    assert isinstance(double, DoubleGaussianPsf)
    assert width_at_half_maximum(double) == pytest.approx(fwhm, rel=1e-9)
    sigma, wing, amplitude = double.numbers
    assert (wing / sigma, amplitude) == (pytest.approx(2.5), 0.1)


def test_stamps_of_core_and_wing() -> None:
    psf = DoubleGaussianPsf(1.6, 4.0, 0.1, BOX, 41)
    stamps, x0, y0 = psf_stamps(psf, [50.3], [40.8])
    y, x = np.mgrid[0:41, 0:41].astype(float)
    r2 = (x + x0[0] - 50.3) ** 2 + (y + y0[0] - 40.8) ** 2
    expected = (np.exp(-0.5 * r2 / 1.6**2) + 0.1 * np.exp(-0.5 * r2 / 4.0**2)) / (2 * np.pi * (1.6**2 + 0.1 * 4.0**2))
    np.testing.assert_allclose(stamps[0], expected, atol=2e-6)
    assert stamps.sum() == pytest.approx(1.0, abs=1e-12)
    image = psf.compute_stellar_image(x=50.3, y=40.8)
    assert np.array_equal(image.array, stamps[0])
    assert (image.bbox.x.start, image.bbox.y.start) == (x0[0], y0[0])
    assert psf.compute_kernel_image(x=1.0, y=2.0).bbox == psf.kernel_bbox
    assert psf == DoubleGaussianPsf(1.6, 4.0, 0.1, BOX, 41)
    assert psf != DoubleGaussianPsf(1.6, 4.0, 0.2, BOX, 41)


@pytest.mark.parametrize(
    ("more", "size"),
    [
        ({}, 23),
        ({"size_factor": 2.0}, 15),
        ({"fwhm": 1.0}, 5),
        ({"fwhm": 1.0, "min_size": None}, 3),
        ({"max_size": 15}, 15),
        ({"size": 31}, 31),
    ],
)
def test_size_of_stamps(more: dict[str, float], size: int) -> None:
    settings = ModelPsfSettings(**({"fwhm": 7.7} | more))
    assert settings.stamp_size == size
    assert model_psf(settings, BOX).kernel_bbox.x.size == size
    assert model_psf(settings, BOX, 51).kernel_bbox.x.size == 51


def test_values_that_make_no_psf_are_refused() -> None:
    for more in ({"fwhm": 0.0}, {"size": 20}, {"wing_fwhm_factor": -1.0}):
        with pytest.raises(ValueError, match="model PSF"):
            ModelPsfSettings(**more)
    with pytest.raises(ValueError, match="no PSF"):
        DoubleGaussianPsf(1.0, 2.0, 0.1, BOX, 20)
