"""Matched frames: their stars are the model, their noise is the variance plane's."""

from __future__ import annotations

import re
from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from lsst.images import Box
from lsst.images.psfs import GaussianPointSpreadFunction

from skyloom.errors import PsfError
from skyloom.images import Exposure, bitmask
from skyloom.psf import ModelPsfSettings, PixelGridPsf, model_psf, psf_sigma, psf_stamps
from skyloom.warp import PsfMatchSettings, match_psf
from skyloom.warp.psf_match import convolve_exposure

BOX = Box.factory[0:220, 0:300]
FLUX = 1e5
STARS_X, STARS_Y = (grid.ravel() for grid in np.meshgrid([40.3, 150.0, 255.6], [45.5, 110.2, 170.9]))
GAUSSIAN = ModelPsfSettings(fwhm=7.7, wing=False)
FEW_CELLS = PsfMatchSettings(model=GAUSSIAN, spatial_order=2)


def gaussian_stamp(fwhm: float, ellipticity: float) -> np.ndarray:
    y, x = np.mgrid[-16:17, -16:17].astype(float)
    stamp = np.exp(-4 * np.log(2) * ((1 - ellipticity) * x**2 + (1 + ellipticity) * y**2) / fwhm**2)
    return np.asarray(stamp / stamp.sum())


def moffat_stamp(fwhm: float, ellipticity: float, beta: float) -> np.ndarray:
    y, x = np.mgrid[-16:17, -16:17].astype(float)
    scale = 0.5 * fwhm / np.sqrt(2 ** (1 / beta) - 1)
    stamp = (1 + ((1 - ellipticity) * x**2 + (1 + ellipticity) * y**2 + 0.3 * ellipticity * x * y) / scale**2) ** -beta
    return np.asarray(stamp / stamp.sum())


def frame_psf(fwhm: float, beta: float | None) -> PixelGridPsf:
    """Wider by 5 % at the right, rounder at the top."""

    def stamp(width: float, ellipticity: float) -> np.ndarray:
        return gaussian_stamp(width, ellipticity) if beta is None else moffat_stamp(width, ellipticity, beta)

    first = stamp(fwhm, 0.1)
    right, top = stamp(1.05 * fwhm, 0.1) - first, stamp(fwhm, 0.0) - first
    return PixelGridPsf(np.array([first, top / 220, right / 300]), order=1, bounds=BOX)


def star_frame(psf: PixelGridPsf) -> Exposure:
    image = np.zeros(BOX.shape)
    stamps, x0, y0 = psf_stamps(psf, STARS_X, STARS_Y)
    for stamp, left, bottom in zip(stamps, x0, y0, strict=True):
        image[bottom : bottom + stamp.shape[0], left : left + stamp.shape[1]] += FLUX * stamp
    return Exposure.from_arrays(image, variance=np.ones(BOX.shape), unit=u.nJy, psf=psf)


def check_stars(matched: Exposure, model: ModelPsfSettings, tolerance: float) -> None:
    """Every star is the model, and has its flux."""
    truth, x0, y0 = psf_stamps(model_psf(model, BOX, 61), STARS_X, STARS_Y)
    for stamp, left, bottom in zip(truth, x0, y0, strict=True):
        rows = np.s_[max(bottom, 0) : bottom + 61, max(left, 0) : left + 61]
        expected = stamp[max(-bottom, 0) :, max(-left, 0) :]
        star = matched.image.array[rows].astype(float) / FLUX
        expected = expected[: star.shape[0], : star.shape[1]]
        known = np.isfinite(star)
        assert known.mean() > 0.8
        assert np.abs(star - expected)[known].max() < tolerance * truth.max()
        assert star[known].sum() == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(
    ("fwhm", "beta", "target", "basis"),
    [
        (3.2, None, 7.7, "pixels"),
        (4.5, 3.5, 7.7, "pixels"),
        (6.0, 2.5, 7.7, "pixels"),
        (3.2, 4.5, 4.0, "pixels"),
        (4.5, 3.5, 7.7, "gaussians"),
    ],
)
def test_matched_stars_are_the_model(fwhm: float, beta: float | None, target: float, basis: str) -> None:
    model = replace(GAUSSIAN, fwhm=target)
    frame = star_frame(frame_psf(fwhm, beta))
    matched, kernel = match_psf(frame, replace(FEW_CELLS, model=model, basis=basis))
    check_stars(matched, model, 0.006)
    assert kernel.residual < 0.006
    assert matched.psf is not None
    assert psf_sigma(matched.psf) == pytest.approx(target / 2.3548, rel=1e-3)
    for x, y in ((0.0, 0.0), (299.0, 219.0), (137.2, 12.0)):
        assert kernel.at(x, y).sum() == pytest.approx(1.0, abs=1e-12)


