"""What figures of a coadd usually are: the thresholds of the page about a patch."""

from __future__ import annotations

from .visit_usual import Usual

__all__ = ["PATCH_USUAL", "VISIT_USUAL"]

PATCH_USUAL: tuple[Usual, ...] = (
    Usual(
        name="filled_percent",
        text="pixels of the patch that hold a value",
        unit="%",
        low=90.0,
        when_low="a patch at the border of the survey, or frames that were lost: see the map of the number of warps.",
    ),
    Usual(
        name="visits_left_out",
        text="visits with a warp of the patch that are not in the coadd",
        high=0.0,
        when_high="the log of the assembly says why they were left out.",
    ),
    Usual(
        name="depth_range_mag",
        text="range of the depth over the patch (5 to 95 % of the area)",
        unit="mag",
        high=0.5,
        when_high="the patch is not deep everywhere: few visits cover a part of it.",
    ),
    Usual(
        name="weight_ratio",
        text="largest weight of a visit over the median",
        high=5.0,
        when_high="one visit decides the mean: look at its variance plane and zero point.",
    ),
    Usual(
        name="fwhm_range_percent",
        text="range of the FWHM over the patch (5 to 95 %)",
        unit="%",
        high=20.0,
        when_high="visits of unlike seeing cover parts of the patch: the PSF jumps at their borders.",
    ),
    Usual(
        name="ellipticity",
        text="median ellipticity of the PSF",
        high=0.1,
        when_high="tracking, wind or focus of the visits; see their pages.",
    ),
    Usual(
        name="sky_scatter",
        text="scatter of the sky pixels over the root of their variance",
        low=0.85,
        high=1.15,
        when_low="variances are too large, or do not know that resampling averages noise over neighbours.",
        when_high="variances are too small, or what is left of sky and halos adds to the noise.",
    ),
    Usual(
        name="sky_level_sigma",
        text="median of the sky pixels, in units of their noise",
        low=-0.25,
        high=0.25,
        when_low="the sky of the visits was subtracted too far: see the background of bright galaxies and stars.",
        when_high="sky is left in the coadd, or many faint sources that nobody detects.",
    ),
    Usual(
        name="flux_scatter",
        text="scatter of PSF fluxes of empty sky over their errors by the variance plane",
        low=0.8,
        high=1.6,
        when_low="variances are too large.",
        when_high="errors of faint sources are too small by this factor: noise is correlated over the PSF, sky is not "
        "flat, or sources are confused. The depth is less than the map says.",
    ),
    Usual(
        name="clipped_percent",
        text="filled pixels that are CLIPPED",
        unit="%",
        high=3.0,
        when_high="many trails, ghosts or moving bodies, or variances that are too small: then noise is clipped.",
    ),
    Usual(
        name="rejected_percent",
        text="filled pixels that are REJECTED",
        unit="%",
        high=10.0,
        when_high="masks of the frames leave much out: defects, saturation, cosmic rays.",
    ),
    Usual(
        name="inexact_psf_percent",
        text="filled pixels with INEXACT_PSF",
        unit="%",
        high=30.0,
        when_high="the model of the PSF does not hold there: see which of the other planes are the cause.",
    ),
)
"""Of a band, in the order of the page; `skyloom.report.patch_measured` names the figures."""

VISIT_USUAL: tuple[Usual, ...] = (
    Usual(
        name="fwhm_ratio",
        text="FWHM over the median of the visits",
        high=1.5,
        when_high="poor seeing: it widens the PSF of the coadd.",
    ),
    Usual(
        name="weight_percent_ratio",
        text="weight over the median of the visits",
        low=0.2,
        high=5.0,
        when_low="noisy: clouds, moonlight or a short exposure.",
        when_high="it decides the mean; see its variances.",
    ),
    Usual(
        name="zero_point_drop_mag",
        text="zero point below the median of the visits of its exposure time",
        unit="mag",
        high=0.3,
        when_high="clouds.",
    ),
    Usual(
        name="clipped_percent",
        text="clipped pixels of its warp",
        unit="%",
        high=2.0,
        when_high="a trail, a ghost, or a sky that differs from the other visits.",
    ),
)
"""Of a visit."""
