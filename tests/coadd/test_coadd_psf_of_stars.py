"""Stars in a coadd of dithered, turned frames with PSFs of their own, against the coadd's PSF."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.wcs import WCS
from lsst.images import Box, DetectorFrame, SkyProjection, TractFrame

from skyloom.coadd import CoaddSettings, ExposureHandle, Statistic, assemble_coadd, prepare_inputs
from skyloom.images import Exposure
from skyloom.psf import CoaddPsf, ModelPsfSettings, PixelGridPsf, psf_stamps
from skyloom.warp import PsfMatchSettings, VisitWarp, WarpSettings, map_positions, match_visit_warp

PATCH = Box.factory[0:300, 0:300]
FRAME = Box.factory[0:280, 0:260]
FLUX = 1e5
STARS_X, STARS_Y = (grid.ravel() for grid in np.meshgrid([95.4, 150.8, 205.1], [98.3, 149.7, 199.6]))
POINTINGS = ((130.0, 140.0, 0.4, 3.2), (138.3, 131.2, 7.0, 3.9), (121.8, 150.6, 183.0, 4.4), (131.1, 139.7, 91.5, 3.6))
"""Reference pixel (x, y), rotation (degrees) and FWHM (px) of each visit."""


def projection(frame: object, x: float, y: float, angle_deg: float = 0.0) -> SkyProjection:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    wcs.wcs.crval, wcs.wcs.crpix = [150.0, 2.0], [x + 1, y + 1]
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    wcs.wcs.cd = 0.2 / 3600 * np.diag([-1.0, 1.0]) @ [[c, -s], [s, c]]
    return SkyProjection.from_fits_wcs(wcs, frame)


TRACT = projection(TractFrame(skymap="s", tract=0, bbox=PATCH), 150.0, 150.0)


def psf_of(fwhm: float) -> PixelGridPsf:
    """A Moffat profile whose width and ellipticity change over the frame."""
    y, x = np.mgrid[-12:13, -12:13].astype(float)

    def stamp(width: float, e1: float, e2: float) -> np.ndarray:
        scale = 0.5 * width / np.sqrt(2 ** (1 / 3.0) - 1)
        profile = (1 + ((1 + e1) * x**2 + (1 - e1) * y**2 + 2 * e2 * x * y) / scale**2) ** -3.0
        return np.asarray(profile / profile.sum())

    first = stamp(fwhm, 0.06, 0.0)
    right, top = stamp(1.08 * fwhm, 0.06, 0.05) - first, stamp(fwhm, -0.04, 0.0) - first
    return PixelGridPsf(np.array([first, top / FRAME.y.size, right / FRAME.x.size]), order=1, bounds=FRAME)


def visit_warp(visit: int, kernel: str) -> Exposure:
    x, y, angle, fwhm = POINTINGS[visit]
    source, psf = (
        projection(DetectorFrame(instrument="x", visit=visit, detector=0, bbox=FRAME), x, y, angle),
        psf_of(fwhm),
    )
    image = np.zeros(FRAME.shape)
    at = map_positions(source, TRACT, STARS_X, STARS_Y)
    for stamp, left, bottom in zip(*psf_stamps(psf, *at), strict=True):
        image[bottom : bottom + 25, left : left + 25] += FLUX * stamp
    spread = np.full(FRAME.shape, 1.0 + visit)
    warp = VisitWarp(visit, PATCH, TRACT, WarpSettings(kernel=kernel))
    warp.add(0, Exposure.from_arrays(image, None, spread, unit=u.nJy, projection=source, psf=psf, band="r"))
    return warp.finish()


def coadd_of(warps: list[Exposure]) -> Exposure:
    settings = CoaddSettings(statistic=Statistic.MEAN)
    inputs, skipped = prepare_inputs([ExposureHandle(warp, n) for n, warp in enumerate(warps)], settings.bad_planes)
    assert not skipped
    return assemble_coadd(inputs, PATCH, TRACT, settings)[0]


def star_errors(coadd: Exposure) -> tuple[np.ndarray, np.ndarray]:
    """Of each star: largest difference from the PSF, in units of its peak, and error of the flux."""
    assert isinstance(coadd.psf, CoaddPsf)
    stamps, x0, y0 = coadd.psf.stamps(STARS_X, STARS_Y)
    size, errors, fluxes = stamps.shape[1], [], []
    for stamp, left, bottom in zip(stamps, x0, y0, strict=True):
        star = coadd.image.array[bottom : bottom + size, left : left + size].astype(float) / FLUX
        errors.append(np.abs(star - stamp).max() / stamp.max())
        fluxes.append(star.sum() - 1.0)
    return np.array(errors), np.array(fluxes)


@pytest.mark.parametrize("kernel", ["lanczos3", "lanczos5", "bilinear"])
def test_stars_of_a_coadd_are_its_psf(kernel: str) -> None:
    coadd = coadd_of([visit_warp(visit, kernel) for visit in range(len(POINTINGS))])
    assert [part.visit for part in coadd.psf.components] == [0, 1, 2, 3]
    assert list(coadd.psf.n_inputs(STARS_X, STARS_Y)) == [4] * 9
    errors, fluxes = star_errors(coadd)
    assert errors.max() < 8e-4
    assert np.abs(fluxes).max() < 8e-4
    # One input less is another function: the test sees the weights.
    weights = [part.weight for part in coadd.psf.components]
    assert weights[0] > 1.9 * weights[1] > 0.0
    without = CoaddPsf(coadd.psf.components[1:], TRACT, PATCH)
    coadd.psf = without
    assert star_errors(coadd)[0].min() > 1e-2


def test_stars_of_a_coadd_of_matched_warps_are_the_model() -> None:
    settings = PsfMatchSettings(model=ModelPsfSettings(fwhm=6.5, wing=False), spatial_order=2)
    warps = [match_visit_warp(visit_warp(visit, "lanczos3"), settings).warp for visit in (1, 3)]
    coadd = coadd_of(warps)
    errors, _ = star_errors(coadd)
    assert errors.max() < 6e-3
    model = warps[0].psf.stamps(150.0, 150.0)[0]
    assert np.abs(coadd.psf.stamps(150.0, 150.0)[0] - model).max() < 1e-12
