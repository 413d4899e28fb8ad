"""Which measurements are of the same star."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from skyloom.catalog.columns import float_column
from skyloom.catalog.matching import match_sky, separation_arcsec
from skyloom.catalog.proper_motion import propagate
from skyloom.images import njy_to_ab_magnitude

from .catalogues import Measurements

__all__ = ["Stars", "as_bright", "associate", "linked_visits", "without_motion"]

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int32]

_SAME_MAG = 1.0
"""By so much a star's flux may differ from visit to visit, beside what its frame differs."""
_MOVING_ARCSEC = 0.1
"""References that move less during the visits stand, as far as association goes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Stars:
    """The distinct stars of a joint fit."""

    of_measurement: Integers
    """Number of each measurement's star, ``[m]``; -1 for a measurement that takes no part."""
    ra: Floats
    """Mean position of its measurements, degree, ``[s]``."""
    dec: Floats
    flux: Floats
    """Mean calibrated flux of its measurements, nJy."""
    epoch_year: float = np.nan
    """Julian year at which the fit has them; NaN where no frame is dated."""

    def __len__(self) -> int:
        return len(self.ra)


def without_motion(measurements: Measurements, references: Table, radius_arcsec: float) -> Measurements:
    """The measurements, those of references that move brought to the mean epoch of the frames.

    Otherwise a star that moves further than the radius of the association would be several stars.

    Parameters
    ----------
    measurements
        All of them.
    references
        A reference table; without proper motions nothing is moved.
    radius_arcsec
        Within it a measurement is of a reference, at the epoch of its frame.
    """
    epochs = np.array([frame.epoch_year for frame in measurements.frames])
    known = np.isfinite(epochs)
    if not known.any() or not {"pm_ra", "pm_dec", "epoch"} <= set(references.colnames):
        return measurements
    at_mean = propagate(references, measurements.epoch_year)
    ra, dec = measurements.ra.copy(), measurements.dec.copy()
    for epoch in np.unique(epochs[known]):
        moved = propagate(references, epoch)
        distance = separation_arcsec(moved["ra"], moved["dec"], at_mean["ra"], at_mean["dec"])
        if not (distance > _MOVING_ARCSEC).any():
            continue
        rows = np.flatnonzero(epochs[measurements.frame] == epoch)
        first, second, _ = match_sky(ra[rows], dec[rows], moved["ra"], moved["dec"], radius_arcsec)
        mine = distance[second] > _MOVING_ARCSEC
        rows, second = rows[first[mine]], second[mine]
        for angle, name in ((ra, "ra"), (dec, "dec")):
            angle[rows] += (float_column(at_mean, name) - float_column(moved, name))[second]
    return replace(measurements, ra=ra % 360.0, dec=dec)


def associate(measurements: Measurements, radius_arcsec: float) -> Stars:
    """Group measurements into stars, visit after visit.

    A measurement belongs to the star that is nearest to it within the radius, if it is that star's nearest measurement
    of the visit; otherwise it starts a star, and so does one much brighter or fainter, for that is a neighbour.  Where
    a star is, and how bright, follows from its first measurement, so that a chain of neighbours cannot grow.
    """
    star = np.full(len(measurements), -1, np.int32)
    visit = measurements.visit_of_frame[measurements.frame]
    ra, dec, flux = np.zeros(0), np.zeros(0), np.zeros(0)
    for number in range(len(measurements.visits)):
        rows = np.flatnonzero(visit == number)
        first, second, _ = match_sky(measurements.ra[rows], measurements.dec[rows], ra, dec, radius_arcsec)
        paired = rows[first]
        same = as_bright(measurements.calibrated_flux[paired], flux[second], measurements.frame[paired])
        star[paired[same]] = second[same]
        new = rows[star[rows] < 0]
        star[new] = len(ra) + np.arange(len(new))
        ra, dec = np.append(ra, measurements.ra[new]), np.append(dec, measurements.dec[new])
        flux = np.append(flux, measurements.calibrated_flux[new])
    return _averaged(measurements, star)


def as_bright(flux: Floats, expected: Floats, frame: Integers) -> NDArray[np.bool_]:
    """Whether two fluxes may be of one star, ``[n]``; neighbours by mistake taken for one are rarely equally bright.

    Parameters
    ----------
    flux, expected
        Pairwise; where either is not positive, nothing speaks against it.
    frame
        Number of the frame of ``flux``: by how much most stars of a frame differ tells nothing of a single one.
    """
    difference = np.nan_to_num(njy_to_ab_magnitude(flux) - njy_to_ab_magnitude(expected), nan=0.0)
    for number in np.unique(frame):
        mine = frame == number
        difference[mine] -= np.median(difference[mine])
    return np.asarray(np.abs(difference) < _SAME_MAG, bool)


def _averaged(measurements: Measurements, star: Integers) -> Stars:
    """The stars with plain means of what was measured of them."""
    counts = np.bincount(star)
    direction = np.zeros((len(counts), 3))
    ra, dec = np.radians(measurements.ra), np.radians(measurements.dec)
    for axis, part in enumerate((np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec))):
        direction[:, axis] = np.bincount(star, part)
    return Stars(
        of_measurement=star,
        ra=np.degrees(np.arctan2(direction[:, 1], direction[:, 0])) % 360.0,
        dec=np.degrees(np.arctan2(direction[:, 2], np.hypot(direction[:, 0], direction[:, 1]))),
        flux=np.bincount(star, measurements.calibrated_flux) / counts,
        epoch_year=measurements.epoch_year,
    )


def linked_visits(visit: Integers, star: Integers, tied: NDArray[np.bool_], n_visits: int) -> Integers:
    """Groups of visits that share stars or hold to the references; 0 is the group of the references.

    Parameters
    ----------
    visit, star
        Of each measurement that takes part, ``[m]``.
    tied
        Whether a star has a reference, ``[s]``.
    n_visits
        Number of visits.

    Returns
    -------
    group
        Of each visit, ``[v]``.
    """
    n_stars = len(tied)
    rows = np.concatenate([visit, np.full(int(tied.sum()), n_visits)])
    columns = np.concatenate([star, np.flatnonzero(tied)]) + n_visits + 1
    size = n_visits + 1 + n_stars
    _, label = connected_components(
        coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size)), directed=False
    )
    group = label[:n_visits]
    named = {int(label[n_visits]): 0}
    return np.array([named.setdefault(int(one), len(named)) for one in group], np.int32)
