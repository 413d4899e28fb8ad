"""The metrics of a site, from the catalogues of an output: one set a filter of a tract."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.io.fits import Header
from astropy.table import Table
from astropy.wcs import WCS

from skyloom.catalog.columns import flag_column, float_column

from .metrics import (
    METRICS,
    Matched,
    Measured,
    absolute_astrometry,
    ellipticity_correlations,
    photometric_repeatability,
    relative_astrometry,
    tangent_plane,
)
from .site_run import SiteData
from .visit_psf_values import Shapes

__all__ = ["FilterMetrics", "matched_of", "site_metrics"]

_SNR_OF_MAG_ERR = 2.5 / math.log(10.0)
_MOMENTS = ("ixx", "iyy", "ixy")

type Frame = tuple[int, int]
"""Visit and detector."""


@dataclass(frozen=True, kw_only=True)
class FilterMetrics:
    """The metrics of a filter on a tract."""

    instrument: str
    skymap: str
    tract: int
    physical_filter: str
    band: str
    after: Mapping[str, Measured]
    """By name, with the joint calibration."""
    before: Mapping[str, Measured]
    """With the calibrations of the single frames; metrics of the PSF are not in it."""


def site_metrics(data: SiteData) -> list[FilterMetrics]:
    """The metrics of all filters and tracts with a joint calibration, which says what measurements are of one star."""
    summaries = {(str(ref.dataId["instrument"]), int(ref.dataId["visit"])): ref for ref in data.refs("visit_summary")}
    stars = {_place(ref): ref for ref in data.refs("joint_stars")}
    found = []
    for ref in data.refs("joint_measurements"):
        measurements, known = data.get(ref), stars.get(_place(ref))
        table = None if known is None else data.get(known)
        if measurements is None or table is None or len(table) == 0:
            continue
        instrument, band = str(ref.dataId["instrument"]), str(ref.dataId["band"])
        visits = sorted({int(visit) for visit in measurements["visit"]})
        turns = {
            (visit, int(row["detector"])): _jacobian(str(row["wcs"]))
            for visit in visits
            if (instrument, visit) in summaries
            for row in data.get(summaries[instrument, visit]) or ()
        }
        joined = _Joined(data, instrument, visits, measurements, table)
        psf = _psf_metrics(joined, turns)
        found.append(
            FilterMetrics(
                instrument=instrument,
                skymap=str(ref.dataId["skymap"]),
                tract=int(ref.dataId["tract"]),
                physical_filter=str(ref.dataId["physical_filter"]),
                band=band,
                after=_of_stars(joined, "after", band, turns) | psf,
                before=_of_stars(joined, "before", band, turns),
            )
        )
    return found


def matched_of(measurements: Table, stars: Table, when: str) -> Matched:
    """What a joint calibration matched, with the calibration ``before`` or ``after`` it.

    All measurements count, also those that the fit left out.
    """
    numbers = np.asarray(stars["star"], dtype=np.int64)
    order = np.argsort(numbers)
    star = order[np.searchsorted(numbers, np.asarray(measurements["star"], dtype=np.int64), sorter=order)]
    with np.errstate(divide="ignore"):
        snr = _SNR_OF_MAG_ERR / float_column(measurements, "mag_err")
    return Matched(
        ra=float_column(stars, "ra"),
        dec=float_column(stars, "dec"),
        star=star,
        visit=np.asarray(measurements["visit"], dtype=np.int64),
        east=1e3 * float_column(measurements, f"east_{when}"),
        north=1e3 * float_column(measurements, f"north_{when}"),
        magnitude=1e3 * float_column(measurements, f"mag_{when}"),
        snr=np.where(np.isfinite(snr), snr, 0.0),
    )


class _Joined:
    """Measurements of a joint calibration, and tables of frames that are joined to them by their sources."""

    def __init__(self, data: SiteData, instrument: str, visits: list[int], measurements: Table, stars: Table) -> None:
        self._data = data
        self._where = f"instrument = '{instrument}' AND visit IN ({', '.join(map(str, visits))})"
        self.measurements, self.stars = measurements, stars
        columns = (np.asarray(measurements[name], dtype=np.int64) for name in ("visit", "detector", "source_id"))
        self._row = {key: row for row, key in enumerate(zip(*(part.tolist() for part in columns), strict=True))}

    def frames(self, name: str) -> dict[Frame, Table]:
        """Tables of a type by frame."""
        tables = {
            (int(ref.dataId["visit"]), int(ref.dataId["detector"])): self._data.get(ref)
            for ref in self._data.refs(name, self._where)
        }
        return {frame: table for frame, table in tables.items() if table is not None and len(table)}

    def rows(self, frame: Frame, table: Table) -> np.ndarray:
        """Of each source of a frame, the row of its measurement; -1 without."""
        return np.array([self._row.get((*frame, int(one)), -1) for one in table["source_id"]], dtype=np.int64)


def _place(ref: Any) -> tuple[Any, ...]:
    return tuple(ref.dataId[name] for name in ("instrument", "skymap", "tract", "physical_filter"))


def _of_stars(joined: _Joined, when: str, band: str, turns: Mapping[Frame, np.ndarray]) -> dict[str, Measured]:
    matched = matched_of(joined.measurements, joined.stars, when)
    found: dict[str, Measured] = {}
    for number, separation in ((1, 5.0), (2, 20.0)):
        pairs = relative_astrometry(matched, separation)
        found |= {f"{name}{number}": one for name, one in pairs.items()}
    found |= photometric_repeatability(matched, band) | {"AA1": _absolute(joined, matched, when, turns)}
    return {name: found[name] for name in METRICS if name in found}


def _absolute(joined: _Joined, matched: Matched, when: str, turns: Mapping[Frame, np.ndarray]) -> Measured:
    """AA1 by the references that the frames were matched to, at the places that they have at the exposures."""
    total, counted = np.zeros((len(matched.ra), 2)), np.zeros(len(matched.ra))
    for frame, table in joined.frames("initial_astrometry_match_detector").items():
        if frame in turns and {"source_id", "ra", "dec"} <= set(table.colnames):
            rows = joined.rows(frame, table)
            row, matches = rows[rows >= 0], table[rows >= 0]
            star = matched.star[row]
            if when == "before":
                residuals = np.stack([float_column(matches, f"{axis}_residual") for axis in "xy"])
                east, north = 1e3 * turns[frame] @ residuals
            else:
                east, north = _from_reference(matched, row, star, matches)
            np.add.at(total, star, np.stack([east, north], axis=-1))
            np.add.at(counted, star, 1.0)
    return absolute_astrometry(*(total[counted > 0] / counted[counted > 0, np.newaxis]).T)


def _from_reference(matched: Matched, row: np.ndarray, star: np.ndarray, matches: Table) -> tuple[np.ndarray, ...]:
    """Offsets (east, north) of measurements from their references, mas: to the star, then to the measurement."""
    degrees = matched.ra[star] - float_column(matches, "ra")
    degrees = (degrees + 180.0) % 360.0 - 180.0
    east = 3.6e6 * degrees * np.cos(np.radians(matched.dec[star]))
    north = 3.6e6 * (matched.dec[star] - float_column(matches, "dec"))
    return east + matched.east[row], north + matched.north[row]


def _psf_metrics(joined: _Joined, turns: Mapping[Frame, np.ndarray]) -> dict[str, Measured]:
    """TE1 to TE4, of the stars that were kept out of the fit of the PSF where there are any, else of all."""
    parts = []
    for frame, table in joined.frames("initial_psf_stars_detector").items():
        if frame in turns and {f"psf_{name}" for name in _MOMENTS} <= set(table.colnames):
            parts.append(_residuals(table, turns[frame], frame[0], joined.rows(frame, table)))
    table = np.concatenate(parts, axis=1) if parts else np.zeros((7, 0))
    table = table[:, np.isfinite(table[2]) & np.isfinite(table[3])]
    if np.any(table[6] > 0):
        table = table[:, table[6] > 0]
    if not table.size:
        why = Measured(why="the stars of the PSF have no moments, or the PSF has none at their places")
        return dict.fromkeys(("TE1", "TE2", "TE3", "TE4"), why)
    ra, dec, e1, e2, visit, row, _ = table
    place = tangent_plane(ra, dec)
    found = {
        f"TE{number}": ellipticity_correlations(place, e1, e2, visit, large=large)
        for number, large in ((3, False), (4, True))
    }
    star = np.asarray(joined.measurements["star"], dtype=np.int64)[row.astype(np.int64)]
    # Sources that the joint calibration does not know are stars of their own.
    star = np.where(row >= 0, star, -1 - np.arange(star.size))
    _, first, index = np.unique(star, return_index=True, return_inverse=True)
    e1, e2 = (np.bincount(index, part) / np.bincount(index) for part in (e1, e2))
    one = np.zeros(first.size)
    found |= {
        f"TE{number}": ellipticity_correlations(place[first], e1, e2, one, large=large)
        for number, large in ((1, False), (2, True))
    }
    return {name: found[name] for name in METRICS if name in found}


def _residuals(table: Table, turn: np.ndarray, visit: int, rows: np.ndarray) -> np.ndarray:
    """Right ascension, declination, both residuals on the axes (east, north), visit, row, and whether reserved."""
    star, model = (_shapes_on_sky(table, prefix, turn) for prefix in ("", "psf_"))
    return np.stack(
        [
            float_column(table, "ra"),
            float_column(table, "dec"),
            star.e1 - model.e1,
            star.e2 - model.e2,
            np.full(len(table), float(visit)),
            rows.astype(np.float64),
            flag_column(table, "calib_psf_reserved").astype(np.float64),
        ]
    )


def _shapes_on_sky(table: Table, prefix: str, turn: np.ndarray) -> Shapes:
    xx, yy, xy = (float_column(table, prefix + name) for name in _MOMENTS)
    moments = np.stack([np.stack([xx, xy], axis=-1), np.stack([xy, yy], axis=-1)], axis=-1)
    on_sky = turn @ moments @ turn.T
    return Shapes.of(on_sky[:, 0, 0], on_sky[:, 1, 1], on_sky[:, 0, 1])


def _jacobian(text: str) -> np.ndarray:
    """Of a WCS at its reference pixel: arcsec (east, north) a pixel (x, y), ``[2, 2]``."""
    return np.asarray(WCS(Header.fromstring(text, sep="\n")).pixel_scale_matrix) * 3600.0
