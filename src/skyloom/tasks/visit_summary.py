"""`VisitSummaryTask`: one table a visit, with a row for each detector that was calibrated."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from astropy.table import Table
from lsst.images import Box, VisitImage
from lsst.pipe.base import (
    PipelineTask,
    PipelineTaskConfig,
    PipelineTaskConnections,
    QuantumContext,
    Struct,
)
from lsst.pipe.base.connectionTypes import Input, Output

from skyloom.calibrate import epoch_year
from skyloom.images import fits_header

if TYPE_CHECKING:
    from lsst.daf.butler import DeferredDatasetHandle

__all__ = ["VisitSummaryConfig", "VisitSummaryConnections", "VisitSummaryTask", "summary_row"]

_STATISTICS: dict[str, tuple[str, type, str | None, str]] = {
    "psf_area": ("psfArea", np.float64, "pix2", "effective area of the PSF at the centre"),
    "psf_ixx": ("psfIxx", np.float64, "pix2", "adaptive second moment of the PSF at the centre, along x"),
    "psf_iyy": ("psfIyy", np.float64, "pix2", "the same along y"),
    "psf_ixy": ("psfIxy", np.float64, "pix2", "the same, mixed"),
    "psf_e1_residual": ("psfStarDeltaE1Median", np.float64, None, "median ellipticity e1 of PSF stars less the PSF's"),
    "psf_e2_residual": ("psfStarDeltaE2Median", np.float64, None, "median ellipticity e2 of PSF stars less the PSF's"),
    "psf_e1_scatter": ("psfStarDeltaE1Scatter", np.float64, None, "robust scatter of the same of e1"),
    "psf_e2_scatter": ("psfStarDeltaE2Scatter", np.float64, None, "robust scatter of the same of e2"),
    "psf_size_residual": ("psfStarDeltaSizeMedian", np.float64, "pix", "median size of PSF stars less the PSF's"),
    "psf_size_scatter": ("psfStarDeltaSizeScatter", np.float64, "pix", "robust scatter of the same"),
    "psf_scaled_size_scatter": (
        "psfStarScaledDeltaSizeScatter",
        np.float64,
        None,
        "that scatter over the median size of the stars",
    ),
    "psf_trace_radius_range": ("psfTraceRadiusDelta", np.float64, "pix", "peak to peak of the PSF's size"),
    "psf_aperture_flux_range": (
        "psfApFluxDelta",
        np.float64,
        None,
        "peak to peak of the PSF's light within three sigma",
    ),
    "aperture_correction_range": (
        "psfApCorrSigmaScaledDelta",
        np.float64,
        "1 / pix",
        "peak to peak of the correction of PSF fluxes, over psf_sigma",
    ),
    "psf_star_distance_max": ("maxDistToNearestPsf", np.float64, "pix", "largest distance to a PSF star"),
    "star_ellipticity": ("starEMedian", np.float64, None, "median ellipticity of the PSF stars"),
    "star_unnormalized_ellipticity": (
        "starUnNormalizedEMedian",
        np.float64,
        "pix2",
        "median of hypot(ixx - iyy, 2 ixy) of the PSF stars",
    ),
    "mean_variance": ("meanVar", np.float64, "electron2", "mean variance of the sky's pixels"),
    "exposure_time": ("expTime", np.float64, "s", "exposure time"),
    "zenith_distance": ("zenithDistance", np.float64, "deg", "distance from the zenith"),
    "magnitude_limit": ("magLim", np.float64, "mag", "AB magnitude of a star of signal-to-noise ratio 5"),
    "effective_time": ("effTime", np.float64, "s", "exposure time under fiducial conditions for the same limit"),
    "effective_time_psf_scale": ("effTimePsfSigmaScale", np.float64, None, "factor of the PSF's width in it"),
    "effective_time_sky_scale": ("effTimeSkyBgScale", np.float64, None, "factor of the sky in it"),
    "effective_time_zero_point_scale": (
        "effTimeZeroPointScale",
        np.float64,
        None,
        "factor of the transparency in it",
    ),
    "reference_density": ("refCatSourceDensity", np.float64, "1 / deg2", "reference stars a square degree"),
}
"""Name of a column: the field of the frame's statistics that it holds, its type, unit and description."""

_COLUMNS: dict[str, tuple[type, str | None, str]] = {
    "detector": (np.int64, None, "detector id"),
    "ra": (np.float64, "deg", "right ascension of the centre, ICRS"),
    "dec": (np.float64, "deg", "declination of the centre, ICRS"),
    "ra_corners": (np.float64, "deg", "right ascension of the four corners of the box"),
    "dec_corners": (np.float64, "deg", "declination of the four corners of the box"),
    "psf_sigma": (np.float64, "pix", "determinant radius of the PSF at the centre"),
    "zero_point_mag": (np.float64, "mag", "AB magnitude of one electron"),
    "sky_background": (np.float64, "electron", "sky level that was subtracted, a pixel"),
    "sky_noise": (np.float64, "electron", "scatter of the sky's pixels"),
    "pixel_scale": (np.float64, "arcsec / pix", "at the centre"),
    "zero_point_err": (np.float64, "mag", "standard error of zero_point_mag"),
    "zero_point_scatter": (np.float64, "mag", "robust scatter of the stars about the zero point"),
    "n_photometry_stars": (np.int64, None, "stars that the zero point was fitted to"),
    "n_psf_stars": (np.int64, None, "stars that the PSF was fitted to"),
    "astrometry_rms_arcsec": (np.float64, "arcsec", "scatter of the matches about the WCS"),
    "n_astrometry_matches": (np.int64, None, "matches that the WCS was fitted to"),
    **{name: (kind, unit, text) for name, (_, kind, unit, text) in _STATISTICS.items()},
    "epoch": (np.float64, "yr", "Julian year (TDB) of the middle of the exposure"),
    "wcs": (str, None, "FITS header of the WCS (TAN or TAN-SIP) of the box, its cards joined by line ends"),
    "wcs_residual": (np.float64, "pix", "largest distance of that header from the fitted WCS"),
    "x0": (np.int64, "pix", "first column of the box"),
    "y0": (np.int64, "pix", "first row of the box"),
    "x1": (np.int64, "pix", "column behind the last of the box"),
    "y1": (np.int64, "pix", "row behind the last of the box"),
}
"""Name of a column: its type, unit and description."""


