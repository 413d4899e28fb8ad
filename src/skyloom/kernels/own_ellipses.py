"""Sums in given ellipses, each source in an image that holds no other."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .ellipses import ellipse_sums
from .own_light import add_wings, put_in, take_out, take_wings
from .source_pass import LightPixels, Planes, PsfModels

__all__ = ["own_ellipse_sums"]


@njit(cache=True, nogil=True)
def own_ellipse_sums(
    planes: Planes,
    pixels: LightPixels,
    psf: PsfModels,
    x: np.ndarray,
    y: np.ndarray,
    moments: np.ndarray,
    radius: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums of each source's own light in an ellipse, each pixel weighted by the exact area inside.

    Parameters
    ----------
    planes, pixels, psf, x, y
        As of `skyloom.kernels.source_pass.measure_sources_alone`; the planes are in the end as before.
    moments
        ``[source, 3]``: Ixx, Iyy, Ixy, px^2, which give the shape.
    radius
        Of the circle of the same area, px.

    Returns
    -------
    flux, error
        One a source; NaN where the moments or the radius are those of no ellipse.
    flag
        Bool: some of the ellipse is unusable, or there is none.
    """
    flux, error, flag = np.full(x.size, np.nan), np.full(x.size, np.nan), np.ones(x.size, np.bool_)
    size = psf.stamps.shape[1]
    wings = np.empty(size * size, np.float32)
    for i in range(x.size):
        xx, yy, xy = moments[i, 0], moments[i, 1], moments[i, 2]
        determinant = xx * yy - xy * xy
        if not (xx > 0.0 and determinant > 0.0 and 0.0 < radius[i] < math.inf):
            continue
        a, b = pixels.span_start[pixels.owner[i]], pixels.span_start[pixels.owner[i] + 1]
        area = 0
        for k in range(a, b):
            area += pixels.x1[k] - pixels.x0[k]
        saved = np.empty(area, np.float32)
        spans = pixels.y[a:b], pixels.x0[a:b], pixels.x1[a:b]
        put_in(planes.work, planes.state, *spans, pixels.value_start[a:b], pixels.values, saved)
        modelled = 0.0 < psf.flux[i] < math.inf
        if modelled:
            add_wings(planes.work, planes.state, psf.stamps[i], psf.x0[i], psf.y0[i], psf.flux[i], wings)
        scale = 1.0 / (math.sqrt(determinant) * radius[i] * radius[i])
        shape = (yy * scale, -xy * scale, xx * scale)
        total, noise, missing = ellipse_sums(planes.work, planes.variance, planes.state, x[i], y[i], shape)
        flux[i], error[i], flag[i] = total, math.sqrt(noise), missing > 0.0
        if modelled:
            take_wings(planes.work, planes.state, size, psf.x0[i], psf.y0[i], wings)
        take_out(planes.work, planes.state, *spans, saved)
    return flux, error, flag
