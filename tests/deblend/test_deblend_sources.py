from __future__ import annotations

import numpy as np
import pytest
from lsst.images import Box

from deblend.scenes import (
    FWHM,
    NOISE,
    SIGMA,
    Source,
    all_light,
    exposure,
    light_image,
    one_footprint,
    render,
    star,
)
from skyloom.deblend import Deblended, DeblendSettings, deblend_sources
from skyloom.deblend.settings import StrayLight
from skyloom.detection import detect_sources
from skyloom.images.exposure import Exposure
from skyloom.images.footprints import PEAK_DTYPE, Footprint, FootprintSet
from skyloom.images.mask_planes import bitmask
from skyloom.images.spans import SpanSet

GALAXY: Source = (62.0, 60.0, 1e5, 5.0, 0.6, 0.4)


def deblend(sources: list[Source], settings: DeblendSettings | None = None, **kwargs) -> tuple[Exposure, Deblended]:
    frame = exposure(sources, **kwargs)
    return frame, deblend_sources(frame, one_footprint(frame, sources), settings)


def flux_ratios(sources: list[Source], found: Deblended) -> np.ndarray:
    """Light of each source over its true flux inside the footprint; sources from the brightest peak down."""
    return np.asarray(found.table["deblend_flux"]) / np.array([source[2] for source in sources])


@pytest.mark.parametrize("rule", ["wings", "r_to_peak", "r_to_footprint", "nearest"])
def test_the_light_of_all_peaks_is_the_image_inside_the_footprint(rule: StrayLight) -> None:
    sources = [star(50.2, 60.4, 2e5), GALAXY, star(75.1, 66.0, 2e4)]
    frame, found = deblend(sources, DeblendSettings(stray_light=rule))
    inside = one_footprint(frame, sources).to_mask()
    total = all_light(found, frame.bbox.shape)
    assert total[inside] == pytest.approx(frame.image.array[inside].astype(float), rel=2e-6, abs=1e-3)
    assert not total[~inside].any()
    assert found.table["deblend_flux"].sum() == pytest.approx(frame.image.array[inside].sum(dtype=float), rel=1e-6)
    assert found.table["deblend_flux_fraction"].sum() == pytest.approx(1.0, rel=1e-6)


def test_trimmed_light_is_nobodys_and_the_rest_is_shared_as_before() -> None:
    sources = [star(50.2, 60.4, 2e5), star(90.1, 64.0, 2e4)]
    frame = exposure(sources)
    box = FootprintSet(
        [Footprint(SpanSet.from_box(Box.factory[40:90, 30:110]), one_footprint(frame, sources)[0].peaks)], frame.bbox
    )
    kept = deblend_sources(frame, box)
    trimmed = deblend_sources(frame, box, DeblendSettings(stray_light="trim"))
    total = all_light(trimmed, frame.bbox.shape)
    claimed = total != 0
    assert 800 < claimed.sum() < 50 * 80 - 1000
    assert total[claimed] == pytest.approx(frame.image.array[claimed], rel=2e-6, abs=1e-3)
    assert all_light(kept, frame.bbox.shape)[claimed] == pytest.approx(total[claimed], rel=2e-6, abs=1e-3)
    assert kept.table["flag_deblend_stray"].any()
    assert not trimmed.table["flag_deblend_stray"].any()


def test_a_single_peak_has_the_image_in_its_footprint_as_it_is() -> None:
    frame, found = deblend([star(50.2, 60.4, 2e4)])
    frame.image.array[60, 52] = np.nan
    sources = [star(50.2, 60.4, 2e4)]
    found = deblend_sources(frame, one_footprint(frame, sources))
    inside = one_footprint(frame, sources).to_mask()
    light = light_image(found.pixels, 0, frame.bbox.shape)
    assert np.array_equal(light[inside], frame.image.array[inside], equal_nan=True)
    row = found.table[0]
    assert row["deblend_n_peaks"] == 1
    assert row["deblend_flux"] == pytest.approx(np.nansum(frame.image.array[inside]), rel=1e-6)
    assert not any(row[name] for name in found.table.colnames if name.startswith("flag"))


