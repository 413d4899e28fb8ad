"""Solutions of noiseless frames of 551 arcsec: how near they come to a radial distortion about the first pixel."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from lsst.images import Box
from simulated_field import camera, projection

from skyloom.astrometry import AstrometrySettings, fit_tan_sip, from_tangent_plane, solve_astrometry
from skyloom.catalog import separation_arcsec
from skyloom.images.projection import pixel_to_radec, radec_to_pixel

BOX = Box.factory[0:3001, 0:3001]
CENTRE, SCALE = (215.5, 53.0), 5.1e-5 * 3600.0
NONE, RADIAL = (1.0, 0.0), (1.01, 1e-7)
Y, X = (axis.ravel() for axis in np.mgrid[0:3000:31j, 0:3000:31j])


def to_sky(x, y, radial):
    """Positions of a camera that stretches the distance r from pixel (0, 0) to c0 r + c1 r^2; c0 and c1 are given."""
    stretch = radial[0] + radial[1] * np.hypot(x, y)
    return from_tangent_plane(
        -SCALE / 3600.0 * (stretch * x - 1500.0), SCALE / 3600.0 * (stretch * y - 1500.0), *CENTRE
    )


def solved(radial, guess, *, n_stars=300, **settings):
    """The solution of a frame on which four stars are a thousand times too bright."""
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0.0, 3000.0, (2, n_stars))
    ra, dec = to_sky(x, y, radial)
    flux = 1e3 * (rng.pareto(1.0, n_stars) + 1.0)
    measured = np.where(np.arange(n_stars) < 4, 1000.0, 1.0) * flux
    reference = Table({"ra": ra, "dec": dec, "flux": flux})
    return solve_astrometry(x, y, measured, reference, guess, box=BOX, settings=AstrometrySettings(**settings))


def largest_errors(found, radial):
    """Of a projection over the frame: on the sky, arcsec, and in pixels."""
    ra, dec = to_sky(X, Y, radial)
    x, y = radec_to_pixel(found.projection, ra, dec)
    return separation_arcsec(*pixel_to_radec(found.projection, X, Y), ra, dec).max(), np.hypot(x - X, y - Y).max()


@pytest.mark.parametrize("radial", [NONE, RADIAL])
def test_wcs_is_the_true_one_over_the_frame_where_the_distortion_is_known(radial):
    known = fit_tan_sip(X, Y, *to_sky(X, Y, radial), order=7, box=BOX)
    found = solved(radial, projection(known, BOX), n_stars=100, fit="affine")
    on_the_sky, in_pixels = largest_errors(found, radial)
    assert on_the_sky < 0.002
    assert in_pixels < 0.02


@pytest.mark.parametrize("radial", [NONE, RADIAL])
def test_a_fitted_distortion_brings_the_stars_to_their_references(radial):
    found = solved(radial, projection(camera(*CENTRE, SCALE, box=BOX), BOX))
    assert len(found.matches) == 300
    assert found.matches["separation"].max() < 0.0038
    assert np.hypot(found.matches["x_residual"], found.matches["y_residual"]).max() < 0.021
    assert largest_errors(found, radial)[1] < 0.02


@pytest.mark.parametrize(
    "bend",
    [
        lambda x, y: (1.001 * x, y),
        lambda x, y: (x, 1.001 * y),
        lambda x, y: (x + 1e-6 * x**2, y + 1e-6 * y**2),
    ],
    ids=["stretched in x", "stretched in y", "quadratic"],
)
def test_all_183_are_matched_with_their_distances(bend):
    """The pessimistic matcher, on bent positions of stars that stand 0.186 arcsec a pixel."""
    box, rng = Box.factory[0:1000, 0:1000], np.random.default_rng(2)
    truth = camera(36.93064, -4.93956, 5.17e-5 * 3600.0, box=box)
    x, y = rng.uniform(0.0, 990.0, (2, 183))
    ra, dec = truth.to_sky(x, y)
    flux = rng.pareto(1.0, 183) + 1.0
    solution = solve_astrometry(
        *bend(x, y), flux, Table({"ra": ra, "dec": dec, "flux": flux}), projection(truth, box), box=box,
        settings=AstrometrySettings(matcher="pessimistic"),
    )  # fmt: skip
    found = solution.matches
    assert len(found) == 183
    np.testing.assert_array_equal(found["detection"], found["reference"])
    on_the_sky = separation_arcsec(
        *pixel_to_radec(solution.projection, found["x"], found["y"]), found["ra"], found["dec"]
    )
    np.testing.assert_allclose(found["separation"], on_the_sky, rtol=0.0, atol=1e-7)
