"""Ellipticities as lines along the major axes, with a key."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

__all__ = ["draw_whiskers", "key_length"]

_LEAST = 0.001
"""Of the key: shapes that are rounder have short lines."""


def key_length(ellipticity: np.ndarray) -> float:
    """The ellipticity of the key: a round number at or below the 90 % quantile of what is drawn."""
    known = ellipticity[np.isfinite(ellipticity)]
    typical = float(np.percentile(known, 90)) if known.size else 0.0
    if not typical > 0.0:
        return _LEAST
    power = 10.0 ** np.floor(np.log10(typical))
    return max(float(power * max(step for step in (1.0, 2.0, 5.0) if step * power <= typical * 1.0001)), _LEAST)


def draw_whiskers(
    axes: Axes,
    position: tuple[np.ndarray, np.ndarray],
    ellipticity: tuple[np.ndarray, np.ndarray],
    colour: str,
    place: tuple[float, float],
    key: float | None = None,
    *,
    scale: float = 12.0,
    width: float = 0.006,
) -> None:
    """Draw lines as long as the ellipticity.

    Parameters
    ----------
    axes
        In pixels.
    position
        x and y of the middles.
    ellipticity
        Its components; NaN where it is not known.
    colour
        Of the lines.
    place
        Where the key is (x, y).
    key
        Ellipticity of the key; that of `key_length` when None.
    scale
        How many keys make the width of the axes.
    width
        Of a line, in units of the width of the axes.
    """
    (x, y), (e1, e2) = position, ellipticity
    length, angle = np.hypot(e1, e2), 0.5 * np.arctan2(e2, e1)
    known = np.isfinite(length)
    if not known.any():
        return
    key = key_length(length) if key is None else key
    drawn = axes.quiver(
        x[known],
        y[known],
        (length * np.cos(angle))[known],
        (length * np.sin(angle))[known],
        angles="xy",
        scale_units="width",
        scale=scale * key,
        pivot="middle",
        headwidth=0,
        headlength=0,
        headaxislength=0,
        width=width,
        color=colour,
        zorder=1.5,
    )
    axes.quiverkey(
        drawn, *place, key, f"e = {key:g}", labelpos="E", coordinates="data", fontproperties={"size": 8}, zorder=3.0
    )