@pytest.mark.parametrize(("separation", "ratio"), [(1.25, 1), (1.25, 10), (1.5, 3), (2.0, 30), (4.0, 1)])
def test_pairs_of_stars_get_their_fluxes(separation: float, ratio: float) -> None:
    residuals = []
    for seed in range(5):
        angle = 1.3 * seed
        at = 60.3 + separation * FWHM * np.cos(angle), 60.1 + separation * FWHM * np.sin(angle)
        pair = [star(60.3, 60.1, 2e5), star(*at, 2e5 / ratio)]
        _, found = deblend(pair, seed=seed)
        order = np.argsort(np.hypot(found.table["deblend_psf_x"] - 60.3, found.table["deblend_psf_y"] - 60.1))
        assert found.table["deblend_is_psf"].all()
        assert np.asarray(found.table["deblend_psf_x"])[order] == pytest.approx([60.3, at[0]], abs=0.1 * ratio**0.5)
        truth = np.array([2e5, 2e5 / ratio])
        residuals.append((np.asarray(found.table["deblend_flux"])[order] - truth) / 2e5)
    bias = np.mean(residuals, axis=0)
    assert bias[0] == pytest.approx(0.0, abs=0.01)
    assert bias[1] == pytest.approx(0.0, abs=0.01 if separation < 1.5 else 0.005)


@pytest.mark.parametrize("place", [(69.6, 62.3), (74.0, 66.0)])
def test_a_star_on_a_galaxy_gets_its_light_and_no_more(place: tuple[float, float]) -> None:
    ratios = []
    for seed in range(4):
        _, found = deblend([star(*place, 3e4), GALAXY], seed=seed)
        ratios.append(np.sort(found.table["deblend_flux"]) / [3e4, 1e5])
    assert np.mean(ratios, axis=0) == pytest.approx([1.0, 1.0], abs=0.03)


def test_two_galaxies_get_their_light() -> None:
    pair = [(52.0, 60.0, 1e5, 4.0, 0.7, 0.3), (68.0, 62.0, 5e4, 3.0, 0.8, 1.5)]
    _, found = deblend(pair)
    assert not found.table["deblend_is_psf"].any()
    assert flux_ratios(pair, found) == pytest.approx([1.0, 1.0], abs=0.04)


def test_the_middle_of_three_in_a_row_does_not_take_the_light_of_both_sides() -> None:
    row = [(46.0, 60.0, 5e4, 3.0, 0.8, 0.0), (60.0, 60.0, 3e4, 3.0, 0.8, 0.7), (74.0, 60.0, 4e4, 3.0, 0.8, 1.5)]
    middle = []
    for rounds in (1, 12):
        frame, found = deblend(row, DeblendSettings(template_rounds=rounds))
        at = int(np.argmin(np.abs(one_footprint(frame, row)[0].peaks["x"] - 60)))
        middle.append(found.table["deblend_flux"][at] / 3e4)
    assert middle[1] < 1.5
    assert middle[1] < 0.9 * middle[0]
    stars = [star(45.0, 60.0, 5e4), star(54.0, 61.0, 2e4), star(63.0, 60.0, 4e4)]
    _, found = deblend(stars)
    assert np.sort(found.table["deblend_flux"]) == pytest.approx([2e4, 4e4, 5e4], rel=0.03)


def test_a_galaxy_is_no_star_but_a_star_is() -> None:
    sources = [(45.0, 60.0, 5e4, 2.5, 0.8, 0.0), star(62.0, 61.0, 5e4)]
    frame, found = deblend(sources)
    x = one_footprint(frame, sources)[0].peaks["x"]
    assert found.table["deblend_is_psf"][x == 62].all()
    assert not found.table["deblend_is_psf"][x == 45].any()
    none = deblend_sources(frame, one_footprint(frame, sources), DeblendSettings(psf_chi2_max=0.0))
    assert not none.table["deblend_is_psf"].any()