def test_scaled_gaussians_need_fewer_functions() -> None:
    settings = replace(
        FEW_CELLS,
        basis="gaussians",
        gaussian_sigmas=(0.7, 1.0, 2.0),
        gaussian_degrees=(2, 4, 2),
        scale_with_widths=True,
    )
    matched, _ = match_psf(star_frame(frame_psf(4.5, 3.5)), settings)
    check_stars(matched, GAUSSIAN, 0.006)


def test_model_with_a_wing_needs_a_wide_kernel() -> None:
    model = ModelPsfSettings(fwhm=5.5, wing=True)
    frame = star_frame(frame_psf(3.2, 3.5))
    with pytest.raises(PsfError, match="cannot be turned into the model"):
        match_psf(frame, replace(FEW_CELLS, model=model, kernel_size=11))
    _, kernel = match_psf(frame, replace(FEW_CELLS, model=model))
    assert kernel.size > 21
    assert kernel.residual < 0.01


def test_kernel_between_gaussians_is_a_gaussian() -> None:
    frame = Exposure.from_arrays(np.zeros(BOX.shape), variance=np.ones(BOX.shape), unit=u.nJy)
    frame.psf = GaussianPointSpreadFunction(1.5, BOX, 25)
    _, kernel = match_psf(frame, replace(FEW_CELLS, spatial_order=0))
    sigma = np.sqrt((7.7 / 2.3548200450) ** 2 - 1.5**2)
    expected = model_psf(ModelPsfSettings(fwhm=2.3548200450 * sigma, wing=False), BOX, kernel.size)
    image = expected.compute_kernel_image(x=0.0, y=0.0).array
    assert np.abs(kernel.at(100.0, 100.0) - image).max() < 0.01 * image.max()
    assert kernel.noise_gain == pytest.approx(1 / (4 * np.pi * sigma**2), rel=0.02)


def test_noise_is_what_the_variance_plane_says() -> None:
    rng = np.random.default_rng(4)
    psf = frame_psf(4.0, 3.5)
    sigma = np.linspace(1.0, 2.0, BOX.x.size)
    frame = Exposure.from_arrays(np.zeros(BOX.shape), unit=u.nJy, psf=psf)
    frame.variance.array[...] = sigma**2
    _, kernel = match_psf(frame, FEW_CELLS)
    squares = []
    for _ in range(12):
        frame.image.array[...] = rng.normal(0.0, 1.0, BOX.shape) * sigma
        matched = convolve_exposure(frame, kernel, FEW_CELLS)
        squares.append(matched.image.array.astype(float) ** 2)
    ratio = np.mean(squares, axis=0) / matched.variance.array
    known = np.isfinite(ratio)
    assert known.mean() > 0.8
    assert ratio[known].mean() == pytest.approx(1.0, abs=0.03)


def test_psf_broader_than_the_model_is_refused_with_a_width_that_would_do() -> None:
    frame = star_frame(frame_psf(6.0, 3.5))
    with pytest.raises(PsfError, match=r"model of FWHM 4\.50 px") as caught:
        match_psf(frame, replace(FEW_CELLS, model=replace(GAUSSIAN, fwhm=4.5)))
    found = re.search(r"at least ([\d.]+) px", caught.value.cure)
    assert found is not None
    advised = float(found[1])
    assert 5.0 < advised < 7.0
    match_psf(frame, replace(FEW_CELLS, model=replace(GAUSSIAN, fwhm=advised)))


def test_frame_without_a_psf_is_refused() -> None:
    frame = star_frame(frame_psf(4.0, 3.5))
    frame.psf = None
    with pytest.raises(PsfError, match="has no PSF"):
        match_psf(frame)


def test_saturation_reaches_further_than_what_was_interpolated() -> None:
    frame = star_frame(frame_psf(4.0, 3.5))
    frame.bits[100, 100] |= bitmask("SAT")
    frame.bits[60:63, 200:203] |= bitmask("CR", "INTRP")
    frame.bits[100, 200] |= bitmask("INTRP")
    matched, _ = match_psf(frame, FEW_CELLS)
    count = {name: int((matched.bits & bitmask(name) != 0).sum()) for name in ("SAT", "CR", "INTRP")}
    assert 20 < count["SAT"] < 150  # one pixel, about as far as the kernel has weight
    assert 9 < count["CR"] == count["INTRP"] < 80  # nine pixels; the tenth, alone, is lost in the kernel
    edge = np.isnan(matched.image.array)
    assert edge[0].all()
    assert not edge[12:-12, 12:-12].any()
    assert (matched.bits[edge] & bitmask("NO_DATA")).all()


@pytest.mark.parametrize(
    "more",
    [
        {"kernel_size": 20},
        {"gaussian_sigmas": (1.0,)},
        {"gaussian_sigmas": (1.0, -2.0, 3.0)},
        {"roughness_penalty": 0.0},
        {"missing_weight": 1.5},
        {"max_residual": 0.0},
        {"cell_size": 8},
        {"basis": "wavelets"},
        {"far_planes": ("SAT", "HOT")},
    ],
)
def test_settings_out_of_range_are_refused(more: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must|one length|range|none|not of"):
        PsfMatchSettings(**more)
