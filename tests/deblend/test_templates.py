from __future__ import annotations

import numpy as np
import pytest

from skyloom.kernels.deblend_psf_fit import near_members
from skyloom.kernels.deblend_templates import make_monotone, smooth_faint, symmetric_centre, symmetric_template


def template_of(
    image: np.ndarray, variance: float, twice: tuple[int, int], known: np.ndarray | None = None, mean: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The template over all of an image that is its own footprint and fills the frame."""
    inside = np.ones(image.shape, bool)
    made_of = np.empty(image.shape, np.int8)
    template = np.empty(image.shape, np.float32)
    seen = (0, image.shape[0], 0, image.shape[1])
    spread = np.full(image.shape, variance, np.float32)
    known = inside if known is None else known
    symmetric_template(image.astype(np.float32), spread, inside, known, seen, *twice, 0, 0, mean, template, made_of)
    return template, made_of


def test_without_noise_a_template_is_the_lesser_of_a_pixel_and_its_mirror() -> None:
    image = np.random.default_rng(1).uniform(1, 9, (9, 11))
    template, made_of = template_of(image, 0.0, (10, 8))
    assert template == pytest.approx(np.minimum(image, image[::-1, ::-1]), rel=1e-6)
    assert (made_of == 1).all()


def test_with_noise_a_template_has_no_bias() -> None:
    image = np.random.default_rng(2).normal(100, 5, (101, 101))
    template, _ = template_of(image, 25.0, (100, 100))
    lesser = np.minimum(image, image[::-1, ::-1])
    assert lesser.mean() == pytest.approx(100 - 5 / np.sqrt(np.pi), abs=0.2)
    assert template.mean() == pytest.approx(100, abs=0.35)


def test_a_neighbour_on_one_side_is_not_in_the_template() -> None:
    image = np.full((21, 21), 10.0)
    image[10, 16:19] += 500.0
    template, _ = template_of(image, 1.0, (20, 20))
    assert template.max() < 10 + 3


def test_beyond_an_edge_the_other_mirrors_take_over() -> None:
    rows, columns = np.mgrid[:15, :15]
    image = 100 * np.exp(-0.5 * ((columns - 2) ** 2 + (rows - 7) ** 2) / 9)
    image[4, 9] += 50.0
    template, made_of = template_of(image, 0.0, (4, 14))
    assert (made_of[:, 5:] == 2).all()
    assert (made_of[:, :5] == 1).all()
    assert template == pytest.approx(np.minimum(image, image[::-1]), rel=1e-5)
    _, corner = template_of(image, 0.0, (4, 4))
    assert (corner[5:, 5:] == 3).all()
    hole = np.ones((15, 15), bool)
    hole[5, 1] = False
    _, made_of = template_of(image, 0.0, (14, 14), hole)
    assert made_of[9, 13] == 2
    assert made_of[5, 1] == 0


@pytest.mark.parametrize("twice", [(20, 20), (21, 20), (21, 19)])
def test_the_centre_is_found_to_half_a_pixel(twice: tuple[int, int]) -> None:
    rows, columns = np.mgrid[:21, :21]
    image = np.exp(-0.5 * ((columns - twice[0] / 2) ** 2 + (rows - twice[1] / 2) ** 2) / 4).astype(np.float32)
    assert symmetric_centre(image, np.ones((21, 21), bool), 10, 10, 3.0) == twice


@pytest.mark.parametrize("twice", [(20, 20), (21, 20), (19, 21)])
def test_monotone_templates_fall_along_every_ray_and_keep_what_already_does(twice: tuple[int, int]) -> None:
    rows, columns = np.mgrid[:21, :21]
    radius = np.hypot(columns - twice[0] / 2, rows - twice[1] / 2)
    made_of = np.ones((21, 21), np.int8)
    cone = (100 - radius).astype(np.float32)
    template = cone.copy()
    make_monotone(template, made_of, *twice, 1.0)
    # a chord lies below a cone, by no more than its sagitta
    assert np.abs(template - cone).max() < 0.6
    bumpy = np.random.default_rng(3).uniform(0, 10, (21, 21)).astype(np.float32)
    template = bumpy.copy()
    make_monotone(template, made_of, *twice, 1.0)
    assert (template <= bumpy).all()
    shells = [template[(radius >= r) & (radius < r + 1)].max() for r in range(1, 10)]
    assert all(second <= first + 1e-5 for first, second in zip(shells[:-2], shells[2:], strict=True))
    ramped = np.full((21, 21), 8.0, np.float32)
    make_monotone(ramped, np.full((21, 21), 3, np.int8), 20, 20, 0.5)
    assert ramped[10, 10:15] == pytest.approx([8, 4, 2, 1, 0.5])


def test_only_faint_pixels_are_smoothed() -> None:
    rng = np.random.default_rng(4)
    image = rng.normal(0, 1, (40, 40)).astype(np.float32)
    image[20, 20] = 1000.0
    smoothed = image.copy()
    smooth_faint(smoothed, np.ones((40, 40), np.int8), np.ones((40, 40), np.float32), 0, 0, 2, 3.0)
    assert smoothed[20, 20] == 1000.0
    expected = np.median(image[8:13, 28:33])
    assert smoothed[10, 30] == pytest.approx(expected)
    assert smoothed[smoothed < 100].std() < 0.4


def test_neighbours_are_the_nearest_of_the_same_group() -> None:
    x = np.array([0.0, 3.0, 1.0, 9.0, 0.5])
    y = np.zeros(5)
    start, member = near_members(x, y, np.array([0, 4, 5]), 5.0, 16)
    assert [member[start[i] : start[i + 1]].tolist() for i in range(5)] == [[2, 1], [2, 0], [0, 1], [], []]
    start, member = near_members(x, y, np.array([0, 5]), 5.0, 1)
    assert [member[start[i] : start[i + 1]].tolist() for i in range(5)] == [[4], [2], [4], [], [0]]
