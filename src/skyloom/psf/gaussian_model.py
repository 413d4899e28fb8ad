"""Model point-spread functions of a given width: what frames are matched to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, override

import numpy as np
from lsst.images import Bounds, Box, Image
from lsst.images.psfs import GaussianPointSpreadFunction, PointSpreadFunction
from scipy.optimize import brentq

from .stamps import Stamps, as_positions, centred_box, stamp_box, stamp_origins

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["DoubleGaussianPsf", "ModelPsfSettings", "model_psf"]

FWHM_OF_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))


@dataclass(frozen=True, kw_only=True)
class ModelPsfSettings:
    """A round Gaussian, or two of them: a core with a wing."""

    fwhm: float = 7.7
    """Full width at half maximum of the whole, px."""
    size: int | None = None
    """Side of the stamps, px, odd; None: about ``size_factor`` widths, within ``min_size`` and ``max_size``."""
    size_factor: float = 3.0
    min_size: int | None = 5
    max_size: int | None = None
    wing: bool = True
    """Whether there is a second, wider Gaussian, as real stars have light in their wings."""
    wing_fwhm_factor: float = 2.5
    """Width of the wing over that of the core."""
    wing_amplitude: float = 0.1
    """Peak of the wing over that of the core."""

    def __post_init__(self) -> None:
        if not (self.fwhm > 0.0 and self.size_factor > 0.0 and self.wing_fwhm_factor > 0.0 <= self.wing_amplitude):
            raise ValueError(
                f"A model PSF of FWHM {self.fwhm} px, size factor {self.size_factor}, with a wing of "
                f"{self.wing_fwhm_factor} times the width and amplitude {self.wing_amplitude} is none."
            )
        for name in ("size", "min_size", "max_size"):
            side = getattr(self, name)
            if side is not None and (side < 1 or side % 2 == 0):
                raise ValueError(f"The {name} of a model PSF's stamps must be odd; got {side}.")

    @property
    def stamp_size(self) -> int:
        """Side of the stamps, px."""
        if self.size is not None:
            return self.size
        size = 2 * (int(self.size_factor * self.fwhm) // 2) + 1
        size = size if self.min_size is None else max(size, self.min_size)
        return size if self.max_size is None else min(size, self.max_size)


class DoubleGaussianPsf(PointSpreadFunction):
    """A core and a wing, both round Gaussians, the same everywhere.

    Parameters
    ----------
    sigma
        Of the core, px.
    wing_sigma
        Of the wing, px.
    wing_amplitude
        Peak of the wing over that of the core.
    bounds
        Where the function holds.
    size
        Side of the stamps, px, odd.
    """

    def __init__(self, sigma: float, wing_sigma: float, wing_amplitude: float, bounds: Bounds, size: int) -> None:
        if not (sigma > 0.0 and wing_sigma > 0.0 and wing_amplitude >= 0.0) or size < 1 or size % 2 == 0:
            raise ValueError(
                f"Gaussians of sigma {sigma} and {wing_sigma} px, the second of amplitude {wing_amplitude}, on stamps "
                f"of {size} px are no PSF."
            )
        self._sigma, self._wing_sigma = float(sigma), float(wing_sigma)
        self._wing_amplitude = float(wing_amplitude)
        self._bounds = bounds
        self._size = int(size)

    @property
    def numbers(self) -> tuple[float, float, float]:
        """Sigma of the core and of the wing, px, and the wing's amplitude."""
        return self._sigma, self._wing_sigma, self._wing_amplitude

    @property
    @override
    def bounds(self) -> Bounds:
        return self._bounds

    @property
    def size(self) -> int:
        """Side of the stamps, px."""
        return self._size

    @cached_property
    @override
    def kernel_bbox(self) -> Box:
        return centred_box(self._size)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DoubleGaussianPsf):
            return NotImplemented
        return (self.numbers, self._size, self._bounds) == (other.numbers, other._size, other._bounds)

    __hash__ = None  # type: ignore[assignment]

    def stamps(self, x: ArrayLike, y: ArrayLike, *, centred: bool = False) -> Stamps:
        """Stamps of unit sum, sampled at the centres of pixels; see `psf_stamps`."""
        x, y = as_positions(x, y)
        x0, y0, dx, dy = stamp_origins(x, y, self._size, centred)
        total = np.zeros((len(x), self._size, self._size))
        for sigma, amplitude in ((self._sigma, 1.0), (self._wing_sigma, self._wing_amplitude)):
            across, along = self._profile(dx, sigma), self._profile(dy, sigma)
            total += amplitude * along[:, :, np.newaxis] * across[:, np.newaxis, :]
        return total / total.sum(axis=(1, 2), keepdims=True), x0, y0

    @override
    def compute_kernel_image(self, *, x: float, y: float) -> Image:
        return Image(self.stamps(x, y, centred=True)[0][0], bbox=self.kernel_bbox)

    @override
    def compute_stellar_image(self, *, x: float, y: float) -> Image:
        return Image(self.stamps(x, y)[0][0], bbox=self.compute_stellar_bbox(x=x, y=y))

    @override
    def compute_stellar_bbox(self, *, x: float, y: float) -> Box:
        return stamp_box(x, y, self._size)

    def _profile(self, offset: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
        """A Gaussian ``[n, size]`` along one axis."""
        distance = np.arange(self._size) - self._size // 2 - offset[:, np.newaxis]
        profile: NDArray[np.float64] = np.exp(-0.5 * (distance / sigma) ** 2)
        return profile


def model_psf(
    settings: ModelPsfSettings, bounds: Bounds, size: int | None = None
) -> GaussianPointSpreadFunction | DoubleGaussianPsf:
    """The model PSF, on stamps of ``size`` pixels if given and of `ModelPsfSettings.stamp_size` otherwise.

    The width of core and wing together is the one that is asked for.
    """
    size = settings.stamp_size if size is None else size
    sigma = settings.fwhm / FWHM_OF_SIGMA
    amplitude, factor = settings.wing_amplitude, settings.wing_fwhm_factor
    if not settings.wing or amplitude == 0.0:
        return GaussianPointSpreadFunction(sigma, bounds, size)

    def excess(core: float) -> float:
        half = 0.5 * settings.fwhm / core
        value = math.exp(-0.5 * half**2) + amplitude * math.exp(-0.5 * (half / factor) ** 2)
        return value - 0.5 * (1.0 + amplitude)

    core = float(brentq(excess, 0.01 * sigma, 100.0 * sigma, xtol=1e-12))
    return DoubleGaussianPsf(core, factor * core, amplitude, bounds, size)
