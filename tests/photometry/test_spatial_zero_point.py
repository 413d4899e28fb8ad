"""A zero point that varies over the frame is found where it is there and can be borne, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.images import Box

from skyloom.photometry import ZeroPoint, ZeroPointSettings, fit_zero_point

BOX = Box.factory[100:4100, 10:2010]
ZERO_POINT = 27.3
VARYING = ZeroPointSettings(spatial_order=2, reserve_fraction=0.1)


def truth(x: np.ndarray, y: np.ndarray, gradient_mag: float) -> np.ndarray:
    """Zero point of a frame under clouds, mean about `ZERO_POINT`."""
    across, up = (x - 1010) / 1000, (y - 2100) / 2000
    return np.asarray(ZERO_POINT + gradient_mag * (0.5 * across + 0.3 * up - 0.4 * (up**2 - 1 / 3)))


def fitted(n: int, gradient_mag: float, seed: int, settings: ZeroPointSettings = VARYING) -> ZeroPoint:
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(10, 2010, n), rng.uniform(100, 4100, n)
    magnitude = rng.uniform(16, 19, n)
    flux = 10 ** (0.4 * (truth(x, y, gradient_mag) - magnitude)) * (1 + 0.01 * rng.normal(size=n))
    flux[: n // 10] *= 3.0
    reference = 10 ** (0.4 * (31.4 - magnitude))
    return fit_zero_point(flux, 0.005 * flux, reference, 0 * reference, settings, x=x, y=y, box=BOX, seed=seed)


def worst(found: ZeroPoint, gradient_mag: float) -> float:
    x, y = (a.ravel() for a in np.meshgrid(np.linspace(10, 2009, 9), np.linspace(100, 4099, 9)))
    zero_point = 31.4 - 2.5 * np.log10(found.photo_calib.scale(x, y) * np.ones_like(x))
    return float(np.abs(zero_point - truth(x, y, gradient_mag)).max())


def test_gradient_of_many_stars_is_found_to_the_corners() -> None:
    found = fitted(300, 0.2, 1)
    assert found.spatial_order == 2
    assert found.photo_calib.spatial is not None
    assert worst(found, 0.2) < 0.012
    assert abs(found.reserved_offset_mag) < 0.01
    constant = fitted(300, 0.2, 1, ZeroPointSettings())
    assert worst(constant, 0.2) > 0.1
    assert found.scatter_mag < 0.4 * constant.scatter_mag


def test_mean_of_the_field_is_one() -> None:
    found = fitted(300, 0.2, 1)
    assert found.photo_calib.spatial is not None
    edges = (np.arange(200) + 0.5) / 200
    x, y = (a.ravel() for a in np.meshgrid(BOX.x.min - 0.5 + 2000 * edges, BOX.y.min - 0.5 + 4000 * edges))
    assert found.photo_calib.spatial(x=x, y=y).mean() == pytest.approx(1, abs=1e-5)
    assert found.zero_point_mag == pytest.approx(found.photo_calib.zero_point_mag)


def test_even_frame_stays_constant() -> None:
    orders = [fitted(200, 0.0, seed).spatial_order for seed in range(30)]
    assert np.mean([order == 0 for order in orders]) >= 0.9


def test_few_stars_do_not_bear_it() -> None:
    assert fitted(25, 0.2, 3).photo_calib.spatial is None


def test_stars_of_one_corner_say_nothing_of_the_others() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.uniform(10, 300, 200), rng.uniform(100, 500, 200)
    flux = 1e5 * 10 ** (0.4 * (x - 10) / 2900) * (1 + 0.02 * rng.normal(size=200))
    columns = flux, 0.005 * flux, np.full(200, 1e5), np.zeros(200)
    found = fit_zero_point(*columns, ZeroPointSettings(spatial_order=1), x=x, y=y, box=BOX)
    assert found.photo_calib.spatial is None
