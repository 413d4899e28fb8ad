"""One pass over all sources: each is put into the image of noise, measured, and taken out again."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from .apertures import circle_sums, row_capacity
from .gaussian_flux import gaussian_flux
from .inner import inner_kernel
from .kron import kron_flux
from .moments import adapt_shape, centroid
from .own_light import add_wings, put_in, take_out, take_wings

__all__ = [
    "FLAGS",
    "VALUES",
    "LightPixels",
    "Planes",
    "Plugins",
    "PsfModels",
    "measure_positions",
    "measure_sources_alone",
    "psf_shapes",
]

MAX_LOST_WEIGHT = 0.05  # of a Gaussian flux
LOCAL_HALF_SIDE = 15  # px, of the square whose sky pixels tell the local variance

VALUES = (
    "ixx",
    "iyy",
    "ixy",
    "gaussian_flux",
    "gaussian_flux_err",
    "tophat_flux",
    "tophat_flux_err",
    "kron_flux",
    "kron_flux_err",
    "kron_radius",
    "blendedness",
    "local_variance",
)
"""Columns of the values that `measure_sources_alone` returns; aperture fluxes and their errors follow."""
FLAGS = ("flag_shape", "flag_gaussian_flux", "flag_tophat_flux", "flag_kron_flux", "flag_kron_radius")
"""Columns of the flags that `measure_sources_alone` returns; those of the apertures follow."""


class Planes(NamedTuple):
    """The pixels, all ``[y, x]``."""

    image: np.ndarray
    variance: np.ndarray
    work: np.ndarray
    """Of `skyloom.kernels.own_light`, all sources replaced by noise."""
    state: np.ndarray


class LightPixels(NamedTuple):
    """Whose pixels each source has, and all pixels and values; as of `skyloom.images.source_pixels.SourcePixels`."""

    owner: np.ndarray
    """Of each source, the entry that holds its pixels."""
    span_start: np.ndarray
    y: np.ndarray
    x0: np.ndarray
    x1: np.ndarray
    value_start: np.ndarray
    values: np.ndarray


class PsfModels(NamedTuple):
    """The PSF at each source; none are given as no stamps."""

    stamps: np.ndarray
    x0: np.ndarray
    y0: np.ndarray
    flux: np.ndarray


class Plugins(NamedTuple):
    """What to measure, and the sizes."""

    gaussian: bool
    tophat: bool
    kron: bool
    blendedness: bool
    local_variance: bool
    sigma: float
    """First width of the shape's weight, px."""
    max_shape_shift: float
    tophat_inner: float
    """Inner radius of the annulus in units of that of the top-hat."""
    tophat_outer: float
    kron_reach: float
    """Extent of the first moment, in units of the source's own width."""
    kron_factor: float
    """Aperture in units of the first moment."""
    kron_min_radius: float
    """Least first moment, px."""


@inner_kernel
def _change(planes: Planes, pixels: LightPixels, before: int, after: int, saved: np.ndarray) -> int:
    """Take the pixels of one entry out of the image and put those of another in; -1 for none.  Returns the latter."""
    if before == after:
        return after
    if before >= 0:
        a, b = pixels.span_start[before], pixels.span_start[before + 1]
        take_out(planes.work, planes.state, pixels.y[a:b], pixels.x0[a:b], pixels.x1[a:b], saved)
    if after >= 0:
        a, b = pixels.span_start[after], pixels.span_start[after + 1]
        spans = pixels.y[a:b], pixels.x0[a:b], pixels.x1[a:b]
        put_in(planes.work, planes.state, *spans, pixels.value_start[a:b], pixels.values, saved)
    return after


@inner_kernel
def _largest(pixels: LightPixels) -> int:
    """Most pixels of an entry."""
    most = 1
    for k in range(pixels.span_start.size - 1):
        area = 0
        for i in range(pixels.span_start[k], pixels.span_start[k + 1]):
            area += pixels.x1[i] - pixels.x0[i]
        most = max(most, area)
    return most


