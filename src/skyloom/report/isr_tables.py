"""Tables of a page about signature removal, from the metadata of the frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from skyloom.images import MASK_PLANES

from .page import PageTable

if TYPE_CHECKING:
    from skyloom.isr import AmplifierLayout

__all__ = ["amplifier_table", "correction_table", "figure_table", "plane_table"]

_CALIBRATIONS = {
    "BIAS": "BIAS",
    "CROSSTALK": "CROSSTALK",
    "LINEARIZER": "LINEARIZER",
    "DEFECTS": "DEFECTS",
    "BF": "NEWBFKERNEL",
    "DARK": "DARK",
    "FLAT": "FLAT",
    "FRINGE": "FRINGES",
    "ILLUMINATION": "ILLUMMASKEDIMAGE",
}
"""By the name of a correction, that of its calibration."""
_OF_AMPLIFIERS = {
    "gain (e⁻/ADU)": "LSST ISR GAIN",
    "read noise (e⁻)": "LSST ISR READNOISE",
    "by": "LSST ISR NOISE SOURCE",
    "overscan (ADU)": "LSST ISR OVERSCAN SERIAL MEDIAN",
    "its scatter": "LSST ISR OVERSCAN SERIAL STDEV",
    "left of it": "LSST ISR OVERSCAN RESIDUAL SERIAL MEAN",
    "noise (ADU)": "LSST ISR OVERSCAN RESIDUAL SERIAL STDEV",
    "SAT (px)": "LSST ISR MASK SAT",
    "BAD (px)": "LSST ISR MASK BAD",
    "median after (e⁻)": "LSST ISR FINAL MEDIAN",
    "scatter after (e⁻)": "LSST ISR FINAL STDEV",
}
"""By the column of the table, the key less the name of the amplifier."""


def correction_table(metadata: Mapping[str, Any], overscan: str) -> PageTable:
    """Which corrections were made, and with what; ``overscan`` tells the method."""
    rows = [["OVERSCAN", "no" if overscan == "NONE" else "yes", overscan]]
    for name, calibration in _CALIBRATIONS.items():
        applied = metadata.get(f"LSST ISR {name} APPLIED")
        if applied is not None:
            run = str(metadata.get(f"LSST CALIB RUN {calibration}", "")) if applied else ""
            rows.append([name, "yes" if applied else "no", run])
    return PageTable(title="Corrections", columns=["correction", "made", "with"], rows=rows)


def amplifier_table(metadata: Mapping[str, Any], layouts: Sequence[AmplifierLayout]) -> PageTable:
    """A row an amplifier."""
    rows = [
        [layout.name, *(_text(metadata.get(f"{key} {layout.name}", "")) for key in _OF_AMPLIFIERS.values())]
        for layout in layouts
    ]
    return PageTable(title="Amplifiers", columns=["amplifier", *_OF_AMPLIFIERS], rows=rows)


def plane_table(counts: Mapping[str, int], pixels: int) -> PageTable:
    """How many of the detector's pixels each plane marks."""
    rows = [[name, f"{count:,}", f"{100 * count / pixels:.3g} %", MASK_PLANES[name]] for name, count in counts.items()]
    return PageTable(title="Masked pixels", columns=["plane", "pixels", "share", "meaning"], rows=rows)


def figure_table(metadata: Mapping[str, Any], layouts: Sequence[AmplifierLayout]) -> PageTable:
    """All figures of the detector as a whole that the other tables leave out."""
    shown = {f"LSST ISR {name} APPLIED" for name in _CALIBRATIONS}
    amplifiers = tuple(f" {layout.name}" for layout in layouts)
    rows = [
        [key, _text(value)]
        for key, value in metadata.items()
        if key not in shown
        and not key.startswith("LSST CALIB ")
        and (not key.endswith(amplifiers) or "AMPOFFSET" in key)
    ]
    return PageTable(title="Figures of the frame", columns=["key", "value"], rows=sorted(rows))


def _text(value: object) -> str:
    """A value as people read it."""
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.5g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return str(value)
