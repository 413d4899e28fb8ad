"""A Gaussian PSF has the width that it was made with, to a thousandth of a pixel, and the pixels of a Gaussian."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.images import Box
from lsst.images.psfs import GaussianPointSpreadFunction

from skyloom.kernels.psf_stamps import gaussian_stamps
from skyloom.psf import psf_sigma, psf_stamps

BOX = Box.factory[0:100, 0:100]


@pytest.mark.parametrize("size", [21, 25])
@pytest.mark.parametrize("sigma", [1.2, 2.8 / 2.3548, 3.5])
def test_width_and_pixels(size: int, sigma: float) -> None:
    size += 20 * (sigma > 2)
    psf = GaussianPointSpreadFunction(sigma, bounds=BOX, stamp_size=size)
    assert psf_sigma(psf) == pytest.approx(sigma, abs=1e-3)
    stamps, x0, y0 = psf_stamps(psf, 50.0, 50.0)
    assert stamps.shape == (1, size, size)
    assert (x0[0], y0[0]) == (50 - size // 2, 50 - size // 2)
    profile = np.exp(-0.5 * (np.arange(size) - size // 2) ** 2 / sigma**2)
    np.testing.assert_allclose(stamps[0], np.outer(profile, profile) / profile.sum() ** 2, rtol=1e-9, atol=1e-15)
    nowhere = np.zeros(1)
    np.testing.assert_array_equal(stamps, gaussian_stamps(sigma, size, nowhere, nowhere))
