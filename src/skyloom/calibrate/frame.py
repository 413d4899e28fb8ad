"""`CalibratedFrame`: what the single-frame recipe yields, filled stage by stage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from astropy.table import Table
    from lsst.images import BackgroundMap

    from skyloom.astrometry import AstrometricSolution
    from skyloom.background import Background
    from skyloom.deblend import Deblended
    from skyloom.images.exposure import Exposure
    from skyloom.images.footprints import FootprintSet
    from skyloom.images.photo_calib import PhotoCalib
    from skyloom.photometry import ApertureCorrection, ZeroPoint
    from skyloom.psffit import PsfFit

__all__ = ["CalibratedFrame"]


@dataclass(kw_only=True, eq=False)
class CalibratedFrame:
    """One calibrated frame; after a failure, what had been obtained before it.

    Attributes are None until their stage has run.
    """

    exposure: Exposure
    """Modified in place as the stages go."""
    stage: str = ""
    """The stage that ran last, or failed."""
    background: BackgroundMap | None = None
    """The sky that was subtracted, in the unit of the pixels."""
    sky: Background | None = None
    """The same as it was fitted, in electrons."""
    flat_ratio: np.ndarray | None = None
    """``[y, x]``: the flat of photometry over that of the sky, where pixels were divided by it; `sky` is not."""
    psf_stars: Table | None = None
    """Bright sources of the first pass; once the PSF is final, its candidate stars."""
    psf_stars_footprints: FootprintSet | None = None
    psf_fit: PsfFit | None = None
    sources: Table | None = None
    """All sources, measured with the PSF, and places without a source."""
    sources_footprints: FootprintSet | None = None
    stars: Table | None = None
    """Those of them that are clean, alone and unresolved, and the places without a source."""
    stars_footprints: FootprintSet | None = None
    deblended: Deblended | None = None
    """Which light of the footprints is whose."""
    aperture_corrections: dict[str, ApertureCorrection] = field(default_factory=dict)
    astrometry: AstrometricSolution | None = None
    astrometry_matches: Table | None = None
    zero_point: ZeroPoint | None = None
    photometry_matches: Table | None = None
    photo_calib: PhotoCalib | None = None
    """What turned the pixels into nJy."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """Figures of the stages, units in their names."""
