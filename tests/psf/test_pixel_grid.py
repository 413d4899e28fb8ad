"""Pixel-grid PSFs against Piff itself, and against analytic Gaussians."""

from __future__ import annotations

import galsim
import numpy as np
import pytest
from lsst.images import Box
from lsst.images.psfs import GaussianPointSpreadFunction, PiffWrapper
from lsst.images.serialization import read_archive, write_archive
from psfs import BOX, gaussian_grid, moffat_like

from skyloom.errors import PsfError
from skyloom.psf import PixelGridPsf, psf_sigma, psf_stamps

POSITIONS = [
    (100.0, 200.0),
    (100.25, 200.75),
    (3.5, 7.0),
    (12.0, 900.5),
    (1199.5, 0.5),
    (-20.3, 1100.9),
    (640.499, 2.501),
]


def drawn_by_piff(wrapper: PiffWrapper, x: float, y: float, size: int) -> np.ndarray:
    """Piff's own image on the stamp about the rounded position (the wrapper's is one pixel off at halves)."""
    radius = size // 2
    column, row = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
    image = galsim.ImageD(galsim.BoundsI(column - radius, column + radius, row - radius, row + radius))
    array = wrapper.piff_psf.draw(x, y, image=image).array
    return array / array.sum()


@pytest.mark.parametrize(("order", "size"), [(0, 25), (2, 25), (3, 17)])
def test_stamps_agree_with_piff(order, size):
    psf = moffat_like(order, size)
    wrapper = psf.to_piff()
    x, y = np.array(POSITIONS).T
    stamps, x0, y0 = psf.stamps(x, y)
    for n, (at_x, at_y) in enumerate(POSITIONS):
        assert (x0[n], y0[n]) == (np.floor(at_x + 0.5) - size // 2, np.floor(at_y + 0.5) - size // 2)
        assert np.abs(stamps[n] - drawn_by_piff(wrapper, at_x, at_y, size)).max() < 1e-12
    centred, cx, cy = psf.stamps(x, y, centred=True)
    assert set(cx) == set(cy) == {-(size // 2)}
    for n, (at_x, at_y) in enumerate(POSITIONS):
        assert np.abs(centred[n] - wrapper.compute_kernel_image(x=at_x, y=at_y).array).max() < 1e-12


def test_images_agree_with_the_wrapper_away_from_halves():
    psf = moffat_like()
    wrapper = psf.to_piff()
    for x, y in [(100.0, 200.0), (100.25, 200.75), (640.499, 2.501)]:
        ours, theirs = psf.compute_stellar_image(x=x, y=y), wrapper.compute_stellar_image(x=x, y=y)
        assert ours.bbox == theirs.bbox == psf.compute_stellar_bbox(x=x, y=y)
        assert np.abs(ours.array - theirs.array).max() < 1e-12
        assert psf.compute_kernel_image(x=x, y=y).bbox == wrapper.kernel_bbox == psf.kernel_bbox


def test_half_pixel_positions_are_continuous():
    """A source a hair left of a half and one at it are the same source on shifted stamps."""
    psf = moffat_like()
    left, right = psf.compute_stellar_image(x=10.5 - 1e-9, y=20.0), psf.compute_stellar_image(x=10.5, y=20.0)
    assert right.bbox.x.start == left.bbox.x.start + 1
    common = left.bbox.intersection(right.bbox)
    # The stamps are cut differently and each of unit sum: equal but for a factor near 1.
    first, second = (image[common].array / image[common].array.sum() for image in (left, right))
    assert np.abs(first - second).max() < 1e-9


def test_piff_there_and_back_is_exact():
    psf = moffat_like()
    assert PixelGridPsf.from_piff(psf.to_piff()) == psf


@pytest.mark.parametrize("suffix", ["fits", "json"])
def test_archives_there_and_back_are_exact(tmp_path, suffix):
    psf = moffat_like()
    write_archive(psf, str(tmp_path / f"ours.{suffix}"))
    assert read_archive(str(tmp_path / f"ours.{suffix}"), PixelGridPsf) == psf
    write_archive(psf.to_piff(), str(tmp_path / f"piff.{suffix}"))
    assert PixelGridPsf.from_piff(read_archive(str(tmp_path / f"piff.{suffix}"), PiffWrapper)) == psf


def test_other_piff_models_are_refused():
    wrapper = moffat_like().to_piff()
    wrapper.piff_psf.model.scale = 0.5
    with pytest.raises(PsfError, match=r"scale 0\.5"):
        PixelGridPsf.from_piff(wrapper)


def test_gaussian_is_shifted_and_measured():
    psf = gaussian_grid(6.0, 4.0, 1.0)
    assert psf.sigma(5.0, 6.0) == pytest.approx((6 * 4 - 1) ** 0.25, rel=1e-5)
    image = psf.compute_stellar_image(x=50.3, y=60.8)
    total = image.array.sum()
    assert total == pytest.approx(1.0, abs=1e-14)
    assert (image.array * image.bbox.x.arange).sum() == pytest.approx(50.3, abs=5e-3)
    assert (image.array * image.bbox.y.arange[:, None]).sum() == pytest.approx(60.8, abs=5e-3)


def test_stamps_of_any_psf():
    gaussian = GaussianPointSpreadFunction(2.0, BOX, 21)
    x, y = np.array(POSITIONS).T
    for centred in (False, True):
        stamps, x0, y0 = psf_stamps(gaussian, x, y, centred=centred)
        for n, (at_x, at_y) in enumerate(POSITIONS):
            maker = gaussian.compute_kernel_image if centred else gaussian.compute_stellar_image
            image = maker(x=at_x, y=at_y)
            assert np.abs(stamps[n] - image.array).max() < 1e-15
            assert (x0[n], y0[n]) == (image.bbox.x.start, image.bbox.y.start)
    for first, second in zip(psf_stamps(moffat_like().to_piff(), x, y), moffat_like().stamps(x, y), strict=True):
        assert np.array_equal(first, second)
    assert psf_sigma(gaussian) == pytest.approx(2.0, rel=1e-4)
    assert psf_sigma(gaussian_grid(4.0, 4.0), 3.0, 4.0) == pytest.approx(2.0, rel=1e-4)


def test_bad_shapes_and_fluxes_are_refused():
    with pytest.raises(ValueError, match=r"needs coefficients \[3, n, n\]"):
        PixelGridPsf(np.ones((2, 5, 5)), order=1, bounds=BOX)
    with pytest.raises(ValueError, match="n odd"):
        PixelGridPsf(np.ones((1, 4, 4)), order=0, bounds=BOX)
    with pytest.raises(PsfError, match="no positive flux"):
        PixelGridPsf(-np.ones((1, 5, 5)), order=0, bounds=BOX).stamps(0.0, 0.0)


def test_bounds_are_kept():
    assert moffat_like(box=Box.factory[3:9, 2:5]).bounds == Box.factory[3:9, 2:5]
