"""Which peaks of blends look like single stars: local fits of the PSF, neighbours together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from lsst.images.psfs import PointSpreadFunction

from skyloom.kernels.deblend_psf_fit import fit_windows, near_members
from skyloom.psf import psf_stamps

from .frame import FlatFootprints, Frame
from .settings import DeblendSettings

__all__ = ["StarTest", "find_stars", "no_stars"]

FWHM_OF_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))


@dataclass(frozen=True)
class StarTest:
    """The PSF at each peak, and whether the peak is a star; one row a peak."""

    is_star: np.ndarray
    x: np.ndarray
    """Fitted position in array coordinates, px."""
    y: np.ndarray
    flux: np.ndarray
    """Of the PSF in the last fit; NaN where none was possible."""
    chi2: np.ndarray
    """Chi squared over degrees of freedom of that fit."""
    stamps: np.ndarray
    """``[peak, y, x]``, unit sum, in array coordinates from (x0, y0); NaN where the PSF is not known."""
    x0: np.ndarray
    y0: np.ndarray


def find_stars(
    frame: Frame, blends: FlatFootprints, psf: PointSpreadFunction, sigma: float, settings: DeblendSettings
) -> StarTest:
    """Fit the PSF at every peak and see how well it describes what is there.

    A first few rounds move all peaks of a blend; one more fit decides, at the positions found.

    Parameters
    ----------
    frame, blends
        The pixels, and footprints of several peaks.
    psf
        In the coordinates of the exposure.
    sigma
        Its width, px.
    settings
        Knobs of the deblender.
    """
    x, y = blends.x.astype(np.float64), blends.y.astype(np.float64)
    fwhm = FWHM_OF_SIGMA * sigma
    radii = math.ceil(settings.psf_inner_radius * fwhm), math.ceil(settings.psf_outer_radius * fwhm)
    flux, near = np.zeros(x.size), None
    for turn in range(settings.psf_rounds + 1):
        stamps, x0, y0 = psf_stamps(psf, x + frame.x0, y + frame.y0)
        x0, y0 = x0 - frame.x0, y0 - frame.y0
        if near is None:
            reach = float(radii[1] + stamps.shape[1] // 2)
            near = near_members(x, y, blends.peak_start, reach, settings.max_neighbours)
        pixels = (frame.image, frame.variance, frame.unfit)
        model = np.where(np.isfinite(flux), flux, 0.0)
        moves = turn < settings.psf_rounds
        disk = (float(radii[0]), float(radii[1]), settings.psf_model_error)
        flux, dx, dy, chi2 = fit_windows(*pixels, stamps, x0, y0, x, y, model, *near, *disk, moves)
        if moves:
            x = _moved(x, dx, blends.x, settings.psf_max_shift)
            y = _moved(y, dy, blends.y, settings.psf_max_shift)
    shift = np.maximum(np.abs(x - blends.x), np.abs(y - blends.y))
    with np.errstate(invalid="ignore"):
        is_star = (flux > 0) & (chi2 < settings.psf_chi2_max) & (shift < settings.psf_max_shift)
    is_star &= ~frame.unfit[blends.y, blends.x]
    return StarTest(is_star, x, y, flux, chi2, stamps, x0, y0)


def no_stars(blends: FlatFootprints) -> StarTest:
    """The test where there is no PSF: no peak is a star."""
    missing = np.full(blends.x.size, np.nan)
    stamps = np.full((blends.x.size, 3, 3), np.nan)
    return StarTest(
        np.zeros(blends.x.size, bool),
        blends.x.astype(np.float64),
        blends.y.astype(np.float64),
        missing,
        missing,
        stamps,
        blends.x - 1,
        blends.y - 1,
    )


def _moved(at: np.ndarray, step: np.ndarray, peak: np.ndarray, most: float) -> np.ndarray:
    """Positions after a step, no further than ``most`` from the peaks."""
    moved = np.clip(at + np.nan_to_num(step), peak - most, peak + most)
    return np.asarray(moved)
