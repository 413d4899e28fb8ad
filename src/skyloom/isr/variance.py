"""The variance that counting electrons and reading them out leave."""

from __future__ import annotations

import numpy as np

__all__ = ["counting_variance"]


def counting_variance(image: np.ndarray, read_noise: float) -> np.ndarray:
    """Variance (electrons squared, float32) of an image in electrons: the electrons themselves plus the read noise
    (electrons) squared.

    To be taken after overscan and bias and before dark and flat: the dark current counts too.  Negative pixels are
    noise about an empty well and count as empty.
    """
    return np.asarray(np.maximum(image, 0.0) + read_noise**2, dtype=np.float32)
