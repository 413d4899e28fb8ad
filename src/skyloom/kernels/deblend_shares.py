"""All templates of one footprint, and the share that each has in the light."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .deblend_boxes import add_template, is_empty, shrunk, template_boxes, template_of
from .deblend_pixels import least_variance
from .deblend_stars import fill_star, star_reach
from .deblend_templates import (
    NO_MIRROR,
    OTHER_MIRROR,
    favour_round,
    make_monotone,
    smooth_faint,
    symmetric_centre,
    symmetric_template,
)
from .inner import inner_kernel

__all__ = ["FAILED", "PATCHED", "RAMPED", "STRAY", "make_templates"]

STAR_ERROR = 0.1  # of the model of a star that was subtracted, added to the noise that a mirrored pixel has
OVER_RELAXATION = 0.8  # how much further than its fixed-point step a template goes each round

PATCHED, RAMPED, STRAY, FAILED = 1, 2, 4, 8
"""Bits that say how the light of a peak was found."""


@inner_kernel
def _make_stars(
    stamps: np.ndarray,
    middle_x: np.ndarray,
    middle_y: np.ndarray,
    level: np.ndarray,
    power: np.ndarray,
    is_star: np.ndarray,
    flux: np.ndarray,
    boxes: np.ndarray,
    start: np.ndarray,
    pool: np.ndarray,
    total: np.ndarray,
) -> None:
    """Fill the templates of stars and add them up."""
    for k in range(flux.size):
        if is_star[k]:
            template = template_of(pool, start, boxes, k)
            fill_star(
                stamps[k], flux[k], middle_x[k], middle_y[k], level[k], power[k], boxes[k, 0], boxes[k, 1], template
            )
            add_template(total, template, boxes[k, 0], boxes[k, 1])


@inner_kernel
def _take_share(image: np.ndarray, own: np.ndarray, total: np.ndarray, x0: int, y0: int, light: np.ndarray) -> None:
    """Share of one template in the image, in its box and a pixel around."""
    for row in range(max(y0 - 1, 0), min(y0 + own.shape[0] + 1, image.shape[0])):
        for column in range(max(x0 - 1, 0), min(x0 + own.shape[1] + 1, image.shape[1])):
            j, i = row - y0, column - x0
            light[row, column] = 0.0
            if 0 <= j < own.shape[0] and 0 <= i < own.shape[1] and own[j, i] > 0.0:
                light[row, column] = image[row, column] * (own[j, i] / total[row, column])


@inner_kernel
def _fallback(stamp: np.ndarray, flux: float, x: int, y: int, x0: int, y0: int, template: np.ndarray) -> None:
    """Something positive for a peak whose template came out empty: a faint star, or its pixel alone."""
    if math.isfinite(stamp[0, 0]) and flux > 0.0:
        fill_star(stamp, flux, x, y, 0.0, 3.0, x0, y0, template)
    template[y - y0, x - x0] = max(template[y - y0, x - x0], max(flux, 1e-20))


@inner_kernel
def _make_symmetric(
    rest: np.ndarray,
    variance: np.ndarray,
    inside: np.ndarray,
    known: np.ndarray,
    seen: tuple[int, int, int, int],
    twice: np.ndarray,
    box: np.ndarray,
    template: np.ndarray,
    mean: bool,
    round_first: bool,
    smooth_half: int,
    smooth_below: float,
    monotone: bool,
    ramp: float,
) -> int:
    """Fill one symmetric template; returns the bits `PATCHED` and `RAMPED`."""
    made_of = np.empty(template.shape, np.int8)
    symmetric_template(rest, variance, inside, known, seen, twice[0], twice[1], box[0], box[1], mean, template, made_of)
    if round_first:
        favour_round(rest, variance, inside, known, twice[0], twice[1], box[0], box[1], template, made_of)
    if smooth_below > 0.0 and smooth_half > 0:
        smooth_faint(template, made_of, variance, box[0], box[1], smooth_half, smooth_below)
    if monotone:
        make_monotone(template, made_of, twice[0] - 2 * box[0], twice[1] - 2 * box[1], ramp)
    flags = 0
    for j in range(template.shape[0]):
        for i in range(template.shape[1]):
            template[j, i] = max(template[j, i], 0.0)
            if template[j, i] > 0.0:
                if made_of[j, i] == OTHER_MIRROR:
                    flags |= PATCHED
                elif made_of[j, i] == NO_MIRROR:
                    flags |= RAMPED
    return flags


@inner_kernel
def _step_further(before: np.ndarray, template: np.ndarray) -> None:
    """Let a template change by more than it did: the rounds converge slowly.  In place."""
    for j in range(template.shape[0]):
        for i in range(template.shape[1]):
            if before[j, i] > 0.0 and template[j, i] > 0.0:
                template[j, i] *= (template[j, i] / before[j, i]) ** OVER_RELAXATION


@inner_kernel
def _make_extended(
    image: np.ndarray,
    variance: np.ndarray,
    known: np.ndarray,
    inside: np.ndarray,
    seen: tuple[int, int, int, int],
    x: np.ndarray,
    y: np.ndarray,
    is_star: np.ndarray,
    fwhm: float,
    smooth_half: int,
    smooth_below: float,
    monotone: bool,
    rounds: int,
    boxes: np.ndarray,
    start: np.ndarray,
    pool: np.ndarray,
    stars: np.ndarray,
    flags: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fill the templates of peaks that are no stars, the models of which are taken off first.

    Returns tighter boxes, where the pixels of each begin, and the pixels, of all templates.
    """
    height, width = inside.shape
    rest, spread = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    usable = np.zeros((height, width), np.bool_)
    for j in range(height):
        for i in range(width):
            rest[j, i] = image[j, i] - stars[j, i]
            spread[j, i] = variance[j, i] + (STAR_ERROR * stars[j, i]) ** 2
            usable[j, i] = inside[j, i] and known[j, i]
    twice = np.empty((x.size, 2), np.int64)
    ramp = math.exp(-2.3548 / fwhm)
    total = stars.copy()
    for turn in range(rounds):
        before = pool.copy()
        for k in range(x.size):
            if is_star[k]:
                continue
            if turn == 0:
                twice[k, 0], twice[k, 1] = symmetric_centre(rest, usable, x[k], y[k], max(0.75 * fwhm, 2.0))
            else:
                _take_share(image, template_of(before, start, boxes, k), total, boxes[k, 0], boxes[k, 1], rest)
            flags[k] |= _make_symmetric(
                rest,
                spread,
                inside,
                known,
                seen,
                twice[k],
                boxes[k],
                template_of(pool, start, boxes, k),
                turn > 0,
                turn == 0 and rounds > 1,
                smooth_half,
                smooth_below,
                monotone,
                ramp,
            )
            if 0 < turn < rounds - 1:
                _step_further(template_of(before, start, boxes, k), template_of(pool, start, boxes, k))
        if turn == 0:
            boxes, start, pool = shrunk(x, y, boxes, start, pool)
        for j in range(height):
            for i in range(width):
                total[j, i] = 0.0
                spread[j, i] = variance[j, i]
        for k in range(x.size):
            add_template(total, template_of(pool, start, boxes, k), boxes[k, 0], boxes[k, 1])
    return boxes, start, pool


