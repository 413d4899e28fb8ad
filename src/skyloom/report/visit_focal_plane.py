"""The detectors of a visit at their places in the focal plane, coloured by their figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from skyloom.images.projection import corner_polygon

from .visit_style import BAD, colour_bar

if TYPE_CHECKING:
    from skyloom.instruments import Camera

__all__ = ["FrameFigures", "focal_plane_figure"]

_SHOWN = {
    "FWHM (arcsec)": ("fwhm_arcsec", 1.0),
    "ellipticity of the PSF": ("psf_ellipticity", 1.0),
    "sky (e⁻ per px)": ("sky_background", 1.0),
    "zero point (mag)": ("zero_point_mag", 1.0),
    "astrometry, rms (mas)": ("astrometry_rms_arcsec", 1e3),
    "figures to look at": ("remarks", 1.0),
}
"""Title of each panel: the figure, and what it is multiplied by."""
_MANY = 12
"""With more detectors their numbers are written smaller."""


@dataclass(frozen=True, kw_only=True)
class FrameFigures:
    """What a report keeps of a frame."""

    detector: int
    name: str
    run: str
    values: Mapping[str, float]
    """As `skyloom.report.visit_measured.measured` gives them."""
    failure: str = ""
    remarks: int = 0
    """How many figures are out of the usual."""


def focal_plane_figure(camera: Camera, frames: Sequence[FrameFigures]) -> Figure:
    """A small map of the focal plane for each of some figures.

    Parameters
    ----------
    camera
        Tells where the detectors are; all of them are drawn.
    frames
        Those that are coloured.
    """
    outlines = _outlines(camera, [frame.detector for frame in frames])
    points = np.concatenate(list(outlines.values()))
    span = np.ptp(points, axis=0)
    height = min(max(2.1 * float(span[1] / span[0]), 1.5), 3.4)
    figure = Figure(figsize=(9.6, 2.0 * (height + 0.7)), layout="constrained")
    for axes, (title, (name, factor)) in zip(figure.subplots(2, 3).ravel(), _SHOWN.items(), strict=True):
        known = {
            frame.detector: factor * (float(frame.remarks) if name == "remarks" else frame.values.get(name, np.nan))
            for frame in frames
            if not (frame.failure and name == "remarks")
        }
        _draw(figure, axes, outlines, known, {frame.detector for frame in frames if frame.failure})
        margin = 0.04 * span
        low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
        axes.set(xlim=(high[0], low[0]), ylim=(low[1], high[1]), aspect="equal")
        axes.set_title(title, fontsize="medium")
        axes.tick_params(labelsize="x-small")
        axes.locator_params(nbins=4)
    figure.supxlabel("to the east (arcmin)", fontsize="small")
    figure.supylabel("to the north (arcmin)", fontsize="small")
    return figure


def _outlines(camera: Camera, detectors: Sequence[int]) -> dict[int, np.ndarray]:
    """Corners ``[4, 2]`` of the detectors, arcmin to the east and north of the boresight.

    A camera of many detectors, of which most were not asked for, shows those about the ones that were.
    """
    shown = camera.detector_ids if len(detectors) * 2 > len(camera.detector_ids) else sorted(detectors)
    outlines = {}
    for number in shown:
        projection = camera.projection(number, ra=180.0, dec=0.0)
        ra, dec = corner_polygon(projection, camera.detector(number).bbox)
        outlines[number] = 60.0 * np.stack([ra - 180.0, dec], axis=1)
    return outlines


def _draw(
    figure: Figure, axes: Axes, outlines: Mapping[int, np.ndarray], known: Mapping[int, float], failed: set[int]
) -> None:
    """Detectors filled with the colour of a figure."""
    finite = [value for value in known.values() if np.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if not high > low:
        low, high = low - 0.5 * max(abs(low) * 1e-3, 1e-6), high + 0.5 * max(abs(high) * 1e-3, 1e-6)
    norm, colours = Normalize(low, high), colormaps["cividis"]
    for number, corners in outlines.items():
        value = known.get(number, np.nan)
        fill = colours(norm(value)) if np.isfinite(value) else "white"
        hatch = "////" if number in failed else None
        edge = BAD if number in failed else "0.3"
        axes.add_patch(Polygon(corners, closed=True, facecolor=fill, edgecolor=edge, hatch=hatch, linewidth=0.8))
        dark = np.isfinite(value) and norm(value) < 0.5
        axes.text(
            float(corners[:, 0].mean()),
            float(corners[:, 1].mean()),
            str(number),
            ha="center",
            va="center",
            fontsize=9 if len(outlines) <= _MANY else 6,
            color="white" if dark else "black",
        )
    if finite:
        colour_bar(figure, axes, ScalarMappable(norm, colours), "")
