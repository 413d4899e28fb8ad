"""The brighter-fatter kernel of a detector, from the covariances of pairs of flats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import curve_fit

from skyloom.errors import BadFrameError

from .covariance_fit import CovarianceFit, fit_covariances, whole_plane
from .frames import Raw
from .pair_measurements import AmplifierPairs, Measured, measure_pairs
from .pair_settings import KernelSettings

if TYPE_CHECKING:
    from lsst.images import MaskedImage

    from skyloom.isr import Linearity

__all__ = ["kernel_of", "make_brighter_fatter_kernel"]

_COULTON = 0.25
_SIGNIFICANCE = 3.0


def make_brighter_fatter_kernel(
    raws: Sequence[Raw],
    *,
    bias: MaskedImage | None = None,
    linearities: Mapping[str, Linearity] | None = None,
    settings: KernelSettings | None = None,
) -> Measured:
    """Make the brighter-fatter kernel of one detector.

    The covariances of the flats of each amplifier are fitted as a function of the level; the coefficients of the square
    of the level, per electron of the amplifier's nominal gain, are averaged over the amplifiers with the weights of
    their errors, and the kernel is the one whose Laplacian takes them off (Coulton et al. 2018, AJ 155, 258).

    Parameters
    ----------
    raws
        Flats of many levels, two of each.
    bias
        Master bias in ADU.
    linearities
        Correction of each amplifier, by its name; a loss of linearity takes from the variance as the brighter-fatter
        effect does.
    settings
        How.

    Returns
    -------
    kernel
        Data as `skyloom.isr.kernel_from_data` takes it: per electron, ``[y, x]``, the minimum in the middle.  Figures:
        the middle of the kernel; coefficients of the variance and of the nearest covariances, with their errors, and
        the sum of all, per electron; the number of pairs.

    Raises
    ------
    BadFrameError
        If there are too few pairs, the flats are of different read-out modes, or the variance does not fall below
        proportionality.
    """
    settings = settings or KernelSettings()
    measured = measure_pairs(raws, settings, bias=bias, linearities=linearities)
    fits = {
        name: (fit, pairs.layout.gain)
        for name, pairs in measured.amplifiers.items()
        if (fit := _fit(pairs, settings)) is not None
    }
    if not fits:
        raise BadFrameError(
            f"no amplifier has pairs of flats of {settings.minimum_levels} levels below its full well.",
            cure="Take flats of more levels.",
        )
    area, errors = _averaged(list(fits.values()))
    if not area[0, 0] < -_SIGNIFICANCE * errors[0, 0]:
        raise BadFrameError(
            f"the variance changes by ({1e6 * area[0, 0]:.3f} +- {1e6 * errors[0, 0]:.3f}) 1e-6 an electron: there is "
            "no brighter-fatter effect to be seen.",
            cure="Take more flats, or do without the correction.",
        )
    area = _modelled(area, errors, settings)
    kernel = kernel_of(area)
    figures = {
        "kernel_centre_per_electron": float(kernel[settings.lags, settings.lags]),
        "a00_per_electron": float(area[0, 0]),
        "a00_error_per_electron": float(errors[0, 0]),
        "a10_per_electron": float(area[1, 0]),
        "a01_per_electron": float(area[0, 1]),
        "a01_error_per_electron": float(errors[0, 1]),
        "sum_per_electron": float(whole_plane(area).sum()),
        "pairs": float(len(measured.flats)),
    }
    return Measured(
        data={"kernel": kernel.tolist()}, figures=figures, frames=measured.frames, left_out=measured.left_out
    )


def _fit(pairs: AmplifierPairs, settings: KernelSettings) -> CovarianceFit | None:
    usable = pairs.fitted(settings)
    if not usable.any():
        return None
    return fit_covariances(
        pairs.levels_adu[usable],
        pairs.covariances_adu2[usable],
        pairs.pixels[usable],
        second_order=_COULTON,
        n_sigma=settings.n_sigma,
    )


def _averaged(fits: Sequence[tuple[CovarianceFit, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients per electron and their errors, of all amplifiers; `fits` come with the gains."""
    area = np.array([fit.coefficients / gain for fit, gain in fits])
    weight = np.array([(gain / fit.errors) ** 2 for fit, gain in fits])
    return np.asarray((area * weight).sum(axis=0) / weight.sum(axis=0)), np.asarray(weight.sum(axis=0) ** -0.5)


def _modelled(area: np.ndarray, errors: np.ndarray, settings: KernelSettings) -> np.ndarray:
    """The coefficients, far ones smoothed and the sum made zero as the settings want it."""
    area = area.copy()
    y, x = np.indices(area.shape)
    distance = np.hypot(y, x)
    if settings.tail_from > 0:
        far = distance >= settings.tail_from
        area[far] = _power_law(distance, area, errors, far)[far]
    if settings.zero_sum:
        area[0, 0] -= whole_plane(area).sum()
    return area


def _power_law(distance: np.ndarray, area: np.ndarray, errors: np.ndarray, far: np.ndarray) -> np.ndarray:
    """A power of the distance fitted to the far coefficients, and to those one pixel nearer."""
    nearest = float(distance[far].min())
    fitted = distance >= max(nearest - 1.0, 1.0)
    (amplitude, power), _ = curve_fit(
        lambda r, a, p: a * (r / nearest) ** -p,
        distance[fitted],
        area[fitted],
        p0=(float(np.mean(area[fitted])), 3.0),
        sigma=errors[fitted],
        bounds=((-np.inf, 1.0), (np.inf, 8.0)),
    )
    return np.asarray(amplitude * (np.maximum(distance, 1.0) / nearest) ** -power)


def kernel_of(area: np.ndarray) -> np.ndarray:
    """The kernel whose Laplacian is minus the coefficients.

    To an image F the correction adds 1/2 div(F grad(K * F)).  Deviations of a flat of level x from its mean change by
    x/2 times their convolution with the Laplacian of K, and covariances by x^2 times that Laplacian: it has to be minus
    the coefficients at every lag.  The Laplacian is the sum of the four neighbours less four times the pixel, as in the
    correction, and the kernel is zero beyond the largest lag; at these sizes the linear equations are solved directly.

    Parameters
    ----------
    area
        Relative change of a pixel's area by each electron so many rows and columns away, ``[row, column]`` from zero
        lag on.

    Returns
    -------
    kernel
        float64 ``[y, x]``, per electron.
    """
    source = -whole_plane(area)
    size = len(source)
    second = np.diag(np.full(size, -2.0)) + np.diag(np.ones(size - 1), 1) + np.diag(np.ones(size - 1), -1)
    values, vectors = np.linalg.eigh(second)
    # The Laplacian is the sum of second differences along both axes, which share these eigenvectors.
    transformed = vectors.T @ source @ vectors
    return np.asarray(vectors @ (transformed / (values[:, None] + values[None, :])) @ vectors.T)
