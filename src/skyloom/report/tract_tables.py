"""Tables of the page about a tract: visits, frames, warps, the course of the fit and its counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .page import PageTable
from .tract_coverage import Coverage
from .tract_frames import FrameRecord
from .tract_measured import missing_warps
from .tract_products import FilterProducts
from .tract_usual import FRAME_USUAL
from .visit_tables import text_of
from .visit_usual import judge

__all__ = [
    "coverage_table",
    "frame_remarks",
    "frame_table",
    "history_table",
    "metric_table",
    "odd_frame_table",
    "repeatability_table",
    "visit_table",
    "warp_table",
]

_FRAME_COLUMNS = {
    "stars": ("astrometry_stars", "{:.0f}"),
    "outliers": ("astrometry_outliers", "{:.0f}"),
    "scatter (mas)": ("scatter_mas", "{:.1f}"),
    "moved (mas)": ("moved_mas", "{:.1f}"),
    "stars, fluxes": ("photometry_stars", "{:.0f}"),
    "outliers, fluxes": ("photometry_outliers", "{:.0f}"),
    "scatter (mmag)": ("scatter_mmag", "{:.1f}"),
    "zero point before (mag)": ("zero_point_before_mag", "{:.4f}"),
    "after (mag)": ("zero_point_after_mag", "{:.4f}"),
    "change (mmag)": ("zero_point_change_mmag", "{:+.1f}"),
}
_MOST_ROWS = 60
"""Of a table that is open."""
_DEPTHS = (1, 2, 3, 5, 10, 20, 50, 100, 200)


def frame_remarks(frame: FrameRecord) -> list[str]:
    """What is out of the usual of a frame, in words: refusals with their reasons first."""
    remarks = [f"refused by the fit of {_OF[fit]}: {reason}." for fit, reason in frame.refused.items()]
    remarks += [f"the fit of {_OF[fit]} has no stars of it." for fit in frame.absent]
    return remarks + [verdict.sentence for verdict in judge(frame.values, FRAME_USUAL) if verdict.remark]


_OF = {"astrometry": "positions", "photometry": "fluxes"}


def frame_table(frames: Sequence[FrameRecord]) -> PageTable:
    """All frames with their figures."""
    rows = []
    for frame in frames:
        remarks = frame_remarks(frame)
        verdict = "refused" if frame.refused else (f"{len(remarks)} to look at" if remarks else "usual")
        rows.append([frame.name, *_cells(frame.values, _FRAME_COLUMNS), verdict])
    return PageTable(title="All frames", columns=["frame", *_FRAME_COLUMNS, "verdict"], rows=rows)


def odd_frame_table(frames: Sequence[FrameRecord]) -> PageTable | None:
    """The frames of which anything is out of the usual, in words, the refused ones first; None without any."""
    ordered = sorted(frames, key=lambda frame: not frame.refused)
    rows = [[frame.name, "; ".join(remarks)] for frame in ordered if (remarks := frame_remarks(frame))]
    if len(rows) > _MOST_ROWS:
        rows = [*rows[:_MOST_ROWS], [f"and {len(rows) - _MOST_ROWS} more", "in the table of all frames"]]
    return PageTable(title="Frames to look at", columns=["frame", "remarks"], rows=rows) if rows else None


def visit_table(frames: Sequence[FrameRecord]) -> PageTable:
    """A row a visit: medians over its frames, sums of stars."""
    rows = []
    for visit in sorted({frame.visit for frame in frames}):
        mine = [frame for frame in frames if frame.visit == visit]
        refused = sum(bool(frame.refused) for frame in mine)
        values = {}
        for name, _ in _FRAME_COLUMNS.values():
            known = [frame.values[name] for frame in mine if name in frame.values]
            if known:
                total = name.endswith(("_stars", "_outliers"))
                values[name] = float(np.sum(known) if total else np.median(known))
        rows.append([str(visit), str(len(mine)), str(refused), *_cells(values, _FRAME_COLUMNS)])
    return PageTable(
        title="Visits (sums of stars, medians of the frames)",
        columns=["visit", "frames", "refused", *_FRAME_COLUMNS],
        rows=rows,
    )


def repeatability_table(values: Mapping[str, float]) -> PageTable | None:
    """How far measurements are from their stars before and after the fits; None where none was made."""
    kinds = {
        "repeatability, bright": "",
        "repeatability, all": "all_",
        "rms from the stars, all": "rms_",
        "in common, all visits": "common_",
        "in common, each visit": "visit_common_",
    }
    rows = []
    for fit, unit in (("astrometry", "mas"), ("photometry", "mmag")):
        for text, kind in kinds.items():
            after = f"{fit}_{kind}{unit}" if "common" in kind else f"{fit}_{kind}after_{unit}"
            pair = [values.get(name, np.nan) for name in (f"{fit}_{kind}before_{unit}", after)]
            if np.isfinite(pair).any():
                rows.append([f"{_OF[fit]}: {text}", *(_or_nothing("{:.2f} " + unit, value) for value in pair)])
                rows[-1].append(
                    _or_nothing("{:+.1f} %", 100.0 * (pair[1] / pair[0] - 1.0) if pair[0] > 0.0 else np.nan)
                )
    columns = ["figure", "before", "after", "change"]
    return PageTable(title="Before and after", columns=columns, rows=rows) if rows else None


def coverage_table(coverage: Coverage) -> PageTable | None:
    """Area by least number of visits; None without any."""
    deepest = int(coverage.count.max())
    rows = [[f"at least {depth}", f"{coverage.area(depth):.2f}"] for depth in _DEPTHS if depth <= deepest]
    return PageTable(title="Area by visits", columns=["visits", "area (arcmin²)"], rows=rows) if rows else None


def warp_table(products: FilterProducts, coverage: Coverage) -> PageTable | None:
    """Warps that are missing, lack frames, or whose frames kept their own calibration; None without any."""
    rows = [
        [f"patch {warp.patch}, visit {warp.visit}", warp.failure or "not there, though frames lie on the patch"]
        for warp in missing_warps(products, coverage)
    ]
    for warp in products.warps:
        said = [f"left out: detector {one}" for one in warp.left_out]
        if warp.own_calibration:
            said.append("frames kept their own calibration, the joint one was missing")
        if warp.exists and said:
            rows.append([f"patch {warp.patch}, visit {warp.visit}", "; ".join(said)])
    if len(rows) > _MOST_ROWS:
        rows = [*rows[:_MOST_ROWS], [f"and {len(rows) - _MOST_ROWS} more", ""]]
    return PageTable(title="Warps to look at", columns=["warp", "what"], rows=rows) if rows else None


def history_table(products: FilterProducts) -> PageTable | None:
    """chi2 by step; None without."""
    if products.history is None or len(products.history) == 0:
        return None
    rows = [
        [
            f"{row['fit']}: {row['step']}",
            f"{row['chi2']:,.1f}",
            f"{row['degrees']:,}",
            f"{row['chi2'] / row['degrees']:.4f}" if row["degrees"] > 0 else "",
            f"{row['n_outliers']:,}",
        ]
        for row in products.history
    ]
    columns = ["step", "chi²", "degrees of freedom", "chi² a degree", "outliers"]
    return PageTable(title="Course of the fits", columns=columns, rows=rows)


def metric_table(products: FilterProducts) -> PageTable | None:
    """Counts of the fit; None without."""
    rows = [[name.replace("_", " "), text_of(value)] for name, value in products.figures.items()]
    return PageTable(title="Counts of the joint fit", columns=["figure", "value"], rows=rows) if rows else None


def _or_nothing(text: str, value: float) -> str:
    return text.format(value) if np.isfinite(value) else ""


def _cells(values: Mapping[str, float], columns: Mapping[str, tuple[str, str]]) -> list[str]:
    return [text.format(values[name]) if name in values else "" for name, text in columns.values()]
