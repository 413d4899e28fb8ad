"""`subtract_background`: take the sky off an exposure."""

from __future__ import annotations

from skyloom.images.exposure import Exposure

from .fit import Background, BackgroundSettings, fit_background

__all__ = ["subtract_background"]


def subtract_background(exposure: Exposure, settings: BackgroundSettings | None = None) -> Background:
    """Fit the sky of an exposure and subtract it from the image in place; the variance keeps the sky's noise.

    Call it again after detection: sources are then masked, and the small rest of sky that they had lifted is taken
    off.  The sky of the frame is the sum of the fields returned.

    Raises
    ------
    BadFrameError
        If too little of the frame is usable.
    """
    background = fit_background(
        exposure.image.array, exposure.bits, settings=settings, box=exposure.bbox, unit=exposure.unit
    )
    exposure.image.array[...] -= background.render()
    return background
