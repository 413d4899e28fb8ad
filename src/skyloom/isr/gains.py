"""From counts to electrons, and the variance of what was counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from skyloom.images.mask_planes import bitmask
from skyloom.kernels.signature import count_electrons

if TYPE_CHECKING:
    import numpy as np

    from .amplifiers import AmplifierLayout

__all__ = ["apply_gains"]


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
