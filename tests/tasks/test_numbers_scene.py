"""The scene of six stars, with the cuts that leave three of them to the PSF and four to the list of stars."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lsst.pipe.base import Struct
from test_calibrate_scene import FLUX_OF_ONE, IDS, NJY, SIGMA, SKY, STARS, Scene, make_config, make_scene, nearest

from skyloom.errors import PhotometryError
from skyloom.tasks import CalibrateImageTask

BRIGHT = STARS[3:]
"""The stars of a signal-to-noise ratio above 50."""


@pytest.fixture(scope="module")
def scene() -> Scene:
    return make_scene()


@pytest.fixture(scope="module")
def calibrated(scene: Scene) -> Any:
    config = make_config()
    config.psf_measure_psf.star_selector.signal_to_noise_floor = 50.0
    # In a circle of 12 px the star of 12 sigma is lost in the noise.
    config.star_selector.flux = "tophat_flux"
    task = CalibrateImageTask(config=config)
    return task.run(exposures=scene.exposure.copy(), id_generator=IDS, astrometry_loader=scene.loader)


def test_three_stars_make_the_psf(calibrated: Any) -> None:
    for table in (calibrated.psf_stars, calibrated.sources, calibrated.stars):
        used = table[np.asarray(table["calib_psf_used"])]
        assert sorted(np.rint(used["x"])) == [50, 92, 175]
    assert calibrated.output_exposure.summary.nPsfStar == 3
    assert calibrated.output_exposure.summary.psfSigma == pytest.approx(SIGMA, rel=0.01)


def test_there_are_four_stars_and_two_places_of_sky(calibrated: Any) -> None:
    stars = calibrated.stars[np.argsort(calibrated.stars["psf_flux"])]
    assert len(stars) == 6
    assert stars["flag_sky_source"].tolist() == [True, True, False, False, False, False]
    assert np.rint(stars["x"][2:]).tolist() == [100, 50, 92, 175]
    for name in ("calib_psf_candidate", "calib_psf_used"):
        assert stars[name].tolist() == [False, False, False, True, True, True]
    assert not stars["calib_psf_reserved"].any()


def test_bright_stars_have_their_places_and_fluxes(calibrated: Any) -> None:
    # A draw of the noise, which is 0.7 % of the faintest of the three.
    for table in (calibrated.psf_stars, calibrated.stars):
        for significance, x, y in BRIGHT:
            row = nearest(table, x, y)
            assert (row["x"], row["y"]) == pytest.approx((x, y), rel=0.01)
            assert row["psf_flux"] == pytest.approx(significance * FLUX_OF_ONE, rel=0.01)


def test_pixels_and_sky_together_are_what_was_observed(calibrated: Any, scene: Scene) -> None:
    frame = calibrated.output_exposure
    restored = (frame.image.array + calibrated.background["sky"].field.render(frame.bbox).array) / NJY
    np.testing.assert_allclose(restored, scene.exposure.image.array, rtol=0.01)
    assert frame.summary.skyBg == pytest.approx(SKY, rel=1e-3)


def test_figures_of_a_failure_are_on_the_exposure_and_the_catalogues(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise PhotometryError("100 stars.", n_stars=100, ndof=101)

    monkeypatch.setattr("skyloom.calibrate.recipe.correct_fluxes", fail)
    result = Struct()
    with pytest.raises(PhotometryError):
        CalibrateImageTask(config=make_config()).run(
            exposures=scene.exposure.copy(), astrometry_loader=scene.loader, result=result
        )
    holders = (result.output_exposure.metadata, result.psf_stars.meta, result.sources.meta, result.stars.meta)
    assert [holder["failure_ndof"] for holder in holders] == [101] * 4
    assert result.applied_photo_calib is None
