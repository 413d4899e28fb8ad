from __future__ import annotations

import numpy as np
import pytest
from lsst.images import Box
from lsst.images.fields import ChebyshevField

from skyloom.background import BackgroundSettings, fit_background

SHAPE = (500, 640)
NOISE = 20.0


def sky(shape: tuple[int, int], power: int) -> np.ndarray:
    """A polynomial of a total power."""
    y, x = (2.0 * part / (size - 1) - 1.0 for part, size in zip(np.mgrid[: shape[0], : shape[1]], shape, strict=True))
    return 1000.0 + sum(30.0 * x**i * y ** (power - i) / (i + 1) for i in range(power + 1)) + 20.0 * x - 10.0 * y


def noisy(shape: tuple[int, int], power: int, noise: float = NOISE) -> np.ndarray:
    return (sky(shape, power) + np.random.default_rng(4).normal(0, noise, shape)).astype(np.float32)


def bits_of(shape: tuple[int, int]) -> np.ndarray:
    return np.zeros(shape, np.int32)


@pytest.mark.parametrize("power", [0, 1, 2, 5])
def test_polynomial_skies_are_recovered(power: int) -> None:
    image = noisy(SHAPE, power)
    settings = BackgroundSettings(bin_size=32, model="chebyshev", order=max(power, 2))
    box = Box.factory[100:600, -20:620]
    background = fit_background(image, bits_of(SHAPE), settings=settings, box=box)
    assert isinstance(background.field, ChebyshevField)
    rendered = background.render()
    x, y = np.array([-20.0, 13.0, 619.0]), np.array([100.0, 420.0, 599.0])
    assert background.field(x=x, y=y) == pytest.approx(rendered[(y - 100).astype(int), (x + 20).astype(int)], rel=1e-6)
    assert (rendered - sky(SHAPE, power)).std() < 0.012 * NOISE
    assert abs((rendered - sky(SHAPE, power)).mean()) < 0.15  # the noise of the mean is 0.035


def test_it_smooths_what_the_spline_follows() -> None:
    image = noisy(SHAPE, 1)
    error = {
        model: fit_background(image, bits_of(SHAPE), settings=BackgroundSettings(bin_size=32, model=model)).render()
        - sky(SHAPE, 1)
        for model in ("spline", "chebyshev")
    }
    assert error["chebyshev"].std() < 0.5 * error["spline"].std()


@pytest.mark.parametrize(("shape", "order"), [((270, 260), 1), ((390, 380), 2), ((520, 300), 1), ((900, 900), 6)])
def test_the_order_is_lowered_to_the_mesh_with_a_warning(
    shape: tuple[int, int], order: int, caplog: pytest.LogCaptureFixture
) -> None:
    settings = BackgroundSettings(model="chebyshev")
    with caplog.at_level("WARNING"):
        background = fit_background(noisy(shape, 1), bits_of(shape), settings=settings)
    assert isinstance(background.field, ChebyshevField)
    assert background.field.coefficients.shape == (order + 1, order + 1)
    assert (f"lowered to {order}" in caplog.text) == (order < 6)
    assert abs((background.render() - sky(shape, 1)).mean()) < 0.5


def test_few_known_cells_lower_it_too() -> None:
    image = noisy((640, 640), 0)
    image[:, 256:] = np.nan
    background = fit_background(image, bits_of(image.shape), settings=BackgroundSettings(model="chebyshev", order=4))
    assert isinstance(background.field, ChebyshevField)
    assert background.field.coefficients.shape == (4, 4)  # ten known cells bear ten coefficients
    assert np.isfinite(background.render()).all()


def test_weights_are_those_of_the_means() -> None:
    """A half of the frame has ten times the noise and an offset: the offset counts for a hundredth of its share."""
    rng = np.random.default_rng(8)
    image = rng.normal(0, 2.0, (640, 640)).astype(np.float32)
    image[:, ::2] += 0.0
    image[:320] = rng.normal(5.0, 20.0, (320, 640))
    levels = {}
    for weighted in (True, False):
        settings = BackgroundSettings(bin_size=64, model="chebyshev", order=0, weighted=weighted)
        levels[weighted] = float(fit_background(image, bits_of(image.shape), settings=settings).render()[0, 0])
    assert levels[False] == pytest.approx(2.5, abs=0.15)
    assert levels[True] == pytest.approx(5.0 / 101, abs=0.05)


@pytest.mark.parametrize("cells", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("model", ["spline", "chebyshev"])
def test_meshes_of_few_cells_keep_the_level(cells: int, model: str) -> None:
    shape = (100 * cells, 480)
    background = fit_background(
        noisy(shape, 1, noise=1.0),
        bits_of(shape),
        settings=BackgroundSettings(bin_size=100, model=model, order=1),  # type: ignore[arg-type]
    )
    error = background.render() - sky(shape, 1)
    assert abs(error.mean()) < 0.02
    assert abs(error).max() < 0.1
