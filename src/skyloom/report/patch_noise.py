"""Whether the variance plane of a coadd is right: its sky pixels, their correlation, and PSF fluxes of empty sky."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from skyloom.images.mask_planes import bitmask

from .patch_products import BandProducts
from .patch_psf_map import PsfMap
from .visit_style import robust_scatter

__all__ = ["Noise", "noise_of", "sky_pixels"]

_NOT_SKY = ("BAD", "SAT", "CR", "INTRP", "DETECTED", "DETECTED_NEGATIVE", "NO_DATA", "EDGE", "BRIGHT_OBJECT", "SUSPECT")
_SOURCE_SIGMAS = 3.5
_GROWTH_FWHM = 1.5
_ROUNDS = 2
_USUAL_SIGMA = 1.8
"""Width of the filter where there is no PSF, px."""
_MOST_PIXELS = 2_000_000
_LAGS = 8
_MOST_FLUXES = 4000
_FEWEST = 50
_OF_FWHM = 1.0 / 2.3548


@dataclass(frozen=True, kw_only=True, eq=False)
class Noise:
    """The noise of empty sky over what the variance plane says."""

    pulls: np.ndarray
    """Values of sky pixels over the root of their variance; a part of the pixels where there are many."""
    level_njy: float
    """Median of the sky pixels, nJy."""
    correlation: np.ndarray
    """Correlation of a sky pixel with those 0, 1, 2, ... pixels away, mean of both axes."""
    flux_pulls: np.ndarray
    """PSF fluxes of empty sky over the errors by the variance plane; empty without a PSF."""

    @property
    def scatter(self) -> float:
        """Robust standard deviation of the pulls of pixels."""
        return robust_scatter(self.pulls)

    @property
    def level_sigma(self) -> float:
        """Median of the pulls of pixels."""
        return float(np.median(self.pulls))

    @property
    def flux_scatter(self) -> float:
        """The same of the PSF fluxes; NaN with fewer than fifty."""
        return robust_scatter(self.flux_pulls) if self.flux_pulls.size >= _FEWEST else float("nan")


def noise_of(products: BandProducts, psf: PsfMap | None) -> Noise | None:
    """The noise of the sky of a coadd; None where no sky is left."""
    assert products.coadd is not None
    sky = sky_pixels(products, psf)
    if np.count_nonzero(sky) < _FEWEST:
        return None
    image = products.coadd.image.array
    with np.errstate(invalid="ignore", divide="ignore"):
        pull = image / np.sqrt(products.coadd.variance.array)
    values = pull[sky]
    step = max(1, values.size // _MOST_PIXELS)
    return Noise(
        pulls=values[::step],
        level_njy=float(np.median(image[sky][::step])),
        correlation=_correlation(pull, sky),
        flux_pulls=np.empty(0) if psf is None else _flux_pulls(products, sky, psf),
    )


def sky_pixels(products: BandProducts, psf: PsfMap | None) -> np.ndarray:
    """Bool ``[y, x]``: pixels without a source.

    A coadd does not mark its sources, so what stands out by 3.5 times the scatter of the image, smoothed with a
    Gaussian as wide as the PSF, is one, with 1.5 FWHM around it.
    """
    assert products.coadd is not None
    usable = products.filled & (products.coadd.bits & bitmask(*_NOT_SKY) == 0) & (products.coadd.variance.array > 0.0)
    fwhm = np.nan if psf is None or not np.isfinite(psf.fwhm).any() else float(np.nanmedian(psf.fwhm))
    sigma = _OF_FWHM * fwhm if np.isfinite(fwhm) else _USUAL_SIGMA
    with np.errstate(invalid="ignore", divide="ignore"):
        pull = np.where(usable, products.coadd.image.array / np.sqrt(products.coadd.variance.array), np.float32(0.0))
    weight = ndimage.gaussian_filter(usable.astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter(pull.astype(np.float32), sigma) / np.maximum(weight, np.float32(1e-3))
    sky = usable
    for _ in range(_ROUNDS):
        if not sky.any():
            break
        found = smooth[sky][:: max(1, np.count_nonzero(sky) // _MOST_PIXELS)]
        limit = float(np.median(found)) + _SOURCE_SIGMAS * robust_scatter(found)
        sources = usable & (smooth > limit)
        near = ndimage.uniform_filter(sources.astype(np.float32), 2 * round(_GROWTH_FWHM * sigma / _OF_FWHM) + 1)
        sky = usable & (near < 1e-6)
    return np.asarray(sky)


def _correlation(pull: np.ndarray, sky: np.ndarray) -> np.ndarray:
    """Correlation coefficients of sky pixels along both axes, clipped at five sigma; NaN beyond the patch."""
    middle, spread = float(np.median(pull[sky])), robust_scatter(pull[sky])
    centred = np.where(sky, np.clip(pull - middle, -5.0 * spread, 5.0 * spread), np.float32(0.0))
    variance = float(np.sum(centred**2, dtype=np.float64)) / np.count_nonzero(sky)
    found = np.full(_LAGS + 1, np.nan)
    for lag in range(min(_LAGS + 1, *pull.shape)):
        total = number = 0.0
        for one, other in ((np.s_[:, lag:], np.s_[:, : pull.shape[1] - lag]), (np.s_[lag:], np.s_[: len(pull) - lag])):
            total += float(np.sum(centred[one] * centred[other], dtype=np.float64))
            number += np.count_nonzero(sky[one] & sky[other])
        if number and variance > 0.0:
            found[lag] = total / number / variance
    return found


def _flux_pulls(products: BandProducts, sky: np.ndarray, psf: PsfMap) -> np.ndarray:
    """PSF fluxes over their errors at places of a lattice about which the core of the PSF sees nothing but sky.

    Wings may reach beyond what is known: there the sum has fewer pixels.  The PSF is that of the nearest place of its
    map.
    """
    coadd = products.coadd
    assert coadd is not None
    side = psf.stamps.shape[1]
    half = min(side // 2, max(2, round(1.2 * float(np.nanmedian(psf.fwhm))))) if np.isfinite(psf.fwhm).any() else 4
    rows, columns = sky.shape
    step = max(2 * half + 1, int(np.sqrt(sky.size / _MOST_FLUXES)))
    all_sky = ndimage.minimum_filter(sky, 2 * half + 1, mode="constant", cval=False)
    y, x = (part.ravel() for part in np.mgrid[half : rows - half : step, half : columns - half : step])
    chosen = all_sky[y, x]
    y, x = y[chosen], x[chosen]
    if not x.size:
        return np.empty(0)
    places = psf.nearest(x + products.origin[0], y + products.origin[1])
    middle = side // 2
    core = slice(middle - half, middle + half + 1)
    pulls = np.empty(x.size)
    for number, (row, column, place) in enumerate(zip(y, x, places, strict=True)):
        part = slice(row - half, row + half + 1), slice(column - half, column + half + 1)
        stamp = psf.stamps[place][core, core]
        variance = coadd.variance.array[part].astype(np.float64)
        pulls[number] = np.sum(stamp * coadd.image.array[part]) / np.sqrt(np.sum(stamp**2 * variance))
    return np.asarray(pulls - np.median(pulls))
