"""The light of footprints shared out among their peaks, in proportion to templates."""

from __future__ import annotations

import numpy as np
from numba import njit

from .deblend_boxes import template_of
from .deblend_pixels import collect_light, cut_out, footprint_box, with_room
from .deblend_shares import STRAY, make_templates
from .deblend_stray import by_peak, share_stray, unclaimed

__all__ = ["deblend_footprints"]


@njit(cache=True, nogil=True)
def deblend_footprints(
    image: np.ndarray,
    variance: np.ndarray,
    unusable: np.ndarray,
    span_start: np.ndarray,
    span_y: np.ndarray,
    span_x0: np.ndarray,
    span_x1: np.ndarray,
    peak_start: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    is_star: np.ndarray,
    flux: np.ndarray,
    stamps: np.ndarray,
    stamp_x0: np.ndarray,
    stamp_y0: np.ndarray,
    fwhm: float,
    smooth_half: int,
    smooth_below: float,
    monotone: bool,
    rounds: int,
    max_template_pixels: int,
    min_share: float,
    stray_rule: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Share the light of each footprint among its peaks.

    Parameters
    ----------
    image, variance
        ``[y, x]``.
    unusable
        ``[y, x]`` bool: pixels that were not measured.
    span_start, span_y, span_x0, span_x1
        Spans of the footprints: those of footprint f are ``span_start[f]:span_start[f + 1]``.
    peak_start, x, y
        Peaks of the footprints, likewise: their pixels.
    is_star
        Bool a peak: its template is that of a star.
    flux
        Flux of the PSF at each peak.
    stamps, stamp_x0, stamp_y0
        PSF of unit sum at each peak, ``[peak, y, x]``, and its first pixel in the image.
    fwhm
        Of the PSF, px.
    smooth_half, smooth_below, monotone, rounds, max_template_pixels, min_share
        As in the settings of the deblender.
    stray_rule
        Place of the rule in `STRAY_RULES`.

    Returns
    -------
    span_count
        Number of spans of each peak.
    spans
        ``[span, 3]``: y, x0, x1, peak by peak in row-major order.
    values
        Light of their pixels, float32, one after the other.
    flags
        Bits `PATCHED`, `RAMPED`, `STRAY`, `FAILED` of each peak.
    neighbours
        Share of the neighbours in the light under the template of each peak.
    """
    n = x.size
    half = stamps.shape[1] // 2
    span_count, flags, neighbours = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n)
    spans, n_spans = np.empty((16 * n + 1, 3), np.int64), 0
    values, n_values = np.empty(64 * n + 1, np.float32), 0
    for f in range(span_start.size - 1):
        a, b = peak_start[f], peak_start[f + 1]
        left, top, inside = footprint_box(span_start[f], span_start[f + 1], span_y, span_x0, span_x1)
        pixels, spread, known, finite = cut_out(image, variance, unusable, left, top, inside)
        seen = (-top, image.shape[0] - top, -left, image.shape[1] - left)
        at_x, at_y = x[a:b] - left, y[a:b] - top
        boxes, start, pool, total, light, area = make_templates(
            pixels,
            spread,
            known,
            inside,
            seen,
            at_x,
            at_y,
            is_star[a:b],
            flux[a:b],
            stamps[a:b],
            stamp_x0[a:b] + (half - left),
            stamp_y0[a:b] + (half - top),
            fwhm,
            smooth_half,
            smooth_below,
            monotone,
            rounds,
            max_template_pixels,
            min_share,
            flags[a:b],
            neighbours[a:b],
        )
        stray = unclaimed(inside, finite, total)
        stray_start, owner, place, part = share_stray(stray, at_x, at_y, light, area, stray_rule, min_share)
        stray_place, stray_part = by_peak(stray_start, owner, place, part)
        for k in range(b - a):
            first, last = stray_start[k], stray_start[k + 1]
            most = area[k] + last - first
            spans, values = with_room(spans, n_spans, values, n_values, most)
            used = collect_light(
                pixels,
                total,
                template_of(pool, start, boxes, k),
                boxes[k, 0],
                boxes[k, 1],
                stray_place[first:last],
                stray_part[first:last],
                left,
                top,
                spans[n_spans:],
                values[n_values:],
                span_count[a + k : a + k + 1],
            )
            if last > first:
                flags[a + k] |= STRAY
            n_spans += span_count[a + k]
            n_values += used
    return span_count, spans[:n_spans], values[:n_values], flags, neighbours
