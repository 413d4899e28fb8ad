from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from skyloom.calibs import DefectSettings, find_defects
from skyloom.errors import BadFrameError

SIZE, NOISE = 200, 5.0


@dataclass
class Field:
    """Frames of one detector: noise on a sky gradient, stars, and whatever is added to `fixed`."""

    frames: int = 12
    drift: float = 7.3
    jitter: float = 0.3
    stars: int = 60
    fwhm: float = 3.0
    seed: int = 1

    def __post_init__(self) -> None:
        self.fixed = np.zeros((SIZE, SIZE))

    def images(self) -> list[np.ndarray]:
        rng = np.random.default_rng(self.seed)
        x, y = rng.uniform(0, SIZE, (2, self.stars))
        flux = 10 ** rng.uniform(2.5, 5, self.stars)
        return [self._image(rng, x, y, flux, index) for index in range(self.frames)]

    def _image(
        self, rng: np.random.Generator, x: np.ndarray, y: np.ndarray, flux: np.ndarray, index: int
    ) -> np.ndarray:
        pixels = np.arange(SIZE)
        image = 300.0 + 0.2 * pixels[:, None] + self.fixed + rng.normal(0, NOISE, (SIZE, SIZE))
        sigma = self.fwhm / 2.3548
        shift = index * self.drift + rng.normal(0, self.jitter, 2)
        for x_star, y_star, total in zip(x + shift[0], y + 0.3 * shift[1], flux, strict=True):
            along_x, along_y = (np.exp(-0.5 * ((pixels - at) / sigma) ** 2) for at in (x_star, y_star))
            image += total / (2 * np.pi * sigma**2) * np.outer(along_y, along_x)
        return image


def scatter_hot_pixels(field: Field, count: int, excess: float) -> np.ndarray:
    where = np.random.default_rng(9).choice(SIZE * SIZE, count, replace=False)
    truth = np.zeros(SIZE * SIZE, bool)
    truth[where] = True
    field.fixed += excess * truth.reshape(SIZE, SIZE)
    return truth.reshape(SIZE, SIZE)


@pytest.mark.parametrize("fwhm", [2.0, 3.5])
def test_hot_pixels_are_found_and_moving_stars_are_not(fwhm: float) -> None:
    field = Field(fwhm=fwhm)
    truth = scatter_hot_pixels(field, 100, 8 * NOISE)
    found = find_defects(field.images())
    assert (found.hot & truth).sum() >= 97
    assert (found.hot & ~truth).sum() == 0
    assert found.cold.sum() == 0
    np.testing.assert_allclose(np.median(found.excess[truth]), 8, atol=0.5)


@pytest.mark.parametrize("drift", [0.0, 0.5])
def test_stars_that_stay_are_not_taken_for_hot_pixels(drift: float) -> None:
    field = Field(drift=drift, fwhm=2.5, stars=40)
    truth = scatter_hot_pixels(field, 60, 20 * NOISE)
    found = find_defects(field.images())
    assert (found.hot & truth).sum() >= 45
    assert (found.hot & ~truth).sum() <= 2


def test_dead_pixels_columns_and_rows() -> None:
    field = Field()
    field.fixed[50:150, 77] = -200.0
    field.fixed[10:12, 20:22] = 150.0
    field.fixed[180, :] = 3 * NOISE
    field.fixed[:, 130] = -3 * NOISE
    found = find_defects(field.images())
    assert found.cold[50:150, 77].all()
    assert found.hot[10:12, 20:22].all()
    assert found.hot[180].mean() > 0.95
    assert found.cold[:, 130].mean() > 0.95
    known = np.zeros((SIZE, SIZE), bool)
    known[:, 77] = known[10:12, 20:22] = known[180, :] = known[:, 130] = True
    assert not (found.defective & ~known).any()


def test_a_hot_pixel_does_not_take_its_column_along() -> None:
    field = Field()
    field.fixed[30, 40] = 1e5
    found = find_defects(field.images())
    assert found.defective.sum() == 1


def test_pixels_without_a_number_are_defects() -> None:
    images = Field().images()
    for image in images[3:]:
        image[5, 6] = np.nan
    images[0][100, 100] = np.nan
    found = find_defects(images)
    assert found.cold[5, 6]
    assert not found.defective[100, 100]


def test_whole_counts_of_little_noise() -> None:
    rng = np.random.default_rng(2)
    images = [np.rint(rng.normal(350, 0.7, (SIZE, SIZE))).astype(np.int16) for _ in range(8)]
    for image in images:
        image[20, 30] += 6
    found = find_defects(images)
    assert found.defective[20, 30]
    assert found.defective.sum() <= 3


def test_growing() -> None:
    field = Field()
    field.fixed[30, 40] = 500.0
    assert find_defects(field.images(), DefectSettings(grow=1)).boxes()["height"].sum() == 5


def test_what_cannot_work_is_refused() -> None:
    images = Field(stars=0).images()
    with pytest.raises(BadFrameError, match="5 are needed"):
        find_defects(images[:4])
    with pytest.raises(BadFrameError, match="different shapes"):
        find_defects([*images, images[0][:100]])
    with pytest.raises(BadFrameError, match="stands out"):
        find_defects(images, DefectSettings(threshold=0.1, significance=0.1))
