"""Put the data of the amplifiers together to the trimmed detector."""

from __future__ import annotations

import numpy as np

__all__ = ["as_assembled"]


def as_assembled(pixels: np.ndarray, *, flip_x: bool, flip_y: bool) -> np.ndarray:
    """The pixels ``[y, x]`` of an amplifier's raw data box in the order of the trimmed detector, as a view.

    ``flip_x`` mirrors columns and ``flip_y`` rows: an amplifier that is read out at another corner than the lower
    left may be stored from its own corner outwards.
    """
    return pixels[:: -1 if flip_y else 1, :: -1 if flip_x else 1]
