"""Tables of the page about a patch: spread over the patch, visits, mask planes, clipped area, figures of the task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from skyloom.images import MASK_PLANES

from .page import PageTable
from .patch_inputs_table import VisitRecord
from .patch_measured import Percentiles, visit_remarks
from .patch_products import BandProducts
from .visit_tables import text_of

__all__ = ["clipped_table", "figure_table", "input_table", "odd_visit_table", "plane_table", "spread_table"]

_INPUT_COLUMNS = {
    "detectors": ("detectors", "{:.0f}"),
    "weight (%)": ("weight_percent", "{:.2f}"),
    "noise a pixel (nJy)": ("sky_noise_njy", "{:.4g}"),
    "seeing (arcsec)": ("fwhm_arcsec", "{:.3f}"),
    "zero point (mag)": ("zero_point_mag", "{:.3f}"),
    "exposure (s)": ("exposure_time_s", "{:.4g}"),
    "fills (% of the patch)": ("filled_percent", "{:.1f}"),
    "clipped (% of its warp)": ("clipped_percent", "{:.3f}"),
}
_MOST_TEXT = 400


def spread_table(spread: Sequence[Percentiles]) -> PageTable | None:
    """Depth, number of warps and PSF over the patch; None where nothing is known."""
    rows = [[one.text, *(f"{value:.{one.digits}f}" for value in one.values)] for one in spread]
    columns = ["over the area with data", "5 %", "25 %", "median", "75 %", "95 %"]
    return PageTable(title="Over the patch", columns=columns, rows=rows) if rows else None


def input_table(visits: Sequence[VisitRecord]) -> PageTable | None:
    """A row a visit; columns of which nothing is known are left out.  None without visits."""
    if not visits:
        return None
    columns = {
        text: (name, form)
        for text, (name, form) in _INPUT_COLUMNS.items()
        if any(np.isfinite(getattr(one, name)) for one in visits)
    }
    rows = []
    for one in visits:
        remarks = len(visit_remarks(one, visits))
        cells = [_cell(form, getattr(one, name)) for name, form in columns.values()]
        rows.append([str(one.visit), *cells, f"{remarks} to look at" if remarks else "usual"])
    return PageTable(title="Visits in the coadd", columns=["visit", *columns, "verdict"], rows=rows)


def odd_visit_table(visits: Sequence[VisitRecord]) -> PageTable | None:
    """The visits of which anything is out of the usual, in words; None without any."""
    rows = [[str(one.visit), "; ".join(found)] for one in visits if (found := visit_remarks(one, visits))]
    return PageTable(title="Visits to look at", columns=["visit", "remarks"], rows=rows) if rows else None


def clipped_table(visits: Sequence[VisitRecord], scale_arcsec: float) -> PageTable | None:
    """The visits by clipped area, the largest first; None where it is not known by visit."""
    known = sorted((one for one in visits if np.isfinite(one.clipped_px)), key=lambda one: (-one.clipped_px, one.visit))
    if not known:
        return None
    square = (scale_arcsec / 60.0) ** 2
    rows = [
        [
            str(one.visit),
            _cell("{:.0f}", one.regions),
            f"{one.clipped_px:,.0f}",
            _cell("{:.4f}", one.clipped_px * square),
            _cell("{:.3f}", one.clipped_percent),
        ]
        for one in known
    ]
    columns = ["visit", "regions", "clipped (px)", "area (arcmin²)", "share of its warp (%)"]
    return PageTable(title="Clipped in single visits", columns=columns, rows=rows)


def plane_table(shares: Mapping[str, float]) -> PageTable | None:
    """Mask planes with their share of the filled pixels; None without any."""
    rows = [[name, f"{share:.3f}", MASK_PLANES.get(name, "")] for name, share in shares.items()]
    columns = ["plane", "share (%)", "meaning"]
    return PageTable(title="Mask planes of the pixels with data", columns=columns, rows=rows) if rows else None


def figure_table(products: BandProducts) -> PageTable | None:
    """What the assembly task kept, and the metadata of the coadd; None without any."""
    figures = dict(products.metadata)
    if products.coadd is not None:
        figures |= dict(products.coadd.metadata)
    rows = [[str(name), text] for name, value in sorted(figures.items()) if (text := _short(value))]
    return PageTable(title="Figures of the assembly", columns=["figure", "value"], rows=rows) if rows else None


def _short(value: object) -> str:
    """A value in one cell."""
    if isinstance(value, Mapping):
        value = ", ".join(f"{key}: {text_of(one)}" for key, one in value.items())
    elif isinstance(value, (list, tuple, np.ndarray)):
        value = ", ".join(text_of(one) for one in value)
    text = text_of(value)
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT].rsplit(', ', 1)[0]}, ..."


def _cell(text: str, value: float) -> str:
    return text.format(value) if np.isfinite(value) else ""
