"""The task that matches PSFs: its configuration, what it tells of detectors that were left out, how it fails."""

from __future__ import annotations

import logging

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from astropy.wcs import WCS
from lsst.images import Box, SkyProjection, TractFrame
from lsst.images.psfs import GaussianPointSpreadFunction
from lsst.pex.config import FieldValidationError

from skyloom.errors import PsfError
from skyloom.images import Exposure
from skyloom.psf import CoaddPsf, CoaddPsfComponent, psf_sigma
from skyloom.tasks import MakePsfMatchedWarpTask
from skyloom.warp import PsfMatchSettings

BOX = Box.factory[0:80, 0:160]


def tract() -> SkyProjection:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cd = [150.0, 2.0], [80.0, 40.0], np.diag([-0.25, 0.25]) / 3600
    return SkyProjection.from_fits_wcs(wcs, TractFrame(skymap="s", tract=0, bbox=BOX))


def warp(sigmas: tuple[float, float]) -> Exposure:
    """Two detectors side by side that lie on the pixels of the tract."""
    projection = tract()
    parts = [
        CoaddPsfComponent(
            visit=1,
            detector=n,
            weight=1.0,
            psf=GaussianPointSpreadFunction(sigma, BOX, 25),
            projection=projection,
            bbox=Box.factory[0:80, 80 * n : 80 * n + 80],
        )
        for n, sigma in enumerate(sigmas)
    ]
    return Exposure.from_arrays(
        np.ones(BOX.shape),
        variance=np.ones(BOX.shape),
        unit=u.nJy,
        projection=projection,
        psf=CoaddPsf(parts, projection, BOX),
        inputs=Table({"visit": [1, 1], "detector": [0, 1], "weight": [1.0, 1.0], "n_pixels": [6400, 6400]}),
    )


def task(fwhm: float) -> MakePsfMatchedWarpTask:
    config = MakePsfMatchedWarpTask.ConfigClass()
    config.model.fwhm = fwhm
    config.match.spatial_order = 0
    return MakePsfMatchedWarpTask(config=config)


def test_configuration_is_that_of_the_algorithm() -> None:
    config = MakePsfMatchedWarpTask.ConfigClass()
    assert config.settings() == PsfMatchSettings()
    config.model.fwhm = 6.0
    config.match.basis = "gaussians"
    assert (config.settings().model.fwhm, config.settings().basis) == (6.0, "gaussians")
    config.match.kernel_size = 20
    with pytest.raises(FieldValidationError, match="must be odd"):
        config.validate()


def test_detector_that_was_left_out_is_told(caplog: pytest.LogCaptureFixture) -> None:
    matching = task(5.0)
    with caplog.at_level(logging.WARNING):
        matched = matching.run(warp((1.5, 3.0))).matched_warp
    assert "detector 1 is left out" in caplog.text
    assert "at least" in caplog.text
    assert psf_sigma(matched.psf) == pytest.approx(5.0 / 2.3548, rel=1e-3)
    assert list(matched.inputs["detector"]) == [0]
    np.testing.assert_allclose(matched.image.array[20:60, 20:60], 1.0, rtol=1e-5)
    assert np.isnan(matched.image.array[:, 80:]).all()
    assert matching.metadata.getArray("detectors") == [0]
    assert matching.metadata.getArray("detectors_left_out") == [1]


def test_visit_broader_than_the_model_fails() -> None:
    with pytest.raises(PsfError, match="cannot be turned into the model"):
        task(5.0).run(warp((3.0, 3.1)))
