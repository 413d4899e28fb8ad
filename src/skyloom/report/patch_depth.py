"""How deep a coadd is: the magnitude of a point source at five sigma, and the number of warps, over the patch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skyloom.images.photo_calib import njy_to_ab_magnitude
from skyloom.isr import bin_image

from .patch_products import BandProducts
from .patch_psf_map import PsfMap
from .visit_style import binning_of

__all__ = ["SIGNAL_TO_NOISE", "PatchMaps", "depth_of", "patch_maps"]

SIGNAL_TO_NOISE = 5.0


@dataclass(frozen=True, kw_only=True, eq=False)
class PatchMaps:
    """Depth and number of warps in blocks of pixels ``[row, column]``."""

    binning: int
    """Side of a block, px."""
    depth: np.ndarray | None
    """AB magnitude of a point source of `SIGNAL_TO_NOISE`; NaN where nothing is.  None without a PSF."""
    count: np.ndarray | None
    """Mean number of warps of the pixels of a block; None where it is not known."""

    @property
    def depths(self) -> np.ndarray:
        """The magnitudes that are known."""
        return np.empty(0) if self.depth is None else np.asarray(self.depth[np.isfinite(self.depth)])


def depth_of(variance: np.ndarray, area: np.ndarray, signal_to_noise: float = SIGNAL_TO_NOISE) -> np.ndarray:
    """AB magnitude of a point source whose PSF flux has a signal-to-noise ratio.

    The variance of the PSF flux sum(P d) / sum(P^2) is V A with the effective area A = 1 / sum(P^2), where neighbouring
    pixels are independent and the sky outshines the source: m = 31.4 - 2.5 log10(5 sqrt(V A)).

    Parameters
    ----------
    variance
        V, nJy^2 a pixel.
    area
        A, px.
    signal_to_noise
        The ratio.
    """
    with np.errstate(invalid="ignore"):
        return njy_to_ab_magnitude(signal_to_noise * np.sqrt(np.asarray(variance, np.float64) * area))


def patch_maps(products: BandProducts, psf: PsfMap | None) -> PatchMaps:
    """Depth and number of warps of a coadd; the pixels of a block count where they hold a value."""
    assert products.coadd is not None
    binning = binning_of(products.shape)
    depth = None
    if psf is not None:
        variance = bin_image(np.where(products.filled, products.coadd.variance.array, np.float32(np.nan)), binning)
        rows, columns = variance.shape
        along = [
            start + 0.5 * (binning - 1) + binning * np.arange(number)
            for start, number in zip(products.origin, (columns, rows), strict=True)
        ]
        depth = depth_of(variance, psf.area_at(*np.meshgrid(*along)))
    count = None if products.n_image is None else bin_image(products.n_image.astype(np.float32), binning)
    return PatchMaps(binning=binning, depth=depth, count=count)
