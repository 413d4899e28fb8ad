"""Warped and coadd PSFs against Gaussians carried through the same map by hand, and against warped stars."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.wcs import WCS
from lsst.images import Box, DetectorFrame, SkyProjection, TractFrame
from lsst.images.psfs import GaussianPointSpreadFunction
from psfs import gaussian_grid

from skyloom.errors import PsfError
from skyloom.images import Exposure
from skyloom.kernels.psf_stamps import stamp_sigmas
from skyloom.psf import CoaddPsf, CoaddPsfComponent, WarpedPsf, psf_sigma, psf_stamps
from skyloom.warp import warp_exposure

PATCH = Box.factory[0:400, 0:500]
INPUT = Box.factory[0:300, 0:350]
SCALE = 0.25 / 3600


def projection(frame: Any, x: float, y: float, scale: float = SCALE, angle_deg: float = 0.0) -> SkyProjection[Any]:
    """TAN about (150, 2) at pixel (x, y), rotated."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    wcs.wcs.crval, wcs.wcs.crpix = [150.0, 2.0], [x + 1, y + 1]
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    wcs.wcs.cd = scale * np.diag([-1.0, 1.0]) @ [[c, -s], [s, c]]
    return SkyProjection.from_fits_wcs(wcs, frame)


def on_detector(detector: int = 1, visit: int = 1, **more: float) -> SkyProjection[Any]:
    frame = DetectorFrame(instrument="x", visit=visit, detector=detector, bbox=INPUT)
    return projection(frame, 170.3, 140.6, **more)


TRACT = projection(TractFrame(skymap="s", tract=0, bbox=PATCH), 250.0, 200.0, scale=0.2 / 3600)


def component(**more: Any) -> CoaddPsfComponent:
    given = {"visit": 1, "detector": 1, "weight": 1.0, "psf": gaussian_grid(4.0, 4.0), "projection": on_detector()}
    return CoaddPsfComponent(**(given | {"bbox": INPUT} | more))


def expected_moments(xx: float, yy: float, angle_deg: float) -> np.ndarray:
    """Second moments on the tract's pixels of a Gaussian on a detector's pixels rotated by ``angle_deg``."""
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    to_tract = 0.25 / 0.2 * np.array([[c, -s], [s, c]])
    return to_tract @ np.diag([xx, yy]) @ to_tract.T


def moments(stamp: np.ndarray) -> np.ndarray:
    """Moments of a Gaussian-like stamp by the fit of a paraboloid to its logarithm near the middle."""
    radius = stamp.shape[0] // 2
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    near = np.hypot(x, y) < 5
    columns = [x**2, 2 * x * y, y**2, x, y, np.ones_like(x)]
    a = np.array([column[near] for column in columns], float).T
    weight = stamp[near]
    xx, xy, yy, *_ = np.linalg.lstsq(a * weight[:, None], weight * np.log(stamp[near]), rcond=None)[0]
    return np.linalg.inv(-2 * np.array([[xx, xy], [xy, yy]]))