class VisitSummaryConnections(PipelineTaskConnections, dimensions=("instrument", "visit")):
    """The calibrated frames of a visit, and its summary."""

    exposures = Input(
        doc="Calibrated frames; those that failed are absent.",
        name="initial_pvi",
        storageClass="VisitImage",
        dimensions=("instrument", "visit", "detector"),
        multiple=True,
        deferLoad=True,
    )
    visit_summary = Output(
        doc="One row a calibrated detector: place, PSF, zero point, sky, WCS.",
        name="visit_summary",
        storageClass="ArrowAstropy",
        dimensions=("instrument", "visit"),
    )


class VisitSummaryConfig(PipelineTaskConfig, pipelineConnections=VisitSummaryConnections):
    """There is nothing to set."""


class VisitSummaryTask(PipelineTask):
    """Collect what is known of the calibrated detectors of a visit; without any, there is no work.

    No pixels are read: a cut-out of one pixel brings the WCS, the statistics and the figures of the calibration.
    """

    ConfigClass = VisitSummaryConfig
    _DefaultName = "visit_summary"

    def runQuantum(
        self,
        butlerQC: QuantumContext,
        inputRefs: Any,
        outputRefs: Any,
    ) -> None:
        """Read the frames' figures and write the table."""
        handles = cast("list[DeferredDatasetHandle]", butlerQC.get(inputRefs.exposures))
        butlerQC.put(self.run(_read(handle) for handle in handles), outputRefs)

    def run(self, exposures: Iterable[tuple[int, VisitImage, Box]]) -> Struct:
        """Make the table.

        Parameters
        ----------
        exposures
            Detector id, calibrated frame (or a cut-out of it) and box of the whole frame.

        Returns
        -------
        Struct
            ``visit_summary``: the table, ordered by detector.
        """
        rows = sorted((summary_row(*one) for one in exposures), key=lambda row: row["detector"])
        table = Table()
        for name, (kind, unit, description) in _COLUMNS.items():
            table[name] = np.array([row[name] for row in rows], dtype=kind)
            table[name].unit = unit
            table[name].description = description
        self.metadata["n_detectors"] = len(rows)
        return Struct(visit_summary=table)


def summary_row(detector: int, exposure: VisitImage, box: Box) -> dict[str, Any]:
    """One row of the table.

    Parameters
    ----------
    detector
        Detector id.
    exposure
        The calibrated frame, or a cut-out of it.
    box
        Box of the whole frame.
    """
    statistics, figures = exposure.summary_stats, exposure.metadata
    header, residual = fits_header(exposure.sky_projection, box)
    epoch = epoch_year(exposure.obs_info)
    return {
        "detector": detector,
        "ra": statistics.ra,
        "dec": statistics.dec,
        "ra_corners": statistics.raCorners,
        "dec_corners": statistics.decCorners,
        "psf_sigma": statistics.psfSigma,
        "zero_point_mag": statistics.zeroPoint,
        "sky_background": statistics.skyBg,
        "sky_noise": statistics.skyNoise,
        "pixel_scale": statistics.pixelScale,
        "n_psf_stars": statistics.nPsfStar,
        "astrometry_rms_arcsec": figures.get("astrometry_rms_arcsec", np.nan),
        "n_astrometry_matches": figures.get("n_astrometry_matches", 0),
        "zero_point_err": figures.get("zero_point_err_mag", np.nan),
        "zero_point_scatter": figures.get("zero_point_scatter_mag", np.nan),
        "n_photometry_stars": figures.get("n_photometry_stars", 0),
        **{name: getattr(statistics, field) for name, (field, *_) in _STATISTICS.items()},
        "epoch": np.nan if epoch is None else epoch,
        "wcs": header.tostring(sep="\n", endcard=False, padding=False),
        "wcs_residual": residual,
        "x0": box.x.start,
        "y0": box.y.start,
        "x1": box.x.stop,
        "y1": box.y.stop,
    }


def _read(handle: DeferredDatasetHandle) -> tuple[int, VisitImage, Box]:
    """Detector, one pixel of the frame with all that goes with it, and the box of the whole."""
    box: Box = handle.get(component="bbox")
    y, x = box.y.start, box.x.start
    exposure: VisitImage = handle.get(parameters={"bbox": Box.factory[y : y + 1, x : x + 1]})
    return int(handle.dataId["detector"]), exposure, box
