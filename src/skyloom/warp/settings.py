"""Settings of the warp."""

from __future__ import annotations

from dataclasses import dataclass

from skyloom.images import MASK_PLANES

__all__ = ["KERNELS", "WarpSettings"]

KERNELS = {"bilinear": 1, "lanczos2": 2, "lanczos3": 3, "lanczos4": 4, "lanczos5": 5}
"""Name of an interpolation kernel: its order."""


@dataclass(frozen=True, kw_only=True)
class WarpSettings:
    """How frames are resampled."""

    kernel: str = "lanczos3"
    """One of `KERNELS`."""
    grid_step: int = 32
    """Destination pixels between the positions at which the sky projections are evaluated."""
    tolerance: float = 1e-3
    """Largest error of the interpolated mapping in source pixels; the grid is refined until it is kept."""
    significant_weight: float = 0.05
    """Share of the kernel from which on a source pixel hands on its mask bits, and unmeasured pixels make the result
    unmeasured."""
    mask_kernel: str | None = None
    """One of `KERNELS`, no larger than the kernel: mask bits are handed on instead by all pixels on which it has a
    weight."""
    grown_planes: tuple[str, ...] = ("EDGE",)
    """Mask planes that every pixel on which the kernel has a weight hands on."""
    conserve_flux: bool = True
    """Whether values are multiplied by the area of the pixel on the source; else surface brightness is kept."""

    def __post_init__(self) -> None:
        for name in (self.kernel, self.mask_kernel):
            if name is not None and name not in KERNELS:
                raise ValueError(f"Kernel {name!r} is none of {', '.join(KERNELS)}.")
        if self.mask_kernel is not None and KERNELS[self.mask_kernel] > self.order:
            raise ValueError(f"The mask's kernel {self.mask_kernel} is larger than {self.kernel}.")
        if self.grid_step < 1 or self.tolerance <= 0.0 or not 0.0 < self.significant_weight < 1.0:
            raise ValueError(
                f"A grid step of {self.grid_step}, a tolerance of {self.tolerance} or a significant weight of "
                f"{self.significant_weight} is out of range."
            )
        if unknown := set(self.grown_planes) - set(MASK_PLANES):
            raise ValueError(f"No mask plane is called {', '.join(sorted(unknown))}.")

    @property
    def order(self) -> int:
        """Order of the kernel."""
        return KERNELS[self.kernel]

    @property
    def mask_order(self) -> int | None:
        """Order of the mask's kernel; None without one."""
        return None if self.mask_kernel is None else KERNELS[self.mask_kernel]
