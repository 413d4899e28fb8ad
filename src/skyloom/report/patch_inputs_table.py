"""The visits of a coadd, a record each: weight, seeing, zero point, share of the patch, what was masked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from skyloom.catalog.columns import float_column
from skyloom.errors import PsfError
from skyloom.images import pixel_scale
from skyloom.images.photo_calib import njy_to_ab_magnitude
from skyloom.psf import CoaddPsf, psf_sigma

from .patch_products import BandProducts

__all__ = ["VisitRecord", "visit_records"]

_FWHM_OF_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=int)


@dataclass(frozen=True, kw_only=True)
class VisitRecord:
    """A visit in a coadd; NaN where a figure is not known."""

    visit: int
    detectors: int
    weight_percent: float
    """Of the sum of the weights of all visits."""
    filled_percent: float
    """Of the patch, by the pixels of its warp."""
    fwhm_arcsec: float
    """Median over its detectors, by the PSF model of the frames."""
    zero_point_mag: float
    """AB magnitude of one electron, median of its detectors, as they were warped."""
    exposure_time_s: float = float("nan")
    sky_noise_njy: float = float("nan")
    """1 / sqrt(weight): the noise of a pixel of the warp."""
    clipped_px: float = float("nan")
    """Pixels of its warp that were clipped."""
    regions: float = float("nan")
    """Connected regions of them."""
    clipped_percent: float = float("nan")
    """Of the pixels of its warp."""


def visit_records(products: BandProducts) -> list[VisitRecord]:
    """The visits that are in a coadd, sorted; empty without a table of inputs."""
    coadd = products.coadd
    if coadd is None or coadd.inputs is None:
        return []
    table = coadd.inputs
    seeing = _seeing(coadd.psf)
    visits = np.asarray(table["visit"], dtype=np.int64)
    weights = {visit: float(table["weight"][np.flatnonzero(visits == visit)[0]]) for visit in products.visits}
    area = float(np.prod(products.shape))
    return [
        VisitRecord(
            visit=visit,
            detectors=int((visits == visit).sum()),
            weight_percent=100.0 * weights[visit] / sum(weights.values()),
            filled_percent=100.0 * _pixels(table, visits == visit) / area,
            fwhm_arcsec=seeing.get(visit, float("nan")),
            zero_point_mag=_zero_point(products, visits == visit, visit),
            exposure_time_s=_of_summary(products, visit, "exposure_time"),
            sky_noise_njy=1.0 / np.sqrt(weights[visit]) if weights[visit] > 0.0 else float("nan"),
            **_clipped(products, visit, _pixels(table, visits == visit)),
        )
        for visit in products.visits
    ]


def _pixels(table: Any, chosen: np.ndarray) -> float:
    return float(np.sum(table["n_pixels"][chosen])) if "n_pixels" in table.colnames else float("nan")


def _seeing(psf: Any) -> dict[int, float]:
    """FWHM by visit, arcsec: the median of its detectors."""
    found: dict[int, list[float]] = {}
    for part in psf.components if isinstance(psf, CoaddPsf) else ():
        box = part.bbox
        scale = float(pixel_scale(part.projection, 0.5 * (box.x.min + box.x.max), 0.5 * (box.y.min + box.y.max)))
        try:
            found.setdefault(part.visit, []).append(_FWHM_OF_SIGMA * scale * psf_sigma(part.psf))
        except PsfError:
            continue
    return {visit: float(np.median(widths)) for visit, widths in found.items()}


def _zero_point(products: BandProducts, chosen: np.ndarray, visit: int) -> float:
    """By the flux scales of the table of inputs, else by the summary of the visit."""
    assert products.coadd is not None
    table = products.coadd.inputs
    if table is not None and "calibration_mean" in table.colnames:
        scale = np.asarray(table["calibration_mean"], dtype=np.float64)[chosen]
        if np.isfinite(scale).any():
            return float(np.nanmedian(njy_to_ab_magnitude(scale)))
    return _of_summary(products, visit, "zero_point_mag")


def _of_summary(products: BandProducts, visit: int, column: str) -> float:
    """Median of a column of the visit's summary; NaN without."""
    table = products.summaries.get(visit)
    if table is None or column not in table.colnames:
        return float("nan")
    values = float_column(table, column)
    return float(np.median(values[np.isfinite(values)])) if np.isfinite(values).any() else float("nan")


def _clipped(products: BandProducts, visit: int, pixels: float) -> dict[str, float]:
    """What was clipped of a visit, by its mask, else by what the task counted."""
    spans = products.clipped.get(visit)
    if spans is not None:
        regions = ndimage.label(spans.to_mask(spans.bbox), structure=_EIGHT_NEIGHBOURS)[1] if len(spans) else 0
        return _share(float(spans.area), pixels) | {"regions": float(regions)}
    counted = products.metadata.get("clipped_pixels")
    if isinstance(counted, Mapping):
        return _share(float(counted.get(str(visit), 0.0)), pixels)
    return {}


def _share(clipped: float, pixels: float) -> dict[str, float]:
    return {"clipped_px": clipped, "clipped_percent": 100.0 * clipped / pixels if pixels > 0.0 else float("nan")}
