"""From counts to electrons, and the variance of what was counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from skyloom.images.mask_planes import bitmask
from skyloom.kernels.order_statistics import pixel_quantiles
from skyloom.kernels.signature import count_electrons

if TYPE_CHECKING:
    from .amplifiers import AmplifierLayout

__all__ = ["apply_gains", "level_amplifiers"]


def apply_gains(
    image: np.ndarray,
    variance: np.ndarray,
    bits: np.ndarray,
    layouts: Sequence[AmplifierLayout],
    read_noise: Mapping[str, float],
    *,
    negative_plane: str | None = None,
) -> int:
    """Turn counts (ADU) into electrons, amplifier by amplifier, in place; all planes ``[y, x]``.

    The variance becomes that of before times the gain squared, plus the electrons, plus the read noise squared.  To be
    done after overscan and bias and before dark and flat: the electrons of the dark current count too.  Negative pixels
    are noise about an empty well and count as empty.

    Parameters
    ----------
    image, variance, bits
        Change in place.
    layouts
        The amplifiers with their gains.
    read_noise
        Electrons, by amplifier name.
    negative_plane
        Mask plane of pixels whose electrons plus read noise squared would be zero or less; None marks none.

    Returns
    -------
    count
        How many pixels are so negative.
    """
    bit = 0 if negative_plane is None else bitmask(negative_plane)
    return sum(
        count_electrons(
            image[layout.trimmed],
            variance[layout.trimmed],
            layout.gain,
            read_noise[layout.name],
            bits[layout.trimmed],
            bit,
        )
        for layout in layouts
    )


def level_amplifiers(
    image: np.ndarray, variance: np.ndarray, bits: np.ndarray, layouts: Sequence[AmplifierLayout]
) -> dict[str, float]:
    """Bring the medians of all amplifiers to the median of these, in place: for frames of an even sky, where the gains
    are not known well enough and no flat follows.

    Returns
    -------
    factors
        By amplifier name, what its pixels were multiplied by; 1 where its median is not positive.
    """
    medians = [pixel_quantiles(image[one.trimmed], bits[one.trimmed], 0, (0.5,))[0][0] for one in layouts]
    usable = [median for median in medians if median > 0]
    common = float(np.median(usable)) if usable else 1.0
    factors = {}
    for layout, median in zip(layouts, medians, strict=True):
        factor = common / float(median) if median > 0 else 1.0
        image[layout.trimmed] *= np.float32(factor)
        variance[layout.trimmed] *= np.float32(factor**2)
        factors[layout.name] = factor
    return factors
