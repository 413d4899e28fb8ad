from __future__ import annotations

import numpy as np
import pytest

from skyloom.kernels.order_statistics import pixel_quantiles

FRACTIONS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)


@pytest.mark.parametrize(("scale", "rounded"), [(1e-3, False), (300.0, False), (300.0, True), (1e8, False)])
def test_against_sorting(scale: float, rounded: bool) -> None:
    random = np.random.default_rng(1)
    image = random.normal(0.1 * scale, scale, (131, 97)).astype(np.float32)
    image = np.round(image) if rounded else image
    bits = np.where(random.random(image.shape) < 0.1, 4, 1).astype(np.int32)
    image[3, 3], image[4, 4], image[5, 5] = np.nan, np.inf, -np.inf
    usable = np.isfinite(image) & (bits != 4)
    quantiles, count = pixel_quantiles(image, bits, 4, FRACTIONS)
    np.testing.assert_allclose(quantiles, np.quantile(image[usable].astype(float), FRACTIONS), rtol=1e-6)
    assert count == usable.sum()
    (median,), count = pixel_quantiles(image[:, 20:], bits[:, 20:], 0, (0.5,), above=0.0)
    positive = image[:, 20:][np.isfinite(image[:, 20:]) & (image[:, 20:] > 0)]
    assert median == pytest.approx(np.median(positive), rel=1e-6)
    assert count == positive.size


def test_nothing_usable() -> None:
    image, bits = np.full((3, 3), np.nan, np.float32), np.zeros((3, 3), np.int32)
    quantiles, count = pixel_quantiles(image, bits, 0, (0.5,))
    assert np.isnan(quantiles).all()
    assert count == 0
