"""Tables of a report about a visit: figures beside their usual ranges, summary statistics, all other figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from lsst.images import ObservationSummaryStats

from .page import PageTable
from .visit_products import FrameProducts
from .visit_usual import Verdict

__all__ = ["metadata_table", "summary_table", "verdict_table"]

_CORNERS = ("raCorners", "decCorners")
_HIDDEN = ("wcs", "failure")


def verdict_table(verdicts: Sequence[Verdict]) -> PageTable:
    """The figures that are judged."""
    rows = [
        [one.usual.text, one.shown, one.range_shown, "out of the usual" if one.remark else "usual"] for one in verdicts
    ]
    return PageTable(title="Figures and their usual ranges", columns=["figure", "value", "usual", "verdict"], rows=rows)


def summary_table(products: FrameProducts) -> PageTable | None:
    """The summary statistics that are set, with their meanings; None without a summary.

    Their units are those of the frame before its calibration: electrons for sky and noise.
    """
    summary = None if products.exposure is None else products.exposure.summary
    if summary is None:
        return None
    rows = []
    for name, field in ObservationSummaryStats.model_fields.items():
        value = getattr(summary, name)
        if name in _CORNERS and np.isfinite(value).all():
            rows.append([name, ", ".join(f"{angle:.5f}" for angle in value), field.description or ""])
        elif field.annotation in (int, float) and name != "min_read_version" and np.isfinite(value) and value != -1:
            rows.append([name, text_of(value), (field.description or "").replace("ADU", "e⁻")])
    return PageTable(title="Summary statistics", columns=["statistic", "value", "meaning"], rows=rows)


def metadata_table(products: FrameProducts) -> PageTable | None:
    """All figures of the stages; None without any."""
    rows = [
        [key, text_of(value)]
        for key, value in sorted(products.metadata.items())
        if key not in _HIDDEN and isinstance(value, (bool, int, float, str)) and value != ""
    ]
    return PageTable(title="Figures of the stages", columns=["figure", "value"], rows=rows) if rows else None


def text_of(value: object) -> str:
    """A value as people read it."""
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.6g}"
    return str(value)
