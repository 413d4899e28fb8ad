"""Size, ellipticity and peak of the fitted PSF against the truth, over the seeings, a tenth of what the bench does."""

from __future__ import annotations

import numpy as np
import pytest
from psf_scenes import Scene, draw, true_errors

from skyloom.psffit import PsfFitSettings, SelectionSettings, fit_psf, select_psf_stars

BRIGHT = (2000.0, 20000.0)
"""So bright that noise cannot hide what is wrong; stars as they are, and means over frames: `bench/accuracy_psf.py`."""


def mean_errors(scene: Scene, order: int) -> dict[str, float]:
    """Means over all stars of a frame, whose PSF is fitted to those that are selected."""
    drawn = draw(scene)
    table = drawn.field.table
    stars = select_psf_stars(table, SelectionSettings(n_max=500))
    fit = fit_psf(drawn.field.exposure, table, stars, PsfFitSettings(order_max=order))
    errors = true_errors(fit.psf, scene, drawn.field.x[drawn.star], drawn.field.y[drawn.star])
    return {name: float(np.nanmean(values)) for name, values in errors.items()}


@pytest.mark.parametrize(
    ("fwhm", "kolmogorov"), [(1.6, False), (2.0, False), (2.5, True), (4.0, False), (7.0, True)], ids=str
)
def test_size_and_peak_are_true_at_any_seeing(fwhm: float, kolmogorov: bool) -> None:
    extent = int(14 * fwhm * np.sqrt(60))
    scene = Scene(fwhm=fwhm, kolmogorov=kolmogorov, n_stars=60, extent=extent, signal_to_noise=BRIGHT)
    errors = mean_errors(scene, order=0)
    assert abs(errors["size"]) < 1.5e-3
    assert abs(errors["peak"]) < 3e-3
    assert abs(errors["e1"]) < 5e-4
    assert abs(errors["e2"]) < 5e-4


@pytest.mark.parametrize(("order", "n_stars"), [(2, 120), (3, 200)])
def test_steep_gradients_are_followed(order: int, n_stars: int) -> None:
    scene = Scene(
        fwhm=4.0, gradient=0.2, ellipticity=0.1, n_stars=n_stars, extent=int(50 * n_stars**0.5), signal_to_noise=BRIGHT
    )
    errors = mean_errors(scene, order)
    assert abs(errors["size"]) < 1e-3
    assert abs(errors["e1"]) < 6e-4
    assert abs(errors["e2"]) < 6e-4


def test_neighbours_and_galaxies_do_not_widen_it() -> None:
    scene = Scene(n_stars=80, neighbour_fraction=0.3, n_galaxies=50, extent=700, signal_to_noise=(100.0, 2000.0))
    errors = mean_errors(scene, order=0)
    assert abs(errors["size"]) < 3e-3
    assert abs(errors["e1"]) < 1.5e-3
