"""Piff's own fit, by the same call, in the same form, and as near to the truth."""

from __future__ import annotations

import numpy as np
import pytest
from psf_scenes import Scene, draw, true_errors

from skyloom.errors import PsfError
from skyloom.psf import PixelGridPsf
from skyloom.psffit import PsfFitSettings, PsfPiffSettings, fit_psf, fit_psf_with_piff

SCENE = Scene(fwhm=2.6, n_stars=14, extent=200, signal_to_noise=(300.0, 3000.0), seed=3)
SETTINGS = PsfPiffSettings(size=15, order=1, max_iterations=5)


def test_piff_finds_the_psf_that_we_find() -> None:
    drawn = draw(SCENE)
    x, y = drawn.field.x, drawn.field.y
    fit = fit_psf_with_piff(drawn.field.exposure, drawn.field.table, drawn.star, SETTINGS)
    assert isinstance(fit.psf, PixelGridPsf)
    assert fit.order == 1
    assert fit.used.sum() >= 10
    assert fit.psf.size == 15
    assert PixelGridPsf.from_piff(fit.psf.to_piff()) == fit.psf
    theirs = true_errors(fit.psf, SCENE, x, y)
    own = PsfFitSettings(size=15, order_max=1, oversampling=1)
    ours = true_errors(fit_psf(drawn.field.exposure, drawn.field.table, drawn.star, own).psf, SCENE, x, y)
    assert abs(np.mean(theirs["size"])) < 0.01
    assert abs(np.mean(theirs["size"]) - np.mean(ours["size"])) < 0.01
    assert abs(fit.fitted.size_median) < 0.01
    assert np.isfinite(fit.chi2[fit.used]).all()


def test_too_few_stars_are_counted() -> None:
    drawn = draw(SCENE)
    two = drawn.star & (np.cumsum(drawn.star) <= 2)
    with pytest.raises(PsfError, match="Only 2 of 2"):
        fit_psf_with_piff(drawn.field.exposure, drawn.field.table, two, SETTINGS)
