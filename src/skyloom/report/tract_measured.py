"""The figures of a joint calibration that a page judges and lists."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .tract_coverage import Coverage
from .tract_frames import FITS, FrameRecord
from .tract_products import FilterProducts, WarpRecord
from .tract_residuals import Residuals
from .visit_style import robust_scatter

__all__ = ["measured_filter", "missing_warps"]


def measured_filter(
    products: FilterProducts,
    positions: Residuals | None,
    fluxes: Residuals | None,
    frames: Sequence[FrameRecord],
    coverage: Coverage,
) -> dict[str, float]:
    """Figures by name, with the unit in the name; those that are not known are left out.

    ``..._before`` and ``..._after`` are repeatabilities of the bright quarter of the stars a coordinate, ``..._common``
    what neighbours in the focal plane have in common in all visits together (`skyloom.report.tract_residuals.Cells`),
    ``..._visit_common`` the same in each visit, root mean square of the visits.
    """
    figures = products.figures
    values = {
        "n_visits": float(len({frame.visit for frame in frames})),
        "n_frames": float(len(frames)),
        "n_stars": figures.get("prepared_stars", np.nan),
        "n_references": figures.get("prepared_references", np.nan),
        "covered_arcmin2": coverage.area(1),
        "median_depth": coverage.median_depth,
        "n_warps": float(sum(warp.exists for warp in products.warps)),
    }
    if products.wcs or products.photo_calib:
        values["n_refused"] = float(sum(bool(frame.refused) for frame in frames))
    if values["n_stars"] > 0:
        values["reference_percent"] = 100.0 * values["n_references"] / values["n_stars"]
    if products.warps:
        values["missing_warps"] = float(len(missing_warps(products, coverage)))
    for fit, residuals in zip(FITS, (positions, fluxes), strict=True):
        values |= _of_fit(fit, figures, residuals)
    for name in ("astrometry_common", "astrometry_visit_common"):
        values[f"{name}_px"] = values.get(f"{name}_mas", np.nan) / (1e3 * products.pixel_scale)
    return {name: value for name, value in values.items() if np.isfinite(value)}


def missing_warps(products: FilterProducts, coverage: Coverage) -> list[WarpRecord]:
    """Visits on patches that are not there: those that failed, and those that were never made though frames lie there.

    In the order of patch and visit.
    """
    known = {(warp.patch, warp.visit): warp for warp in products.warps}
    found = [
        known.get((patch, visit), WarpRecord(visit=visit, patch=patch, exists=False))
        for patch in range(len(products.tract))
        for visit in sorted(coverage.visits_of_patch(products.tract, patch) | {v for p, v in known if p == patch})
    ]
    return [warp for warp in found if not warp.exists]


def _of_fit(fit: str, figures: dict[str, float], residuals: Residuals | None) -> dict[str, float]:
    values: dict[str, float] = {}
    if figures.get(f"{fit}_final_degrees", 0.0) > 0.0:
        values[f"{fit}_chi2"] = figures[f"{fit}_final_chi2"] / figures[f"{fit}_final_degrees"]
    if residuals is None or not residuals.used.any():
        return values
    unit = residuals.unit
    values[f"{fit}_outlier_percent"] = 100.0 * float(1.0 - residuals.used.mean())
    for when in ("before", "after"):
        values[f"{fit}_{when}_{unit}"] = residuals.repeats(when, residuals.bright)
        values[f"{fit}_all_{when}_{unit}"] = residuals.repeats(when)
        values[f"{fit}_rms_{when}_{unit}"] = residuals.rms(when)
    values[f"{fit}_common_before_{unit}"] = residuals.plane_cells("before").common
    values[f"{fit}_common_{unit}"] = residuals.plane_cells("after").common
    for name, when in (("visit_common_before", "before"), ("visit_common", "after")):
        by_visit = list(residuals.common_of_visits(when).values())
        values[f"{fit}_{name}_{unit}"] = float(np.sqrt(np.mean(np.square(by_visit)))) if by_visit else np.nan
    if values[f"{fit}_before_{unit}"] > 0.0:
        values[f"{fit}_gain"] = values[f"{fit}_after_{unit}"] / values[f"{fit}_before_{unit}"]
    if residuals.error is not None:
        values["pull_scatter"] = robust_scatter((residuals.after[:, 0] / residuals.error)[residuals.used])
    return values
