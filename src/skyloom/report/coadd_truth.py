"""How well a coadd agrees with the truth: noise against its variance plane, and the photometry of its stars."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from astropy.table import Table, vstack

from skyloom.detection import DetectionSettings, detect_sources
from skyloom.images import Exposure, bitmask
from skyloom.measurement import measure_sources
from skyloom.psf import psf_stamps

from .truth import compare_frame, isolated_stars, robust_rms

__all__ = ["CoaddAgreement", "compare_coadd", "empty_fluxes"]

_BRIGHT = DetectionSettings(threshold=50.0)
_CORE = 7
"""Half width of the PSF that empty places are measured with, pixels."""
_NOT_SKY = ("DETECTED", "DETECTED_NEGATIVE", "NO_DATA", "BAD", "SAT", "EDGE")


@dataclass(frozen=True, kw_only=True)
class CoaddAgreement:
    """Agreement of the patches of a coadd with the truth."""

    noise_ratio: float
    """Measured noise of the sky pixels, in units of what the variance plane says."""
    depth_ratio: float
    """Noise of PSF fluxes at empty places, in units of what the true skies and zero points of the visits allow."""
    n_stars: int
    flux_mmag: float
    """Median of measured minus true magnitude of bright stars, with the coadd's PSF."""
    astrometry_mas: float
    """Robust rms of position differences, a coordinate."""


def compare_coadd(
    patches: Iterable[tuple[Exposure, np.ndarray]], n_inputs: int, sky: Table, band: str, pixel_noise_njy: float
) -> CoaddAgreement:
    """Detect and measure on the patches of a coadd, and compare with the true sky.

    Parameters
    ----------
    patches
        Coadds with their PSF, and the number of inputs of each pixel; their detection planes are made anew.
    n_inputs
        Number of inputs where all visits look on.
    sky
        True sources, see `isolated_stars`.
    band
        Band of the coadd.
    pixel_noise_njy
        Noise of a pixel that the visits together allow, where all of them look on.

    Raises
    ------
    ValueError
        If there is no patch, or no bright star on them.
    """
    truth = isolated_stars(sky, band)
    ratios, depths, matched = [], [], []
    for patch, count in patches:
        if not np.isfinite(patch.image.array).any():
            continue
        # The noise wants every source masked; only the bright ones, which are compared, are worth measuring.
        detect_sources(patch)
        ratios.append(_noise_ratios(patch))
        depths.append(empty_fluxes(patch, count == n_inputs) / pixel_noise_njy)
        sources = measure_sources(patch, detect_sources(patch, settings=_BRIGHT))
        matched.append(compare_frame(_as_calibrated(sources), truth, band, visit=0, detector=0)[1])
    if not sum(len(stars) for stars in matched):
        raise ValueError("The coadd has no bright, isolated star to compare with the truth.")
    stars, noise, depth = vstack(matched), np.concatenate(ratios), np.concatenate(depths)
    return CoaddAgreement(
        noise_ratio=_scatter(noise),
        depth_ratio=_scatter(depth),
        n_stars=len(stars),
        flux_mmag=1e3 * float(np.median(stars["dmag"])),
        astrometry_mas=robust_rms(np.concatenate([stars["dra_mas"], stars["ddec_mas"]])),
    )


def _scatter(values: np.ndarray) -> float:
    """Standard deviation by the median absolute deviation; NaN without values."""
    return float(1.4826 * np.median(np.abs(values - np.median(values)))) if values.size else float("nan")


def empty_fluxes(patch: Exposure, wanted: np.ndarray) -> np.ndarray:
    """PSF fluxes at a grid of places without a source, times the square root of the sum of the squared PSF.

    For white noise of one unit a pixel their scatter is one.  The noise of a coadd's pixels alone would not tell its
    depth, for resampling moves some of it to larger scales.

    Parameters
    ----------
    patch
        Coadd with its PSF.
    wanted
        Bool ``[y, x]``: pixels to look at.
    """
    if patch.psf is None:
        return np.empty(0)
    empty = wanted & ((patch.bits & bitmask(*_NOT_SKY)) == 0) & np.isfinite(patch.image.array)
    y0, x0 = patch.bbox.y.start, patch.bbox.x.start
    rows, columns = empty.shape
    middle = np.array([x0 + columns / 2.0]), np.array([y0 + rows / 2.0])
    stamps, _, _ = psf_stamps(patch.psf, *middle)
    cut = max(stamps.shape[1] // 2 - _CORE, 0)
    psf = stamps[0, cut : stamps.shape[1] - cut, cut : stamps.shape[2] - cut]
    if not np.isfinite(psf).all():
        return np.empty(0)
    half = psf.shape[0] // 2
    fluxes = []
    for y in range(half, rows - half, psf.shape[0]):
        for x in range(half, columns - half, psf.shape[0]):
            part = slice(y - half, y + half + 1), slice(x - half, x + half + 1)
            if empty[part].all():
                fluxes.append(np.sum(psf * patch.image.array[part]) / np.sqrt(np.sum(psf**2)))
    return np.asarray(fluxes)


def _noise_ratios(patch: Exposure) -> np.ndarray:
    """Value over expected noise of every sky pixel."""
    sky = ((patch.bits & bitmask(*_NOT_SKY)) == 0) & np.isfinite(patch.image.array) & np.isfinite(patch.variance.array)
    return np.asarray(patch.image.array[sky] / np.sqrt(patch.variance.array[sky]))


def _as_calibrated(sources: Table) -> Table:
    """The pixels of a coadd are nJy: its PSF fluxes are calibrated as they are."""
    sources["psf_flux_njy"], sources["psf_flux_njy_err"] = sources["psf_flux"], sources["psf_flux_err"]
    return sources