@pytest.mark.parametrize("angle_deg", [0.0, 30.0, 180.0])
def test_warped_gaussian_has_the_moments_of_the_map(angle_deg):
    warped = WarpedPsf(gaussian_grid(6.0, 4.0), on_detector(angle_deg=angle_deg), TRACT, PATCH)
    stamps, x0, _ = warped.stamps([240.0, 260.3], [190.0, 215.7], centred=True)
    assert stamps.sum(axis=(1, 2)) == pytest.approx([1.0, 1.0], abs=1e-12)
    assert set(x0) == {-(warped.size // 2)}
    for stamp in stamps:
        assert moments(stamp) == pytest.approx(
            expected_moments(6.0, 4.0, angle_deg), rel=2e-2, abs=5e-2
        )  # Lanczos-3 is not perfect
    assert warped.sigma(240.0, 190.0) == pytest.approx(24**0.25 * 1.25, rel=3e-3)


def lanczos3(d: np.ndarray) -> np.ndarray:
    return np.where(np.abs(d) < 3, np.sinc(d) * np.sinc(d / 3), 0.0)


@pytest.mark.parametrize("angle_deg", [0.0, 25.0])
def test_coadd_psf_is_what_the_warp_of_a_star_gives(angle_deg):
    """A star drawn on the input, then warped pixel by pixel through the exact map with dense Lanczos-3."""
    x, y = 243.37, 207.81
    source = on_detector(angle_deg=angle_deg)
    star_at = source.sky_to_pixel(TRACT.pixel_to_sky(x=x, y=y))
    gy, gx = np.mgrid[0 : INPUT.y.size, 0 : INPUT.x.size]
    sigma = 1.8
    image = np.exp(-0.5 * ((gx - star_at.x) ** 2 + (gy - star_at.y) ** 2) / sigma**2)
    psf = CoaddPsf([component(psf=GaussianPointSpreadFunction(sigma, INPUT, 25), projection=source)], TRACT, PATCH)
    stamps, x0, y0 = psf.stamps(x, y)
    oy, ox = np.mgrid[y0[0] : y0[0] + psf.size, x0[0] : x0[0] + psf.size]
    at = source.sky_to_pixel(TRACT.pixel_to_sky(x=ox, y=oy))
    warped = np.empty(ox.shape)
    for index in np.ndindex(ox.shape):
        wx = lanczos3(np.arange(INPUT.x.size) - at.x[index])
        wy = lanczos3(np.arange(INPUT.y.size) - at.y[index])
        warped[index] = (wy / wy.sum()) @ image @ (wx / wx.sum())
    warped /= warped.sum()
    assert np.abs(stamps[0] - warped).max() < 1e-5 * warped.max()
    assert stamp_sigmas(stamps)[0] == pytest.approx(stamp_sigmas(warped[None])[0], rel=1e-5)


def test_coadd_psf_is_what_our_warp_gives():
    x, y, sigma = 243.37, 207.81, 1.8
    source = on_detector(angle_deg=25.0)
    star_at = source.sky_to_pixel(TRACT.pixel_to_sky(x=x, y=y))
    gy, gx = np.mgrid[0 : INPUT.y.size, 0 : INPUT.x.size]
    image = 1e4 * np.exp(-0.5 * ((gx - star_at.x) ** 2 + (gy - star_at.y) ** 2) / sigma**2)
    frame = Exposure.from_arrays(image, None, np.ones(image.shape), unit=u.nJy, projection=source)
    psf = CoaddPsf([component(psf=GaussianPointSpreadFunction(sigma, INPUT, 25), projection=source)], TRACT, PATCH)
    model = psf.compute_stellar_image(x=x, y=y)
    warped = warp_exposure(frame, PATCH, TRACT).image[model.bbox].array.astype(float)
    assert np.abs(warped / warped.sum() - model.array).max() < 1e-5 * model.array.max()


def test_weighted_mean_of_the_inputs():
    narrow, wide = (
        component(psf=gaussian_grid(3.0, 3.0), weight=3.0),
        component(visit=2, psf=gaussian_grid(9.0, 9.0), weight=1.0, projection=on_detector(visit=2)),
    )
    alone = [CoaddPsf([part], TRACT, PATCH) for part in (narrow, wide)]
    both = CoaddPsf([wide, narrow], TRACT, PATCH)
    expected = 0.75 * alone[0].stamps(250.0, 200.0)[0] + 0.25 * alone[1].stamps(250.0, 200.0)[0]
    assert np.abs(both.stamps(250.0, 200.0)[0] - expected).max() < 1e-15
    assert [part.visit for part in both.components] == [1, 2]
    again = CoaddPsf.combine([(alone[0], 1.0), (alone[1], 1.0)])
    assert again == both
    assert CoaddPsf.combine([(alone[0], 2.0)]).components[0].weight == 6.0


class LeftHalf:
    def contains(self, x, y):
        return np.asarray(x) < 170.0


def test_only_inputs_with_a_pixel_there_contribute():
    narrow = component(psf=gaussian_grid(3.0, 3.0), valid=LeftHalf())
    wide = component(visit=2, psf=gaussian_grid(9.0, 9.0))
    psf = CoaddPsf([narrow, wide], TRACT, PATCH)
    assert list(psf.n_inputs([200.0, 300.0, 2.0], [200.0, 200.0, 2.0])) == [2, 1, 0]
    only_wide = CoaddPsf([wide], TRACT, PATCH)
    assert np.array_equal(psf.stamps(300.0, 200.0)[0], only_wide.stamps(300.0, 200.0)[0])
    assert psf.sigma(200.0, 200.0) < psf.sigma(300.0, 200.0)


def test_where_no_input_has_a_pixel_there_is_no_function():
    psf = CoaddPsf([component(valid=LeftHalf())], TRACT, PATCH)
    known, unknown = psf.stamps([200.0, 2.0], [200.0, 2.0])[0]
    assert np.array_equal(known, psf.stamps(200.0, 200.0)[0][0])
    assert np.isnan(unknown).all()
    for image in (psf.compute_kernel_image, psf.compute_stellar_image, psf.sigma):
        with pytest.raises(PsfError, match=r"no input of the coadd covers x = 2\.0, y = 2\.0"):
            image(x=2.0, y=2.0)


def test_width_is_told_where_the_middle_of_the_patch_is_empty():
    """LeftHalf ends at pixel 170 of the detector: the middle of a patch that is wider to the right has no input."""
    wide_patch = Box.factory[0:400, 0:1000]
    psf = CoaddPsf([component(valid=LeftHalf())], TRACT, wide_patch)
    assert psf.n_inputs(499.5, 199.5)[0] == 0
    x, y = psf.typical_position()
    assert psf.n_inputs(x, y)[0] == 1
    assert psf_sigma(psf) == psf.sigma(x, y)
    covered = CoaddPsf([component()], TRACT, PATCH)
    assert covered.typical_position() == (249.5, 199.5)


def test_images_follow_the_interface():
    psf = CoaddPsf([component()], TRACT, PATCH)
    image = psf.compute_stellar_image(x=240.5, y=190.2)
    assert image.bbox == psf.compute_stellar_bbox(x=240.5, y=190.2)
    assert psf.compute_kernel_image(x=240.5, y=190.2).bbox == psf.kernel_bbox
    assert psf.bounds == PATCH
    stamps, x0, y0 = psf_stamps(psf, [240.5], [190.2])
    assert np.array_equal(stamps[0], image.array)
    assert (x0[0], y0[0]) == (image.bbox.x.start, image.bbox.y.start)
    assert stamp_sigmas(psf.stamps(240.5, 190.2, centred=True)[0])[0] == psf.sigma(240.5, 190.2)


def test_a_coadd_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one input"):
        CoaddPsf([], TRACT, PATCH)
    with pytest.raises(ValueError, match=r"weight of visit 1, detector 1 is 0\.0"):
        component(weight=0.0)
