"""Scenes of Gaussian stars and galaxies, whose truth is analytic."""

from __future__ import annotations

from collections.abc import Sequence

import astropy.units as u
import numpy as np
from lsst.images.psfs import GaussianPointSpreadFunction

from skyloom.deblend import Deblended
from skyloom.images.exposure import Exposure
from skyloom.images.footprints import PEAK_DTYPE, Footprint, FootprintSet
from skyloom.images.source_pixels import SourcePixels
from skyloom.images.spans import SpanSet

SIGMA = 1.7
FWHM = 2.3548 * SIGMA
NOISE = 10.0

Source = tuple[float, float, float, float, float, float]
"""x, y, flux, width before the PSF, axis ratio, position angle in radian."""


def star(x: float, y: float, flux: float) -> Source:
    return x, y, flux, 0.0, 1.0, 0.0


def render(sources: Sequence[Source], shape: tuple[int, int]) -> np.ndarray:
    """Gaussians convolved with the PSF, ``[y, x]``."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    image = np.zeros(shape)
    for x, y, flux, width, ratio, angle in sources:
        major, minor = width**2 + SIGMA**2, (width * ratio) ** 2 + SIGMA**2
        reach = int(6 * np.sqrt(major)) + 2
        near = np.s_[max(0, int(y) - reach) : int(y) + reach + 1, max(0, int(x) - reach) : int(x) + reach + 1]
        dx, dy = columns[near] - x, rows[near] - y
        along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
        height = flux / (2 * np.pi * np.sqrt(major * minor))
        image[near] += height * np.exp(-0.5 * (along**2 / major + across**2 / minor))
    return image


def exposure(
    sources: Sequence[Source], shape: tuple[int, int] = (120, 140), seed: int = 1, noise: float = NOISE, **box: int
) -> Exposure:
    """The scene with the noise of the sky and of the light, and its PSF."""
    truth = render(sources, shape)
    variance = NOISE**2 + truth
    image = truth + (noise / NOISE) * np.random.default_rng(seed).normal(size=shape) * np.sqrt(variance)
    frame = Exposure.from_arrays(image, variance=variance, unit=u.electron, **box)
    frame.psf = GaussianPointSpreadFunction(SIGMA, bounds=frame.bbox, stamp_size=21)
    return frame


def one_footprint(frame: Exposure, sources: Sequence[Source], level: float = 1.0) -> FootprintSet:
    """A footprint of the pixels where the true scene is above so many sigma, its peaks at the sources."""
    box = frame.bbox
    inside = render(sources, box.shape) > level * NOISE
    peaks = np.empty(len(sources), PEAK_DTYPE)
    for k, (x, y, *_) in enumerate(sources):
        column, row = round(x), round(y)
        peaks[k] = column + box.x.min, row + box.y.min, frame.image.array[row, column]
    spans = SpanSet.from_mask(inside, box.x.min, box.y.min)
    return FootprintSet([Footprint(spans, peaks[np.argsort(-peaks["value"], kind="stable")])], box)


def light_image(pixels: SourcePixels, row: int, shape: tuple[int, int]) -> np.ndarray:
    """The light of one source, ``[y, x]``, 0 elsewhere."""
    image = np.zeros(shape, np.float32)
    for k in range(pixels.span_start[row], pixels.span_start[row + 1]):
        width = pixels.x1[k] - pixels.x0[k]
        image[pixels.y[k], pixels.x0[k] : pixels.x1[k]] = pixels.values[pixels.value_start[k] :][:width]
    return image


def all_light(found: Deblended, shape: tuple[int, int]) -> np.ndarray:
    """The light of all sources together, float64."""
    total = np.zeros(shape)
    for row in range(len(found.pixels)):
        total += light_image(found.pixels, row, shape)
    return total
