"""What figures of a calibrated frame usually are, and what to think of one that is not: the thresholds of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["USUAL", "Usual", "Verdict", "judge"]


@dataclass(frozen=True, kw_only=True)
class Usual:
    """The usual range of one figure."""

    name: str
    """As `skyloom.report.visit_measured.measured` names it."""
    text: str
    """What it is, as people read it."""
    unit: str = ""
    low: float = -np.inf
    high: float = np.inf
    when_low: str = ""
    """What it means to be below the range, and where to look."""
    when_high: str = ""


USUAL: tuple[Usual, ...] = (
    Usual(
        name="masked_fraction",
        text="share of unusable pixels",
        high=0.1,
        when_high="many pixels are masked; look at the planes in the picture, and at the defects and the signature "
        "removal of the detector.",
    ),
    Usual(
        name="sky_structure",
        text="scatter of the sky in blocks over its noise",
        high=2.5,
        when_high="the sky is not flat; flat field, fringes or a halo, or a mesh too coarse (background.bin_size).",
    ),
    Usual(
        name="sky_noise_ratio",
        text="noise of the sky over the variance plane",
        low=0.85,
        high=1.2,
        when_low="the variance plane is too large; look at gain and read noise of the amplifiers.",
        when_high="the variance plane is too small, or the sky has structure within blocks; look at gain, read noise "
        "and fringes.",
    ),
    Usual(
        name="flagged_fraction",
        text="share of sources with a doubtful flag",
        high=0.4,
        when_high="many sources are flagged; cosmic rays or hot pixels taken for sources, or a poor mask.",
    ),
    Usual(
        name="n_psf_stars",
        text="stars fitted by the PSF",
        low=15,
        when_low="few stars; the PSF varies less over the frame than it should, and its wings are those of the prior.",
    ),
    Usual(
        name="fwhm_px",
        text="FWHM of the PSF",
        unit="px",
        low=2.2,
        high=12.0,
        when_low="the PSF is undersampled: centroids and shapes are less certain than their errors say.",
        when_high="out of focus, or the stars are not stars.",
    ),
    Usual(
        name="fwhm_range",
        text="range of the FWHM over the frame",
        high=0.25,
        when_high="the PSF changes much over the frame: tilt, focus or field curvature; see that its order follows.",
    ),
    Usual(
        name="psf_ellipticity",
        text="median ellipticity of the PSF",
        high=0.15,
        when_high="elongated stars: tracking, wind or optics.",
    ),
    Usual(
        name="psf_reserved_size_residual",
        text="size of reserved stars over the PSF - 1",
        low=-0.01,
        high=0.01,
        when_low="the PSF is larger than stars that it was not fitted to: galaxies among its stars, or it changes "
        "faster than its polynomial.",
        when_high="the PSF is smaller than stars that it was not fitted to: hot pixels among its stars, brighter stars "
        "are wider (brighter-fatter), or it changes faster than its polynomial.",
    ),
    Usual(
        name="psf_chi2",
        text="median chi² of the PSF stars",
        low=0.7,
        high=1.5,
        when_low="the variance plane is too large.",
        when_high="the PSF does not fit its stars, or the variance plane is too small.",
    ),
    Usual(
        name="aperture_correction_scatter",
        text="scatter of the aperture correction",
        high=0.02,
        when_high="few bright stars, a poor PSF, or a sky that is not flat about stars.",
    ),
    Usual(
        name="growth_difference",
        text="largest difference of the curve of growth from the PSF",
        high=0.03,
        when_high="the PSF does not hold the light of stars as apertures do; neighbours, or the sky about stars.",
    ),
    Usual(
        name="astrometry_rms_px",
        text="astrometry, rms a coordinate",
        unit="px",
        high=0.2,
        when_high="bad centroids, a distortion that the order cannot follow, or a catalogue of a poor epoch.",
    ),
    Usual(
        name="astrometry_matched_fraction",
        text="share of possible matches made",
        low=0.4,
        when_low="few of the stars were matched; look at the depth of the catalogue and at false sources.",
    ),
    Usual(
        name="astrometry_spread",
        text="cover of the frame by matches",
        low=0.5,
        when_low="the matches cover a part of the frame; elsewhere the WCS is an extrapolation.",
    ),
    Usual(
        name="zero_point_err_mag",
        text="error of the zero point",
        unit="mag",
        high=0.01,
        when_high="few stars, or stars that do not agree.",
    ),
    Usual(
        name="zero_point_scatter_mag",
        text="scatter of the zero point's stars",
        unit="mag",
        high=0.05,
        when_high="a colour term is missing, clouds, a bad flat, or variable and wrong stars.",
    ),
    Usual(
        name="zero_point_kept_fraction",
        text="share of the matched stars that the zero point kept",
        low=0.7,
        when_low="many stars were clipped; wrong matches, or a wrong reference filter.",
    ),
    Usual(
        name="zero_point_tilt_mag",
        text="tilt of the magnitudes over the frame, where significant",
        unit="mag",
        high=0.03,
        when_high="the zero point changes over the frame; flat field, scattered light or clouds.",
    ),
)
"""In the order of a report."""

_PERCENT = frozenset(
    (
        "masked_fraction",
        "flagged_fraction",
        "fwhm_range",
        "psf_reserved_size_residual",
        "aperture_correction_scatter",
        "growth_difference",
        "astrometry_matched_fraction",
        "zero_point_kept_fraction",
    )
)
"""Figures that are told in percent."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A figure beside its usual range."""

    usual: Usual
    value: float

    @property
    def remark(self) -> str:
        """What to think of it; empty where it is usual."""
        if self.value < self.usual.low:
            return self.usual.when_low
        return self.usual.when_high if self.value > self.usual.high else ""

    @property
    def shown(self) -> str:
        """The value with its unit."""
        return _shown(self.value, self.usual)

    @property
    def range_shown(self) -> str:
        """The usual range."""
        low, high = (_shown(limit, self.usual) for limit in (self.usual.low, self.usual.high))
        if np.isinf(self.usual.low):
            return f"at most {high}"
        return f"at least {low}" if np.isinf(self.usual.high) else f"{low} to {high}"

    @property
    def sentence(self) -> str:
        """The remark with the figure."""
        return f"{self.usual.text[0].upper()}{self.usual.text[1:]}: {self.shown} ({self.range_shown}): {self.remark}"


def judge(values: Mapping[str, float], usual: Sequence[Usual] = USUAL) -> list[Verdict]:
    """The figures that are known (finite), each beside its usual range, in the order of the ranges."""
    return [
        Verdict(usual=one, value=float(values[one.name]))
        for one in usual
        if one.name in values and np.isfinite(values[one.name])
    ]


def _shown(value: float, usual: Usual) -> str:
    if usual.name in _PERCENT:
        return f"{100.0 * value:.3g} %"
    return f"{value:.3g} {usual.unit}".strip()
