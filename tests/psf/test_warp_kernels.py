"""PSFs of images warped with every kernel are what the warp makes of a star, in memory and from disk."""

from __future__ import annotations

from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from lsst.images import Box
from lsst.images.psfs import GaussianPointSpreadFunction
from lsst.images.serialization import read_archive, write_archive
from test_coadd_psf import INPUT, PATCH, SCALE, TRACT, component, on_detector, projection

from skyloom.errors import PsfError
from skyloom.images import Exposure, WarpImage, from_warp, to_warp
from skyloom.psf import CoaddPsf, WarpedPsf
from skyloom.warp import KERNELS, WarpSettings, warp_exposure

X, Y, SIGMA = 243.37, 207.81, 1.5


def star_frame() -> Exposure:
    source = on_detector(angle_deg=25.0)
    at = source.sky_to_pixel(TRACT.pixel_to_sky(x=X, y=Y))
    y, x = np.mgrid[0 : INPUT.y.size, 0 : INPUT.x.size]
    image = 1e4 * np.exp(-0.5 * ((x - at.x) ** 2 + (y - at.y) ** 2) / SIGMA**2)
    psf = GaussianPointSpreadFunction(SIGMA, INPUT, 25)
    return Exposure.from_arrays(image, None, np.ones(image.shape), unit=u.nJy, projection=source, psf=psf)


@pytest.mark.parametrize("kernel", KERNELS)
def test_psf_of_a_warp_is_the_warped_star(kernel: str) -> None:
    frame = star_frame()
    assert frame.psf is not None
    assert frame.projection is not None
    order = KERNELS[kernel]
    own = WarpedPsf(frame.psf, frame.projection, TRACT, PATCH, order)
    part = component(psf=frame.psf, projection=frame.projection, warp_order=order)
    coadd = CoaddPsf([part], TRACT, PATCH)
    model = coadd.compute_stellar_image(x=X, y=Y)
    warped = warp_exposure(frame, PATCH, TRACT, WarpSettings(kernel=kernel)).image[model.bbox].array.astype(float)
    star = warped / warped.sum()
    assert np.abs(star - model.array).max() < 1e-5 * star.max()
    assert np.array_equal(own.compute_stellar_image(x=X, y=Y).array, model.array)
    if kernel != "lanczos3":
        other = CoaddPsf([component(psf=frame.psf, projection=frame.projection)], TRACT, PATCH)
        assert np.abs(star - other.compute_stellar_image(x=X, y=Y).array).max() > 1e-3 * star.max()


def test_kernels_of_the_inputs_come_back_from_disk(tmp_path: Path) -> None:
    parts = [component(visit=order, warp_order=order, projection=on_detector(visit=order)) for order in (1, 2, 5)]
    warp = Exposure.from_arrays(np.zeros((5, 5)), unit=u.nJy, projection=TRACT, psf=CoaddPsf(parts, TRACT, PATCH))
    write_archive(to_warp(warp), str(tmp_path / "warp.fits"))
    again = from_warp(read_archive(str(tmp_path / "warp.fits"), WarpImage)).psf
    assert again == warp.psf
    assert [part.warp_order for part in again.components] == [1, 2, 5]
    assert np.array_equal(again.stamps(X, Y)[0], warp.psf.stamps(X, Y)[0])


def test_kernels_and_grids_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="order 0"):
        component(warp_order=0)
    with pytest.raises(ValueError, match="order 0"):
        WarpedPsf(GaussianPointSpreadFunction(SIGMA, INPUT, 25), on_detector(), TRACT, PATCH, 0)
    coarse = projection(TRACT.pixel_frame, 250.0, 200.0, scale=300 * SCALE)
    warped = WarpedPsf(
        GaussianPointSpreadFunction(SIGMA, INPUT, 25), on_detector(), coarse, Box.factory[199:202, 249:252]
    )
    with pytest.raises(PsfError, match="cannot be carried over"):
        warped.stamps(250.0, 200.0)
