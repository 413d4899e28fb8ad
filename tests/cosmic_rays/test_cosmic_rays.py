from __future__ import annotations

import astropy.units as u
import galsim
import numpy as np
import pytest
from lsst.images.psfs import GaussianPointSpreadFunction
from scipy import ndimage

from skyloom.cosmic_rays import CosmicRaySettings, find_cosmic_rays, repair_cosmic_rays, rough_psf_sigma
from skyloom.errors import TooManyCosmicRaysError
from skyloom.images.exposure import Exposure
from skyloom.images.mask_planes import bitmask
from skyloom.psf import PixelGridPsf
from skyloom.simulate.charge import add_cosmic_rays

SHAPE = (400, 420)
SKY = 500.0
READ_NOISE = 5.0
NOISE = np.sqrt(SKY + READ_NOISE**2)


def star_profile(fwhm: float) -> galsim.GSObject:
    """A Moffat that has the width ``fwhm`` (px) once the pixel has widened it."""
    return galsim.Moffat(beta=3.5, fwhm=np.sqrt(fwhm**2 - 0.64))


def starlight(fwhm: float, places: np.ndarray, fluxes: np.ndarray) -> np.ndarray:
    """Electrons of stars at ``[star, (y, x)]``."""
    light = np.zeros(SHAPE)
    for (y, x), flux in zip(places, fluxes, strict=True):
        canvas = galsim.ImageD(light, xmin=0, ymin=0)
        half = int(8 * fwhm) + 8
        middle = galsim.PositionI(round(x), round(y))
        box = galsim.BoundsI(middle.x - half, middle.x + half, middle.y - half, middle.y + half)
        stamp = (flux * star_profile(fwhm)).drawImage(
            bounds=box, scale=1.0, center=galsim.PositionD(x, y), dtype=np.float64
        )
        canvas[box & canvas.bounds] += stamp[box & canvas.bounds]
    return light


def exposure_of(
    light: np.ndarray, added: np.ndarray | float = 0.0, seed: int = 1, fwhm: float | None = None
) -> Exposure:
    """An exposure above its sky, with noise; with a PSF where its width is given."""
    rng = np.random.default_rng(seed)
    electrons = rng.poisson(light + SKY) + rng.normal(0, READ_NOISE, light.shape) + added
    variance = np.maximum(electrons, 0.5 * SKY) + READ_NOISE**2
    exposure = Exposure.from_arrays(electrons - SKY, variance=variance, unit=u.electron)
    if fwhm is not None:
        grid = star_profile(fwhm).drawImage(nx=25, ny=25, scale=1.0, dtype=np.float64).array
        exposure.psf = PixelGridPsf(grid[None], order=0, bounds=exposure.bbox)
    return exposure


def marked(exposure: Exposure, plane: str = "CR") -> np.ndarray:
    return (exposure.bits & bitmask(plane)) != 0


def crowd(fwhm: float, count: int = 150, brightest: float = 1e6) -> tuple[np.ndarray, np.ndarray]:
    """Light of many stars, and their places."""
    rng = np.random.default_rng(int(10 * fwhm))
    places = np.column_stack([rng.uniform(10, size - 10, count) for size in SHAPE])
    return starlight(fwhm, places, np.exp(rng.uniform(np.log(500), np.log(brightest), count))), places


def hits(count: int, seed: int = 2) -> np.ndarray:
    charge = np.zeros(SHAPE)
    add_cosmic_rays(charge, count / (charge.size / 1e6), 1.0, np.random.default_rng(seed))
    return charge


