"""Cut the overscan off images that are as large as raw frames and hold no counts of it any more."""

from __future__ import annotations

import numpy as np
from lsst.images.cameras import Detector

from skyloom.isr.amplifiers import layout_of
from skyloom.isr.assembly import as_assembled

__all__ = ["trimmed"]


def trimmed(pixels: np.ndarray, detector: Detector, file: str = "") -> np.ndarray:
    """The trimmed detector ``[y, x]`` from an image of it, or from one with its amplifiers where a raw frame has them.

    Raises
    ------
    BadFrameError
        If the image is neither.
    """
    if pixels.shape == detector.bbox.shape:
        return pixels
    image = np.zeros(detector.bbox.shape, pixels.dtype)
    for layout in layout_of(detector, pixels.shape, file):
        image[layout.trimmed] = as_assembled(pixels[layout.data], flip_x=layout.flip_x, flip_y=layout.flip_y)
    return image