def test_without_a_psf_templates_are_symmetric() -> None:
    pair = [star(55.0, 60.0, 1e5), star(66.0, 62.0, 5e4)]
    frame = exposure(pair)
    frame.psf = None
    found = deblend_sources(frame, one_footprint(frame, pair))
    assert not found.table["deblend_is_psf"].any()
    assert np.isnan(found.table["deblend_psf_flux"]).all()
    assert flux_ratios(pair, found) == pytest.approx([1.0, 1.0], abs=0.03)


def test_a_saturated_star_keeps_its_bleeding_and_its_neighbour_its_light() -> None:
    sources = [star(60.0, 60.0, 3e6), star(74.0, 64.0, 3e4)]
    frame = exposure(sources)
    clean = frame.image.array.copy()
    full = 50_000.0
    saturated = render(sources[:1], frame.bbox.shape) > full
    trail = np.zeros_like(saturated)
    trail[35:86, 59:62] = True
    frame.image.array[saturated | trail] = full
    frame.bits[saturated | trail] |= bitmask("SAT")
    inside = (clean > 3 * NOISE) | trail
    peaks = np.array([(60, 60, full), (74, 64, clean[64, 74])], PEAK_DTYPE)
    footprints = FootprintSet([Footprint(SpanSet.from_mask(inside), peaks)], frame.bbox)
    found = deblend_sources(frame, footprints)
    assert found.table["deblend_is_psf"].tolist() == [False, True]
    assert light_image(found.pixels, 0, clean.shape)[trail] == pytest.approx(full, rel=0.02)
    assert found.table["deblend_flux"][1] == pytest.approx(3e4, rel=0.05)


@pytest.mark.parametrize("place", [(1.2, 60.0), (0.0, 1.0)])
def test_a_peak_at_the_border_of_the_frame(place: tuple[float, float]) -> None:
    galaxy = (*place, 1e5, 4.0, 1.0, 0.0)
    sources = [galaxy, star(place[0] + 13.0, place[1] + 2.0, 2e4)]
    frame, found = deblend(sources, shape=(120, 100))
    on_frame = render(sources[:1], (120, 100)).sum()
    flux = np.asarray(found.table["deblend_flux"])
    near = np.argmin(one_footprint(frame, sources)[0].peaks["x"])
    assert flux[near] == pytest.approx(on_frame, rel=0.08)
    assert flux[1 - near] == pytest.approx(2e4, rel=0.15)
    mirrored = found.table["flag_deblend_patched"] | found.table["flag_deblend_ramped"]
    assert mirrored[near]


def test_missing_pixels_belong_to_nobody_and_the_others_are_shared() -> None:
    sources = [star(50.2, 60.4, 2e5), GALAXY]
    frame = exposure(sources)
    footprints = one_footprint(frame, sources)
    frame.image.array[55:58, 56:59] = np.nan
    frame.bits[70:72, 60:64] |= bitmask("NO_DATA")
    found = deblend_sources(frame, footprints)
    total = all_light(found, frame.bbox.shape)
    assert np.isfinite(found.pixels.values).all()
    inside = footprints.to_mask() & np.isfinite(frame.image.array)
    assert total[inside] == pytest.approx(frame.image.array[inside].astype(float), rel=2e-6, abs=1e-3)
    assert not total[55:58, 56:59].any()


def crowded(seed: int = 3, **box: int) -> tuple[list[Source], Exposure, FootprintSet]:
    rng = np.random.default_rng(seed)
    shape = (400, 400)
    flux = 1500 / rng.random(160) ** 1.2
    sources = [star(*rng.uniform(6, 393, 2), value) for value in np.minimum(flux, 3e5)]
    frame = exposure(sources, shape, seed=seed, **box)
    return sources, frame, detect_sources(frame)


@pytest.fixture(scope="module")
def field() -> tuple[list[Source], Exposure, FootprintSet, Deblended]:
    """About 100 stars in a square arcmin of 0.187 arcsec pixels."""
    sources, frame, footprints = crowded()
    return sources, frame, footprints, deblend_sources(frame, footprints)