@njit(cache=True, nogil=True)
def measure_positions(
    planes: Planes, pixels: LightPixels, x: np.ndarray, y: np.ndarray, sigma: float, max_shift: float
) -> tuple[np.ndarray, np.ndarray]:
    """Centroids as of `skyloom.kernels.moments.centroids`, each source in an image of its own.

    Parameters
    ----------
    planes, pixels
        The work and state of the planes are changed on the way, and are in the end as before.
    x, y, sigma, max_shift
        As of `centroids`.
    """
    position = np.empty((x.size, 4))
    flags = np.zeros(x.size, np.int32)
    saved = np.empty(_largest(pixels), np.float32)
    inside = -1
    for i in range(x.size):
        inside = _change(planes, pixels, inside, pixels.owner[i], saved)
        position[i, 0], position[i, 1], position[i, 2], position[i, 3] = x[i], y[i], np.nan, np.nan
        flags[i] = centroid(planes.work, planes.variance, x[i], y[i], sigma, max_shift, position[i])
    _change(planes, pixels, inside, -1, saved)
    return position, flags


@inner_kernel
def _local_variance(planes: Planes, x: float, y: float) -> float:
    """Mean variance of the usable pixels of no source in a square; NaN without any."""
    total, count = 0.0, 0
    column, row = math.floor(x + 0.5), math.floor(y + 0.5)
    left, right = max(0, column - LOCAL_HALF_SIDE), min(planes.state.shape[1], column + LOCAL_HALF_SIDE + 1)
    for iy in range(max(0, row - LOCAL_HALF_SIDE), min(planes.state.shape[0], row + LOCAL_HALF_SIDE + 1)):
        if left < right:
            state, variance = planes.state[iy, left:right], planes.variance[iy, left:right]
            for k in range(state.size):
                if state[k] == 0:
                    total += variance[k]
                    count += 1
    return total / count if count else np.nan


@inner_kernel
def _kron(
    planes: Planes, x: float, y: float, shape: np.ndarray, plugins: Plugins, out: np.ndarray
) -> tuple[bool, bool]:
    """Flux, error and first moment into ``out``; whether the flux and whether the radius is not to be trusted."""
    limits = plugins.kron_reach, plugins.kron_factor, plugins.kron_min_radius
    missing, bounded = kron_flux(planes.work, planes.variance, planes.state, x, y, shape, limits, out)
    return missing, bounded


@inner_kernel
def _blendedness(planes: Planes, x: float, y: float, shape: np.ndarray) -> float:
    """Share of the light under the Gaussian of the source's shape that is not its own, 0 to 1."""
    own, _, _ = gaussian_flux(planes.work, planes.variance, x, y, shape[0], shape[1], shape[2])
    whole, _, _ = gaussian_flux(planes.image, planes.variance, x, y, shape[0], shape[1], shape[2])
    return min(max(1.0 - own / whole, 0.0), 1.0) if whole > 0.0 else np.nan


@inner_kernel
def _measure_with_shape(
    planes: Planes, x: float, y: float, plugins: Plugins, values: np.ndarray, flags: np.ndarray
) -> None:
    """Fill what needs the source's moments, which are in the values already."""
    shape = values[:3]
    if plugins.gaussian:
        values[3], values[4], lost = gaussian_flux(planes.work, planes.variance, x, y, shape[0], shape[1], shape[2])
        flags[1] = lost > MAX_LOST_WEIGHT
    if plugins.kron:
        flags[3], flags[4] = _kron(planes, x, y, shape, plugins, values[7:10])
    if plugins.blendedness:
        values[10] = _blendedness(planes, x, y, shape)


@inner_kernel
def _measure_circles(
    planes: Planes,
    x: float,
    y: float,
    radii: np.ndarray,
    wanted: np.ndarray,
    plugins: Plugins,
    sums: np.ndarray,
    circles: np.ndarray,
    values: np.ndarray,
    flags: np.ndarray,
) -> None:
    """Fill the aperture fluxes and the top-hat, whose three circles are the last of those wanted."""
    circle_sums(planes.work, planes.variance, planes.state, x, y, radii, sums, circles)
    n = wanted.size - (3 if plugins.tophat else 0)
    for k in range(n):
        circle = wanted[k]
        values[len(VALUES) + k] = circles[0, circle]
        values[len(VALUES) + n + k] = math.sqrt(max(circles[1, circle], 0.0))
        flags[len(FLAGS) + k] = circles[2, circle] > 0.0
    if plugins.tophat:
        core, inner, outer = wanted[n], wanted[n + 1], wanted[n + 2]
        area = plugins.tophat_outer**2 - plugins.tophat_inner**2
        values[5] = circles[0, core] - (circles[0, outer] - circles[0, inner]) / area
        values[6] = math.sqrt(max(circles[1, core] + (circles[1, outer] - circles[1, inner]) / area**2, 0.0))
        flags[2] = circles[2, core] + circles[2, outer] > 0.0


