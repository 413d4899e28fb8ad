"""Grids of several points a pixel: the same as Piff's, true to an undersampled star, and kept on disk."""

from __future__ import annotations

import json

import galsim
import numpy as np
import pytest
from lsst.images.psfs import PiffWrapper
from lsst.images.serialization import read_archive, write_archive
from psfs import BOX

from skyloom.errors import PsfError
from skyloom.psf import PixelGridPsf, grid_size, psf_stamps, stamp_size

X = np.array([100.0, 100.25, 3.5, 640.499, 12.0])
Y = np.array([200.0, 200.75, 7.0, 2.501, 900.5])


def light(x: float, y: float) -> galsim.GSObject:
    """A star of FWHM 1.7 pixels through a pixel, elongated by its place."""
    return galsim.Convolve(galsim.Moffat(beta=3.0, fwhm=1.7).shear(e1=1e-4 * x, e2=5e-5 * y), galsim.Pixel(1.0))


def sampled(oversampling: int, size: int = 17, order: int = 0) -> PixelGridPsf:
    """The star at (0, 0) on a grid, with a linear change where an order is asked for."""
    n = grid_size(size, oversampling)
    image = light(0, 0).drawImage(nx=n, ny=n, scale=1 / oversampling, method="no_pixel", dtype=float).array
    rng = np.random.default_rng(1)
    terms = (order + 1) * (order + 2) // 2
    coefficients = np.stack([image] + [1e-4 * image * rng.normal(1, 0.1, image.shape) for _ in range(terms - 1)])
    return PixelGridPsf(coefficients, order=order, bounds=BOX, oversampling=oversampling, kernel_order=5)


@pytest.mark.parametrize(("oversampling", "size"), [(1, 25), (2, 15), (2, 17), (3, 15), (4, 7)])
def test_grid_covers_the_stamp(oversampling, size):
    n = grid_size(size, oversampling)
    assert n % 2 == 1
    assert stamp_size(n, oversampling) == size
    assert n // 2 / oversampling >= size // 2


@pytest.mark.parametrize("oversampling", [2, 3])
def test_stamps_agree_with_piff(oversampling):
    psf = sampled(oversampling, order=1)
    wrapper = psf.to_piff()
    centred, _, _ = psf.stamps(X, Y, centred=True)
    stamps, x0, y0 = psf.stamps(X, Y)
    for n, (x, y) in enumerate(zip(X, Y, strict=True)):
        assert np.abs(centred[n] - wrapper.compute_kernel_image(x=x, y=y).array).max() < 1e-12
        bounds = galsim.BoundsI(x0[n], x0[n] + 16, y0[n], y0[n] + 16)
        drawn = wrapper.piff_psf.draw(x, y, image=galsim.ImageD(bounds)).array
        assert np.abs(stamps[n] - drawn / drawn.sum()).max() < 1e-12
    assert PixelGridPsf.from_piff(wrapper) == psf
    assert np.array_equal(psf_stamps(wrapper, X, Y)[0], stamps)


def test_two_points_a_pixel_draw_an_undersampled_star_where_one_cannot():
    worst = {}
    for oversampling in (1, 2):
        stamps, x0, y0 = sampled(oversampling).stamps(X, Y)
        errors = []
        for n, (x, y) in enumerate(zip(X, Y, strict=True)):
            offset = (x - x0[n] - 8, y - y0[n] - 8)
            truth = light(0, 0).drawImage(nx=17, ny=17, scale=1.0, method="no_pixel", offset=offset, dtype=float).array
            errors.append(np.abs(stamps[n] - truth / truth.sum()).max() / truth.max())
        worst[oversampling] = max(errors)
    assert worst[2] < 3e-3
    assert worst[1] > 5 * worst[2]


@pytest.mark.parametrize("suffix", ["fits", "json"])
def test_archives_there_and_back_are_exact(tmp_path, suffix):
    psf = sampled(2, order=1)
    write_archive(psf, str(tmp_path / f"ours.{suffix}"))
    assert read_archive(str(tmp_path / f"ours.{suffix}"), PixelGridPsf) == psf
    write_archive(psf.to_piff(), str(tmp_path / f"piff.{suffix}"))
    assert PixelGridPsf.from_piff(read_archive(str(tmp_path / f"piff.{suffix}"), PiffWrapper)) == psf


def test_readers_of_one_point_a_pixel_refuse_several(tmp_path):
    """Version 1 of the schema, which knows nothing of it, must not take the grid for one of whole pixels."""
    plain = PixelGridPsf(np.ones((1, 5, 5)), order=0, bounds=BOX)
    for psf, reader in ((plain, 1), (sampled(2), 2)):
        write_archive(psf, str(tmp_path / f"{reader}.json"))
        assert json.loads((tmp_path / f"{reader}.json").read_text())["min_read_version"] == reader


def test_grids_that_are_none_are_refused():
    with pytest.raises(ValueError, match="0 points a pixel"):
        PixelGridPsf(np.ones((1, 5, 5)), order=0, bounds=BOX, oversampling=0)
    wrapper = sampled(2).to_piff()
    wrapper.piff_psf.model.scale = 0.4
    with pytest.raises(PsfError, match=r"scale 0\.4"):
        PixelGridPsf.from_piff(wrapper)
    assert sampled(2) != sampled(3)