def test_fluxes_in_a_crowded_field(field) -> None:
    sources, frame, footprints, found = field
    peaks = np.concatenate([footprint.peaks for footprint in footprints])
    x, y, flux = (np.array([source[k] for source in sources]) for k in range(3))
    ratios, raw = [], []
    radius = 6.0
    rows, columns = np.mgrid[:400, :400]
    for i in np.flatnonzero(flux > 50 * NOISE * np.sqrt(4 * np.pi) * SIGMA):
        k = np.hypot(peaks["x"] - x[i], peaks["y"] - y[i]).argmin()
        alone = np.sum(np.hypot(x - x[i], y - y[i]) < FWHM) == 1
        if found.table["deblend_n_peaks"][k] > 1 and alone and np.hypot(peaks["x"][k] - x[i], peaks["y"][k] - y[i]) < 2:
            circle = np.hypot(columns - x[i], rows - y[i]) < radius
            ratios.append(light_image(found.pixels, k, (400, 400))[circle].sum() / flux[i])
            raw.append(frame.image.array[circle].sum() / flux[i])
    assert len(ratios) > 10
    assert np.median(ratios) == pytest.approx(1.0, abs=0.01)
    low, high = np.percentile(ratios, [16, 84])
    raw_low, raw_high = np.percentile(raw, [16, 84])
    assert high - low < 0.06
    assert raw_high - raw_low > 1.5 * (high - low)


def test_rows_follow_the_footprints_and_the_sums_agree(field) -> None:
    _, _, footprints, found = field
    counts = [len(footprint.peaks) for footprint in footprints]
    assert len(found.pixels) == len(found.table) == sum(counts)
    assert found.table["deblend_n_peaks"].tolist() == [count for count in counts for _ in range(count)]
    start = 0
    for footprint, count in zip(footprints, counts, strict=True):
        assert found.table["deblend_flux_fraction"][start : start + count].sum() == pytest.approx(1.0, rel=1e-5)
        box = footprint.bbox
        spans = slice(found.pixels.span_start[start], found.pixels.span_start[start + count])
        assert found.pixels.y[spans].min() >= box.y.min
        assert found.pixels.x1[spans].max() <= box.x.max + 1
        start += count


def test_the_order_of_the_footprints_does_not_matter(field) -> None:
    _, frame, footprints, found = field
    backwards = FootprintSet(list(footprints)[::-1], footprints.bbox)
    again = deblend_sources(frame, backwards)
    counts = [len(footprint.peaks) for footprint in footprints]
    rows = [list(range(stop - count, stop)) for count, stop in zip(counts, np.cumsum(counts), strict=True)]
    order = [row for part in rows[::-1] for row in part]
    assert np.array_equal(again.table["deblend_flux"], found.table["deblend_flux"][order])
    for place in range(0, len(order), 17):
        first, second = (
            light_image(again.pixels, place, (400, 400)),
            light_image(found.pixels, order[place], (400, 400)),
        )
        assert np.array_equal(first, second)


def test_the_place_of_the_box_does_not_matter(field) -> None:
    _, _, _, found = field
    _, frame, footprints = crowded(x0=3000, y0=-200)
    moved = deblend_sources(frame, footprints)
    assert np.array_equal(moved.pixels.y, found.pixels.y)
    assert np.array_equal(moved.pixels.x0, found.pixels.x0)
    assert moved.pixels.values == pytest.approx(found.pixels.values, rel=1e-4, abs=1e-2)
    assert np.asarray(moved.table["deblend_psf_x"]) - 3000 == pytest.approx(
        np.asarray(found.table["deblend_psf_x"]), abs=1e-6, nan_ok=True
    )


