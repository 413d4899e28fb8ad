"""Figures of a coadd and of its visits that the page about a patch judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skyloom.images.mask_planes import bitmask

from .patch_depth import PatchMaps
from .patch_inputs_table import VisitRecord
from .patch_noise import Noise
from .patch_products import BandProducts
from .patch_psf_map import PsfMap
from .patch_usual import VISIT_USUAL
from .visit_usual import judge

__all__ = ["PLANES", "Percentiles", "measured_band", "percentiles", "plane_shares", "visit_remarks"]

PLANES = ("CLIPPED", "REJECTED", "SENSOR_EDGE", "INEXACT_PSF")
"""What the assembly says of the inputs of a pixel."""
_RANGE = (5.0, 95.0)


@dataclass(frozen=True, kw_only=True)
class Percentiles:
    """How a figure is spread over the patch."""

    text: str
    values: np.ndarray
    """At 5, 25, 50, 75 and 95 % of the area."""
    digits: int


def measured_band(
    products: BandProducts,
    psf: PsfMap | None,
    maps: PatchMaps,
    noise: Noise | None,
    visits: Sequence[VisitRecord],
) -> dict[str, float]:
    """The figures by name; what is not known is left out."""
    assert products.coadd is not None
    filled = products.filled
    values = {"n_visits": float(len(visits)), "filled_percent": 100.0 * float(filled.mean())}
    if products.n_image is not None and filled.any():
        values["median_n"] = float(np.median(products.n_image[filled]))
    if products.warped is not None and products.visits:
        values["visits_left_out"] = float(len(products.warped - set(products.visits)))
    if maps.depths.size:
        values |= {"depth_mag": float(np.median(maps.depths)), "depth_range_mag": _spread(maps.depths)}
    weights = np.array([one.weight_percent for one in visits])
    if weights.size:
        values["weight_ratio"] = float(weights.max() / np.median(weights))
    if psf is not None and np.isfinite(psf.fwhm).any():
        middle = float(np.nanmedian(psf.fwhm))
        values |= {
            "fwhm_arcsec": middle * products.scale_arcsec,
            "fwhm_range_percent": 100.0 * _spread(psf.fwhm[np.isfinite(psf.fwhm)]) / middle,
            "ellipticity": float(np.nanmedian(psf.ellipticity)),
            "psf_area_px": float(np.nanmedian(psf.area)),
        }
    if noise is not None:
        values |= {
            "sky_scatter": noise.scatter,
            "sky_level_sigma": noise.level_sigma,
            "sky_level_njy": noise.level_njy,
            "flux_scatter": noise.flux_scatter,
            "correlation": float(noise.correlation[1]),
        }
        if "depth_mag" in values and noise.flux_scatter > 0.0:
            values["depth_by_sky_mag"] = values["depth_mag"] - 2.5 * float(np.log10(noise.flux_scatter))
    shares = plane_shares(products)
    return values | {f"{name.lower()}_percent": shares[name] for name in PLANES if name in shares}


def plane_shares(products: BandProducts) -> dict[str, float]:
    """Share of the filled pixels that have a mask plane, percent: `PLANES`, and others that any of them has."""
    assert products.coadd is not None
    bits, filled = products.coadd.bits, products.filled
    number = np.count_nonzero(filled)
    if not number:
        return {}
    some = int(np.bitwise_or.reduce(bits, axis=None))
    names = [str(plane.name) for plane in products.coadd.mask.schema if plane is not None]
    shares = {
        name: 100.0 * np.count_nonzero((bits & bitmask(name) != 0) & filled) / number
        for name in names
        if name in PLANES or some & bitmask(name)
    }
    return {name: share for name, share in shares.items() if name in PLANES or share}


def percentiles(products: BandProducts, psf: PsfMap | None, maps: PatchMaps) -> list[Percentiles]:
    """Depth, number of warps, width and ellipticity of the PSF over the area with data."""
    scale = products.scale_arcsec
    filled = products.filled
    count = None if products.n_image is None else products.n_image[filled]
    known = [
        ("5-sigma depth of point sources (AB mag)", maps.depths, 2),
        ("warps a pixel", count, 0),
        ("FWHM of the PSF (arcsec)", None if psf is None else scale * psf.fwhm, 3),
        ("ellipticity of the PSF", None if psf is None else psf.ellipticity, 3),
    ]
    found = []
    for text, values, digits in known:
        if values is not None and np.isfinite(values).any():
            spread = np.percentile(values[np.isfinite(values)], (5, 25, 50, 75, 95))
            found.append(Percentiles(text=text, values=spread, digits=digits))
    return found


def visit_remarks(one: VisitRecord, visits: Sequence[VisitRecord]) -> list[str]:
    """What is out of the usual of a visit among the others, in words."""
    alike = [other for other in visits if _same_time(other, one)]
    values = {
        "fwhm_ratio": one.fwhm_arcsec / _median([other.fwhm_arcsec for other in visits]),
        "weight_percent_ratio": one.weight_percent / _median([other.weight_percent for other in visits]),
        "zero_point_drop_mag": _median([other.zero_point_mag for other in alike]) - one.zero_point_mag,
        "clipped_percent": one.clipped_percent,
    }
    return [verdict.sentence for verdict in judge(values, VISIT_USUAL) if verdict.remark]


def _same_time(one: VisitRecord, other: VisitRecord) -> bool:
    times = one.exposure_time_s, other.exposure_time_s
    return bool(not np.isfinite(times).any() or np.isclose(*times, rtol=0.05))


def _median(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.median(known)) if known else float("nan")


def _spread(values: np.ndarray) -> float:
    low, high = np.percentile(values, _RANGE)
    return float(high - low)
