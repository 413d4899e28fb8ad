"""What a coadd's PSF knows of its inputs: who contributes where, positions, aperture corrections."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.images import Polygon
from lsst.images.fields import ChebyshevField
from psfs import gaussian_grid
from test_coadd_psf import INPUT, PATCH, TRACT, LeftHalf, component, on_detector

from skyloom.errors import NoOverlapError
from skyloom.psf import CoaddPsf, coadd_aperture_corrections

TRIANGLE = Polygon(x_vertices=[0.0, 349.0, 0.0], y_vertices=[0.0, 0.0, 299.0])


def field(value: float, slope: float = 0.0) -> ChebyshevField:
    return ChebyshevField(INPUT, np.array([[value, slope]]))


def on_frame(x: float, y: float) -> tuple[float, float]:
    at = on_detector().sky_to_pixel(TRACT.pixel_to_sky(x=x, y=y))
    return float(at.x), float(at.y)


def test_inputs_at_a_position() -> None:
    psf = CoaddPsf([component(visit=2), component(visit=1, valid=LeftHalf())], TRACT, PATCH)
    assert [part.visit for part in psf.inputs_at(200.0, 200.0)] == [1, 2]
    assert [part.visit for part in psf.inputs_at(300.0, 200.0)] == [2]
    assert psf.inputs_at(2.0, 2.0) == ()


def test_polygon_bounds_what_contributes() -> None:
    psf = CoaddPsf([component(valid=TRIANGLE)], TRACT, PATCH)
    x, y = np.meshgrid(np.arange(5.0, 495, 21), np.arange(5.0, 395, 21))
    at = on_detector().sky_to_pixel(TRACT.pixel_to_sky(x=x.ravel(), y=y.ravel()))
    u, v = np.asarray(at.x), np.asarray(at.y)
    expected = (u > 0) & (v > 0) & (u / 349 + v / 299 < 1)
    np.testing.assert_array_equal(psf.n_inputs(x.ravel(), y.ravel()) == 1, expected)
    assert 50 < expected.sum() < x.size


def test_first_detector_counts_where_two_of_a_visit_overlap() -> None:
    first = component(detector=1, psf=gaussian_grid(3.0, 3.0), valid=LeftHalf())
    second = component(detector=2, psf=gaussian_grid(9.0, 9.0))
    psf = CoaddPsf([second, first], TRACT, PATCH)
    assert list(psf.n_inputs([200.0, 300.0], [200.0, 200.0])) == [1, 1]
    alone = [CoaddPsf([part], TRACT, PATCH).stamps([200.0, 300.0], [200.0, 200.0])[0] for part in (first, second)]
    both = psf.stamps([200.0, 300.0], [200.0, 200.0])[0]
    assert np.array_equal(both[0], alone[0][0])
    assert np.array_equal(both[1], alone[1][1])


def test_average_position_follows_the_weights_and_avoids_holes() -> None:
    whole = CoaddPsf([component()], TRACT, PATCH)
    x, y = whole.average_position()
    centre = TRACT.sky_to_pixel(on_detector().pixel_to_sky(x=174.5, y=149.5))
    assert (x, y) == (pytest.approx(float(centre.x), abs=4), pytest.approx(float(centre.y), abs=4))
    left = component(visit=2, valid=LeftHalf(), weight=9.0)
    assert CoaddPsf([component(), left], TRACT, PATCH).average_position()[0] < x - 30

    class Rim:
        def contains(self, *, x: np.ndarray, y: np.ndarray) -> np.ndarray:
            return np.hypot(x - 174.5, y - 149.5) > 120

    hollow = CoaddPsf([component(valid=Rim())], TRACT, PATCH)
    x, y = hollow.average_position()
    assert hollow.n_inputs(x, y)[0] == 1


def test_aperture_corrections_are_the_weighted_mean_of_the_inputs() -> None:
    first = component(weight=3.0, aperture_corrections={"psf_flux": field(1.05, 0.02), "kron_flux": field(1.2)})
    second = component(visit=2, valid=LeftHalf(), aperture_corrections={"psf_flux": field(1.01)})
    corrections = coadd_aperture_corrections(CoaddPsf([first, second], TRACT, PATCH))
    assert list(corrections) == ["kron_flux", "psf_flux"]
    slope = [0.02 * (2 * (on_frame(x, 200.0)[0] + 0.5) / 350 - 1) for x in (200.0, 300.0)]
    expected = [(3 * (1.05 + slope[0]) + 1.01) / 4, 1.05 + slope[1]]
    np.testing.assert_allclose(corrections["psf_flux"](x=[200.0, 300.0], y=[200.0, 200.0]), expected, rtol=1e-4)
    np.testing.assert_allclose(corrections["kron_flux"](x=[200.0], y=[200.0]), [1.2], rtol=1e-12)
    assert corrections["psf_flux"].bounds == PATCH
    with pytest.raises(NoOverlapError, match="psf_flux"):
        corrections["psf_flux"](x=[2.0], y=[2.0])
    filled = coadd_aperture_corrections(CoaddPsf([first], TRACT, PATCH), default=1.0)
    np.testing.assert_array_equal(filled["psf_flux"](x=[2.0], y=[2.0]), [1.0])


def test_input_on_the_pixels_of_the_coadd_is_not_resampled() -> None:
    """As of a matched warp: at any fraction of a pixel its function is what it is."""
    own = gaussian_grid(4.0, 4.0, box=PATCH)
    part = component(psf=own, projection=TRACT, bbox=PATCH)
    wide = component(visit=2, psf=gaussian_grid(9.0, 9.0, size=41))
    x, y = [200.5, 210.3], [190.5, 201.9]
    for centred in (False, True):
        np.testing.assert_array_equal(
            CoaddPsf([part], TRACT, PATCH).stamps(x, y, centred=centred)[0], own.stamps(x, y, centred=centred)[0]
        )
    both = CoaddPsf([part, wide], TRACT, PATCH)
    margin = (both.size - 25) // 2
    expected = 0.5 * CoaddPsf([wide], TRACT, PATCH).stamps(x, y)[0]
    expected[:, margin:-margin, margin:-margin] += 0.5 * own.stamps(x, y)[0]
    np.testing.assert_allclose(both.stamps(x, y)[0], expected, atol=1e-15)
