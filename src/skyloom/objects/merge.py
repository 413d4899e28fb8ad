"""Detections of all bands of a patch merged into one list of objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from lsst.images import Box
from scipy.spatial import cKDTree

from skyloom.catalog.columns import flag_column, float_column
from skyloom.detection.peaks import find_components
from skyloom.images.footprints import PEAK_DTYPE, Footprint, FootprintSet
from skyloom.images.spans import SpanSet
from skyloom.kernels.components import paint_spans

from .settings import MergeSettings

_SPAN = ("y", "x0", "x1")

__all__ = ["BandSources", "MergedObjects", "band_order", "merge_bands"]


@dataclass(frozen=True)
class BandSources:
    """The sources of a patch in one band."""

    table: Table
    """As of `skyloom.objects.measure_on_coadd`."""
    footprints: FootprintSet
    """That of each blend, in the order of the rows, which sky sources follow."""


@dataclass(frozen=True, kw_only=True)
class MergedObjects:
    """The objects of a patch: footprints in order, in each the most significant object first."""

    footprints: FootprintSet
    """The pixels of all bands together, with a peak an object: its pixel in the reference band, and its significance
    there."""
    x: np.ndarray
    """Column of each object in its reference band, px."""
    y: np.ndarray
    reference_band: np.ndarray
    """Name of the band that the position is from."""
    rows: dict[str, np.ndarray]
    """By band: row of each object in the table of the band, -1 where it was not detected."""

    def __len__(self) -> int:
        return self.x.size


def band_order(bands: Iterable[str], order: tuple[str, ...]) -> list[str]:
    """Bands by priority: those that the order names, then the others in the order of the alphabet."""
    return sorted(bands, key=lambda band: (order.index(band) if band in order else len(order), band))


def merge_bands(
    sources: Mapping[str, BandSources], box: Box, pixel_scale: float, settings: MergeSettings
) -> MergedObjects:
    """Merge the sources of the bands of a patch.

    Bands come in the order of their priority.  A source that is nearer than the radius to an object of an earlier band
    is that object, whose nearest such source stands for it; every other source is a new object.

    Parameters
    ----------
    sources
        By band, on one pixel grid.
    box
        Outer box of the patch.
    pixel_scale
        Arcsec a pixel.
    settings
        Knobs.
    """
    radius = settings.radius_arcsec / pixel_scale
    x, y = np.empty(0), np.empty(0)
    rows: dict[str, np.ndarray] = {}
    for band in band_order(sources, settings.order):
        own = np.flatnonzero(~flag_column(sources[band].table, "flag_sky_source"))
        at_x, at_y = (float_column(sources[band].table, name)[own] for name in ("x", "y"))
        taken, new = _match(x, y, at_x, at_y, radius)
        for known in rows:
            rows[known] = np.concatenate([rows[known], np.full(new.size, -1, np.int64)])
        rows[band] = np.concatenate([np.where(taken >= 0, own[taken], -1) if own.size else taken, own[new]])
        x, y = np.concatenate([x, at_x[new]]), np.concatenate([y, at_y[new]])
    return _ordered(sources, rows, box, settings)


def _match(
    x: np.ndarray, y: np.ndarray, at_x: np.ndarray, at_y: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """The source, by number, that is nearest to each object within the radius, or -1; and the sources near none."""
    taken, everything = np.full(x.size, -1, np.int64), np.arange(at_x.size)
    if not x.size or not at_x.size:
        return taken, everything
    distance, nearest = cKDTree(np.column_stack([x, y])).query(np.column_stack([at_x, at_y]))
    near = distance <= radius
    for k in np.flatnonzero(near)[np.argsort(-distance[near], kind="stable")]:
        taken[nearest[k]] = k  # the nearest comes last, and stays
    return taken, everything[~near]


def _ordered(
    sources: Mapping[str, BandSources], rows: dict[str, np.ndarray], box: Box, settings: MergeSettings
) -> MergedObjects:
    """The objects with their reference bands, by footprint and significance."""
    n = next(iter(rows.values())).size if rows else 0
    bands, numbers = list(rows), np.arange(n)
    significance = np.full((len(bands), n), -np.inf)
    position, pixel = np.empty((len(bands), n, 2)), np.zeros((len(bands), n, 2), np.int64)
    for k, band in enumerate(bands):
        found, table = rows[band] >= 0, sources[band].table
        own = rows[band][found]
        significance[k, found] = _significance(table)[own]
        position[k, found] = np.column_stack([float_column(table, "x"), float_column(table, "y")])[own]
        pixel[k, found] = _peak_pixels(sources[band].footprints)[own]
    reference = _reference(significance, settings.reference_signal_to_noise)
    chosen = significance[reference, numbers] if n else np.empty(0)
    position, pixel = position[reference, numbers], pixel[reference, numbers]
    footprints, order = _footprints([one.footprints for one in sources.values()], pixel, chosen, box)
    return MergedObjects(
        footprints=footprints,
        x=position[order, 0],
        y=position[order, 1],
        reference_band=np.array(bands or [""], dtype="U16")[reference[order]],
        rows={band: rows[band][order] for band in bands},
    )


def _significance(table: Table) -> np.ndarray:
    """PSF flux over its error; 0 where there is none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = float_column(table, "psf_flux") / float_column(table, "psf_flux_err")
    # A centroid that failed makes no reference where there is another.
    return np.where(np.isfinite(ratio) & ~flag_column(table, "flag_centroid"), ratio, 0.0)


