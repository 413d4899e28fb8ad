"""The image and its noise seen through the PSF."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skyloom.kernels.convolve import filter_with_noise, gaussian_kernel

__all__ = ["Filtered", "matched_filter"]


@dataclass(frozen=True)
class Filtered:
    """An image convolved with the PSF, and what is known of its noise; all ``[y, x]`` float32."""

    value: np.ndarray
    noise: np.ndarray
    """Standard deviation of ``value``; +inf where too little of the kernel fell on usable pixels."""
    half_width: int
    """Pixels from the centre of the kernel to its edge."""
    psf_sigma: float
    """Width of the kernel, px."""
    usable: int
    """Number of usable pixels of the image."""

    @property
    def significance(self) -> np.ndarray:
        """Signal to noise of a point source at each pixel."""
        ratio: np.ndarray = self.value / self.noise
        return ratio


def matched_filter(
    image: np.ndarray,
    variance: np.ndarray,
    unusable: np.ndarray,
    psf_sigma: float,
    *,
    planes: int = 1,
    min_coverage: float = 0.3,
) -> Filtered:
    """Convolve an image with a round Gaussian, and its variance with the square of that.

    For a star of that PSF on a background of even noise no other linear filter has a higher signal to noise (North
    1963, Proc. IEEE 51, 1016).  Unusable pixels and what lies beyond the edges take no part in either sum, so the
    ratio stays a true one beside them.

    Parameters
    ----------
    image, variance
        ``[y, x]``; pixels without a finite value and variance are not usable.
    unusable
        ``[y, x]`` bool, or mask bits.
    psf_sigma
        px.
    planes
        Mask bits that make a pixel unusable.
    min_coverage
        Where a smaller share of the kernel is on usable pixels, the noise is +inf.
    """
    kernel = gaussian_kernel(psf_sigma)
    value, noise, usable = filter_with_noise(image, variance, unusable, planes, kernel, min_coverage)
    return Filtered(value=value, noise=noise, half_width=kernel.size // 2, psf_sigma=psf_sigma, usable=int(usable))