@inner_kernel
def _keep_shares(
    inside: np.ndarray, known: np.ndarray, boxes: np.ndarray, start: np.ndarray, pool: np.ndarray, min_share: float
) -> np.ndarray:
    """Cut templates to known pixels of the footprint and to shares of at least ``min_share``; the sum of them."""
    total = np.zeros(inside.shape, np.float64)
    for k in range(boxes.shape[0]):
        template = template_of(pool, start, boxes, k)
        x0, y0 = boxes[k, 0], boxes[k, 1]
        for j in range(template.shape[0]):
            for i in range(template.shape[1]):
                if not (inside[y0 + j, x0 + i] and known[y0 + j, x0 + i]):
                    template[j, i] = 0.0
        add_template(total, template, x0, y0)
    kept = np.zeros(inside.shape, np.float64)
    for k in range(boxes.shape[0]):
        template = template_of(pool, start, boxes, k)
        x0, y0 = boxes[k, 0], boxes[k, 1]
        for j in range(template.shape[0]):
            for i in range(template.shape[1]):
                if template[j, i] < min_share * total[y0 + j, x0 + i]:
                    template[j, i] = 0.0
        add_template(kept, template, x0, y0)
    return kept


@inner_kernel
def _own_share(template: np.ndarray, total: np.ndarray, x0: int, y0: int) -> tuple[float, float, int]:
    """Share of the neighbours in the light under a template, weighted by it; its sum and its number of pixels."""
    own, all_light, light, area = 0.0, 0.0, 0.0, 0
    for j in range(template.shape[0]):
        for i in range(template.shape[1]):
            value = float(template[j, i])
            if value > 0.0:
                own += value * value
                all_light += value * total[y0 + j, x0 + i]
                light += value
                area += 1
    return (1.0 - own / all_light if all_light > 0.0 else 0.0), light, area


