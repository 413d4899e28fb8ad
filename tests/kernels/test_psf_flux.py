from __future__ import annotations

import numpy as np
import pytest

from skyloom.kernels.psf_flux import fit_stamps

SIZE = 21


def stamp(dx: float = 0.0, dy: float = 0.0) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    star = np.exp(-((x - dx) ** 2 + (y - dy) ** 2) / (2 * 1.6**2))
    return star / star.sum()


def scene(x: list[int], y: list[int], flux: list[float], shape: tuple[int, int] = (60, 70)) -> tuple[np.ndarray, ...]:
    image = np.zeros((shape[0] + 2 * SIZE, shape[1] + 2 * SIZE))
    stamps = np.array([stamp(0.1 * i, -0.05 * i) for i in range(len(x))])
    x0, y0 = np.array(x) - SIZE // 2, np.array(y) - SIZE // 2
    for i, f in enumerate(flux):
        image[y0[i] + SIZE : y0[i] + 2 * SIZE, x0[i] + SIZE : x0[i] + 2 * SIZE] += f * stamps[i]
    return image[SIZE:-SIZE, SIZE:-SIZE].copy(), stamps, x0, y0


def fit(image, stamps, x0, y0, start, unusable=None, variance=None, max_group=100):
    unusable = np.zeros(image.shape, bool) if unusable is None else unusable
    variance = np.ones(image.shape) if variance is None else variance
    return fit_stamps(image, variance, unusable, stamps, x0, y0, np.array(start), max_group)


def test_blended_stars_are_told_apart_exactly() -> None:
    truth = [1000.0, 50.0, 300.0, 7.0]
    image, stamps, x0, y0 = scene([30, 34, 32, 55], [30, 31, 34, 50], truth)
    flux, _, coverage, single = fit(image, stamps, x0, y0, [0, 3, 4])
    assert flux == pytest.approx(truth, rel=1e-9)
    assert coverage == pytest.approx(np.ones(4))
    assert not single.any()
    alone, _, _, single = fit(image, stamps, x0, y0, [0, 3, 4], max_group=2)
    assert single.tolist() == [True, True, True, False]
    assert alone[1] > 2 * truth[1]


def test_errors_are_the_scatter() -> None:
    rng = np.random.default_rng(1)
    image, stamps, x0, y0 = scene([30, 34], [30, 31], [1000.0, 400.0])
    fluxes, errors = [], None
    for _ in range(1500):
        flux, errors, _, _ = fit(
            image + rng.normal(0, 3, image.shape), stamps, x0, y0, [0, 2], variance=np.full(image.shape, 9.0)
        )
        fluxes.append(flux)
    assert errors == pytest.approx(np.std(fluxes, axis=0), rel=0.06)


def test_missing_pixels_do_not_bias() -> None:
    image, stamps, x0, y0 = scene([30, 2], [30, 40], [500.0, 80.0])
    unusable = np.zeros(image.shape, bool)
    unusable[29:31, 30] = True
    image[unusable] = np.nan
    flux, _, coverage, _ = fit(image, stamps, x0, y0, [0, 1, 2], unusable=unusable)
    assert flux == pytest.approx([500, 80], rel=1e-9)
    assert 0.3 < coverage[0] < 0.95
    assert 0.5 < coverage[1] < 0.999


def test_two_peaks_in_one_place_fall_back_to_single_fits() -> None:
    image, stamps, x0, y0 = scene([30], [30], [500.0])
    both = np.concatenate([stamps, stamps])
    flux, _, _, single = fit(image, both, np.repeat(x0, 2), np.repeat(y0, 2), [0, 2])
    assert flux == pytest.approx([500, 500])
    assert single.all()


def test_a_member_off_the_image_does_not_spoil_its_group() -> None:
    image, stamps, x0, y0 = scene([30], [30], [500.0])
    flux, _, _, single = fit(image, np.repeat(stamps, 2, axis=0), np.append(x0, 300), np.append(y0, 300), [0, 2])
    assert flux[0] == pytest.approx(500)
    assert np.isnan(flux[1])
    assert not single.any()


def test_one_bad_member_leaves_the_others_of_its_group_their_own_light() -> None:
    truth = [1000.0, 500.0, 300.0]
    image, stamps, x0, y0 = scene([30, 34, 32], [30, 31, 34], truth)
    unknown = np.concatenate([stamps, np.full((1, SIZE, SIZE), np.nan)])
    flux, _, _, single = fit(image, unknown, np.append(x0, 33), np.append(y0, 33), [0, 4])
    assert flux[:3] == pytest.approx(truth, rel=1e-9)
    assert np.isnan(flux[3])
    assert not single.any()
    double = np.concatenate([stamps, stamps[1:2]])
    flux, _, _, single = fit(image, double, np.append(x0, x0[1]), np.append(y0, y0[1]), [0, 4])
    assert flux[:3] == pytest.approx(truth, rel=1e-9)
    assert single.tolist() == [False, True, False, True]


def test_off_the_image_there_is_no_flux() -> None:
    image, stamps, _, _ = scene([30], [30], [500.0])
    flux, error, coverage, _ = fit(image, stamps, np.array([200]), np.array([200]), [0, 1])
    assert np.isnan(flux[0])
    assert np.isnan(error[0])
    assert coverage[0] == 0
