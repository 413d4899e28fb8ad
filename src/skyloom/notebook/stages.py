"""Single stages on one exposure, and the whole single-frame recipe."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from skyloom.astrometry import AstrometricSolution, AstrometrySettings
from skyloom.background import BackgroundSettings, subtract_background
from skyloom.calibrate import CalibratedFrame, CalibrateSettings
from skyloom.calibrate import calibrate_frame as calibrate
from skyloom.calibrate.positions import fit_astrometry
from skyloom.catalog import filter_names
from skyloom.cosmic_rays import rough_psf_sigma
from skyloom.deblend import deblend_sources
from skyloom.detection import DetectionSettings, detect_sources
from skyloom.errors import NoSourcesError
from skyloom.images import Exposure, bitmask
from skyloom.measurement import measure_sources
from skyloom.psf import psf_sigma
from skyloom.psffit import PsfFit, PsfFitSettings, select_psf_stars
from skyloom.psffit import fit_psf as fit_psf_of_stars

from .references import stars_around

if TYPE_CHECKING:
    from astropy.table import Table

    from skyloom.background import Background

__all__ = ["calibrate_frame", "find_sources", "fit_psf", "solve_wcs", "subtract_sky"]

_BRIGHT = 10.0
"""Sigma: sources among which stars for the PSF are sought."""
_UNUSABLE = ("BAD", "SAT", "CR", "NO_DATA")


def subtract_sky(exposure: Exposure, *, bin_size: int = 128, settings: BackgroundSettings | None = None) -> Background:
    """Fit the sky and subtract it in place.

    Parameters
    ----------
    exposure
        Pixels that are masked as detected do not count: call it once more after `find_sources`.
    bin_size
        Side of a mesh cell, px.
    settings
        All knobs, instead of ``bin_size``.

    Returns
    -------
    skyloom.background.Background
        What was subtracted: ``render()`` gives it as an array, ``sky_level`` and ``sky_noise`` sum it up.
    """
    return subtract_background(exposure, settings or BackgroundSettings(bin_size=bin_size))


def find_sources(
    exposure: Exposure, *, threshold: float = 5.0, fwhm: float | None = None, deblend: bool = True
) -> Table:
    """Detect, deblend and measure the sources of a frame whose sky has been subtracted.

    Parameters
    ----------
    exposure
        Its planes DETECTED, DETECTED_NEGATIVE and EDGE are made anew.  With a PSF its sources get PSF fluxes, with a
        projection sky positions.
    threshold
        Sigma of the noise through the PSF.
    fwhm
        Of stars, px; without it that of the PSF, or of the bright round peaks.
    deblend
        Whether the light of blends is shared among their sources.

    Returns
    -------
    astropy.table.Table
        A row a source, with units and descriptions; fluxes in the unit of the image.

    Raises
    ------
    skyloom.errors.NoSourcesError
        If the width of stars is neither told nor to be seen.
    """
    sigma = _sigma(exposure, fwhm)
    footprints = detect_sources(exposure, sigma, DetectionSettings(threshold=threshold))
    light = deblend_sources(exposure, footprints).pixels if deblend else None
    return measure_sources(exposure, footprints, psf_sigma=sigma, light=light)


def fit_psf(exposure: Exposure, sources: Table | None = None, *, settings: PsfFitSettings | None = None) -> PsfFit:
    """Select stars, fit the PSF to them and give it to the exposure.

    Parameters
    ----------
    exposure
        Its sky has been subtracted; its ``psf`` is replaced.
    sources
        What `find_sources` gave; without it those above 10 sigma are sought.
    settings
        Of the fit.

    Raises
    ------
    skyloom.errors.NoSourcesError, skyloom.errors.PsfError
        If there are too few stars.
    """
    table = find_sources(exposure, threshold=_BRIGHT, deblend=False) if sources is None else sources
    fit = fit_psf_of_stars(exposure, table, select_psf_stars(table), settings)
    exposure.psf = fit.psf
    return fit


def solve_wcs(
    exposure: Exposure,
    sources: Table,
    references: Table,
    *,
    pointing_error_deg: float = 0.25,
    scale_error: float = 0.02,
    rotation_error_deg: float = 2.0,
    settings: CalibrateSettings | None = None,
) -> AstrometricSolution:
    """Find where the frame lies on the sky, from its sources with PSF fluxes.

    Parameters
    ----------
    exposure
        Its ``projection``, a first guess, is replaced by the solution.
    sources
        What `find_sources` gave after `fit_psf`; their ``ra`` and ``dec`` are filled.
    references
        See `read_references`.
    pointing_error_deg, scale_error, rotation_error_deg
        How far the guess may be off: degrees, a fraction, degrees.  A blind search around the guess follows where
        nothing is found.
    settings
        All knobs, instead.

    Raises
    ------
    skyloom.errors.AstrometryError
        If there is no solution that passes its checks: none is better than a wrong one.
    skyloom.errors.NoReferenceError
        If the references do not cover the frame.
    """
    frame = CalibratedFrame(exposure=exposure, sources=sources)
    guess = _guess(pointing_error_deg, scale_error, rotation_error_deg)
    fit_astrometry(frame, stars_around(references), settings or CalibrateSettings(astrometry=guess))
    assert frame.astrometry is not None
    return frame.astrometry


def calibrate_frame(
    exposure: Exposure,
    references: Table,
    *,
    reference_filter: str | None = None,
    pointing_error_deg: float = 0.25,
    scale_error: float = 0.02,
    rotation_error_deg: float = 2.0,
    settings: CalibrateSettings | None = None,
) -> CalibratedFrame:
    """The whole single-frame recipe: sky, cosmic rays, PSF, sources, WCS, zero point, pixels in nJy.

    Parameters
    ----------
    exposure
        In electrons, with a first guess of its projection.  Modified in place.
    references
        See `read_references`.
    reference_filter
        Which of their fluxes; that of the exposure's band, or the first, without it.
    pointing_error_deg, scale_error, rotation_error_deg
        As of `solve_wcs`.
    settings
        All knobs, instead.

    Returns
    -------
    skyloom.calibrate.CalibratedFrame
        ``exposure``, ``sources``, ``stars``, ``psf_fit``, ``astrometry``, ``zero_point``, ``metadata`` and more.

    Raises
    ------
    skyloom.errors.FrameError
        If a stage fails; its ``partial`` holds what had been obtained before.
    """
    known = filter_names(references)
    chosen = reference_filter or (exposure.band if exposure.band in known else next(iter(known), None))
    settings = settings or CalibrateSettings(astrometry=_guess(pointing_error_deg, scale_error, rotation_error_deg))
    return calibrate(exposure, stars_around(references), dataclasses.replace(settings, reference_filter=chosen))


def _guess(pointing: float, scale: float, rotation: float) -> AstrometrySettings:
    return AstrometrySettings(pointing_error_deg=pointing, scale_error=scale, rotation_error_deg=rotation)


def _sigma(exposure: Exposure, fwhm: float | None) -> float:
    """Width of the PSF, px."""
    if fwhm is not None:
        return fwhm / float(np.sqrt(8.0 * np.log(2.0)))
    if exposure.psf is not None:
        return psf_sigma(exposure.psf)
    image, variance = exposure.image.array, exposure.variance.array
    sigma = rough_psf_sigma(image, variance, exposure.bits, bitmask(*_UNUSABLE))
    if not np.isfinite(sigma):
        raise NoSourcesError("The frame shows fewer than ten bright round peaks.", cure="Say the FWHM of its stars.")
    return sigma