@pytest.mark.parametrize("knows_psf", [True, False])
@pytest.mark.parametrize(("fwhm", "least_found"), [(1.6, 0.88), (2.0, 0.93), (3.5, 0.95), (7.0, 0.95)])
def test_hits_are_found_and_stars_are_left(fwhm: float, least_found: float, knows_psf: bool) -> None:
    light, places = crowd(fwhm)
    charge = hits(40)
    exposure = exposure_of(light, charge, fwhm=fwhm if knows_psf else None)
    before = exposure.image.array.copy()
    found = find_cosmic_rays(exposure)
    cosmic = marked(exposure)
    assert charge[cosmic].sum() > least_found * charge.sum()
    false = cosmic & ~ndimage.binary_dilation(charge > 0, np.ones((3, 3)))
    assert false.sum() <= 1
    y, x = np.round(places).astype(int).T
    assert cosmic[y, x][charge[y, x] == 0].sum() == 0
    assert np.array_equal(exposure.image.array, before)
    assert not marked(exposure, "INTRP").any()
    assert found.pixels == cosmic.sum()
    assert found.count == ndimage.label(cosmic, np.ones((3, 3)))[1]
    assert found.electrons == pytest.approx(charge[cosmic].sum(), rel=0.05)


def test_noise_alone_has_no_hits() -> None:
    assert find_cosmic_rays(exposure_of(np.zeros((1000, 1000)), fwhm=3.0)).count <= 1
    empty = Exposure.from_arrays(np.zeros(SHAPE), variance=np.ones(SHAPE), unit=u.electron)
    assert find_cosmic_rays(empty).count == 0


def test_a_hit_on_a_star_is_found_and_the_core_stays() -> None:
    light = starlight(4.0, np.array([[200.3, 200.6]]), np.array([2e5]))
    charge = np.zeros(SHAPE)
    charge[204, 203:208] = 3000.0
    exposure = exposure_of(light, charge, fwhm=4.0)
    find_cosmic_rays(exposure)
    assert np.array_equal(marked(exposure), charge > 0)


def test_a_repair_predicts_what_the_hit_has_covered() -> None:
    light, _ = crowd(3.5, brightest=3e4)
    charge = hits(60)
    exposure, without = exposure_of(light, charge, fwhm=3.5), exposure_of(light, fwhm=3.5)
    variance = exposure.variance.array.copy()
    repair_cosmic_rays(exposure)
    cosmic = marked(exposure)
    assert np.array_equal(cosmic, marked(exposure, "INTRP"))
    assert np.isinf(exposure.variance.array[cosmic]).all()
    assert np.array_equal(exposure.variance.array[~cosmic], variance[~cosmic])
    assert exposure.image.array[~cosmic] == pytest.approx((without.image.array + charge)[~cosmic], rel=1e-5)
    pull = (exposure.image.array - light)[cosmic] / np.sqrt(without.variance.array[cosmic])
    assert abs(np.median(pull)) < 0.2
    assert 0.5 < 0.7413 * np.subtract(*np.percentile(pull, [75, 25])) < 1.6
    again = marked(exposure)
    find_cosmic_rays(exposure)
    assert np.array_equal(marked(exposure) & again, again)  # what was repaired keeps its name


def test_what_is_left_of_the_sky_can_be_told() -> None:
    charge = hits(40)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for background in (2000.0, 300.0 + 2.0 * x - 0.5 * y):
        exposure, known = exposure_of(np.zeros(SHAPE), charge, fwhm=2.0), exposure_of(np.zeros(SHAPE), charge, fwhm=2.0)
        exposure.image.array[...] += background
        found = find_cosmic_rays(exposure, background=background)
        assert found.electrons == pytest.approx(find_cosmic_rays(known).electrons, rel=0.01)
        assert (marked(exposure) != marked(known)).sum() <= 2  # rounding of float32


def test_bleeds_and_bad_columns_are_no_hits_and_hide_few() -> None:
    exposure = exposure_of(np.zeros(SHAPE), fwhm=3.0)
    image, bits = exposure.image.array, exposure.bits
    image[100:200, 50:53] = 90000.0
    bits[100:200, 50:53] = bitmask("SAT")
    image[200, 51] = 40000.0  # the end of the bleed, below saturation
    image[:, 300] = 50000.0
    bits[:, 300] = bitmask("BAD")
    image[250, 301] += 2000.0
    find_cosmic_rays(exposure)
    assert np.argwhere(marked(exposure)).tolist() == [[250, 301]]


