"""A simulated MegaCam CCD with every effect, against truth: no real pixels of MegaCam are at hand."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from every_effect import DETECTOR, LEVELS, PLAIN, SETTINGS, EveryEffect, camera_of, figures, header, make_every_effect

from skyloom.images import Exposure, RawExposure
from skyloom.simulate import Mosaic
from skyloom.simulate.charge import brighter_fatter_kernel
from skyloom.simulate.readout import expose
from skyloom.simulate.signature import make_signature
from skyloom.tasks.isr import IsrConfig, IsrTask


@pytest.fixture(scope="module")
def truth() -> EveryEffect:
    return make_every_effect(rows=1160)


@pytest.fixture(scope="module")
def config() -> IsrConfig:
    config = IsrConfig()
    config.doCrosstalk = config.doBrighterFatter = True
    config.doFluxConservingBrighterFatterCorrection = True
    config.overscan.fitType = "MEDIAN_PER_ROW"
    return config


@pytest.fixture(scope="module")
def exposure(truth: EveryEffect, config: IsrConfig) -> Exposure:
    return IsrTask(config=config).run(truth.raw, camera=truth.camera, **truth.calibrations).exposure


@pytest.fixture(scope="module")
def left(truth: EveryEffect, exposure: Exposure) -> dict[str, float]:
    return figures(truth, exposure)


def test_levels(left: dict[str, float]) -> None:
    for name in "AB":
        assert abs(left[f"overscan residual {name} (ADU)"]) < 0.05


def test_fringes(left: dict[str, float]) -> None:
    assert left["fringe suppression"] > 20


def test_linearity(left: dict[str, float]) -> None:
    for level in LEVELS:
        assert abs(left[f"linearity at {level:.0%} of full well (%)"]) < 0.1


def test_crosstalk(left: dict[str, float]) -> None:
    assert abs(left["crosstalk over its source"]) < 1e-5


def test_errors(left: dict[str, float]) -> None:
    assert left["width of residuals over their errors"] == pytest.approx(1.0, abs=0.02)


def test_each_correction_is_needed(truth: EveryEffect, config: IsrConfig) -> None:
    """Without the corrections each figure misses its limit, so that the limits mean something."""
    bare = IsrConfig()
    bare.doLinearize = bare.doFringe = False
    bare.overscan.fitType = "MEDIAN"
    kept = {name: truth.calibrations[name] for name in ("bias", "dark", "flat", "defects")}
    left = figures(truth, IsrTask(config=bare).run(truth.raw, camera=truth.camera, **kept).exposure)
    assert left["fringe suppression"] < 1.2
    assert abs(left["linearity at 90% of full well (%)"]) > 1
    assert left["crosstalk over its source"] > 1e-4
    assert left["width of residuals over their errors"] > 1.1


def test_round_trips(truth: EveryEffect, config: IsrConfig, exposure: Exposure) -> None:
    exposure = exposure.copy()
    before = exposure.image.array.copy()
    dark, flat = truth.calibrations["dark"], truth.calibrations["flat"]
    with IsrTask(config=config).flatContext(exposure, flat, dark):
        assert np.nanmax(np.abs(exposure.image.array / before - 1)) > 0.05
    np.testing.assert_allclose(exposure.image.array, before, rtol=1e-4)


def test_variance_grows_with_the_light_again() -> None:
    """Brighter pixels repel charge, and noise is smoothed: variance over mean falls with the mean until corrected."""
    before, after = (variance_slope(corrected=corrected) for corrected in (False, True))
    assert before < -1e-7
    assert abs(after) < 0.1 * abs(before)


def variance_slope(*, corrected: bool) -> float:
    """Change of variance over mean with the mean (1 / electron), from pairs of flats."""
    config = IsrConfig()
    config.doDark = config.doFlat = config.doDefect = config.doBias = False
    config.doBrighterFatter = corrected
    config.doFluxConservingBrighterFatterCorrection = True
    camera, means, ratios = camera_of(700), [], []
    kernel = -brighter_fatter_kernel(SETTINGS.brighter_fatter) if corrected else None
    task = IsrTask(config=config)
    for images in pairs_of_flats():
        pair = []
        for image in images:
            raw = camera.complete(RawExposure(image=image.copy(), header=header(), file="flat"), detector_id=DETECTOR)
            pair.append(task.run(raw, camera=camera, bfKernel=kernel).exposure.image.array[20:-20, 20:-20])
        means.append(np.mean(pair))
        ratios.append(np.var(pair[0] - pair[1], dtype=float) / 2 / means[-1])
    return float(np.polyfit(means, ratios, 1)[0])


@cache
def pairs_of_flats() -> list[list[np.ndarray]]:
    """Raw images of two flats at each of three levels."""
    mosaic, random = Mosaic.of(camera_of(700)), np.random.default_rng(2)
    settings = replace(PLAIN, brighter_fatter=SETTINGS.brighter_fatter)
    ccd = mosaic.ccds[DETECTOR]
    signature = make_signature(settings, 1, mosaic, ccd, "i")
    return [
        [expose(np.full(ccd.shape, level), ccd, signature, settings, random, seconds=0.0).raw for _ in range(2)]
        for level in (10_000.0, 35_000.0, 70_000.0)
    ]
