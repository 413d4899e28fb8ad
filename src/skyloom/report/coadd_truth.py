"""How well a coadd agrees with the truth: noise against its variance plane, and the photometry of its stars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table, vstack

from skyloom.detection import DetectionSettings, detect_sources
from skyloom.images import Exposure, bitmask
from skyloom.measurement import measure_sources

from .truth import compare_frame, isolated_stars, robust_rms

__all__ = ["CoaddAgreement", "compare_coadd"]

_BRIGHT = DetectionSettings(threshold=50.0)
_NOT_SKY = ("DETECTED", "DETECTED_NEGATIVE", "NO_DATA", "BAD", "SAT", "EDGE")


@dataclass(frozen=True, kw_only=True)
class CoaddAgreement:
    """Agreement of the patches of a coadd with the truth."""

    noise_ratio: float
    """Measured noise of the sky pixels, in units of what the variance plane says."""
    n_stars: int
    flux_mmag: float
    """Median of measured minus true magnitude of bright stars, with the coadd's PSF."""
    astrometry_mas: float
    """Robust rms of position differences, a coordinate."""


def compare_coadd(patches: list[Exposure], sky: Table, band: str) -> CoaddAgreement:
    """Detect and measure on the patches of a coadd, and compare with the true sky.

    Parameters
    ----------
    patches
        Coadds with their PSF; their detection planes are made anew.
    sky
        True sources, see `isolated_stars`.
    band
        Band of the coadd.

    Raises
    ------
    ValueError
        If there is no patch, or no bright star on them.
    """
    if not patches:
        raise ValueError("No patch to compare with the truth.")
    truth = isolated_stars(sky, band)
    ratios, matched = [], []
    for patch in patches:
        if not np.isfinite(patch.image.array).any():
            continue
        # The noise wants every source masked; only the bright ones, which are compared, are worth measuring.
        detect_sources(patch)
        ratios.append(_noise_ratios(patch))
        sources = measure_sources(patch, detect_sources(patch, settings=_BRIGHT))
        matched.append(compare_frame(_as_calibrated(sources), truth, band, visit=0, detector=0)[1])
    if not sum(len(stars) for stars in matched):
        raise ValueError("The coadd has no bright, isolated star to compare with the truth.")
    stars, noise = vstack(matched), np.concatenate(ratios)
    return CoaddAgreement(
        noise_ratio=float(1.4826 * np.median(np.abs(noise - np.median(noise)))),
        n_stars=len(stars),
        flux_mmag=1e3 * float(np.median(stars["dmag"])),
        astrometry_mas=robust_rms(np.concatenate([stars["dra_mas"], stars["ddec_mas"]])),
    )


def _noise_ratios(patch: Exposure) -> np.ndarray:
    """Value over expected noise of every sky pixel."""
    sky = ((patch.bits & bitmask(*_NOT_SKY)) == 0) & np.isfinite(patch.image.array) & np.isfinite(patch.variance.array)
    return np.asarray(patch.image.array[sky] / np.sqrt(patch.variance.array[sky]))


def _as_calibrated(sources: Table) -> Table:
    """The pixels of a coadd are nJy: its PSF fluxes are calibrated as they are."""
    sources["psf_flux_njy"], sources["psf_flux_njy_err"] = sources["psf_flux"], sources["psf_flux_err"]
    return sources
