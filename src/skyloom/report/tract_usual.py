"""What figures of a joint calibration usually are: the thresholds of the page about a tract."""

from __future__ import annotations

from .visit_usual import Usual

__all__ = ["FRAME_USUAL", "TRACT_USUAL"]

TRACT_USUAL: tuple[Usual, ...] = (
    Usual(
        name="n_refused",
        text="frames that the joint fit refused",
        high=0.0,
        when_high="they take no part in warps and coadds; the reasons are in the table of frames to look at.",
    ),
    Usual(
        name="reference_percent",
        text="stars with a reference",
        unit="%",
        low=5.0,
        when_low="few references hold the tract; look at the match radius, epochs and proper motions.",
    ),
    Usual(
        name="astrometry_chi2",
        text="chi² a degree of freedom, positions",
        high=2.0,
        when_high="errors that are too small (raise the pedestal), or distortions that the model cannot follow.",
    ),
    Usual(
        name="astrometry_outlier_percent",
        text="outliers, positions",
        unit="%",
        high=10.0,
        when_high="many measurements disagree; blends, wrong matches, or a model that cannot follow.",
    ),
    Usual(
        name="astrometry_gain",
        text="repeatability of bright stars after the fit over before, positions",
        high=1.05,
        when_high="the fit made positions worse: few stars in common, or a model too stiff or too free.",
    ),
    Usual(
        name="astrometry_common_px",
        text="what neighbours in the focal plane have in common after the fit, positions",
        unit="px",
        high=0.03,
        when_high="a distortion of the camera that all visits share is left; raise chip_order or visit_order.",
    ),
    Usual(
        name="astrometry_visit_common_px",
        text="what neighbours of a visit have in common after the fit, positions",
        unit="px",
        high=0.05,
        when_high="distortions of the single visits are left: raise visit_order, or they are turbulence.",
    ),
    Usual(
        name="photometry_chi2",
        text="chi² a degree of freedom, fluxes",
        high=2.0,
        when_high="errors that are too small (photometry.error_pedestal), clouds, or variable stars.",
    ),
    Usual(
        name="photometry_outlier_percent",
        text="outliers, fluxes",
        unit="%",
        high=10.0,
        when_high="many measurements disagree; clouds, blends, or a flat field that the model cannot follow.",
    ),
    Usual(
        name="photometry_gain",
        text="repeatability of bright stars after the fit over before, fluxes",
        high=1.05,
        when_high="the fit made fluxes worse: few stars in common, or a model too stiff or too free.",
    ),
    Usual(
        name="photometry_common_mmag",
        text="what neighbours in the focal plane have in common after the fit, fluxes",
        unit="mmag",
        high=5.0,
        when_high="an error of the flat field that all visits share is left; raise photometry.visit_order.",
    ),
    Usual(
        name="photometry_visit_common_mmag",
        text="what neighbours of a visit have in common after the fit, fluxes",
        unit="mmag",
        high=10.0,
        when_high="clouds or scattered light that the model cannot follow.",
    ),
    Usual(
        name="pull_scatter",
        text="robust scatter of the pulls, fluxes",
        low=0.5,
        high=1.5,
        when_low="errors of the fluxes are too large.",
        when_high="errors of the fluxes are too small; raise photometry.error_pedestal.",
    ),
    Usual(
        name="missing_warps",
        text="warps that frames would fill and that are not there",
        high=0.0,
        when_high="visits that lie on a patch have no warp of it; the table of warps says why where it is known.",
    ),
)
"""Of a filter, in the order of the page."""

FRAME_USUAL: tuple[Usual, ...] = (
    Usual(name="astrometry_stars", text="stars, positions", low=10, when_low="few stars hold it."),
    Usual(
        name="astrometry_outlier_percent",
        text="outliers, positions",
        unit="%",
        high=20.0,
        when_high="it disagrees with the other frames.",
    ),
    Usual(
        name="scatter_mas_ratio",
        text="scatter of positions over the median of the frames",
        high=1.5,
        when_high="poor seeing, tracking, or a distortion of its own.",
    ),
    Usual(
        name="moved_px",
        text="mean shift of positions by the fit",
        unit="px",
        high=1.0,
        when_high="its own WCS was wrong, or the joint one is.",
    ),
    Usual(
        name="wcs_residual_px",
        text="distance of the FITS header from the fitted WCS",
        unit="px",
        high=0.05,
        when_high="TAN-SIP does not hold the distortion.",
    ),
    Usual(name="photometry_stars", text="stars, fluxes", low=10, when_low="few stars hold it."),
    Usual(
        name="photometry_outlier_percent",
        text="outliers, fluxes",
        unit="%",
        high=20.0,
        when_high="clouds or a bad flat.",
    ),
    Usual(
        name="scatter_mmag_ratio",
        text="scatter of fluxes over the median of the frames",
        high=1.5,
        when_high="clouds, a bad flat or a poor PSF.",
    ),
    Usual(
        name="zero_point_change_mmag",
        text="change of the zero point",
        unit="mmag",
        low=-50.0,
        high=50.0,
        when_low="its own zero point was wrong, or the joint one is.",
        when_high="its own zero point was wrong, or the joint one is.",
    ),
    Usual(
        name="change_in_visit_mmag",
        text="change of the zero point less that of its visit",
        unit="mmag",
        low=-30.0,
        high=30.0,
        when_low="the detector's throughput or flat is off.",
        when_high="the detector's throughput or flat is off.",
    ),
    Usual(
        name="scale_range_mmag",
        text="range of the flux scale over the frame",
        unit="mmag",
        high=100.0,
        when_high="the fit bends the flux scale much: few stars, or a bad flat.",
    ),
)
"""Of a frame; `skyloom.report.tract_frames` names the figures."""
