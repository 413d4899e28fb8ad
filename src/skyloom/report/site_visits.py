"""The visits of an output, a record each: what the overview of a site lists and plots."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from astropy.table import Table

from skyloom.catalog.columns import float_column

from .site_run import SiteData

__all__ = ["SiteVisit", "site_visits"]

_FWHM_OF_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
_TRIED = ("calibrate_image_log", "calibrate_image_metadata", "initial_pvi")
"""What tells that a frame was tried, the surest first."""


@dataclass(frozen=True, kw_only=True)
class SiteVisit:
    """A visit; figures are medians of its calibrated frames, NaN where they are not known."""

    instrument: str
    visit: int
    night: int = 0
    physical_filter: str = ""
    band: str = ""
    begun: str = ""
    """The exposure, TAI."""
    exposure_time_s: float = math.nan
    frames: int = 0
    """That were tried."""
    calibrated: int = 0
    seeing_arcsec: float = math.nan
    """FWHM of the Gaussian with the PSF's moments."""
    sky_mag: float = math.nan
    """AB magnitude of the sky, a square arcsec."""
    zero_point_mag: float = math.nan
    astrometry_mas: float = math.nan
    """Rms a coordinate of the frames' own astrometry."""
    psf_size_percent: float = math.nan
    """Median size of PSF stars over that of the PSF, less 1."""
    depth_mag: float = math.nan
    outlines: Mapping[int, np.ndarray] = field(default_factory=dict)
    """By detector, corners on the sky ``[4, 2]``, degrees."""


def site_visits(data: SiteData) -> list[SiteVisit]:
    """The visits of which frames were tried or calibrated, by their time."""
    frames: dict[tuple[str, int], set[int]] = {}
    bands: dict[tuple[str, int], str] = {}
    for name in _TRIED:
        for ref in data.refs(name):
            key = str(ref.dataId["instrument"]), int(ref.dataId["visit"])
            frames.setdefault(key, set()).add(int(ref.dataId["detector"]))
            bands[key] = str(ref.dataId["band"])
    tables = {}
    for ref in data.refs("visit_summary"):
        key = str(ref.dataId["instrument"]), int(ref.dataId["visit"])
        tables[key], bands[key] = data.get(ref), str(ref.dataId["band"])
        frames.setdefault(key, set())
    found = []
    for (instrument, visit), detectors in sorted(frames.items()):
        record = data.butler.query_dimension_records("visit", instrument=instrument, visit=visit)[0]
        found.append(_visit(record, bands[instrument, visit], len(detectors), tables.get((instrument, visit))))
    return sorted(found, key=lambda one: (one.begun, one.visit))


def _visit(record: Any, band: str, frames: int, table: Table | None) -> SiteVisit:
    return SiteVisit(
        instrument=str(record.instrument),
        visit=int(record.id),
        night=int(record.day_obs),
        physical_filter=str(record.physical_filter),
        band=band,
        begun="" if record.timespan is None or record.timespan.begin is None else record.timespan.begin.isot[:19],
        exposure_time_s=math.nan if record.exposure_time is None else float(record.exposure_time),
        frames=max(frames, 0 if table is None else len(table)),
        **({} if table is None or len(table) == 0 else _figures(table)),
    )


def _figures(table: Table) -> dict[str, Any]:
    columns = {name: float_column(table, name) for name in table.colnames if table[name].dtype.kind in "fi"}
    unknown = np.full(len(table), np.nan)

    def column(name: str) -> np.ndarray:
        return columns.get(name, unknown)

    scale = column("pixel_scale")
    with np.errstate(divide="ignore", invalid="ignore"):
        sky = column("zero_point_mag") - 2.5 * np.log10(column("sky_background") / scale**2)
        size = 100.0 * column("psf_size_residual") / column("psf_sigma")
    corners = [columns[name] for name in ("ra_corners", "dec_corners") if name in columns]
    detectors = np.asarray(table["detector"], dtype=int)
    return {
        "calibrated": len(table),
        "seeing_arcsec": _median(_FWHM_OF_SIGMA * column("psf_sigma") * scale),
        "sky_mag": _median(sky),
        "zero_point_mag": _median(column("zero_point_mag")),
        "astrometry_mas": _median(1e3 * column("astrometry_rms_arcsec")),
        "psf_size_percent": _median(size),
        "depth_mag": _median(column("magnitude_limit")),
        "outlines": {int(one): np.stack([part[row] for part in corners], axis=-1) for row, one in enumerate(detectors)}
        if len(corners) == 2
        else {},
    }


def _median(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else math.nan
