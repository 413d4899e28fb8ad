"""`detect_regions`: where a difference image is not zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from lsst.images import Box

from skyloom.detection.matched_filter import Filtered, matched_filter
from skyloom.detection.peaks import Components, find_components, significant_pixels
from skyloom.errors import PsfError
from skyloom.images import Exposure, SpanSet, bitmask
from skyloom.kernels.components import dilate_disk
from skyloom.kernels.span_counts import dilate_diamond
from skyloom.psf import psf_sigma as psf_sigma_of

from .clip_settings import ClipDetectionSettings

__all__ = ["Regions", "detect_regions"]


@dataclass(frozen=True, eq=False)
class Regions:
    """Connected regions of a box of the tract, in the order of their first rows."""

    box: Box
    y: np.ndarray
    x0: np.ndarray
    x1: np.ndarray
    """Spans in pixels of the tract, x1 exclusive, those of a region together and sorted."""
    start: np.ndarray
    """First span of each region, and one past the last span."""

    def __len__(self) -> int:
        return self.start.size - 1

    @classmethod
    def of(cls, components: Components, box: Box) -> Regions:
        """The components of an image whose pixels are a box."""
        y, x0, x1 = (
            (part + offset).astype(np.int32)
            for part, offset in (
                (components.y, box.y.start),
                (components.x0, box.x.start),
                (components.x1, box.x.start),
            )
        )
        return cls(box, y, x0, x1, components.start.astype(np.int64))

    @classmethod
    def of_spans(cls, regions: list[SpanSet], box: Box) -> Regions:
        """Regions that are given as their pixels."""
        start = np.concatenate([[0], np.cumsum([len(region) for region in regions], dtype=np.int64)])
        y, x0, x1 = (
            np.concatenate([getattr(region, name) for region in regions] or [np.empty(0, np.int32)])
            for name in ("y", "x0", "x1")
        )
        return cls(box, y, x0, x1, start.astype(np.int64))

    @property
    def areas(self) -> np.ndarray:
        """Pixels of each region, int64."""
        ends = np.concatenate([[0], np.cumsum(self.x1.astype(np.int64) - self.x0)])
        areas: np.ndarray = np.diff(ends[self.start])
        return areas

    def spans(self, index: int) -> SpanSet:
        """The pixels of one region."""
        own = slice(*self.start[index : index + 2])
        return SpanSet(self.y[own], self.x0[own], self.x1[own])

    def chosen(self, wanted: np.ndarray) -> Regions:
        """The regions for which ``wanted``, bool, is true."""
        lengths = np.diff(self.start)
        own = np.repeat(wanted, lengths)
        start = np.concatenate([[0], np.cumsum(lengths[wanted])]).astype(np.int64)
        return Regions(self.box, self.y[own], self.x0[own], self.x1[own], start)

    def to_mask(self, box: Box) -> np.ndarray:
        """Bool ``[y, x]`` over a box, true in any region."""
        mask: np.ndarray = SpanSet.from_runs(self.y, self.x0, self.x1).to_mask(box)
        return mask

    def merged(self, chosen: np.ndarray) -> SpanSet:
        """The pixels of all regions for which ``chosen``, bool, is true."""
        own = np.repeat(chosen, np.diff(self.start))
        return SpanSet.from_runs(self.y[own], self.x0[own], self.x1[own])


def detect_regions(
    difference: Exposure, settings: ClipDetectionSettings | None = None, psf_sigma: float | None = None
) -> Regions:
    """Find where a difference image is above or below zero.

    Pixels of the mask's plane NO_DATA, and those without finite value and variance, take no part, so that regions are
    found right up to the border of the data.  The planes DETECTED and DETECTED_NEGATIVE are made anew.

    Parameters
    ----------
    difference
        Its mask is modified in place.
    settings
        Threshold, smallest region, growth.
    psf_sigma
        px; that of the exposure's PSF where not given.

    Returns
    -------
    Regions
        8-connected, grown, positive and negative ones merged where they overlap.

    Raises
    ------
    PsfError
        If the width of the PSF is not known, and needed.
    """
    settings = settings or ClipDetectionSettings()
    sigma = _sigma(difference, settings, psf_sigma)
    significant = _significant(difference, settings, sigma)
    radius = int(settings.grow_sigmas * sigma + 0.5)
    bits = difference.bits
    bits &= ~np.int32(bitmask("DETECTED", "DETECTED_NEGATIVE"))
    whole = np.zeros(difference.bbox.shape, bool)
    names = {"DETECTED": "positive", "DETECTED_NEGATIVE": "negative"}
    for (name, polarity), mask in zip(names.items(), significant, strict=True):
        if settings.polarity not in (polarity, "both"):
            continue
        if radius and mask.any():
            mask = dilate_disk(mask, radius) if settings.isotropic_grow else dilate_diamond(mask, radius)
        bits[mask] |= bitmask(name)
        whole |= mask
    return Regions.of(find_components(whole), difference.bbox)


def _sigma(difference: Exposure, settings: ClipDetectionSettings, psf_sigma: float | None) -> float:
    if psf_sigma is None and difference.psf is not None:
        psf_sigma = psf_sigma_of(difference.psf)
    if psf_sigma is None and not settings.smooth and settings.grow_sigmas == 0.0:
        return 0.0
    if psf_sigma is None or not 0.0 < psf_sigma < np.inf:
        raise PsfError(
            f"the width of the PSF with which artifacts are looked for is {psf_sigma}.",
            cure="Make warps with the PSFs of their frames, or give a width.",
        )
    return psf_sigma


def _significant(difference: Exposure, settings: ClipDetectionSettings, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Bool ``[y, x]``: pixels of regions above, and of regions below zero."""
    image, variance = difference.image.array, difference.variance.array
    if settings.smooth:
        filtered = matched_filter(image, variance, difference.bits, sigma, planes=bitmask("NO_DATA"))
    else:
        filtered = _as_it_is(image, variance, (difference.bits & bitmask("NO_DATA")) != 0)
    above = _above(filtered, settings)
    np.negative(filtered.value, out=filtered.value)
    return above, _above(filtered, settings)


def _above(filtered: Filtered, settings: ClipDetectionSettings) -> np.ndarray:
    return significant_pixels(
        filtered,
        threshold=settings.threshold,
        include_threshold=settings.threshold,
        min_pixels=settings.min_pixels,
    )


def _as_it_is(image: np.ndarray, variance: np.ndarray, missing: np.ndarray) -> Filtered:
    """An image in the form of a filtered one, unsmoothed."""
    usable = np.isfinite(image) & (variance > 0.0) & ~missing
    value = np.where(usable, image, np.float32(0.0))
    noise = np.where(usable, np.sqrt(np.maximum(variance, 0.0)), np.float32(np.inf))
    return Filtered(value=value, noise=noise, half_width=0, psf_sigma=0.0, usable=int(usable.sum()))
