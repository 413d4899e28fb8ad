"""Settings of the matching of PSFs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from skyloom.images import MASK_PLANES
from skyloom.psf import ModelPsfSettings

__all__ = ["PsfMatchSettings"]


@dataclass(frozen=True, kw_only=True)
class PsfMatchSettings:
    """How a frame's PSF is turned into a model."""

    model: ModelPsfSettings = field(default_factory=lambda: ModelPsfSettings(wing=False))
    """The PSF to reach.  One with a wing needs kernels nearly twice as wide."""
    basis: Literal["pixels", "gaussians"] = "pixels"
    """"pixels": every pixel of the kernel is free, but roughness costs; "gaussians": Gaussians times polynomials."""
    kernel_size: int | None = None
    """Side of the kernels, px, odd; None: from the widths of the frame's PSF and the model."""
    kernel_size_min: int = 21
    kernel_size_max: int = 35
    """Limits of that choice."""
    roughness_penalty: float = 1e-6
    """For "pixels": what the squared Laplacian of the kernel costs beside the squared residual of PSFs of unit sum."""
    gaussian_sigmas: tuple[float, ...] = (1.0, 2.0, 4.5)
    """For "gaussians": widths, px."""
    gaussian_degrees: tuple[int, ...] = (4, 2, 2)
    """Degrees of the polynomials that they are multiplied by."""
    scale_with_widths: bool = False
    """Whether the widths are given in units of the width that turns the frame's PSF into the model, were both
    Gaussians."""
    max_condition_number: float = 5e7
    """Directions in which the normal equations are worse determined than this are left out."""
    cell_size: int = 1024
    """Largest distance, px, of the positions at which kernels are found."""
    spatial_order: int = 3
    """Order of the polynomials that every pixel of the kernel follows over the frame."""
    kernel_tolerance: float = 3e-4
    """The kernel changes in steps along y of at most twice this part of its peak."""
    psf_size_factor: float = 1.4
    """The stamps of the model are at least this many times as wide as the kernel."""
    max_residual: float = 0.01
    """The mean of matched stars, over their places on a pixel, may differ from the model by this part of its peak."""
    max_noise_gain: float = 1.0
    """Largest ratio of the variances of white noise after and before; above 1 the PSF is being sharpened."""
    significant_weight: float = 0.05
    """Share of the kernel from which on pixels hand on their mask, or make the result unmeasured."""
    far_planes: tuple[str, ...] = ("SAT", "STREAK", "UNMASKEDNAN")
    """Planes of pixels whose values may be wrong by any amount: they are handed on as far as `missing_weight`."""
    missing_weight: float = 0.005
    """Share of the kernel that may lie on pixels without a value; the others take it over."""

    def __post_init__(self) -> None:
        self._check_kernel()
        if self.basis not in ("pixels", "gaussians"):
            raise ValueError(f"Kernels are made of pixels or gaussians, not of {self.basis!r}.")
        unknown = set(self.far_planes) - set(MASK_PLANES)
        if unknown:
            raise ValueError(f"Far planes must be planes of the mask; got {sorted(unknown)}.")
        shares = (self.significant_weight, self.missing_weight)
        if any(not 0.0 < share < 1.0 for share in shares):
            raise ValueError(f"Shares of a kernel must lie between 0 and 1; got {shares}.")
        limits = (self.kernel_tolerance, self.max_residual, self.max_noise_gain, self.psf_size_factor)
        if any(not limit > 0.0 for limit in limits) or self.max_condition_number < 1.0:
            raise ValueError(f"A limit is out of range: {limits}, {self.max_condition_number}.")
        if self.cell_size < 32 or not 0 <= self.spatial_order <= 6:
            raise ValueError(f"A cell of {self.cell_size} px or an order of {self.spatial_order} is out of range.")

    def _check_kernel(self) -> None:
        sizes = (self.kernel_size_min, self.kernel_size_max, self.kernel_size or self.kernel_size_min)
        if any(size < 3 or size % 2 == 0 for size in sizes) or self.kernel_size_min > self.kernel_size_max:
            raise ValueError(f"Sizes of kernels must be odd and at least 3, and in order; got {sizes}.")
        if len(self.gaussian_sigmas) != len(self.gaussian_degrees) or not self.gaussian_sigmas:
            raise ValueError(f"{self.gaussian_sigmas} and {self.gaussian_degrees} are not of one length.")
        if any(not sigma > 0.0 for sigma in self.gaussian_sigmas) or any(d < 0 for d in self.gaussian_degrees):
            raise ValueError(f"A width of {self.gaussian_sigmas} or a degree of {self.gaussian_degrees} is none.")
        if self.roughness_penalty <= 0.0:
            raise ValueError(f"The roughness penalty must be positive; got {self.roughness_penalty}.")
