from __future__ import annotations

from collections.abc import Callable

import astropy.units as u
import galsim
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from skyloom.background import SettleSettings, fit_background, settle_background
from skyloom.errors import BadFrameError
from skyloom.images.exposure import Exposure
from skyloom.images.mask_planes import bitmask

SHAPE = (640, 640)
SKY = 500.0
NOISE = np.sqrt(SKY)
PSF_SIGMA = 1.5


def stars(count: int) -> np.ndarray:
    """Stars from a tenth of the 5 sigma limit to three hundred times it."""
    rng = np.random.default_rng(2)
    limit = 5 * NOISE * np.sqrt(4 * np.pi) * PSF_SIGMA
    light = np.zeros(SHAPE)
    places = rng.integers(0, SHAPE[0], count), rng.integers(0, SHAPE[1], count)
    np.add.at(light, places, np.minimum(0.1 * rng.random(count) ** -1.33, 300.0) * limit)
    return gaussian_filter(light, PSF_SIGMA, mode="constant")


def sparse() -> np.ndarray:
    return stars(200)


def crowded() -> np.ndarray:
    return stars(8000)


def galaxy() -> np.ndarray:
    profile = galsim.Sersic(n=2.0, half_light_radius=50.0, flux=8e6, trunc=300.0).shear(g1=0.2, g2=0.1)
    image = galsim.Convolve(profile, galsim.Gaussian(sigma=PSF_SIGMA)).drawImage(nx=SHAPE[1], ny=SHAPE[0], scale=1.0)
    return np.asarray(image.array, dtype=np.float64)


def nebula() -> np.ndarray:
    clouds = gaussian_filter(np.random.default_rng(3).normal(size=SHAPE), 70.0, mode="wrap")
    return 150.0 * np.clip(clouds / clouds.std() - 0.6, 0.0, None)


def observed(light: np.ndarray) -> tuple[Exposure, np.ndarray]:
    """An exposure, and its sky."""
    rng = np.random.default_rng(6)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    sky = SKY + 0.03 * x - 0.02 * y
    electrons = rng.poisson(light + sky).astype(float)
    return Exposure.from_arrays(electrons, variance=electrons, unit=u.electron), sky


@pytest.mark.parametrize(
    ("light", "most_after", "least_before"),
    [(sparse, 0.02, 0.0), (crowded, 0.08, 0.22), (galaxy, 0.15, 0.6), (nebula, 0.1, 2.0)],
)
def test_the_sky_is_that_between_the_sources(
    light: Callable[[], np.ndarray], most_after: float, least_before: float
) -> None:
    exposure, sky = observed(light())
    before = exposure.image.array.copy()
    plain = fit_background(before, exposure.bits).render() - sky
    found = settle_background(exposure, PSF_SIGMA)
    rendered = found.background.render()
    assert abs((rendered - sky).mean()) < most_after * NOISE
    assert plain.mean() >= least_before * NOISE
    assert found.settled
    assert found.levels[-1] == pytest.approx(np.median(rendered), abs=0.01)
    assert exposure.image.array == pytest.approx(before - rendered, abs=1e-3)
    assert not (exposure.bits & bitmask("DETECTED")).any()


def test_a_frame_full_of_light_raises_the_threshold_and_not_an_error() -> None:
    exposure, sky = observed(stars(40000))
    found = settle_background(exposure, PSF_SIGMA, SettleSettings(max_masked_fraction=0.7))
    assert found.threshold > 3.0
    assert found.masked_fraction <= 0.7
    assert abs((found.background.render() - sky).mean()) < 1.0 * NOISE


def test_missing_pixels_take_no_part() -> None:
    exposure, sky = observed(stars(200))
    exposure.image.array[100:300, :200] = 1e6
    exposure.bits[100:300, :200] = bitmask("BAD")
    exposure.image.array[:, 500] = np.nan
    found = settle_background(exposure, PSF_SIGMA)
    assert abs(found.background.render() - sky).max() < 0.3 * NOISE
    exposure.bits[...] = bitmask("BAD")
    with pytest.raises(BadFrameError, match="usable"):
        settle_background(exposure, PSF_SIGMA)
