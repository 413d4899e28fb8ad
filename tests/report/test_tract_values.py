"""Figures of the page about a tract: patterns, counts and refusals that were put in come out."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from joint_tract import (
    BROKEN,
    CLOUD,
    NOISE_MAS,
    NOISE_MMAG,
    PATTERN_MAS,
    REASON,
    products,
    tract,
    wcs_tables,
)
from matplotlib.figure import Figure

from skyloom.jointcal import WCS_COLUMNS, table_of
from skyloom.report.tract_coverage import coverage_of
from skyloom.report.tract_distribution_figures import magnitude_scatter
from skyloom.report.tract_frames import frame_records
from skyloom.report.tract_measured import measured_filter, missing_warps
from skyloom.report.tract_page import CAPTIONS, filter_figures, filter_section, view_of
from skyloom.report.tract_products import FilterProducts, WarpRecord
from skyloom.report.tract_residuals import cells_of, flux_residuals, position_residuals, repeatability
from skyloom.report.tract_tables import frame_remarks, frame_table, history_table, visit_table


def values_of(some: FilterProducts) -> dict[str, float]:
    return measured_filter(some, position_residuals(some), flux_residuals(some), frame_records(some), coverage_of(some))


def test_repeatability_is_the_root_of_the_mean_variance() -> None:
    # Star 0: sample variance 2 with one degree of freedom; star 1: 1 with two; star 2 does not count.
    values = np.array([[1.0], [3.0], [10.0], [11.0], [12.0], [99.0]])
    star = np.array([0, 0, 1, 1, 1, 2])
    assert repeatability(values, star) == pytest.approx(np.sqrt(4.0 / 3.0))
    assert repeatability(values + 100.0 * star[:, None], star) == pytest.approx(np.sqrt(4.0 / 3.0))
    assert np.isnan(repeatability(values[-1:], star[-1:]))


def test_pattern_of_the_camera_is_found_whatever_the_visits_rotation() -> None:
    residuals = position_residuals(products())
    assert residuals is not None
    across = residuals.plane[residuals.used, 0]
    pattern = PATTERN_MAS * across / np.abs(across).max()
    per_coordinate = np.sqrt(np.mean(pattern**2) / 2.0)  # along x alone
    assert residuals.plane_cells("before").common == pytest.approx(per_coordinate, rel=0.08)
    assert residuals.plane_cells("after").common < 0.25 * NOISE_MAS
    assert min(residuals.common_of_visits("before").values()) > 0.8 * per_coordinate
    assert residuals.rms("after") == pytest.approx(NOISE_MAS, rel=0.05)
    # Along the axes of the camera the pattern is in x alone, and grows to the right.
    turned = residuals.on_plane("before")[residuals.used]
    slope, _ = np.polyfit(across, turned[:, 0], 1)
    assert slope * np.abs(across).max() == pytest.approx(PATTERN_MAS, rel=0.05)
    assert np.sqrt(np.mean(turned[:, 1] ** 2)) == pytest.approx(NOISE_MAS, rel=0.08)


def test_noise_has_nothing_in_common() -> None:
    rng = np.random.default_rng(2)
    place = rng.uniform(0.0, 10.0, (8000, 2))
    noise = rng.normal(0.0, 5.0, (8000, 1))
    assert cells_of(place, noise).common < 0.5
    common = cells_of(place, noise + 3.0 * np.sign(place[:, :1] - 5.0)).common
    assert common == pytest.approx(3.0, rel=0.1)


def test_cells_with_too_few_are_empty() -> None:
    place = np.array([[0.0, 0.0]] * 4 + [[10.0, 10.0]])
    cells = cells_of(place, np.array([[1.0], [2.0], [3.0], [6.0], [50.0]]), per_cell=1)
    known = np.isfinite(cells.rms)
    assert known.sum() == 1
    assert cells.mean[known] == pytest.approx(3.0)
    assert cells.rms[known] == pytest.approx(np.sqrt(12.5))
    assert cells.noise[known] == pytest.approx(14.0 / 3.0 / 4.0)  # sample variance over the number


def test_fluxes_repeat_better_after_the_cloud_is_taken_off() -> None:
    residuals = flux_residuals(products())
    assert residuals is not None
    assert residuals.repeats("after") == pytest.approx(NOISE_MMAG, rel=0.05)
    assert residuals.repeats("before") > 2.0 * NOISE_MMAG
    values = values_of(products())
    assert values["photometry_gain"] < 0.5
    assert values["pull_scatter"] == pytest.approx(1.0, abs=0.06)
    assert values["astrometry_chi2"] == 1.0
    assert values["reference_percent"] == 50.0


def test_scatter_against_magnitude_follows_the_noise_that_was_put_in() -> None:
    some = products()
    assert some.measurements is not None
    noisy = some.measurements.copy()
    factor = np.where(np.asarray(noisy["mag"]) > 19.0, 5.0, 1.0)
    noisy["mag_after"] = factor * np.asarray(noisy["mag_after"])
    residuals = flux_residuals(products(measurements=noisy))
    assert residuals is not None
    place, scatter = magnitude_scatter(residuals, "after")
    assert np.all(np.diff(place) > 0)
    bright, faint = scatter[place < 18.7], scatter[place > 19.3]
    assert np.median(bright) == pytest.approx(NOISE_MMAG, rel=0.1)
    assert np.median(faint) == pytest.approx(5.0 * NOISE_MMAG, rel=0.1)


def test_zero_points_and_their_changes() -> None:
    frames = {(frame.visit, frame.detector): frame for frame in frame_records(products())}
    assert len(frames) == 8
    cloudy = frames[CLOUD[0], 0]
    assert cloudy.get("zero_point_change_mmag") == pytest.approx(CLOUD[1])
    assert cloudy.get("change_in_visit_mmag") == pytest.approx(0.0, abs=1e-6)
    assert frames[1, 0].get("zero_point_change_mmag") == pytest.approx(0.0, abs=1e-6)
    # The scale goes from 0.99 to 1.01 of its mean.
    assert frames[1, 0].get("scale_range_mmag") == pytest.approx(2500 * np.log10(1.01 / 0.99))
    assert frames[1, 1].get("moved_px") == pytest.approx(0.02 / 0.5, rel=1e-3)
    # Refused frames have no flux scale after the fit.
    assert "zero_point_after_mag" not in frames[BROKEN].values


def test_changed_zero_point_is_remarked() -> None:
    tables = {visit: table.copy() for visit, table in products().photo_calib.items()}
    tables[2]["calibration_mean"][0] *= 10.0**-0.04  # 0.1 mag more
    frames = frame_records(products(photo_calib=tables))
    remarks = {frame.name: " ".join(frame_remarks(frame)) for frame in frames}
    assert "Change of the zero point: 100 mmag" in remarks["visit 2, detector 0"]
    assert "Change of the zero point less that of its visit: 50 mmag" in remarks["visit 2, detector 0"]
    assert remarks["visit 1, detector 0"] == ""


@pytest.mark.usefixtures("unpainted")
def test_refused_frame_is_named_with_its_reason() -> None:
    section = filter_section(view_of(products()))
    assert any("Frames that the joint fit refused: 1 (at most 0)" in remark for remark in section.remarks)
    odd = next(table for table in section.tables if table.title == "Frames to look at")
    name, words = odd.rows[0]
    assert name == f"visit {BROKEN[0]}, detector {BROKEN[1]}"
    assert f"refused by the fit of positions: {REASON}" in words
    assert f"refused by the fit of fluxes: {REASON}" in words
    everything = frame_table(frame_records(products()))
    assert [row[0] for row in everything.rows if row[-1] == "refused"] == [name]
    visit = next(row for row in visit_table(frame_records(products())).rows if row[0] == str(BROKEN[0]))
    assert visit[1:3] == ["2", "1"]


def frame_row(detector: int, x: tuple[int, int], y: tuple[int, int], *, refused: bool = False) -> dict[str, object]:
    """A frame whose pixels are those of the tract."""
    header = tract().wcs_header()
    header["CRPIX1"] -= x[0]
    header["CRPIX2"] -= y[0]
    text = header.tostring(sep="\n", endcard=False, padding=False)
    box = {"x0": 0, "y0": 0, "x1": x[1] - x[0], "y1": y[1] - y[0], "detector": detector, "wcs": text}
    return dict.fromkeys(WCS_COLUMNS, 0) | box | {"refused": refused, "reason": ""}


def test_coverage_counts_each_visit_once_and_no_refused_frame() -> None:
    boxes = {
        1: [frame_row(0, (20, 120), (30, 110)), frame_row(1, (100, 200), (30, 110))],
        2: [frame_row(0, (60, 160), (50, 90)), frame_row(1, (300, 400), (300, 380), refused=True)],
    }
    wcs = {visit: table_of(rows, WCS_COLUMNS) for visit, rows in boxes.items()}
    coverage = coverage_of(products(wcs=wcs, summaries={}), step=1)
    expected = np.zeros(tract().bbox.shape, int)
    expected[30:110, 20:200] += 1
    expected[50:90, 60:160] += 1
    np.testing.assert_array_equal(coverage.count, expected)
    assert coverage.area(1) == pytest.approx(80 * 180 * (0.5 / 60) ** 2)
    assert coverage.area(2) == pytest.approx(40 * 100 * (0.5 / 60) ** 2)
    assert coverage.median_depth == 1.0
    assert coverage.visits_of_patch(tract(), 0) == {1, 2}
    assert coverage.visits_of_patch(tract(), 1) == set()


def test_coarse_coverage_has_the_same_area() -> None:
    wcs = {1: table_of([frame_row(0, (0, 150), (0, 140))], WCS_COLUMNS)}
    assert coverage_of(products(wcs=wcs, summaries={}), step=10).area(1) == pytest.approx(150 * 140 * (0.5 / 60) ** 2)


def test_warps_that_frames_would_fill_are_missed() -> None:
    wcs = {1: table_of([frame_row(0, (100, 250), (50, 200))], WCS_COLUMNS)}
    some = products(wcs=wcs, summaries={}, warps=[WarpRecord(visit=2, patch=0, filled=0.5)])
    assert [(warp.patch, warp.visit) for warp in missing_warps(some, coverage_of(some))] == [(0, 1)]
    failed = WarpRecord(visit=1, patch=0, exists=False, failure="no memory")
    some = products(wcs=wcs, summaries={}, warps=[failed])
    assert [warp.failure for warp in missing_warps(some, coverage_of(some))] == ["no memory"]
    view = view_of(some)
    assert any("Warps that frames would fill and that are not there: 1 " in remark for remark in view.remarks)


def test_own_wcs_stands_in_for_a_refused_one_but_does_not_cover() -> None:
    some = products()
    frame = some.geometries[BROKEN]
    assert frame.refused
    assert not frame.joint
    only = coverage_of(products(wcs={BROKEN[0]: wcs_tables()[BROKEN[0]][BROKEN[1] :]}, summaries={}))
    assert only.count.sum() == 0
    both = coverage_of(some).by_visit[BROKEN[0]].sum()
    alone = coverage_of(products(wcs={}, summaries=some.summaries)).by_visit[BROKEN[0]].sum()
    assert both == pytest.approx(0.5 * alone, rel=0.05)


def test_all_figures_are_drawn_small_and_labelled() -> None:
    warps = [WarpRecord(visit=1, patch=0, filled=0.4), WarpRecord(visit=2, patch=0, exists=False, failure="no memory")]
    figures = dict(filter_figures(view_of(products(warps=warps))))
    assert list(figures) == list(CAPTIONS)
    for name, figure in figures.items():
        assert isinstance(figure, Figure)
        width, height = figure.get_size_inches() * figure.dpi
        assert max(width, height) <= 1000, name
        assert figure.get_supxlabel() or any(axes.get_xlabel() for axes in figure.axes), name


@pytest.mark.parametrize(
    ("missing", "gone", "kept", "said"),
    [
        ({"wcs": {}}, {"frames"}, "zero_points", "Positions: there is no joint fit of them."),
        ({"photo_calib": {}}, {"zero_points"}, "frames", "Fluxes: there is no joint fit of them."),
        (
            {"measurements": None},
            {"positions_plane", "histograms", "fluxes_sky"},
            "coverage",
            "There are no measurements",
        ),
        ({"measurements": Table()}, {"positions_plane", "magnitudes"}, "history", "There are no measurements"),
        ({"history": None}, {"history"}, "positions_visits", "There are no warps"),
        ({"stars": None}, {"positions_sky", "fluxes_sky"}, "positions_plane", "There are no warps"),
        ({"run": ""}, {"warps"}, "coverage", "There is no joint fit; the frames have their own calibrations."),
        ({"missing": ("The file of joint_stars is gone.",)}, set(), "frames", "The file of joint_stars is gone."),
    ],
)
def test_what_is_missing_is_said_and_stops_nothing(
    missing: dict[str, object], gone: set[str], kept: str, said: str
) -> None:
    view = view_of(products(**missing))
    names = {name for name, _ in filter_figures(view)}
    assert not gone & names
    assert kept in names
    assert any(said in remark for remark in view.remarks)


def test_measurements_that_no_fit_used_draw_nothing() -> None:
    some = products().measurements
    assert some is not None
    unused = some.copy()
    unused["astrometry_used"], unused["photometry_used"] = False, False
    names = {name for name, _ in filter_figures(view_of(products(measurements=unused)))}
    assert names == {"zero_points", "frames", "history", "coverage"}


def test_a_fit_without_references_says_so() -> None:
    alone = products().stars
    assert alone is not None
    alone = alone.copy()
    alone["has_reference"] = False
    assert any("No star has a reference" in remark for remark in view_of(products(stars=alone)).remarks)
    assert not any("No star has a reference" in remark for remark in view_of(products()).remarks)


def test_visits_that_the_fit_left_out_are_named() -> None:
    wcs, photo = products().wcs, products().photo_calib
    some = products(
        wcs={v: t for v, t in wcs.items() if v != 2}, photo_calib={v: t for v, t in photo.items() if v != 2}
    )
    assert any("not in the fit: 2." in remark for remark in view_of(some).remarks)


def test_frames_of_a_visit_that_lie_off_the_tract_are_not_listed() -> None:
    far = {2: products().summaries[2].copy()}
    far[2]["wcs"][0] = far[2]["wcs"][0].replace("CRVAL2  =                  2.0", "CRVAL2  =                  3.0")
    assert far[2]["wcs"][0] != products().summaries[2]["wcs"][0]
    some = products(wcs={1: products().wcs[1]}, photo_calib={}, summaries=far)
    assert [frame.name for frame in frame_records(some)] == [
        "visit 1, detector 0",
        "visit 1, detector 1",
        "visit 2, detector 1",
    ]


def test_history_has_chi2_by_step() -> None:
    table = history_table(products())
    assert table is not None
    assert table.rows[1] == ["astrometry: transforms and stars", "2,500.0", "2,500", "1.0000", "8"]


def test_only_summaries_still_make_a_page() -> None:
    bare = FilterProducts(
        physical_filter="r", camera=products().camera, tract=tract(), summaries=products().summaries, failure="no stars"
    )
    section = filter_section(view_of(bare))
    assert section.failure == "no stars"
    assert [figure.caption for figure in section.figures] == [CAPTIONS["coverage"]]