@njit(cache=True, nogil=True)
def make_templates(
    image: np.ndarray,
    variance: np.ndarray,
    known: np.ndarray,
    inside: np.ndarray,
    seen: tuple[int, int, int, int],
    x: np.ndarray,
    y: np.ndarray,
    is_star: np.ndarray,
    flux: np.ndarray,
    stamps: np.ndarray,
    middle_x: np.ndarray,
    middle_y: np.ndarray,
    fwhm: float,
    smooth_half: int,
    smooth_below: float,
    monotone: bool,
    rounds: int,
    max_template_pixels: int,
    min_share: float,
    flags: np.ndarray,
    neighbours: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Templates of one footprint, cut to what is apportioned: boxes, starts, pool, their sum, light and area.

    All arrays are over the box of the footprint, and positions in it.
    """
    n = x.size
    height, width = inside.shape
    noise = math.sqrt(least_variance(variance, inside))
    reach, level, power = np.empty(n, np.int64), np.zeros(n), np.zeros(n)
    limit = int(0.5 * math.sqrt(max_template_pixels / n))
    extended = 0
    for k in range(n):
        reach[k] = max(limit, 2)
        if is_star[k]:
            far, level[k], power[k] = star_reach(stamps[k], flux[k], noise)
            reach[k] = min(far + 1, max(limit, stamps.shape[1]))
        else:
            extended += 1
    boxes, start = template_boxes(x, y, reach, height, width)
    pool = np.zeros(start[n], np.float32)
    total = np.zeros((height, width), np.float64)
    _make_stars(stamps, middle_x, middle_y, level, power, is_star, flux, boxes, start, pool, total)
    if extended > 0:
        boxes, start, pool = _make_extended(
            image,
            variance,
            known,
            inside,
            seen,
            x,
            y,
            is_star,
            fwhm,
            smooth_half,
            smooth_below,
            monotone,
            rounds,
            boxes,
            start,
            pool,
            total,
            flags,
        )
    for k in range(n):
        template = template_of(pool, start, boxes, k)
        if is_empty(template):
            flags[k] |= FAILED
            _fallback(stamps[k], flux[k], middle_x[k], middle_y[k], boxes[k, 0], boxes[k, 1], template)
            template[y[k] - boxes[k, 1], x[k] - boxes[k, 0]] += 1e-20
    total = _keep_shares(inside, known, boxes, start, pool, min_share)
    light, area = np.empty(n), np.empty(n, np.int64)
    for k in range(n):
        template = template_of(pool, start, boxes, k)
        neighbours[k], light[k], area[k] = _own_share(template, total, boxes[k, 0], boxes[k, 1])
    return boxes, start, pool, total, light, area
