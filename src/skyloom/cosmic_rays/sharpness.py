"""How sharp a star can be: ratios of a pixel's neighbours to it, from the PSF or from the frame itself."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from skyloom.errors import PsfError
from skyloom.kernels.cosmic_rays import peak_widths, sharpest_ratios
from skyloom.kernels.psf_stamps import gaussian_stamps
from skyloom.psf import psf_stamps

if TYPE_CHECKING:
    from lsst.images import Box
    from lsst.images.psfs import PointSpreadFunction

__all__ = ["gaussian_ratios", "psf_ratios", "rough_psf_sigma"]

_PHASES = np.array([-0.25, 0.0, 0.25, 0.5])
_DX, _DY = (part.ravel() for part in np.meshgrid(_PHASES, _PHASES))

_PEAK_LIMITS = (30.0, 3.0)  # sigma: peaks bright enough for a width, and neighbours that are light
_ROUND = 1.5  # ratio of the two variances of a peak up to which it may be a star
_MODE_SHARE = 0.3  # share of the peaks in the interval that is taken for the mode
_MIN_PEAKS = 10
_CURVATURE_NOISE = 12.0  # signal to noise, in units of sigma^2 / px^2, at which a width is known to a tenth


def psf_ratios(psf: PointSpreadFunction, box: Box, cell_size: int) -> np.ndarray:
    """The ratios of `skyloom.kernels.cosmic_rays.sharpest_ratios` over a frame, ``[cell_y, cell_x, 4]``.

    The PSF of the middle of each cell is placed at sixteen offsets from the pixel's centre: the sharpest counts.  A
    cell in which it is not known gets the least of the others.
    """
    rows, columns = max(1, round(box.y.size / cell_size)), max(1, round(box.x.size / cell_size))
    ratios = np.full((rows, columns, 4), np.nan)
    for row in range(rows):
        for column in range(columns):
            x = np.floor(box.x.min + (column + 0.5) * box.x.size / columns)
            y = np.floor(box.y.min + (row + 0.5) * box.y.size / rows)
            with suppress(PsfError):
                ratios[row, column] = sharpest_ratios(psf_stamps(psf, x + _DX, y + _DY)[0])
    known = np.isfinite(ratios).all(axis=2)
    ratios[~known] = ratios[known].min(axis=0) if known.any() else 0.0
    return ratios


def gaussian_ratios(sigma: float) -> np.ndarray:
    """The same for a round Gaussian sampled at the pixels' centres, ``[1, 1, 4]``."""
    return np.asarray(sharpest_ratios(gaussian_stamps(sigma, int(6 * sigma) * 2 + 5, _DX, _DY)))[None, None]


def rough_psf_sigma(image: np.ndarray, variance: np.ndarray, bits: np.ndarray, unusable: int) -> float:
    """Width of the cores of stars, px, before there is a catalogue: the mode over the bright round peaks of a frame.

    Galaxies are wider and hits have no four bright neighbours, so that the shortest interval that holds a third of
    the peaks is that of the stars.  NaN where there are fewer than ten peaks.

    Parameters
    ----------
    image
        ``[y, x]`` above the sky.
    variance, bits
        ``[y, x]``.
    unusable
        Peaks that touch a pixel with one of these bits do not count.
    """
    found = peak_widths(image, variance, bits, unusable, _PEAK_LIMITS)
    along = found[:, 0] / found[:, 1]
    found = found[(along < _ROUND) & (along > 1.0 / _ROUND)]
    sigma = _mode(found)
    if np.isfinite(sigma):  # the wider the PSF, the brighter a peak must be for its curvature to be known
        enough = min(_CURVATURE_NOISE * sigma**2, np.sort(found[:, 2])[-_MIN_PEAKS])
        sigma = _mode(found[found[:, 2] >= enough])
    return sigma


def _mode(found: np.ndarray) -> float:
    """Sigma in the middle of the shortest interval of its logarithm that holds a third of the peaks."""
    if len(found) < _MIN_PEAKS:
        return float("nan")
    logarithm = np.sort(0.5 * np.log(found[:, :2].mean(axis=1)))
    held = max(_MIN_PEAKS // 2, int(_MODE_SHARE * logarithm.size))
    start = int(np.argmin(logarithm[held - 1 :] - logarithm[: logarithm.size - held + 1]))
    return float(np.exp(np.median(logarithm[start : start + held])))
