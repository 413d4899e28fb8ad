"""Coadds of simulated warps: noise, outliers, stars in different seeing, masks, weights, strips, PSF."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from astropy.wcs import WCS
from lsst.images import Box, SkyProjection, TractFrame
from lsst.images.psfs import GaussianPointSpreadFunction

from skyloom.coadd import (
    CoaddSettings,
    ExposureHandle,
    Statistic,
    assemble_coadd,
    prepare_inputs,
    strips,
    warp_weight,
)
from skyloom.errors import BadFrameError, NoOverlapError
from skyloom.images import Exposure, bitmask
from skyloom.kernels.clipped_statistics import clipped_statistics
from skyloom.psf import CoaddPsf, CoaddPsfComponent

BOX = Box.factory[100:220, 50:190]
SETTINGS = CoaddSettings()
NOISE = 5.0


def tract() -> SkyProjection:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cd = [150.0, 2.0], [120.0, 160.0], np.diag([-0.25, 0.25]) / 3600
    return SkyProjection.from_fits_wcs(wcs, TractFrame(skymap="s", tract=0, bbox=BOX))


TRACT = tract()


def gaussian(x0: float, y0: float, sigma: float) -> np.ndarray:
    y, x = np.mgrid[BOX.y.start : BOX.y.stop, BOX.x.start : BOX.x.stop]
    return np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)


def warp(visit: int, image: np.ndarray, noise: float = NOISE, sigma: float = 1.7) -> Exposure:
    psf = GaussianPointSpreadFunction(sigma, BOX, 25)
    component = CoaddPsfComponent(visit=visit, detector=1, weight=1.0, psf=psf, projection=TRACT, bbox=BOX)
    return Exposure.from_arrays(
        image,
        variance=np.full(BOX.shape, noise**2),
        x0=BOX.x.start,
        y0=BOX.y.start,
        unit=u.nJy,
        projection=TRACT,
        psf=CoaddPsf([component], TRACT, BOX),
        inputs=Table({"visit": [visit], "detector": [1], "weight": [1.0], "n_pixels": [BOX.area]}),
    )


def noise_warps(n: int, seed: int = 1) -> list[Exposure]:
    rng = np.random.default_rng(seed)
    return [warp(visit, rng.normal(0.0, NOISE, BOX.shape)) for visit in range(1, n + 1)]


def coadd(warps: list[Exposure], settings: CoaddSettings = SETTINGS) -> tuple[Exposure, np.ndarray]:
    handles = [ExposureHandle(part, int(part.inputs["visit"][0])) for part in warps]
    inputs, _ = prepare_inputs(handles, settings.bad_planes)
    return assemble_coadd(inputs, BOX, TRACT, settings, band="r")


def flagged(result: Exposure, *names: str) -> np.ndarray:
    return (result.bits & bitmask(*names)) != 0


@pytest.mark.parametrize("n", [3, 5, 12])
@pytest.mark.parametrize("statistic", [Statistic.CLIPPED, Statistic.MEAN])
def test_noise_is_what_the_variance_says(n: int, statistic: Statistic) -> None:
    result, n_image = coadd(noise_warps(n), CoaddSettings(statistic=statistic))
    assert result.image.array.std() == pytest.approx(NOISE / np.sqrt(n), rel=0.02)
    assert np.sqrt(result.variance.array.mean()) == pytest.approx(NOISE / np.sqrt(n), rel=0.02)
    assert abs(result.image.array.mean()) < 4 * NOISE / np.sqrt(n * BOX.area)
    assert n_image.max() == n
    assert flagged(result, "CLIPPED").mean() < 2e-4 * n
    assert result.band == "r"


def test_weights_follow_the_variance_planes() -> None:
    rng = np.random.default_rng(2)
    noises = [2.0, 4.0, 8.0]
    warps = [warp(v, rng.normal(0, s, BOX.shape), s) for v, s in enumerate(noises, 1)]
    warps[0].variance.array[:30] = np.inf
    warps[2].variance.array[5, 5] = 1e9
    result, n_image = coadd(warps, CoaddSettings(statistic=Statistic.MEAN))
    assert result.inputs["weight"].tolist() == pytest.approx([1 / 4, 1 / 16, 1 / 64], rel=1e-6)
    assert n_image[:30].max() == 2
    part = result.image.array[40:]
    assert part.std() == pytest.approx((1 / 4 + 1 / 16 + 1 / 64) ** -0.5, rel=0.02)
    assert flagged(result, "REJECTED", "INEXACT_PSF")[:30].all()


@pytest.mark.parametrize("n", [3, 6, 10])
def test_artifacts_of_one_visit_vanish(n: int) -> None:
    clean = noise_warps(n)
    dirty = noise_warps(n)
    rng = np.random.default_rng(9)
    hot = np.zeros(BOX.shape, bool)
    hot.ravel()[rng.choice(BOX.area, 50, replace=False)] = True
    y, x = np.indices(BOX.shape)
    trail = np.abs(y - 0.6 * x - 10) < 3
    dirty[0].image.array[hot] += 300.0
    dirty[1].image.array[trail] += 20 * NOISE
    result, n_image = coadd(dirty)
    truth, _ = coadd(clean)
    assert flagged(result, "CLIPPED")[trail].mean() > 0.99
    assert flagged(result, "CLIPPED")[hot].mean() == 1.0
    assert flagged(result, "INEXACT_PSF")[hot].all()
    assert flagged(result, "CLIPPED")[~trail & ~hot].mean() < 1e-3 * n
    assert np.abs((result.image.array - truth.image.array)[trail | hot]).max() < 4 * NOISE / np.sqrt(n - 1)
    assert n_image[trail & ~hot].mean() == pytest.approx(n - 1, abs=0.05)


@pytest.mark.parametrize("n", [4, 8])
def test_stars_in_different_seeing_are_not_clipped(n: int) -> None:
    rng = np.random.default_rng(4)
    sigmas = rng.permutation(np.linspace(1.36, 1.96, n))  # FWHM 3.2 to 4.6 px
    stars = [(80.3, 130.2, 1e4), (120.7, 160.4, 1e5), (150.2, 190.6, 1e6)]
    warps = []
    for visit, sigma in enumerate(sigmas, 1):
        image = sum(flux * gaussian(x, y, sigma) for x, y, flux in stars)
        frame = warp(visit, image + rng.normal(0, NOISE, BOX.shape), sigma=sigma)
        frame.variance.array[...] += image
        frame.image.array[...] += rng.normal(0, 1, BOX.shape) * np.sqrt(image)
        warps.append(frame)
    clipped, _ = coadd(warps)
    mean, _ = coadd(warps, CoaddSettings(statistic=Statistic.MEAN))
    for x, y, flux in stars:
        i, j = round(x) - BOX.x.start, round(y) - BOX.y.start
        area = (slice(j - 9, j + 10), slice(i - 9, i + 10))
        bias = (clipped.image.array[area] - mean.image.array[area]).sum() / flux
        assert abs(bias) < 1e-3
        assert not flagged(clipped, "CLIPPED")[j - 3 : j + 4, i - 3 : i + 4].any()
    careless, _ = coadd(warps, CoaddSettings(structure=0.0))
    assert flagged(careless, "CLIPPED")[87:94, 97:104].any()


def test_psf_of_the_coadd_is_that_of_its_stars() -> None:
    warps = [
        warp(v, 1e5 * gaussian(110.3, 150.7, sigma), noise=noise, sigma=sigma)
        for v, (sigma, noise) in enumerate([(1.4, 5.0), (1.9, 7.0), (1.6, 4.0)], 1)
    ]
    result, _ = coadd(warps, CoaddSettings(statistic=Statistic.MEAN))
    stamp = result.psf.compute_stellar_image(x=110.3, y=150.7)
    star = result.image[stamp.bbox].array / 1e5
    assert np.abs(stamp.array - star).max() < 1e-3 * star.max()


def test_saturated_cores_keep_a_value_that_counts_as_unmeasured() -> None:
    warps = noise_warps(4)
    for frame in warps:
        frame.image.array[60:63, 60:63] = 5e4
        frame.bits[60:63, 60:63] |= bitmask("SAT")
    warps[0].bits[20, 20] |= bitmask("SAT", "DETECTED")
    result, n_image = coadd(warps)
    assert (result.image.array[60:63, 60:63] == 5e4).all()
    assert np.isinf(result.variance.array[60:63, 60:63]).all()
    assert flagged(result, "SAT")[60:63, 60:63].all()
    assert flagged(result, "SAT")[20, 20]
    assert flagged(result, "INEXACT_PSF")[20, 20]
    assert not flagged(result, "DETECTED").any()
    assert n_image[61, 61] == 0
    assert n_image[20, 20] == 3


def test_pixels_without_any_warp_are_missing() -> None:
    warps = noise_warps(3)
    for frame in warps:
        frame.image.array[:10] = np.nan
        frame.variance.array[:10] = np.inf
        frame.bits[:10] = bitmask("NO_DATA")
    warps[0].bits[50] = bitmask("NO_DATA", "EDGE")
    warps[0].image.array[50], warps[0].variance.array[50] = np.nan, np.inf
    result, n_image = coadd(warps)
    assert np.isnan(result.image.array[:10]).all()
    assert np.isinf(result.variance.array[:10]).all()
    assert (result.bits[:10] == bitmask("NO_DATA")).all()
    assert (n_image[:10] == 0).all()
    assert (result.bits[50] & bitmask("SENSOR_EDGE", "INEXACT_PSF", "NO_DATA", "EDGE")).tolist() == [
        bitmask("SENSOR_EDGE", "INEXACT_PSF")
    ] * BOX.x.size


def test_strips_do_not_show() -> None:
    warps = noise_warps(5)
    warps[2].image.array[40:60, 30:50] += gaussian(90, 150, 2.0)[40:60, 30:50] * 1e5
    whole, n_whole = coadd(warps)
    for megabytes in (0.06, 0.2):
        settings = CoaddSettings(max_memory_mb=megabytes)
        assert len(list(strips(BOX, 5, settings))) > 2
        result, n_image = coadd(warps, settings)
        np.testing.assert_array_equal(result.image.array, whole.image.array)
        np.testing.assert_array_equal(result.variance.array, whole.variance.array)
        np.testing.assert_array_equal(result.bits, whole.bits)
        np.testing.assert_array_equal(n_image, n_whole)


@pytest.mark.parametrize("megabytes", [0.06, 100.0])
def test_warps_cut_to_what_they_hold_give_the_same(megabytes: float) -> None:
    settings = CoaddSettings(max_memory_mb=megabytes, propagation_thresholds={"NO_DATA": 0.3})
    whole, cut = noise_warps(5), []
    for n, frame in enumerate(whole):
        held = Box.factory[110 + 5 * n : 200 + n, 60 + 7 * n : 150 + 9 * n]
        missing = np.ones(BOX.shape, bool)
        missing[held.slice_within(BOX)] = False
        frame.image.array[missing], frame.variance.array[missing] = np.nan, np.inf
        frame.bits[missing] = bitmask("NO_DATA")
        cut.append(frame[held])
    (one, n_one), (other, n_other) = coadd(whole, settings), coadd(cut, settings)
    assert 0.2 < np.isnan(one.image.array).mean() < 0.6
    np.testing.assert_array_equal(one.image.array, other.image.array)
    np.testing.assert_array_equal(one.variance.array, other.variance.array)
    np.testing.assert_array_equal(one.bits, other.bits)
    np.testing.assert_array_equal(n_one, n_other)


def test_order_of_the_warps_does_not_matter() -> None:
    warps = noise_warps(4)
    first, _ = coadd(warps)
    second, _ = coadd(warps[::-1])
    np.testing.assert_array_equal(first.image.array, second.image.array)
    assert first.inputs["visit"].tolist() == second.inputs["visit"].tolist() == [1, 2, 3, 4]


def test_warps_that_cannot_take_part() -> None:
    warps = noise_warps(4)
    warps[1].variance.array[...] = np.inf
    warps[2].variance.array[...] = 0.0
    inputs, skipped = prepare_inputs([ExposureHandle(w, v) for v, w in enumerate(warps)], SETTINGS.bad_planes)
    assert [part.visit for part in inputs] == [0, 3]
    assert set(skipped) == {1, 2}
    assert "finite positive variance" in skipped[1]
    with pytest.raises(NoOverlapError, match="No warp"):
        assemble_coadd([], BOX, TRACT)
    with pytest.raises(BadFrameError, match="twice"):
        prepare_inputs([ExposureHandle(warps[0], 7)] * 2, ())
    warps[0].unit, warps[3].image.array[...] = u.adu, np.nan
    inputs, skipped = prepare_inputs([ExposureHandle(w, v) for v, w in enumerate(warps)], SETTINGS.bad_planes)
    assert not inputs
    assert skipped[0].startswith("it is in adu, not nJy")
    assert skipped[3].startswith("no pixel with a value")


def test_weight_is_clipped_and_blind_to_bad_pixels() -> None:
    rng = np.random.default_rng(6)
    variance = rng.normal(16.0, 0.5, (200, 200))
    bits = np.zeros((200, 200), np.int32)
    variance[:5] = 1e6
    assert warp_weight(variance, bits, 0) == pytest.approx(1 / 16, rel=2e-3)
    assert warp_weight(2 * variance, bits, 0) == pytest.approx(1 / 32, rel=2e-3)
    bits[100:] = 4
    variance[100:] = 100.0
    assert warp_weight(variance, bits, 4) == pytest.approx(1 / 16, rel=2e-3)
    assert warp_weight(np.full((9, 9), 2.0), np.zeros((9, 9), np.int32), 0) == 0.5


@pytest.mark.parametrize(("sigma_clip", "clip_iter"), [(3.0, 2), (1.5, 3), (2.0, 1)])
def test_weight_is_that_of_the_clipped_mean(sigma_clip: float, clip_iter: int) -> None:
    rng = np.random.default_rng(7)
    variance = rng.gamma(9.0, 2.0, (150, 160)).astype(np.float32)
    variance[rng.random(variance.shape) < 0.2] = np.inf
    variance[rng.random(variance.shape) < 0.1] = np.nan
    bits = np.where(rng.random(variance.shape) < 0.2, 2, 1).astype(np.int32)
    expected = 1 / clipped_statistics(variance, bits, 2, sigma_clip, clip_iter).mean
    assert warp_weight(variance, bits, 2, sigma_clip, clip_iter) == pytest.approx(expected, rel=1e-9)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="out of range"):
        CoaddSettings(n_sigma=0.0)
