"""The tasks that make masters from frames of the sky: their settings, and what they hand on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fixtures import quadrants
from skyloom.calibs import CrosstalkMasterSettings, FringeMasterSettings, MasterSettings, SkyFlatSettings
from skyloom.isr import crosstalk_from_data
from skyloom.tasks import MakeCrosstalkTask, MakeFringeTask, MakeSkyFlatTask


@pytest.mark.parametrize(
    ("task", "settings"),
    [
        (MakeCrosstalkTask, CrosstalkMasterSettings()),
        (MakeFringeTask, FringeMasterSettings()),
        (MakeSkyFlatTask, SkyFlatSettings()),
    ],
)
def test_settings_default_to_those_of_the_algorithm(task: type, settings: MasterSettings) -> None:
    assert task.ConfigClass().settings() == settings  # type: ignore[attr-defined]


def test_settings_reach_the_algorithm() -> None:
    fringe = MakeFringeTask.ConfigClass()
    fringe.positions, fringe.smoothing, fringe.source_sigma = 777, 1.0, 6.0
    settings = fringe.settings()
    assert (settings.fringes.positions, settings.smoothing, settings.source_sigma) == (777, 1.0, 6.0)
    crosstalk = MakeCrosstalkTask.ConfigClass()
    crosstalk.source_adu, crosstalk.minimum_frames = 123.0, 2
    assert (crosstalk.settings().source_adu, crosstalk.settings().minimum_frames) == (123.0, 2)


def test_crosstalk_is_handed_on_as_plain_data(tmp_path: Path) -> None:
    camera = quadrants.camera(tmp_path)
    fields = [quadrants.star_field(np.random.default_rng([3, n]), 200, beta=30.0) for n in range(3)]
    frames = [quadrants.raw_frame(camera, quadrants.with_crosstalk(field), n) for n, field in enumerate(fields)]
    task = MakeCrosstalkTask(config=MakeCrosstalkTask.ConfigClass())
    matrix = crosstalk_from_data(task.run(quadrants.ready(frames)).crosstalk)
    assert matrix.sources == quadrants.NAMES
    large = np.abs(quadrants.RATIOS) > 6e-5
    np.testing.assert_allclose(matrix.ratios()[large], quadrants.RATIOS[large], atol=1e-6)
    assert task.metadata.getArray("frames") == ["0", "1", "2"]
    assert task.metadata["largest_coefficient"] == pytest.approx(1e-3, rel=1e-3)


def test_a_sky_flat_is_handed_on(tmp_path: Path) -> None:
    camera = quadrants.camera(tmp_path)
    response = 1.0 + 0.1 * (np.arange(2 * quadrants.SIDE) % 2)
    light = [quadrants.star_field(np.random.default_rng(n), 60, sky=1000.0) for n in range(3)]
    frames = [quadrants.exposed(camera, one * response, n) for n, one in enumerate(light)]
    config = MakeSkyFlatTask.ConfigClass()
    config.sky_bin = 128
    task = MakeSkyFlatTask(config=config)
    flat = task.run(quadrants.ready(frames), quadrants.perfect_bias()).flat.image.array
    assert np.median(flat[:, 1::2]) / np.median(flat[:, ::2]) == pytest.approx(1.1, abs=2e-3)
    assert task.metadata["level_electrons"] == pytest.approx(1050 * 1.08, rel=0.05)
