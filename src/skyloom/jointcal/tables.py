"""The tables of a joint fit as a whole: stars, measurements, chi2 and counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.table import Table

from skyloom.images import ab_magnitude_to_njy, njy_to_ab_magnitude

from .fit import JointFit

__all__ = ["history_table", "measurement_table", "metric_table", "star_table"]


def star_table(fit: JointFit) -> Table:
    """One row a star that took part: where it is, how bright, and how often it was measured."""
    stars, count = fit.stars, np.bincount(fit.stars.of_measurement[fit.usable], minlength=len(fit.stars))
    rows = np.flatnonzero(count)
    ra, dec = (stars.ra, stars.dec) if fit.astrometry is None else fit.astrometry.star_positions
    flux = stars.flux
    if fit.photometry is not None:
        values = fit.photometry.star_values
        flux = ab_magnitude_to_njy(values) if fit.photometry.model.in_magnitudes else values
    reference = np.full(len(stars), -1)
    reference[fit.references.star] = np.arange(len(fit.references))
    columns: tuple[tuple[str, Any, str | None, str], ...] = (
        ("star", rows, None, "number of the star"),
        ("ra", ra[rows], "deg", "right ascension at the epoch of the fit, ICRS"),
        ("dec", dec[rows], "deg", "declination"),
        ("flux", flux[rows], "nJy", "flux"),
        ("n_measurements", count[rows], None, "measurements that could take part"),
        ("has_reference", reference[rows] >= 0, None, "whether it is a reference star"),
    )
    table = Table()
    for name, column, unit, text in columns:
        table[name] = column
        table[name].unit, table[name].description = unit, text
    table.meta["epoch_year"] = fit.measurements.epoch_year
    return table


def measurement_table(fit: JointFit) -> Table:
    """One row a measurement of a star that took part, with its distance from the star before and after the fit."""
    data, rows = fit.measurements, np.flatnonzero(fit.usable)
    star = fit.stars.of_measurement[rows]
    frame = data.frame[rows]
    visits, detectors = (np.array([getattr(one, name) for one in data.frames]) for name in ("visit", "detector"))
    columns: list[tuple[str, Any, str | None, str]] = [
        ("visit", visits[frame], None, "visit"),
        ("detector", detectors[frame], None, "detector"),
        ("source_id", np.concatenate([one.source_id for one in data.frames])[rows], None, "source of the frame"),
        ("star", star, None, "number of its star"),
        ("x", data.x[rows], "pix", "column"),
        ("y", data.y[rows], "pix", "row"),
        ("mag", njy_to_ab_magnitude(data.calibrated_flux[rows]), "mag", "AB magnitude before the fit"),
        *_position_columns(fit, rows),
        *_flux_columns(fit, rows),
    ]
    table = Table()
    for name, values, unit, text in columns:
        table[name] = values
        table[name].unit, table[name].description = unit, text
    return table


def _position_columns(fit: JointFit, rows: np.ndarray) -> list[tuple[str, Any, str | None, str]]:
    data, stars = fit.measurements, fit.stars
    star = stars.of_measurement[rows]
    east = (data.ra[rows] - stars.ra[star] + 180.0) % 360.0 - 180.0
    east *= 3600.0 * np.cos(np.radians(stars.dec[star]))
    columns: list[tuple[str, Any, str | None, str]] = [
        ("east_before", east, "arcsec", "offset to the east from the mean of its star before the fit"),
        ("north_before", 3600.0 * (data.dec[rows] - stars.dec[star]), "arcsec", "offset to the north"),
    ]
    if fit.astrometry is None:
        return columns
    residual = fit.astrometry.residuals()
    return [
        *columns,
        ("east_after", -residual[rows, 0], "arcsec", "offset to the east from its star after the fit"),
        ("north_after", -residual[rows, 1], "arcsec", "offset to the north"),
        ("astrometry_used", fit.astrometry.state.used[rows], None, "whether the fit of positions used it"),
    ]


def _flux_columns(fit: JointFit, rows: np.ndarray) -> list[tuple[str, Any, str | None, str]]:
    data, star = fit.measurements, fit.stars.of_measurement[rows]
    magnitudes = njy_to_ab_magnitude(data.calibrated_flux)
    before = magnitudes[rows] - njy_to_ab_magnitude(fit.stars.flux)[star]
    columns: list[tuple[str, Any, str | None, str]] = [
        ("mag_before", before, "mag", "magnitude less that of the mean flux of its star, before the fit")
    ]
    if fit.photometry is None:
        return columns
    residual, error = fit.photometry.residuals()
    if not fit.photometry.model.in_magnitudes:
        to_mag = -2.5 / np.log(10.0) / fit.photometry.star_values[fit.photometry.state.star]
        residual, error = residual * to_mag, np.abs(error * to_mag)
    return [
        *columns,
        ("mag_after", residual[rows], "mag", "magnitude less that of its star after the fit"),
        ("mag_err", error[rows], "mag", "error of the measurement"),
        ("photometry_used", fit.photometry.state.used[rows], None, "whether the fit of fluxes used it"),
    ]


def history_table(fit: JointFit) -> Table:
    """One row a step of either fit."""
    rows = [
        (name, one.step, one.chi2, one.degrees, one.n_outliers)
        for name, part in (("astrometry", fit.astrometry), ("photometry", fit.photometry))
        if part is not None
        for one in part.state.history
    ]
    names = ("fit", "step", "chi2", "degrees", "n_outliers")
    return Table(rows=rows, names=names, dtype=(str, str, np.float64, np.int64, np.int64))


def metric_table(fit: JointFit) -> Table:
    """Counts of stars and frames, and the final chi2, one a row."""
    return Table(rows=list(fit.metrics.items()), names=("name", "value"), dtype=(str, np.float64))