def test_faint_hits_are_dropped_by_their_charge() -> None:
    charge = np.zeros(SHAPE)
    charge[100, 100], charge[300, 300:303] = 400.0, 400.0
    dropped, kept = (exposure_of(np.zeros(SHAPE), charge, fwhm=3.0) for _ in range(2))
    find_cosmic_rays(dropped, CosmicRaySettings(min_electrons=700.0))
    find_cosmic_rays(kept)
    assert np.argwhere(marked(dropped)).tolist() == [[300, 300], [300, 301], [300, 302]]
    assert marked(kept).sum() == 4


def test_missing_pixels_and_borders_do_no_harm() -> None:
    exposure = exposure_of(np.zeros(SHAPE), hits(40), fwhm=3.0)
    exposure.image.array[50:90, 60:100] = np.nan
    exposure.bits[50:90, 60:100] = bitmask("NO_DATA")
    exposure.variance.array[50:90, 60:100] = np.inf
    exposure.image.array[0, :] = 1e5
    repair_cosmic_rays(exposure)
    inner = exposure.image.array[1:]
    assert np.isnan(inner).sum() == 1600
    assert not marked(exposure)[50:90, 60:100].any()
    assert not marked(exposure)[0].any()


def test_a_hit_too_large_to_bridge_is_missing() -> None:
    charge = np.zeros(SHAPE)
    charge[200, 100:112] = 5000.0
    charge[np.arange(100, 112), 200] = 5000.0
    charge[200:212, 300:312] = np.eye(12) * 5000.0
    exposure = exposure_of(np.zeros(SHAPE), charge, fwhm=5.0)
    repair_cosmic_rays(exposure, CosmicRaySettings(max_run=0))
    lost = marked(exposure, "NO_DATA")
    assert np.array_equal(lost, marked(exposure))
    assert lost.sum() >= 36
    assert np.isnan(exposure.image.array[lost]).all()


def test_too_many_are_an_error_that_leaves_the_frame_alone() -> None:
    exposure = exposure_of(np.zeros(SHAPE), hits(40), fwhm=3.0)
    exposure.bits[5, 5] = bitmask("CR")
    before = exposure.image.array.copy()
    with pytest.raises(TooManyCosmicRaysError, match="20") as caught:
        repair_cosmic_rays(exposure, CosmicRaySettings(max_pixels=20))
    assert caught.value.metadata["max_pixels"] == 20
    assert np.array_equal(exposure.image.array, before)
    assert not marked(exposure).any()


@pytest.mark.parametrize("fwhm", [1.6, 3.0, 7.0])
def test_the_width_of_stars_is_read_off_a_frame_with_more_hits_than_stars(fwhm: float) -> None:
    light, _ = crowd(fwhm, count=60)
    exposure = exposure_of(light, hits(200))
    sigma = rough_psf_sigma(exposure.image.array, exposure.variance.array, exposure.bits, 0)
    core = star_profile(fwhm).drawImage(nx=25, ny=25, scale=1.0, dtype=np.float64).array
    expected = (2 * np.log(core[12, 12] / core[12, 13])) ** -0.5
    assert sigma == pytest.approx(expected, rel=0.06 if fwhm < 5 else 0.12)  # few stars are bright enough for more
    blank = exposure_of(np.zeros(SHAPE), hits(200))
    assert np.isnan(rough_psf_sigma(blank.image.array, blank.variance.array, blank.bits, 0))


def test_a_psf_that_is_guessed_too_wide_is_the_only_thing_that_flags_stars() -> None:
    light, places = crowd(1.6)
    exposure = exposure_of(light)
    y, x = np.round(places).astype(int).T
    find_cosmic_rays(exposure)
    assert marked(exposure)[y, x].sum() == 0
    exposure.psf = GaussianPointSpreadFunction(1.7, bounds=exposure.bbox, stamp_size=21)
    find_cosmic_rays(exposure)
    assert marked(exposure)[y, x].sum() > 30