def _reference(significance: np.ndarray, enough: float) -> np.ndarray:
    """Number of the reference band of each object."""
    if not significance.size:
        return np.zeros(significance.shape[1] if significance.ndim == 2 else 0, np.int64)
    first, best = np.argmax(significance >= enough, axis=0), np.argmax(significance, axis=0)
    return np.where((significance >= enough).any(axis=0), first, best)


def _peak_pixels(footprints: FootprintSet) -> np.ndarray:
    """``[row, 2]``: x and y of the peaks of all footprints in order."""
    peaks = np.concatenate([np.empty(0, PEAK_DTYPE), *(one.peaks for one in footprints)])
    return np.column_stack([peaks["x"], peaks["y"]]).astype(np.int64)


def _footprints(
    sets: list[FootprintSet], pixel: np.ndarray, significance: np.ndarray, box: Box
) -> tuple[FootprintSet, np.ndarray]:
    """The union of the footprints that hold an object, each with its objects, and the order of the objects in them."""
    spans = [one.spans.shifted(-box.x.start, -box.y.start) for footprints in sets for one in footprints]
    y, x0, x1 = (np.concatenate([np.empty(0, np.int64), *(getattr(one, name) for one in spans)]) for name in _SPAN)
    mask = np.zeros(box.shape, bool)
    paint_spans(mask, y, x0, x1, np.ones(y.size, bool))
    parts = find_components(mask)
    label = np.full(box.shape, -1, np.int64)
    paint_spans(label, parts.y, parts.x0, parts.x1, np.repeat(np.arange(len(parts)), np.diff(parts.start)))
    owner = label[pixel[:, 1] - box.y.start, pixel[:, 0] - box.x.start]
    order = np.lexsort((-significance, owner))
    start = np.searchsorted(owner[order], np.arange(len(parts) + 1))
    peaks = np.empty(order.size, PEAK_DTYPE)
    peaks["x"], peaks["y"], peaks["value"] = pixel[order, 0], pixel[order, 1], significance[order]
    merged = []
    for k in range(len(parts)):
        if start[k + 1] > start[k]:
            own = slice(parts.start[k], parts.start[k + 1])
            pixels = SpanSet(parts.y[own], parts.x0[own], parts.x1[own]).shifted(box.x.start, box.y.start)
            merged.append(Footprint(pixels, peaks[start[k] : start[k + 1]]))
    return FootprintSet(merged, box), order
