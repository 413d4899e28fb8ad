"""Settings of the catalogues of coadds."""

from __future__ import annotations

from dataclasses import dataclass, field

from skyloom.background import BackgroundSettings
from skyloom.catalog.sources import APERTURE_RADII
from skyloom.deblend import DeblendSettings
from skyloom.detection import DetectionSettings
from skyloom.measurement import MeasurementSettings, SkySourceSettings

__all__ = ["BAND_ORDER", "CoaddSourceSettings", "ForcedFrameSettings", "MergeSettings", "ObjectSettings"]

BAND_ORDER = ("i", "r", "z", "y", "g", "u")
"""Bands from the one that positions are first taken from; others follow in the order of the alphabet."""


@dataclass(frozen=True, kw_only=True)
class CoaddSourceSettings:
    """How the sources of a coadd in one band are found and measured."""

    subtract_background: bool = True
    """Whether a smooth rest of sky is taken off first."""
    background: BackgroundSettings = field(
        default_factory=lambda: BackgroundSettings(bin_size=512, median_size=3, min_cell_fraction=0.1)
    )
    """Cells much larger than any galaxy: faint extended light stays."""
    scale_variance: bool = True
    """Whether the variance is multiplied by what the noise of the coadd is found to be; see `skyloom.objects.noise`."""
    detection: DetectionSettings = field(default_factory=DetectionSettings)
    """The threshold is in true noise; ``noise`` is always that of the pixels."""
    sky_sources: SkySourceSettings = field(default_factory=SkySourceSettings)
    deblend: bool = True
    """Whether blended sources get their own light."""
    deblending: DeblendSettings = field(default_factory=DeblendSettings)
    measurement: MeasurementSettings = field(default_factory=MeasurementSettings)


@dataclass(frozen=True, kw_only=True)
class MergeSettings:
    """How detections of several bands become one list of objects."""

    order: tuple[str, ...] = BAND_ORDER
    """Bands by priority; those that are not named follow in the order of the alphabet."""
    radius_arcsec: float = 0.8
    """A source nearer than this to an object of a band before it is that object."""
    reference_signal_to_noise: float = 10.0
    """The reference band is the first in which an object is that significant, else that in which it is most so."""


@dataclass(frozen=True, kw_only=True)
class ObjectSettings:
    """How the objects of a patch are measured on the coadds of all bands."""

    merge: MergeSettings = field(default_factory=MergeSettings)
    deblend: bool = True
    """Whether blended objects get their own light, in each band."""
    deblending: DeblendSettings = field(default_factory=DeblendSettings)
    measurement: MeasurementSettings = field(default_factory=lambda: MeasurementSettings(plugins=()))


@dataclass(frozen=True, kw_only=True)
class ForcedFrameSettings:
    """How objects are measured on a calibrated frame."""

    aperture_radii: tuple[float, ...] = APERTURE_RADII[:4]
    """Radii of the circular apertures, px of the frame."""
    margin: float = 20.0
    """Objects this far off the frame are listed too, px."""
    link_fwhm: float = 2.5
    """Objects nearer to each other than this many FWHM of the PSF are fitted together."""
    max_blend: int = 300
    """Larger groups are fitted one by one."""
    min_psf_coverage: float = 0.9
    """A PSF flux that rests on a smaller share of the (squared) PSF is flagged."""
    unusable_planes: tuple[str, ...] = ("NO_DATA", "BAD", "CR", "SAT")
    """Pixels of these planes are left out, as are those without finite value and variance."""
