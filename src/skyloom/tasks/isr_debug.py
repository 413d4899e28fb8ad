"""Pictures of a frame between two steps, for somebody who looks for what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from skyloom.images import Exposure

__all__ = ["show_frame"]


def show_frame(exposure: Exposure, step: str, number: int) -> None:
    """Draw an exposure into a figure of matplotlib, and show it where there is a display."""
    import matplotlib.pyplot as plt
    from astropy.visualization import ZScaleInterval

    pixels = exposure.image.array
    low, high = ZScaleInterval().get_limits(pixels[np.isfinite(pixels)]) if np.isfinite(pixels).any() else (0.0, 1.0)
    figure = plt.figure(number, clear=True)
    axes = figure.subplots()
    picture = axes.imshow(pixels, origin="lower", vmin=low, vmax=high, cmap="gray", interpolation="nearest")
    figure.colorbar(picture, ax=axes, label=str(exposure.unit))
    axes.set(title=step, xlabel="x (px)", ylabel="y (px)")
    if plt.get_backend().lower() != "agg":
        plt.show(block=False)
        plt.pause(0.001)
