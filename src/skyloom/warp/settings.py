"""Settings of the warp."""

from __future__ import annotations

from dataclasses import dataclass

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

    def __post_init__(self) -> None:
        if self.kernel not in KERNELS:
            raise ValueError(f"Kernel {self.kernel!r} is none of {', '.join(KERNELS)}.")
        if self.grid_step < 1 or self.tolerance <= 0.0 or not 0.0 < self.significant_weight < 1.0:
            raise ValueError(
                f"A grid step of {self.grid_step}, a tolerance of {self.tolerance} or a significant weight of "
                f"{self.significant_weight} is out of range."
            )

    @property
    def order(self) -> int:
        """Order of the kernel."""
        return KERNELS[self.kernel]
