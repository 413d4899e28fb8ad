"""A tenth of ``bench/accuracy_calibrate.py``: frames from easy to hard come out true within the limits."""

from __future__ import annotations

import numpy as np
import pytest
from accuracy_cases import calibrated_figures

FRAMES = {
    "usual": (31, 32),
    "crowded": (33,),
    "galaxies": (34,),
    "undersampled": (35,),
    "poor seeing": (36,),
    "steep gradients": (37,),
    "vignetting": (38,),
}
"""Case: seeds."""


@pytest.fixture(scope="module")
def found() -> dict[str, list[dict[str, float]]]:
    return {case: [calibrated_figures(case, seed) for seed in seeds] for case, seeds in FRAMES.items()}


@pytest.mark.parametrize("case", FRAMES)
def test_zero_point_is_true(found: dict[str, list[dict[str, float]]], case: str) -> None:
    for row in found[case]:
        assert abs(row["zero_point_mmag"]) < 5.0


def test_zero_points_and_corrections_are_true_in_the_mean(found: dict[str, list[dict[str, float]]]) -> None:
    rows = [row for rows in found.values() for row in rows]
    # Single frames scatter by 2 mmag.
    assert abs(np.mean([row["zero_point_mmag"] for row in rows])) < 2.0
    assert abs(np.mean([row["correction_mmag"] for row in rows])) < 2.0
    assert max(abs(row["correction_mmag"]) for row in rows) < 6.0


@pytest.mark.parametrize("case", FRAMES)
def test_bright_stars_stand_where_they_are(found: dict[str, list[dict[str, float]]], case: str) -> None:
    for row in found[case]:
        if row["n_bright"] >= 4:
            assert row["astrometry_rms_mas"] < 5.0 + 3.0 * row["astrometry_noise_mas"]


def test_errors_are_honest(found: dict[str, list[dict[str, float]]]) -> None:
    rows = [row for rows in found.values() for row in rows if np.isfinite(row["pull_x"])]
    counts = np.array([row["n_pulls"] for row in rows])
    for name in ("pull_x", "pull_y", "pull_psf_flux"):
        width = np.sqrt(np.average(np.array([row[name] for row in rows]) ** 2, weights=counts))
        assert width == pytest.approx(1.0, abs=0.05 + 2.0 / np.sqrt(counts.sum()))


def test_nothing_is_found_where_nothing_is(found: dict[str, list[dict[str, float]]]) -> None:
    rows = [row for rows in found.values() for row in rows]
    assert sum(row["false_share"] * row["n_sources"] for row in rows) < 0.01 * sum(row["n_sources"] for row in rows)


def test_half_of_the_stars_are_found_at_the_depth_of_the_noise(found: dict[str, list[dict[str, float]]]) -> None:
    assert np.nanmean([row["depth_sigma"] for row in found["usual"]]) == pytest.approx(5.0, abs=0.3)
