"""Simulated frames of stars with truth, drawn with the PSF that the frame carries."""

from __future__ import annotations

import astropy.units as u
import galsim
import numpy as np

from skyloom.images.exposure import Exposure
from skyloom.psf import PixelGridPsf, psf_stamps


def pixel_psf(fwhm: float, box, size: int = 41) -> PixelGridPsf:
    """A Moffat PSF, pixel response included, the same all over a box."""
    grid = galsim.Moffat(beta=3.0, fwhm=fwhm).drawImage(nx=size, ny=size, scale=1.0).array.astype(float)
    return PixelGridPsf((grid / grid.sum())[None], order=0, bounds=box)


def blank(shape: tuple[int, int], noise: float, fwhm: float) -> Exposure:
    frame = Exposure.from_arrays(
        np.zeros(shape, np.float32), variance=np.full(shape, max(noise, 1e-3) ** 2, np.float32), unit=u.electron
    )
    frame.psf = pixel_psf(fwhm, frame.bbox)
    return frame


def add_stars(image: np.ndarray, psf: PixelGridPsf, x: np.ndarray, y: np.ndarray, flux: np.ndarray) -> None:
    """Add stars to ``image``; their stamps may reach over the border."""
    stamps, x0, y0 = psf_stamps(psf, x, y)
    size = stamps.shape[1]
    for stamp, column, row, light in zip(stamps, x0, y0, flux, strict=True):
        bottom, left = max(row, 0), max(column, 0)
        top, right = min(row + size, image.shape[0]), min(column + size, image.shape[1])
        image[bottom:top, left:right] += light * stamp[bottom - row : top - row, left - column : right - column]


def star_frame(
    x: np.ndarray, y: np.ndarray, flux: np.ndarray, *, shape: tuple[int, int], noise: float, fwhm: float, seed: int = 1
) -> tuple[Exposure, np.ndarray]:
    """A frame of stars with the noise of the sky and of their light, and the image without noise."""
    frame = blank(shape, noise, fwhm)
    truth = np.zeros(shape)
    add_stars(truth, frame.psf, x, y, flux)
    variance = noise**2 + np.maximum(truth, 0.0)
    frame.variance.array[...] = np.maximum(variance, 1e-6)
    frame.image.array[...] = truth
    if noise:
        frame.image.array[...] += np.random.default_rng(seed).normal(0.0, 1.0, shape) * np.sqrt(variance)
    return frame, truth


def star_grid(count: int, pitch: int, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Positions on a grid, each at a sub-pixel phase of its own."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:count, :count] * pitch + pitch // 2
    return columns.ravel() + rng.uniform(-0.5, 0.5, count**2), rows.ravel() + rng.uniform(-0.5, 0.5, count**2)


def nearest(table, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Row of the source nearest to each position."""
    return np.hypot(np.subtract.outer(x, table["x"]), np.subtract.outer(y, table["y"])).argmin(axis=1)
