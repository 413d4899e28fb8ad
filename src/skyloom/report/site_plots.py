"""The plots of a site's overview, which zoom in the browser: figures of plotly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from skyloom.skymap import Patch, Tract

from .site_pages import SitePage
from .site_visits import SiteVisit

__all__ = ["course_plot", "coverage_plot", "plot_json"]

_COLOURS = {"u": "#56B4E9", "g": "#009E73", "r": "#D55E00", "i": "#CC79A7", "z": "#E69F00", "y": "#0072B2"}
"""Okabe & Ito: told apart with every kind of colour vision."""
_OTHER = "#0072B2"
_COURSE = (
    ("seeing_arcsec", "seeing (″)", False),
    ("sky_mag", "sky (mag/″²)", True),
    ("zero_point_mag", "zero point (mag)", False),
    ("depth_mag", "depth (mag)", False),
    ("astrometry_mas", "astrometry (mas)", False),
)
"""Of a visit: figure, label, and whether its axis is turned, brightest at the top."""
_LAYOUT: dict[str, Any] = {
    "template": "plotly_white",
    "margin": {"l": 70, "r": 20, "t": 20, "b": 50},
    "font": {"family": "system-ui, sans-serif", "size": 13},
    "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    "hoverlabel": {"align": "left"},
}


def plot_json(figure: go.Figure) -> str:
    """A figure as text that may stand in a page's script element."""
    return str(figure.to_json()).replace("</", "<\\/")


def course_plot(visits: Sequence[SiteVisit], pages: Mapping[str, SitePage]) -> go.Figure | None:
    """Figures of the visits in the order of their times; None without any."""
    if not any(visit.calibrated for visit in visits):
        return None
    figure = make_subplots(rows=len(_COURSE), cols=1, shared_xaxes=True, vertical_spacing=0.025)
    order = np.arange(1, len(visits) + 1)
    for row, (name, label, turned) in enumerate(_COURSE, start=1):
        for band in dict.fromkeys(visit.band for visit in visits):
            chosen = [index for index, visit in enumerate(visits) if visit.band == band]
            trace = go.Scatter(
                x=order[chosen].tolist(),
                y=[_known(getattr(visits[index], name)) for index in chosen],
                mode="markers",
                name=band,
                legendgroup=band,
                showlegend=row == 1,
                marker={"color": _COLOURS.get(band, _OTHER), "size": 7},
                text=[f"visit {visits[index].visit}<br>{visits[index].begun}" for index in chosen],
                customdata=[_link(visits[index], pages) for index in chosen],
                hovertemplate="%{text}<br>" + label + " %{y:.4g}<extra></extra>",
            )
            figure.add_trace(trace, row=row, col=1)
        figure.update_yaxes(title_text=label, autorange="reversed" if turned else True, row=row, col=1)
    figure.update_xaxes(dtick=max(1, len(visits) // 12))
    figure.update_xaxes(title_text="visits in the order of time", row=len(_COURSE), col=1)
    return figure.update_layout(**_LAYOUT, height=170 * len(_COURSE))


def coverage_plot(
    visits: Sequence[SiteVisit], patches: Sequence[Patch], pages: Mapping[str, SitePage]
) -> go.Figure | None:
    """Outlines of frames and patches on the sky, east to the left; None without any."""
    figure = go.Figure()
    for band in dict.fromkeys(visit.band for visit in visits):
        figure.add_trace(_frames([visit for visit in visits if visit.band == band], band, pages))
    outlines = [np.stack(_corners(patch), axis=-1) for patch in patches]
    if outlines:
        figure.add_trace(_patches(patches, outlines, pages))
    corners = [outline for visit in visits for outline in visit.outlines.values()] + outlines
    if not corners:
        return None
    middle = float(np.mean(np.concatenate(corners)[:, 1]))
    figure.update_xaxes(title_text="right ascension (deg)", autorange="reversed", tickformat=".5~g")
    figure.update_yaxes(
        title_text="declination (deg)", scaleanchor="x", scaleratio=1.0 / np.cos(np.radians(middle)), tickformat=".5~g"
    )
    return figure.update_layout(**_LAYOUT, height=620)


def _frames(visits: Sequence[SiteVisit], band: str, pages: Mapping[str, SitePage]) -> go.Scatter:
    colour = _COLOURS.get(band, _OTHER)
    parts = [
        (outline, f"visit {visit.visit} detector {detector}", _link(visit, pages, f"#detector-{detector}"))
        for visit in visits
        for detector, outline in visit.outlines.items()
    ]
    return _outlines(parts, name=f"frames, {band}", line={"color": colour, "width": 1}, fill=colour)


def _patches(patches: Sequence[Patch], outlines: Sequence[np.ndarray], pages: Mapping[str, SitePage]) -> go.Scatter:
    parts = []
    for patch, outline in zip(patches, outlines, strict=True):
        place = f"{patch.tract.skymap} {patch.tract.id} {patch.id}"
        page = pages.get(f"coadd {place}", SitePage())
        parts.append((outline, f"tract {patch.tract.id} patch {patch.id}", page.path))
    return _outlines(parts, name="patches with coadds", line={"color": "#444", "width": 1.5, "dash": "dot"}, fill=None)


def _outlines(
    parts: Sequence[tuple[np.ndarray, str, str]], *, name: str, line: dict[str, Any], fill: str | None
) -> go.Scatter:
    """Closed lines of one colour, with gaps between them."""
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str] = []
    links: list[str] = []
    for outline, label, link in parts:
        ra = outline[:, 0] - 360.0 * np.round((outline[:, 0] - outline[0, 0]) / 360.0)
        x += [*ra.round(6).tolist(), float(ra[0]), None]
        y += [*outline[:, 1].round(6).tolist(), float(outline[0, 1]), None]
        text += [label] * (len(outline) + 2)
        links += [link] * (len(outline) + 2)
    filled = {} if fill is None else {"fill": "toself", "fillcolor": _translucent(fill, len(parts))}
    return go.Scatter(
        x=x,
        y=y,
        text=text,
        customdata=links,
        mode="lines+markers",
        marker={"size": 4, "opacity": 0.4},
        line=line,
        name=name,
        hovertemplate="%{text}<extra></extra>",
        hoveron="points",
        **filled,
    )


def _translucent(colour: str, n: int) -> str:
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{0.12 if n > 1 else 0.2})"


def _corners(patch: Patch) -> tuple[np.ndarray, np.ndarray]:
    box = patch.inner_bbox
    left, right, bottom, top = box.x.start - 0.5, box.x.stop - 0.5, box.y.start - 0.5, box.y.stop - 0.5
    tract: Tract = patch.tract
    return tract.grid.positions_of(np.array([left, right, right, left]), np.array([bottom, bottom, top, top]))


def _link(visit: SiteVisit, pages: Mapping[str, SitePage], anchor: str = "") -> str:
    page = pages.get(f"visit {visit.instrument} {visit.visit}", SitePage())
    return page.path + anchor if page.path else ""


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
