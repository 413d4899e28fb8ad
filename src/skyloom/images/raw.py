"""`RawExposure`: a raw frame of one detector as it left the camera."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io.fits import Header

if TYPE_CHECKING:
    from astro_metadata_translator import ObservationInfo
    from lsst.images import SkyProjection
    from lsst.images.cameras import Detector

__all__ = ["RawExposure"]


@dataclass(kw_only=True, eq=False)
class RawExposure:
    """An untrimmed image with its header, and, once a camera has described it, what the header means.

    The first pixel of ``image`` is (0, 0) of the raw boxes of the detector's amplifiers.
    """

    image: np.ndarray
    """Untrimmed ``[y, x]`` pixels in ADU, in the file's own integer or float type."""
    header: Header
    """Primary header, with that of the image's extension merged in."""
    file: str
    """Where the frame came from, for messages."""
    detector: Detector | None = None
    obs_info: ObservationInfo | None = None
    projection: SkyProjection[Any] | None = None
    """A first guess from the header's pointing and the camera's geometry; good to its pointing error."""
    mode: dict[str, str] = field(default_factory=dict)
    """Header keywords that tell how the detector was read out, and their values."""
