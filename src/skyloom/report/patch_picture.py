"""Pictures of coadds: colours of three bands, or grey of one, on an asinh scale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from astropy.visualization import make_lupton_rgb

from skyloom.isr import bin_image

from .patch_products import BandProducts
from .visit_style import binning_of, robust_scatter

__all__ = ["Picture", "colour_bands", "colour_picture", "grey_picture", "noise_of_bands", "picture_of"]

_BLUE_TO_RED = ("u", "g", "r", "i", "z", "y", "Y", "J", "H", "K")
_PREFERRED = ("g", "r", "i")
_SOFTENING = 8.0
_BLACK_SIGMAS = -1.5
"""Black, in units of the noise: sky is dark grey."""
_STRETCH_SIGMAS = 14.0
_NOTHING = 226
"""Grey level of pixels without data."""
_DETAIL_PX = 300


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A coadd as pictures take it: the whole, binned, and a part pixel by pixel; nJy a pixel, NaN where nothing is."""

    band: str
    shape: tuple[int, int]
    """Rows and columns of the patch."""
    origin: tuple[int, int]
    """Position (x, y) of its first pixel."""
    binning: int
    whole: np.ndarray
    """Means of blocks ``[row, column]``."""
    detail: np.ndarray
    detail_origin: tuple[int, int]
    """Position (x, y) of its first pixel."""
    scale_arcsec: float


def picture_of(products: BandProducts, detail_origin: tuple[int, int] | None = None) -> Picture:
    """What pictures need of a coadd.

    Parameters
    ----------
    products
        With a coadd.
    detail_origin
        First pixel (x, y) of the part that is shown pixel by pixel; where the most warps are when None.
    """
    assert products.coadd is not None
    filled = products.filled
    image = np.where(filled, products.coadd.image.array, np.float32(np.nan))
    binning = binning_of(products.shape)
    start = _deepest(products, filled) if detail_origin is None else detail_origin
    x, y = start[0] - products.origin[0], start[1] - products.origin[1]
    return Picture(
        band=products.band,
        shape=products.shape,
        origin=products.origin,
        binning=binning,
        whole=bin_image(image, binning),
        detail=image[y : y + _DETAIL_PX, x : x + _DETAIL_PX].copy(),
        detail_origin=start,
        scale_arcsec=products.scale_arcsec,
    )


def colour_bands(bands: Iterable[str]) -> tuple[str, str, str] | None:
    """The bands for red, green and blue: i, r and g where they are there, else the reddest, middle and bluest of those
    whose wavelengths are known; None where there are no three.
    """
    known = [band for band in _BLUE_TO_RED if band in set(bands)]
    if len(known) < 3:
        return None
    if set(_PREFERRED) <= set(known):
        known = list(_PREFERRED)
    return known[-1], known[len(known) // 2], known[0]


def noise_of_bands(bands: Sequence[np.ndarray]) -> float:
    """The noise that the scale of a picture follows, nJy: the median of the bands' scatter where all are known."""
    known = np.all([np.isfinite(band) for band in bands], axis=0)
    sigma = float(np.median([robust_scatter(band[known]) for band in bands])) if known.any() else 1.0
    return sigma if sigma > 0.0 else 1.0


def colour_picture(bands: Sequence[np.ndarray], sigma: float | None = None) -> np.ndarray:
    """Three images as one in colours, uint8 ``[y, x, colour]`` (Lupton et al. 2004, PASP 116, 133).

    One scale serves all three, so that what has one flux in nJy in all bands (a constant f_nu, the spectrum of AB
    magnitude zero) is neutral at any brightness.  The scale follows the noise; what is missing in a band is light grey.

    Parameters
    ----------
    bands
        Red, green and blue, ``[y, x]``, in nJy.
    sigma
        Noise that the scale follows, nJy; that of the bands when None.  Pictures with one noise go together.
    """
    known = np.all([np.isfinite(band) for band in bands], axis=0)
    sigma = noise_of_bands(bands) if sigma is None else sigma
    drawn = make_lupton_rgb(
        *(np.where(known, band, 0.0) for band in bands),
        minimum=_BLACK_SIGMAS * sigma,
        stretch=_STRETCH_SIGMAS * sigma,
        Q=_SOFTENING,
    )
    drawn[~known] = _NOTHING
    return np.asarray(drawn)


def grey_picture(image: np.ndarray) -> np.ndarray:
    """One image ``[y, x]`` in grey on the same scale, uint8 ``[y, x, colour]``."""
    return colour_picture([image] * 3)


def _deepest(products: BandProducts, filled: np.ndarray) -> tuple[int, int]:
    """First pixel of the part with the most warps, the nearest to the middle of the patch of such parts."""
    count = filled.astype(np.float32) if products.n_image is None else products.n_image.astype(np.float32)
    step = max(1, _DETAIL_PX // 4)
    rows, columns = products.shape
    if rows <= _DETAIL_PX or columns <= _DETAIL_PX:
        return products.origin[0] + max(0, (columns - _DETAIL_PX) // 2), products.origin[1] + max(
            0, (rows - _DETAIL_PX) // 2
        )
    y, x = (np.arange(0, size - _DETAIL_PX + 1, step) for size in (rows, columns))
    total = np.pad(count, ((1, 0), (1, 0))).cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    top, right = y + _DETAIL_PX, x + _DETAIL_PX
    inside = total[np.ix_(top, right)] - total[np.ix_(y, right)] - total[np.ix_(top, x)] + total[np.ix_(y, x)]
    middle_y, middle_x = 0.5 * (rows - _DETAIL_PX), 0.5 * (columns - _DETAIL_PX)
    distance = np.hypot(y[:, np.newaxis] - middle_y, x[np.newaxis, :] - middle_x)
    best = np.argmin(np.where(inside >= inside.max() * (1.0 - 1e-9), distance, np.inf))
    row, column = np.unravel_index(best, inside.shape)
    return products.origin[0] + int(x[column]), products.origin[1] + int(y[row])