@njit(cache=True, nogil=True)
def measure_sources_alone(
    planes: Planes,
    pixels: LightPixels,
    psf: PsfModels,
    x: np.ndarray,
    y: np.ndarray,
    shapeless: np.ndarray,
    radii: np.ndarray,
    wanted: np.ndarray,
    plugins: Plugins,
) -> tuple[np.ndarray, np.ndarray]:
    """Shapes and fluxes of all sources, each measured on an image that holds no other.

    Parameters
    ----------
    planes, pixels
        The work and state of the planes are changed on the way, and are in the end as before.
    psf
        Where the source has a flux, its model stands in for its light on the pixels of other sources.
    x, y
        Centroids, px.
    shapeless
        Bool: sources that get fluxes within circles alone.
    radii
        Of all circles, px.
    wanted
        Index of the radius of each aperture; with the top-hat those of its circle and of its annulus come last.
    plugins
        What to measure.

    Returns
    -------
    values
        ``[source, column]``: those of `VALUES`, then the fluxes in the circles, then their errors; NaN where there is
        none.
    flags
        ``[source, column]``: those of `FLAGS`, then those of the circles.
    """
    n = wanted.size - (3 if plugins.tophat else 0)
    values = np.full((x.size, len(VALUES) + 2 * n), np.nan)
    flags = np.zeros((x.size, len(FLAGS) + n), np.bool_)
    saved = np.empty(_largest(pixels), np.float32)
    size = psf.stamps.shape[1]
    wings = np.empty(size * size, np.float32)
    sums, circles = np.empty((3, row_capacity(radii.max()))), np.empty((3, radii.size))
    state = np.empty(5)
    if plugins.local_variance:
        for i in range(x.size):
            values[i, 11] = _local_variance(planes, x[i], y[i])
    inside = -1
    for i in range(x.size):
        inside = _change(planes, pixels, inside, pixels.owner[i], saved)
        modelled = psf.flux.size > 0 and 0.0 < psf.flux[i] < math.inf
        if modelled:
            add_wings(planes.work, planes.state, psf.stamps[i], psf.x0[i], psf.y0[i], psf.flux[i], wings)
        flags[i, : len(FLAGS)] = shapeless[i]
        if not shapeless[i]:
            state[0], state[1], state[2], state[3], state[4] = x[i], y[i], plugins.sigma**2, plugins.sigma**2, 0.0
            if adapt_shape(planes.work, state, plugins.max_shape_shift):
                values[i, :3] = state[2:]
                _measure_with_shape(planes, x[i], y[i], plugins, values[i], flags[i])
            else:
                flags[i, : len(FLAGS)] = True
        flags[i, 2] = False
        _measure_circles(planes, x[i], y[i], radii, wanted, plugins, sums, circles, values[i], flags[i])
        if modelled:
            take_wings(planes.work, planes.state, size, psf.x0[i], psf.y0[i], wings)
    _change(planes, pixels, inside, -1, saved)
    return values, flags


@njit(cache=True, nogil=True)
def psf_shapes(psf: PsfModels, x: np.ndarray, y: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Adaptive moments of the PSF at each source, and its flux under the Gaussian of them.

    Parameters
    ----------
    psf
        Stamps with the source at (x, y).
    x, y
        Positions of the sources, px.
    sigma
        First width of the weight, px.

    Returns
    -------
    moments
        ``[source, 3]``: Ixx, Iyy, Ixy, px^2; NaN where there are none.
    gaussian
        Flux as of `skyloom.kernels.gaussian_flux.gaussian_flux` of the PSF of unit sum.
    """
    moments, gaussian = np.full((x.size, 3), np.nan), np.full(x.size, np.nan)
    state = np.empty(5)
    for i in range(x.size):
        at_x, at_y = x[i] - psf.x0[i], y[i] - psf.y0[i]
        state[0], state[1], state[2], state[3], state[4] = at_x, at_y, sigma * sigma, sigma * sigma, 0.0
        if adapt_shape(psf.stamps[i], state, 2.0):
            moments[i] = state[2:]
            gaussian[i], _, _ = gaussian_flux(psf.stamps[i], psf.stamps[i], at_x, at_y, state[2], state[3], state[4])
    return moments, gaussian
