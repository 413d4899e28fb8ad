"""Figures of the page about a patch: against what the coadds were made of."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from patch_of_bands import (
    CUT,
    EMPTY_ROWS,
    NOISE,
    REJECTED,
    SCALE_ARCSEC,
    SIGMA,
    SPOT,
    STARS,
    TRAIL,
    WEIGHT,
    ZERO_POINT,
    box,
    gaussian,
    n_image,
    products,
)
from scipy import ndimage

from skyloom.images import ab_magnitude_to_njy
from skyloom.psf import psf_stamps
from skyloom.report.patch_depth import depth_of, patch_maps
from skyloom.report.patch_inputs_table import visit_records
from skyloom.report.patch_measured import plane_shares, visit_remarks
from skyloom.report.patch_noise import noise_of, sky_pixels
from skyloom.report.patch_page import PATCH_CAPTIONS, band_figures, view_of_band
from skyloom.report.patch_picture import colour_bands, colour_picture, grey_picture, picture_of
from skyloom.report.patch_psf_map import psf_map

FWHM_OF_SIGMA = 2.3548
ROWS, COLUMNS = box().shape
FILLED = (ROWS - EMPTY_ROWS) * COLUMNS


def test_depth_is_that_of_the_formula() -> None:
    made = products()
    psf = psf_map(made)
    assert psf is not None
    maps = patch_maps(made, psf)
    assert maps.binning == 1
    assert maps.depth is not None
    # Where all three visits are: by hand from the model of the PSF at one place.
    x, y = box().x.start + 350, box().y.start + 220
    stamp = psf_stamps(made.coadd.psf, x, y, centred=True)[0][0]
    expected = 31.4 - 2.5 * np.log10(5.0 * np.sqrt(NOISE["r"] ** 2 / np.sum(stamp**2)))
    assert maps.depth[220, 350] == pytest.approx(expected, abs=1e-4)
    # One visit less, in all of the same PSF: three halves of the variance.
    trail = maps.depth[(TRAIL[0] + TRAIL[1]) // 2, 350]
    assert trail - maps.depth[TRAIL[1] + 5, 350] == pytest.approx(-1.25 * np.log10(1.5), abs=1e-3)
    # Each pixel has the area of the place of the map that is nearest to it.
    columns = np.arange(COLUMNS)
    area = psf.area_at(box().x.start + columns, np.full(COLUMNS, y))
    assert len(np.unique(area.round(6))) == 2
    np.testing.assert_allclose(maps.depth[220], depth_of(NOISE["r"] ** 2 * 3.0 / n_image()[220], area), atol=1e-4)
    assert np.isnan(maps.depth[-EMPTY_ROWS:]).all()
    assert np.isfinite(maps.depth[:-EMPTY_ROWS]).all()


def test_a_point_source_of_the_depth_has_five_sigma() -> None:
    made = products()
    psf = made.coadd.psf
    rng = np.random.default_rng(8)
    x, y = rng.uniform(box().x.start + 320, box().x.start + 360, (2, 400))
    y += 200 - 320 - box().x.start + box().y.start
    stamps, _, _ = psf_stamps(psf, x, y)
    area = 1.0 / np.sum(stamps**2, axis=(1, 2))
    flux = ab_magnitude_to_njy(depth_of(np.full(400, NOISE["r"] ** 2), area))
    data = flux[:, None, None] * stamps + rng.normal(0.0, NOISE["r"], stamps.shape)
    measured = np.sum(stamps * data, axis=(1, 2)) * area
    assert np.mean(measured) / np.std(measured) == pytest.approx(5.0, rel=0.1)
    assert np.mean(measured / flux) == pytest.approx(1.0, abs=0.04)


def test_counts_are_exact() -> None:
    made = products()
    maps = patch_maps(made, None)
    assert maps.depth is None
    np.testing.assert_array_equal(maps.count, n_image())
    values = view_of_band(made).values
    assert values["median_n"] == np.median(n_image()[:-EMPTY_ROWS])
    assert values["n_visits"] == 3
    assert values["visits_left_out"] == 1
    assert values["filled_percent"] == pytest.approx(100.0 * FILLED / (ROWS * COLUMNS))


def test_only_pixels_with_data_count() -> None:
    made = products()
    made.coadd.image.array[:, :CUT] = np.nan
    values = view_of_band(made).values
    assert values["median_n"] == 3.0
    assert values["filled_percent"] == pytest.approx(100.0 * (ROWS - EMPTY_ROWS) * (COLUMNS - CUT) / (ROWS * COLUMNS))


def test_large_patches_are_binned() -> None:
    made = products()
    wide = dataclasses.replace(made, n_image=np.tile(n_image(), (2, 2)))
    coadd = made.coadd
    big = type(coadd).from_arrays(
        np.tile(coadd.image.array, (2, 2)),
        np.tile(coadd.bits, (2, 2)),
        np.tile(coadd.variance.array, (2, 2)),
        unit=coadd.unit,
        projection=coadd.projection,
    )
    maps = patch_maps(dataclasses.replace(wide, coadd=big), None)
    assert maps.binning == 2
    assert maps.count is not None
    rows, columns = (size // 2 * 2 for size in big.image.array.shape)
    blocks = wide.n_image[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2)
    np.testing.assert_allclose(maps.count, blocks.mean(axis=(1, 3)))


def test_map_of_the_psf_is_that_of_its_inputs() -> None:
    made = products()
    found = psf_map(made)
    assert found is not None
    left = found.x < box().x.start + CUT - 1
    # The mean of Gaussians of unlike width has a width between them; the adaptive one is below that of the moments.
    low, high = (FWHM_OF_SIGMA * one for one in (SIGMA[1], np.sqrt((2 * SIGMA[1] ** 2 + SIGMA[2] ** 2) / 3)))
    assert ((found.fwhm[left] > low) & (found.fwhm[left] < high)).all()
    assert np.ptp(found.fwhm[left]) < 1e-3
    assert found.fwhm[~left].min() > found.fwhm[left].max()
    assert found.ellipticity.max() < 1e-3


@pytest.mark.parametrize("sigma", [1.4, 2.2])
def test_width_and_area_of_a_gaussian(sigma: float) -> None:
    made = products()
    one = dataclasses.replace(
        made.coadd.psf.components[0], psf=type(made.coadd.psf.components[0].psf)(sigma, box(), 31)
    )
    made.coadd.psf = type(made.coadd.psf)([one], made.coadd.projection, box())
    found = psf_map(made)
    assert found is not None
    # The pixels of a Gaussian that is drawn at their centres.
    np.testing.assert_allclose(found.fwhm, FWHM_OF_SIGMA * sigma, rtol=3e-3)
    np.testing.assert_allclose(found.area, 4.0 * np.pi * sigma**2, rtol=3e-3)
    values = view_of_band(made).values
    assert values["fwhm_arcsec"] == pytest.approx(FWHM_OF_SIGMA * sigma * SCALE_ARCSEC, rel=5e-3)


def test_white_noise_has_unit_scatter_and_no_correlation() -> None:
    made = products()
    noise = noise_of(made, psf_map(made))
    assert noise is not None
    assert noise.scatter == pytest.approx(1.0, abs=0.02)
    assert noise.level_sigma == pytest.approx(0.0, abs=0.02)
    assert noise.correlation[0] == pytest.approx(1.0, abs=0.01)
    assert np.abs(noise.correlation[1:]).max() < 0.02
    assert noise.flux_scatter == pytest.approx(1.0, abs=0.12)


def test_correlation_lowers_the_scatter_of_pixels_and_raises_that_of_fluxes() -> None:
    made = products()
    noisy = np.random.default_rng(4).normal(0.0, 1.0, (ROWS, COLUMNS))
    smooth = ndimage.gaussian_filter(noisy, 0.8)
    spread = made.coadd.variance.array
    made.coadd.image.array[...] = np.where(np.isfinite(spread), smooth * np.sqrt(spread), np.nan)
    noise = noise_of(made, psf_map(made))
    assert noise is not None
    assert noise.scatter == pytest.approx(smooth.std(), rel=0.02)
    # A Gaussian of sigma s correlates as exp(-lag^2 / (4 s^2)); its tails at lag 1 are sampled coarsely.
    assert noise.correlation[1] == pytest.approx(np.mean(smooth[:, 1:] * smooth[:, :-1]) / smooth.var(), abs=0.03)
    assert noise.flux_scatter > 1.5 * noise.scatter


def test_sky_is_what_is_far_from_stars() -> None:
    made = products()
    psf = psf_map(made)
    assert psf is not None
    faint = (160.0, 330.0, 8.0 * NOISE["r"] * np.sqrt(np.nanmedian(psf.area)))  # eight sigma
    made.coadd.image.array[...] += faint[2] * gaussian(faint[0], faint[1], SIGMA[2], (ROWS, COLUMNS))
    sky = sky_pixels(made, psf)
    for x, y, _ in (*STARS, faint):
        assert not sky[round(y) - 5 : round(y) + 6, round(x) - 5 : round(x) + 6].any()
    assert sky[:-EMPTY_ROWS].mean() > 0.9
    assert not sky[-EMPTY_ROWS:].any()


def test_shares_of_planes() -> None:
    shares = plane_shares(products())
    assert shares["CLIPPED"] == pytest.approx(100.0 * (6 * COLUMNS + 200) / FILLED)
    rejected = (REJECTED[0].stop - REJECTED[0].start) * (REJECTED[1].stop - REJECTED[1].start)
    assert shares["REJECTED"] == pytest.approx(100.0 * rejected / FILLED)
    assert shares["SENSOR_EDGE"] == pytest.approx(100.0 * (ROWS - EMPTY_ROWS) / FILLED)
    assert set(shares) == {"CLIPPED", "REJECTED", "SENSOR_EDGE", "INEXACT_PSF"}


def test_visits_are_what_they_were_made_of() -> None:
    visits = visit_records(products())
    assert [one.visit for one in visits] == [1, 2, 3]
    assert [one.weight_percent for one in visits] == pytest.approx([25.0 * WEIGHT[one] for one in SIGMA])
    assert [one.fwhm_arcsec for one in visits] == pytest.approx(
        [FWHM_OF_SIGMA * SIGMA[one] * SCALE_ARCSEC for one in SIGMA], rel=5e-3
    )
    assert [one.zero_point_mag for one in visits] == pytest.approx(list(ZERO_POINT.values()))
    assert visits[2].filled_percent == pytest.approx(100.0 * (COLUMNS - CUT) * (ROWS - EMPTY_ROWS) / (ROWS * COLUMNS))
    clipped = 6 * COLUMNS + (SPOT[0].stop - SPOT[0].start) * (SPOT[1].stop - SPOT[1].start)
    assert [one.clipped_px for one in visits] == [0, clipped, 0]
    assert [one.regions for one in visits] == [0, 2, 0]
    assert [one.visit for one in visits if visit_remarks(one, visits)] == [3]
    (cloud,) = visit_remarks(visits[2], visits)
    assert "0.9 mag" in cloud
    assert "clouds" in cloud


def test_what_the_task_counted_stands_in_for_masks() -> None:
    made = dataclasses.replace(products(), clipped={}, metadata={"clipped_pixels": {"2": 70.0}})
    visits = visit_records(made)
    assert [one.clipped_px for one in visits] == [0.0, 70.0, 0.0]
    assert np.isnan(visits[1].regions)


def test_star_of_one_flux_is_neutral_in_three_bands() -> None:
    pictures = [picture_of(products(band)) for band in ("i", "r", "g")]
    drawn = colour_picture([one.whole for one in pictures]).astype(int)
    for x, y, flux in STARS:
        core = drawn[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2]
        assert core.min() > 150
        # Four times what the noise of two bands makes of their ratio in a pixel of the core, and rounding.
        noise = np.hypot(NOISE["g"], NOISE["i"]) / (0.6 * flux / (2.0 * np.pi * 2.0**2))
        assert np.ptp(core, axis=2).max() <= 4.0 * noise * core.max() + 1.0
    assert (drawn[-EMPTY_ROWS:] == drawn[-1, -1]).all()


def test_a_red_star_stays_red_at_any_brightness() -> None:
    rng = np.random.default_rng(2)
    red, green, blue = rng.normal(0.0, 1.0, (3, 200, 200))
    for place, peak in enumerate((100.0, 1e3, 1e5)):
        for image, ratio in ((red, 4.0), (green, 2.0), (blue, 1.0)):
            image[20:23, 20 + 40 * place] += ratio * peak
    drawn = colour_picture([red, green, blue]).astype(float)
    for place in range(3):
        one = drawn[21, 20 + 40 * place]
        assert one[1] / one[0] == pytest.approx(0.5, abs=0.04)
        assert one[2] / one[0] == pytest.approx(0.25, abs=0.04)


def test_grey_has_no_colour() -> None:
    drawn = grey_picture(np.random.default_rng(3).normal(0.0, 1.0, (50, 50)))
    assert np.ptp(drawn, axis=2).max() == 0
    assert drawn.std() > 5


@pytest.mark.parametrize(
    ("bands", "chosen"),
    [
        ("ugrizy", ("i", "r", "g")),
        ("gri", ("i", "r", "g")),
        ("gzr", ("z", "r", "g")),
        ("JHK", ("K", "H", "J")),
        ("gr", None),
        ("abc", None),
    ],
)
def test_bands_of_the_colours(bands: str, chosen: tuple[str, str, str] | None) -> None:
    assert colour_bands(bands) == chosen


def test_detail_is_where_the_most_warps_are() -> None:
    # Of the places at steps of 75 pixels the one most to the right, where the third visit is.
    assert picture_of(products()).detail_origin == (box().x.start + 75, box().y.start + 75)
    corner = n_image()
    corner[:30, :30] = 100
    picture = picture_of(dataclasses.replace(products(), n_image=corner))
    assert picture.detail_origin == (box().x.start, box().y.start)
    assert picture.detail.shape == (300, 300)


def test_figures_come_without_a_repository() -> None:
    view = view_of_band(products())
    assert [name for name, _ in band_figures(view)] == [name for name in PATCH_CAPTIONS if name != "colour"]
    assert any("not in the coadd: 4" in one for one in view.remarks)


def test_little_is_enough() -> None:
    made = products()
    made.coadd.psf, made.coadd.inputs = None, None
    bare = dataclasses.replace(made, n_image=None, clipped={}, warped=None, metadata={})
    view = view_of_band(bare)
    assert [name for name, _ in band_figures(view)] == ["grey", "noise", "planes"]
    said = " ".join(view.remarks)
    for word in ("no PSF", "number of warps", "table of its inputs", "clipped in single visits"):
        assert word in said


def test_a_coadd_without_data_stops_nothing() -> None:
    made = products()
    made.coadd.image.array[...], made.coadd.variance.array[...] = np.nan, np.inf
    view = view_of_band(dataclasses.replace(made, n_image=np.zeros_like(n_image())))
    assert dict(band_figures(view)).keys() >= {"grey", "depth", "psf"}
    assert view.values["filled_percent"] == 0.0
