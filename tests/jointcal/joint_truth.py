"""The tables of a joint fit against the truth of the survey that it was made of."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from skyloom.images import pixel_to_radec
from skyloom.jointcal import (
    PHOTO_CALIB_COLUMNS,
    WCS_COLUMNS,
    JointFit,
    photo_calib_of,
    photo_calib_rows,
    projection_of,
    table_of,
    wcs_rows,
)
from skyloom.jointcal.directions import local_axes, project
from skyloom.simulate.star_catalogues import CatalogueSurvey
from skyloom.skymap import unit_vectors

type Tables = dict[int, Table]
type ByFrame = dict[tuple[int, int], np.ndarray]


def wcs_tables(fit: JointFit) -> Tables:
    """The table of each visit."""
    return {visit: table_of(wcs_rows(fit, visit), WCS_COLUMNS) for visit in fit.measurements.visits}


def photo_calib_tables(fit: JointFit) -> Tables:
    return {visit: table_of(photo_calib_rows(fit, visit), PHOTO_CALIB_COLUMNS) for visit in fit.measurements.visits}


def offsets(ra: np.ndarray, dec: np.ndarray, true_ra: np.ndarray, true_dec: np.ndarray) -> np.ndarray:
    """To the east and to the north of the truth, mas, ``[n, 2]``; also across RA 0 and at the poles."""
    axes = local_axes(unit_vectors(true_ra, true_dec))
    flat, _ = project(unit_vectors(ra, dec), axes, axes)
    return 1e3 * flat


def position_errors(survey: CatalogueSurvey, tables: Tables) -> ByFrame:
    """How far the fitted WCSs put the measurements of each frame from their stars, mas, ``[n, 2]``.

    Frames without a WCS, and measurements that were made outliers, are left out.
    """
    found = {}
    for one in survey.simulated:
        frame = one.catalogue
        if frame.visit not in tables:
            continue
        projection = projection_of(tables[frame.visit], frame.detector, frame.projection.pixel_frame)
        if projection is not None:
            sky = pixel_to_radec(projection, frame.x, frame.y)
            true = survey.sky(one.star, frame.epoch_year)
            found[frame.visit, frame.detector] = offsets(*sky, *true)[~one.wrong]
    return found


def flux_ratios(survey: CatalogueSurvey, tables: Tables) -> ByFrame:
    """Fluxes by the fitted scales over the true ones, of the same measurements."""
    found = {}
    for one in survey.simulated:
        frame = one.catalogue
        scale = photo_calib_of(tables[frame.visit], frame.detector) if frame.visit in tables else None
        if scale is not None:
            ratio = scale.to_njy(frame.flux, frame.x, frame.y) / survey.flux[one.star]
            found[frame.visit, frame.detector] = ratio[~one.wrong]
    return found


def together(by_frame: ByFrame) -> np.ndarray:
    """All frames in one array."""
    return np.concatenate(list(by_frame.values()))


def rms(values: np.ndarray) -> float:
    """Of a coordinate."""
    return float(np.sqrt(np.mean(np.square(values))))
