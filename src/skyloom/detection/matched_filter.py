"""The image and its noise seen through the PSF."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skyloom.kernels.convolve import convolve_separable, gaussian_kernel

__all__ = ["Filtered", "matched_filter"]


@dataclass(frozen=True)
class Filtered:
    """An image convolved with the PSF, and what is known of its noise; all ``[y, x]`` float32."""

    value: np.ndarray
    noise: np.ndarray
    """Standard deviation of ``value``; +inf where too little of the kernel fell on usable pixels."""
    half_width: int
    """Pixels from the centre of the kernel to its edge."""

    @property
    def significance(self) -> np.ndarray:
        """Signal to noise of a point source at each pixel."""
        ratio: np.ndarray = self.value / self.noise
        return ratio


def matched_filter(
    image: np.ndarray, variance: np.ndarray, unusable: np.ndarray, psf_sigma: float, *, min_coverage: float = 0.3
) -> Filtered:
    """Convolve an image with a round Gaussian, and its variance with the square of that.

    For a star of that PSF on a background of even noise no other linear filter has a higher signal to noise (North
    1963, Proc. IEEE 51, 1016).  Unusable pixels and what lies beyond the edges take no part in either sum, so the
    ratio stays a true one beside them.

    Parameters
    ----------
    image, variance
        ``[y, x]``.
    unusable
        ``[y, x]`` bool.
    psf_sigma
        px.
    min_coverage
        Where a smaller share of the kernel is on usable pixels, the noise is +inf.
    """
    kernel = gaussian_kernel(psf_sigma)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = convolve_separable(np.where(unusable, np.float32(0), image), kernel)
        noise = np.sqrt(convolve_separable(np.where(unusable, np.float32(0), variance), kernel**2))
        coverage = _coverage(unusable, kernel)
        noise[(coverage < min_coverage) | ~(noise > 0)] = np.inf
    return Filtered(value=value, noise=noise, half_width=kernel.size // 2)


def _coverage(unusable: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Share of the kernel on usable pixels inside the image, ``[y, x]``."""
    if unusable.any():
        return np.asarray(convolve_separable((~unusable).astype(np.float32), kernel))
    rows, columns = (np.convolve(np.ones(n), kernel, mode="same")[:n] for n in unusable.shape)
    return np.asarray(rows[:, None] * columns[None, :], dtype=np.float32)
