"""What a joint fit did to each frame: figures of a detector of a visit, and of a visit as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from skyloom.images import njy_to_ab_magnitude

from .tract_products import FilterProducts

__all__ = ["FITS", "FrameRecord", "frame_records", "visit_median"]

FITS = ("astrometry", "photometry")


@dataclass(frozen=True, kw_only=True)
class FrameRecord:
    """One detector of one visit."""

    visit: int
    detector: int
    values: Mapping[str, float]
    """Figures by name, with the unit in the name; those that are not known are left out."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """By fit, why it does not describe the frame."""
    absent: tuple[str, ...] = ()
    """Fits that were made and have no row of it."""

    @property
    def name(self) -> str:
        """Visit and detector."""
        return f"visit {self.visit}, detector {self.detector}"

    def get(self, name: str) -> float:
        """A figure; NaN where it is not known."""
        return self.values.get(name, float("nan"))


def frame_records(products: FilterProducts) -> list[FrameRecord]:
    """Frames of a filter, in the order of visit and detector, with what is known of them.

    They are those of the joint fit, and those of the summaries that lie on the tract.
    """
    tables = {"astrometry": products.wcs, "photometry": products.photo_calib}
    made = [fit for fit in FITS if tables[fit]]
    known: dict[tuple[int, int], dict[str, Any]] = {}
    for source, by_visit in (*tables.items(), ("summary", products.summaries)):
        for visit, table in by_visit.items():
            for row in table:
                known.setdefault((visit, int(row["detector"])), {})[source] = row
    records = []
    for (visit, detector), rows in sorted(known.items()):
        if set(rows) == {"summary"} and not products.geometries[visit, detector].touches(products.tract):
            continue
        values = _position_values(rows.get("astrometry"), products, (visit, detector))
        values |= _flux_values(rows.get("photometry"), rows.get("summary"))
        records.append(
            FrameRecord(
                visit=visit,
                detector=detector,
                values={name: value for name, value in values.items() if np.isfinite(value)},
                refused={
                    fit: str(rows[fit]["reason"]) or "refused" for fit in made if fit in rows and rows[fit]["refused"]
                },
                absent=tuple(fit for fit in made if fit not in rows),
            )
        )
    return _beside_the_others(records)


def visit_median(records: Sequence[FrameRecord], name: str) -> dict[int, float]:
    """By visit, the median of a figure over its frames; visits of which it is not known are left out."""
    values: dict[int, list[float]] = {}
    for record in records:
        if name in record.values:
            values.setdefault(record.visit, []).append(record.values[name])
    return {visit: float(np.median(some)) for visit, some in values.items()}


def _position_values(row: Any, products: FilterProducts, key: tuple[int, int]) -> dict[str, float]:
    if row is None:
        return {}
    scale = products.geometries[key].scale_arcsec if key in products.geometries else np.nan
    return _counts("astrometry", row) | {
        "scatter_mas": 1e3 * float(row["scatter"]),
        "moved_mas": 1e3 * float(row["moved"]),
        "moved_px": float(row["moved"]) / scale,
        "wcs_residual_px": float(row["wcs_residual"]),
    }


def _flux_values(row: Any, summary: Any) -> dict[str, float]:
    """Zero points are AB magnitudes of one electron."""
    before = np.nan if summary is None else _number(summary, "zero_point_mag")
    values = {"zero_point_before_mag": before}
    if row is None:
        return values
    values |= _counts("photometry", row) | {"scatter_mmag": 1e3 * float(row["scatter"])}
    if row["refused"]:
        return values
    # Here, as in the tables, a scale is told by the flux of one electron.
    after = float(njy_to_ab_magnitude(float(row["calibration_mean"])))
    return values | {
        "zero_point_after_mag": after,
        "zero_point_change_mmag": 1e3 * (after - before),
        "scale_range_mmag": _scale_range(np.asarray(row["chebyshev"], np.float64)),
    }


def _counts(fit: str, row: Any) -> dict[str, float]:
    used, outliers = int(row["n_stars"]), int(row["n_outliers"])
    share = 100.0 * outliers / (used + outliers) if used + outliers else np.nan
    return {f"{fit}_stars": used, f"{fit}_outliers": outliers, f"{fit}_outlier_percent": share}


def _scale_range(coefficients: np.ndarray) -> float:
    """Peak to peak of a relative flux scale over its frame, mmag."""
    side = int(np.sqrt(coefficients.size))
    nodes = np.linspace(-1.0, 1.0, 9)
    scale = np.polynomial.chebyshev.chebgrid2d(nodes, nodes, coefficients.reshape(side, side))
    return float(2.5e3 * np.log10(scale.max() / scale.min())) if (scale > 0.0).all() else float("nan")


def _beside_the_others(records: list[FrameRecord]) -> list[FrameRecord]:
    """Add what tells a frame from the others: its scatter over their median, its change less that of its visit."""
    typical: dict[str, float] = {}
    for name in ("scatter_mas", "scatter_mmag"):
        known = [record.values[name] for record in records if name in record.values]
        typical[name] = float(np.median(known)) if known else np.nan
    changes = visit_median(records, "zero_point_change_mmag")
    found = []
    for record in records:
        values = dict(record.values)
        for name, middle in typical.items():
            if name in values and middle > 0.0:
                values[f"{name}_ratio"] = values[name] / middle
        if "zero_point_change_mmag" in values:
            values["change_in_visit_mmag"] = values["zero_point_change_mmag"] - changes[record.visit]
        found.append(replace(record, values=values))
    return found


def _number(row: Any, name: str) -> float:
    return float(row[name]) if name in row.colnames else float("nan")
