"""`deblend_sources`: the light of each peak of each footprint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from skyloom.images.exposure import Exposure
from skyloom.images.footprints import FootprintSet
from skyloom.images.mask_planes import bitmask
from skyloom.images.source_pixels import SourcePixels
from skyloom.kernels.deblend import deblend_footprints
from skyloom.kernels.deblend_pixels import copy_spans, sum_spans, sum_values
from skyloom.kernels.deblend_shares import FAILED, PATCHED, RAMPED, STRAY
from skyloom.kernels.deblend_stray import STRAY_RULES
from skyloom.psf import psf_sigma

from .columns import make_deblend_table
from .frame import FlatFootprints, Frame, ranges
from .settings import DeblendSettings
from .stars import FWHM_OF_SIGMA, StarTest, find_stars, no_stars

__all__ = ["Deblended", "deblend_sources"]

BATCH_PEAKS = 2000
"""Peaks whose PSF stamps are held at a time; a footprint is never split."""


@dataclass(frozen=True, kw_only=True)
class Deblended:
    """What `deblend_sources` finds; one entry a peak: footprints in order, in each the brightest peak first."""

    pixels: SourcePixels
    """The light of each."""
    table: Table
    """How it was found; the columns of `skyloom.deblend.columns`."""


def deblend_sources(exposure: Exposure, footprints: FootprintSet, settings: DeblendSettings | None = None) -> Deblended:
    """Say which light of each footprint belongs to which of its peaks.

    A peak that the PSF describes has the PSF as its template, another what is the same on both sides of it; the light
    of a pixel is shared out in proportion to the templates (Lupton 2005, "SDSS image processing II: the photo
    pipelines", preprint; context in Melchior et al. 2018, A&C 24, 129).  A peak alone in its footprint has the image
    in it.  Footprints beyond the limits of the settings are skipped: each of their peaks has all of the image in them,
    and their pixels get NOT_DEBLENDED in the mask.

    Parameters
    ----------
    exposure
        Background-subtracted; the plane NOT_DEBLENDED of its mask is made anew.  Without a PSF all templates are
        symmetric ones.
    footprints
        As detected on it.
    settings
        Knobs; the defaults where not given.
    """
    settings = settings or DeblendSettings()
    frame = Frame.of(exposure, settings)
    flat = FlatFootprints.of(footprints, frame)
    table = make_deblend_table(flat.x.size, exposure.unit)
    table["deblend_n_peaks"][:] = np.repeat(flat.n_peaks, flat.n_peaks)
    skipped = _skip(table, frame, flat, settings)
    _mark_skipped(exposure.bits, flat, skipped)
    blended = (flat.n_peaks > 1) & ~skipped
    parts = [_whole(frame, flat, np.flatnonzero(~blended))]
    sigma = settings.psf_sigma if exposure.psf is None else psf_sigma(exposure.psf)
    for batch in _batches(np.flatnonzero(blended), flat.n_peaks):
        blends = flat.select(batch)
        stars = no_stars(blends) if exposure.psf is None else find_stars(frame, blends, exposure.psf, sigma, settings)
        rows = ranges(flat.peak_start[batch], flat.peak_start[batch + 1])
        parts.append(_share(table, rows, frame, blends, stars, sigma, settings))
    pixels = _joined(parts, flat.x.size)
    _set_fluxes(table, pixels, frame, flat)
    return Deblended(pixels=pixels, table=table)


@dataclass(frozen=True)
class _Part:
    """The pixels of some peaks; spans and values in the order of ``rows``."""

    rows: np.ndarray
    """Of the table."""
    span_count: np.ndarray
    y: np.ndarray
    x0: np.ndarray
    x1: np.ndarray
    value_start: np.ndarray
    values: np.ndarray


def _skip(table: Table, frame: Frame, flat: FlatFootprints, settings: DeblendSettings) -> np.ndarray:
    """Flag the peaks of footprints beyond the limits; bool a footprint: it is one of them."""
    missing, area = sum_spans(frame.unusable, flat.span_start, flat.span_y, flat.span_x0, flat.span_x1)
    several = flat.n_peaks > 1
    reasons = {
        "flag_deblend_too_many_peaks": several & (flat.n_peaks > settings.max_peaks),
        "flag_deblend_too_big": several & (area > settings.max_area),
        "flag_deblend_masked": several & (missing > settings.max_masked_fraction * area),
    }
    skipped = np.logical_or.reduce(list(reasons.values()))
    for name, footprints in {**reasons, "flag_deblend_skipped": skipped}.items():
        table[name][:] = np.repeat(footprints, flat.n_peaks)
    return np.asarray(skipped)


def _mark_skipped(bits: np.ndarray, flat: FlatFootprints, skipped: np.ndarray) -> None:
    """Make the plane NOT_DEBLENDED anew: the pixels of the skipped footprints."""
    plane = np.int32(bitmask("NOT_DEBLENDED"))
    bits &= ~plane
    for k in ranges(flat.span_start[:-1][skipped], flat.span_start[1:][skipped]):
        bits[flat.span_y[k], flat.span_x0[k] : flat.span_x1[k]] |= plane


def _batches(footprints: np.ndarray, n_peaks: np.ndarray) -> list[np.ndarray]:
    """Indices of footprints in groups of about `BATCH_PEAKS` peaks."""
    if footprints.size == 0:
        return []
    number = np.cumsum(n_peaks[footprints]) // BATCH_PEAKS
    return np.split(footprints, np.flatnonzero(np.diff(number)) + 1)


def _whole(frame: Frame, flat: FlatFootprints, footprints: np.ndarray) -> _Part:
    """All of the image in the footprints; the peaks of one share the values."""
    own = flat.select(footprints)
    values = copy_spans(frame.image, own.span_y, own.span_x0, own.span_x1)
    widths = own.span_x1 - own.span_x0
    owner = np.repeat(np.arange(footprints.size), own.n_peaks)
    spans = ranges(own.span_start[:-1][owner], own.span_start[1:][owner])
    return _Part(
        rows=ranges(flat.peak_start[footprints], flat.peak_start[footprints + 1]),
        span_count=np.diff(own.span_start)[owner],
        y=own.span_y[spans],
        x0=own.span_x0[spans],
        x1=own.span_x1[spans],
        value_start=(np.cumsum(widths) - widths)[spans],
        values=values,
    )


def _share(
    table: Table,
    rows: np.ndarray,
    frame: Frame,
    blends: FlatFootprints,
    stars: StarTest,
    sigma: float,
    settings: DeblendSettings,
) -> _Part:
    """The light of the peaks of some blends, and their rows of the table filled."""
    peak_value = np.nan_to_num(frame.image[blends.y, blends.x])
    span_count, spans, values, flags, neighbours = deblend_footprints(
        frame.image,
        frame.variance,
        frame.unusable,
        blends.span_start,
        blends.span_y,
        blends.span_x0,
        blends.span_x1,
        blends.peak_start,
        blends.x,
        blends.y,
        stars.is_star,
        np.where(stars.flux > 0, stars.flux, np.maximum(peak_value, 0.0)),
        stars.stamps,
        stars.x0,
        stars.y0,
        FWHM_OF_SIGMA * sigma,
        settings.smooth_half_size,
        settings.smooth_below,
        settings.monotone,
        settings.template_rounds,
        settings.max_template_pixels,
        settings.min_share,
        STRAY_RULES.index(settings.stray_light),
    )
    _set_columns(table, rows, frame, stars, flags, neighbours)
    widths = spans[:, 2] - spans[:, 1]
    return _Part(
        rows=rows,
        span_count=span_count,
        y=spans[:, 0],
        x0=spans[:, 1],
        x1=spans[:, 2],
        value_start=np.cumsum(widths) - widths,
        values=values,
    )


def _set_columns(
    table: Table, rows: np.ndarray, frame: Frame, stars: StarTest, flags: np.ndarray, neighbours: np.ndarray
) -> None:
    """Fill the rows of deblended peaks."""
    tested = np.isfinite(stars.flux)
    table["deblend_is_psf"][rows] = stars.is_star
    table["deblend_psf_x"][rows] = np.where(tested, stars.x + frame.x0, np.nan)
    table["deblend_psf_y"][rows] = np.where(tested, stars.y + frame.y0, np.nan)
    table["deblend_psf_flux"][rows] = stars.flux
    table["deblend_psf_chi2"][rows] = stars.chi2
    table["deblend_neighbour_fraction"][rows] = neighbours
    for name, bit in (("patched", PATCHED), ("ramped", RAMPED), ("stray", STRAY), ("failed", FAILED)):
        table[f"flag_deblend_{name}"][rows] = (flags & bit) != 0


def _set_fluxes(table: Table, pixels: SourcePixels, frame: Frame, flat: FlatFootprints) -> None:
    """Fill the sum of each source's light and its share of the footprint's."""
    footprint, _ = sum_spans(frame.image, flat.span_start, flat.span_y, flat.span_x0, flat.span_x1)
    light = sum_values(pixels.values, pixels.span_start, pixels.value_start, pixels.x1 - pixels.x0)
    table["deblend_flux"][:] = light
    with np.errstate(invalid="ignore", divide="ignore"):
        table["deblend_flux_fraction"][:] = (light / np.repeat(footprint, flat.n_peaks)).astype(np.float32)


def _joined(parts: list[_Part], n: int) -> SourcePixels:
    """The pixels of all parts, their spans put into the order of the table's rows."""
    count = np.zeros(n, np.int64)
    source = np.zeros(n, np.int64)
    n_spans, n_values, offsets = 0, 0, []
    for part in parts:
        count[part.rows] = part.span_count
        source[part.rows] = n_spans + np.cumsum(part.span_count) - part.span_count
        n_spans += part.y.size
        offsets.append(part.value_start + n_values)
        n_values += part.values.size
    order = ranges(source, source + count)
    return SourcePixels(
        span_start=np.concatenate([[0], np.cumsum(count)]),
        y=np.concatenate([part.y for part in parts])[order],
        x0=np.concatenate([part.x0 for part in parts])[order],
        x1=np.concatenate([part.x1 for part in parts])[order],
        value_start=np.concatenate(offsets)[order],
        values=np.concatenate([part.values for part in parts]),
    )
