"""What is plotted of a frame before and after signature removal is what the frame holds."""

from __future__ import annotations

import numpy as np
import pytest
from mirrored_camera import LEVELS, LIGHT, MIRRORED, raw_counts

from skyloom.images import RawExposure, bitmask
from skyloom.instruments import Camera
from skyloom.isr import AmplifierLayout, IsrSettings, OverscanSettings, layout_of, read_out
from skyloom.report.isr_profiles import (
    group_means,
    in_electrons,
    line_medians,
    overscan_profile,
    plane_counts,
    stretch_of,
)

ROWS = np.arange(30)


@pytest.fixture(scope="module")
def layouts() -> dict[str, AmplifierLayout]:
    detector = Camera.from_yaml(MIRRORED).detector(0)
    return {layout.name: layout for layout in layout_of(detector, (30, 40), "frame")}


@pytest.mark.parametrize("method", ["MEDIAN_PER_ROW", "POLY"])
def test_the_profile_has_the_true_levels_of_every_row(layouts: dict[str, AmplifierLayout], method: str) -> None:
    settings = OverscanSettings(method=method, order=1, skip_leading=1)  # type: ignore[arg-type]
    for name, layout in layouts.items():
        profile = overscan_profile(raw_counts(), layout, settings)
        assert profile is not None
        assert profile.name == name
        np.testing.assert_array_equal(profile.rows, ROWS)
        # The hit of 400 ADU in one row, 57 in the mean of seven columns, is in neither.
        np.testing.assert_allclose(profile.means, LEVELS[name], atol=1e-4)
        np.testing.assert_allclose(profile.levels, LEVELS[name], atol=1e-4)
        np.testing.assert_allclose(profile.residuals, 0.0, atol=1e-4)
        assert profile.noise == pytest.approx(0.0, abs=1e-4)


def test_columns_are_counted_from_the_data_on_either_side(layouts: dict[str, AmplifierLayout]) -> None:
    settings = OverscanSettings(skip_leading=1, skip_trailing=2)
    for name, late in (("A", 3.0), ("B", 0.0)):
        profile = overscan_profile(raw_counts(), layouts[name], settings)
        assert profile is not None
        order = np.argsort(profile.columns)
        np.testing.assert_array_equal(profile.columns[order], np.arange(1, 9))
        np.testing.assert_array_equal(profile.counted[order], [False] + 5 * [True] + 2 * [False])
        np.testing.assert_allclose(profile.column_residuals[order], [late] + 7 * [0.0], atol=1e-4)


def test_a_level_that_does_not_follow_leaves_what_it_misses(layouts: dict[str, AmplifierLayout]) -> None:
    profile = overscan_profile(raw_counts(), layouts["B"], OverscanSettings(method="MEAN", max_deviation_adu=100.0))
    assert profile is not None
    # The hit does not count, and with it goes 1/240 of its row.
    np.testing.assert_allclose(profile.levels, LEVELS["B"].mean(), atol=0.01)
    np.testing.assert_allclose(profile.residuals, LEVELS["B"] - LEVELS["B"].mean(), atol=0.01)
    places, means = group_means(profile.rows, profile.residuals, 3)
    np.testing.assert_allclose(places, [4.5, 14.5, 24.5])
    np.testing.assert_allclose(means, [2.5, 0.0, -2.5], atol=0.01)


def test_no_overscan_no_profile(layouts: dict[str, AmplifierLayout]) -> None:
    assert overscan_profile(raw_counts(), layouts["A"], OverscanSettings(method="NONE")) is None


def test_medians_before_are_in_electrons_and_leave_masked_pixels_out() -> None:
    camera = Camera.from_yaml(MIRRORED)
    raw = RawExposure(image=raw_counts(), header=None, file="frame", detector=camera.detector(0))  # type: ignore[arg-type]
    amplifiers = layout_of(camera.detector(0), (30, 40), "frame")
    before = read_out(raw, amplifiers, (30, 24), IsrSettings(), pedestals_adu=None, metadata={}).image
    bits = np.zeros((30, 24), np.int32)
    before[:, 4] += 500.0
    bits[:, 4] = bitmask("BAD")
    before[3, 1:] += 100.0
    bits[3, 1:] = bitmask("SAT")
    bits[5, 5] = bitmask("SUSPECT")
    medians = line_medians(in_electrons(before, amplifiers), bits)
    np.testing.assert_allclose(medians.rows, LIGHT, atol=1e-3)
    np.testing.assert_allclose(np.delete(medians.columns, 4), LIGHT, atol=1e-3)
    assert np.isnan(medians.columns[4])


def test_counts_are_those_of_the_planes() -> None:
    bits = np.zeros((5, 6), np.int32)
    bits[0] = bitmask("SAT", "INTRP")
    bits[1, 2] = bitmask("BAD")
    assert plane_counts(bits) == {"BAD": 1, "SAT": 6, "INTRP": 6}


def test_the_stretch_follows_the_noise_of_the_binned_background() -> None:
    image = np.random.default_rng(5).normal(1000.0, 20.0, (400, 300)).astype(np.float32)
    bits = np.zeros(image.shape, np.int32)
    image[10:20, 10:20], bits[10:20, 10:20] = 6e4, bitmask("SAT")
    assert stretch_of(image, bits, 4) == pytest.approx(4 * 20.0 / 4, rel=0.05)
    assert stretch_of(np.full((8, 8), 3.0, np.float32), np.zeros((8, 8), np.int32), 2) == 1.0
