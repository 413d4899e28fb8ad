"""`fit_jointly`: the WCSs and flux scales of all frames of a field, fitted together."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from skyloom.errors import JointFitError

from .associate import Stars, associate, linked_visits, without_motion
from .astrometry import AstrometricFit
from .catalogues import FrameCatalogue, Measurements, gather
from .photometry import PhotometricFit
from .problem import Chi2, Part, chi2_of, converge, one_step
from .references import MatchedReferences, match_references
from .settings import JointAstrometrySettings, JointPhotometrySettings

__all__ = ["JointFit", "JointSettings", "fit_jointly"]

type Flags = NDArray[np.bool_]

_LOG = logging.getLogger(__name__)
_VISITS = Part(name="visits", chips=False, stars=False)
_TRANSFORMS = Part(name="transforms", stars=False)
_STARS = Part(name="stars", chips=False, groups=False)
_ALL = Part(name="transforms and stars")


@dataclass(frozen=True, kw_only=True)
class JointSettings:
    """Of a joint fit; a part that is None is not made."""

    astrometry: JointAstrometrySettings | None = field(default_factory=JointAstrometrySettings)
    photometry: JointPhotometrySettings | None = field(default_factory=JointPhotometrySettings)
    association_radius_arcsec: float = 3.0
    """Measurements within it are of one star."""
    match_radius_arcsec: float = 3.0
    """References within it of a star are that star."""
    min_measurements: int = 2
    """A star without a reference needs as many."""

    def __post_init__(self) -> None:
        if not (self.association_radius_arcsec > 0.0 and self.match_radius_arcsec > 0.0 and self.min_measurements > 0):
            raise ValueError("The radii are positive and a star has at least one measurement.")


@dataclass(frozen=True, kw_only=True, eq=False)
class JointFit:
    """What came of a joint fit."""

    measurements: Measurements
    stars: Stars
    references: MatchedReferences
    usable: Flags
    """Measurements of stars with measurements enough, or with a reference, ``[m]``."""
    astrometry: AstrometricFit | None
    photometry: PhotometricFit | None
    metrics: dict[str, float]
    """Counts of stars, chi2 and degrees of freedom."""


def fit_jointly(
    frames: Sequence[FrameCatalogue],
    references: Table,
    settings: JointSettings | None = None,
    *,
    flux: str | None = None,
) -> JointFit:
    """Fit the WCSs and flux scales of frames of a field together.

    Every star has one position and one flux; every frame's WCS and flux scale is such that all its measurements agree
    with them, and they with the references, as well as possible.

    Parameters
    ----------
    frames
        The stars of each detector of each visit, in one filter.
    references
        A reference table (`skyloom.catalog.refcat`) of the field, at the mean epoch of the visits.
    settings
        Models and limits.
    flux
        Name of the reference filter; None fits fluxes without references.

    Raises
    ------
    JointFitError
        If nothing is left to fit, or a fit fails.
    """
    settings = settings or JointSettings()
    measurements = without_motion(_gather(frames), references, settings.match_radius_arcsec)
    stars = associate(measurements, settings.association_radius_arcsec)
    matched = _match(stars, references, settings, flux)
    usable = _usable(stars, matched, settings.min_measurements)
    metrics: dict[str, float] = {
        "collected_references": len(references),
        "associated_stars": len(stars),
        "prepared_references": len(matched),
        "prepared_stars": len(np.unique(stars.of_measurement[usable])),
        "prepared_frames": len(np.unique(measurements.frame[usable])),
    }
    _check(metrics)
    astrometry = photometry = None
    if settings.astrometry is not None:
        tied = usable & _tied(measurements, stars, matched, usable)
        astrometry = AstrometricFit(measurements, stars, matched, settings.astrometry, tied)
        _run_astrometry(astrometry, settings.astrometry)
        metrics |= _metrics("astrometry", astrometry.state.history[-1])
    if settings.photometry is not None:
        photometry = PhotometricFit(measurements, stars, matched, settings.photometry, usable)
        _run_photometry(photometry, settings.photometry)
        metrics |= _metrics("photometry", photometry.state.history[-1])
    return JointFit(
        measurements=measurements,
        stars=stars,
        references=matched,
        usable=usable,
        astrometry=astrometry,
        photometry=photometry,
        metrics=metrics,
    )


def _gather(frames: Sequence[FrameCatalogue]) -> Measurements:
    filled = [frame for frame in frames if len(frame.x)]
    for frame in frames:
        if not len(frame.x):
            _LOG.warning("%s has no usable star and takes no part", frame.name)
    if not filled:
        raise JointFitError("No frame has a usable star.", cure="Look at the selection of the stars.")
    return gather(filled)


def _match(stars: Stars, references: Table, settings: JointSettings, flux: str | None) -> MatchedReferences:
    """The references of the stars; without a fit of positions, their errors do not matter."""
    astrometry = settings.astrometry or JointAstrometrySettings()
    return match_references(
        stars,
        references,
        settings.match_radius_arcsec,
        flux=flux,
        position_error_mas=astrometry.reference_error_mas,
        unknown_error_mas=astrometry.unknown_reference_error_mas,
    )


def _usable(stars: Stars, references: MatchedReferences, least: int) -> Flags:
    counts = np.bincount(stars.of_measurement, minlength=len(stars))
    enough = counts >= least
    enough[references.star] = True
    return np.asarray(enough[stars.of_measurement], bool)


def _tied(measurements: Measurements, stars: Stars, references: MatchedReferences, usable: Flags) -> Flags:
    """Measurements of visits that hang together with the references: others have no place on the sky."""
    visit = measurements.visit_of_frame[measurements.frame]
    is_reference = np.zeros(len(stars), bool)
    is_reference[references.star] = True
    n_visits = len(measurements.visits)
    group = linked_visits(visit[usable], stars.of_measurement[usable], is_reference, n_visits)
    for number in np.flatnonzero(group):
        _LOG.warning(
            "visit %d shares no star with the references, nor with a visit that does", measurements.visits[number]
        )
    return np.asarray(group[visit] == 0, bool)


def _check(metrics: dict[str, float]) -> None:
    for name, what in (("prepared_frames", "frame"), ("prepared_stars", "star"), ("prepared_references", "reference")):
        if metrics[name] == 0:
            raise JointFitError(
                f"No {what} is left for the joint fit.", cure="Widen the match radii, or look at the selection."
            )


def _run_astrometry(fit: AstrometricFit, settings: JointAstrometrySettings) -> None:
    fit.state.history.append(Chi2("initial", chi2_of(fit), fit.state.n_residuals, 0))
    one_step(fit, _VISITS)
    one_step(fit, _TRANSFORMS)
    one_step(fit, _STARS)
    converge(fit, _ALL, settings.fit)
    _judge("astrometry", fit.state.history[-1], settings.fit.max_chi2_per_degree)


def _run_photometry(fit: PhotometricFit, settings: JointPhotometrySettings) -> None:
    fit.state.history.append(Chi2("initial", chi2_of(fit), fit.state.n_residuals, 0))
    one_step(fit, _VISITS)
    one_step(fit, _TRANSFORMS)
    one_step(fit, _STARS)
    one_step(fit, _ALL)
    fit.freeze_errors()
    converge(fit, _ALL, settings.fit)
    fit.check()
    _judge("photometry", fit.state.history[-1], settings.fit.max_chi2_per_degree)


def _judge(name: str, last: Chi2, limit: float) -> None:
    _LOG.info("%s: chi2 %.6g for %d degrees, %d outliers", name, last.chi2, last.degrees, last.n_outliers)
    if last.chi2 > limit * last.degrees:
        per_degree = last.chi2 / max(last.degrees, 1)
        _LOG.warning("%s: chi2 a degree is %.2f: errors are too small or the model does not hold", name, per_degree)


def _metrics(name: str, last: Chi2) -> dict[str, float]:
    return {f"{name}_final_chi2": last.chi2, f"{name}_final_degrees": last.degrees, f"{name}_outliers": last.n_outliers}