def test_footprints_beyond_a_limit_are_skipped_and_their_peaks_hold_all() -> None:
    sources = [star(50.2, 60.4, 2e5), star(64.0, 63.0, 5e4)]
    limits = {
        "flag_deblend_too_big": DeblendSettings(max_area=50),
        "flag_deblend_too_many_peaks": DeblendSettings(max_peaks=1),
        "flag_deblend_masked": DeblendSettings(max_masked_fraction=0.2),
    }
    for name, settings in limits.items():
        frame = exposure(sources)
        footprints = one_footprint(frame, sources)
        if "masked" in name:
            frame.bits[:60] |= bitmask("NO_DATA")
        frame.bits[5, 5] |= bitmask("NOT_DEBLENDED")
        found = deblend_sources(frame, footprints, settings)
        reasons = [flag for flag in limits if found.table[flag].any()]
        assert reasons == [name]
        assert found.table[name].all()
        assert found.table["flag_deblend_skipped"].all()
        inside = footprints.to_mask()
        assert np.array_equal((frame.bits & bitmask("NOT_DEBLENDED")) != 0, inside)
        for row in (0, 1):
            assert np.array_equal(light_image(found.pixels, row, inside.shape)[inside], frame.image.array[inside])
        assert found.pixels.values.size == inside.sum()  # held once
        fine = deblend_sources(frame, footprints, DeblendSettings(max_masked_fraction=0.9))
        assert not fine.table["flag_deblend_skipped"].any()
        assert not (frame.bits & bitmask("NOT_DEBLENDED")).any()


def test_two_thousand_peaks_in_a_footprint_stay_within_bounds() -> None:
    rng = np.random.default_rng(5)
    frame = exposure([], shape=(300, 300))
    frame.image.array[...] += 50.0
    x, y = np.meshgrid(np.arange(3, 300, 6), np.arange(3, 243, 6))
    peaks = np.array([(a, b, 50.0) for a, b in zip(x.ravel(), y.ravel(), strict=True)], PEAK_DTYPE)[:2000]
    for a, b in zip(peaks["x"], peaks["y"], strict=True):
        frame.image.array[b, a] += rng.uniform(200, 400)
    footprints = FootprintSet([Footprint(SpanSet.from_box(frame.bbox), peaks)], frame.bbox)
    settings = DeblendSettings(max_template_pixels=1_000_000, psf_rounds=0, template_rounds=2)
    found = deblend_sources(frame, footprints, settings)
    assert len(found.pixels) == 2000
    assert found.pixels.values.size < 4_000_000
    assert found.table["deblend_flux"].sum() == pytest.approx(frame.image.array.sum(dtype=float), rel=1e-5)


def test_the_neighbours_share_tells_how_blended_a_source_is() -> None:
    shares = []
    for distance in (8.0, 12.0, 20.0):
        pair = [star(50.0, 60.0, 1e5), star(50.0 + distance, 60.0, 1e5)]
        frame = exposure(pair)
        peaks = one_footprint(frame, pair)[0].peaks
        box = FootprintSet([Footprint(SpanSet.from_box(Box.factory[45:76, 30:100]), peaks)], frame.bbox)
        shares.append(float(deblend_sources(frame, box).table["deblend_neighbour_fraction"][0]))
    assert shares[0] > shares[1] > shares[2] >= 0.0
    # the integral of the product of two Gaussians over that of the square of one
    overlap = np.exp(-(8.0**2) / (4 * SIGMA**2))
    assert shares[0] == pytest.approx(overlap / (1 + overlap), abs=0.003)


def test_columns_have_units_and_descriptions(field) -> None:
    table = field[3].table
    assert all(table[name].description for name in table.colnames)
    units = {name: str(table[name].unit) for name in table.colnames if table[name].unit is not None}
    assert units == {
        "deblend_psf_x": "pix",
        "deblend_psf_y": "pix",
        "deblend_psf_flux": "electron",
        "deblend_flux": "electron",
    }
    assert table["deblend_flux_fraction"].dtype == np.float32
    assert all(table[name].dtype == bool for name in table.colnames if name.startswith("flag"))


def test_no_footprints_give_an_empty_result() -> None:
    frame = exposure([])
    found = deblend_sources(frame, FootprintSet([], frame.bbox))
    assert len(found.pixels) == 0
    assert len(found.table) == 0
