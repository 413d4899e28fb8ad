"""What the calibration of one frame left, as the figures take it: from a repository, a recipe or a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np

from skyloom.catalog.columns import flag_column, float_column
from skyloom.images.photo_calib import njy_to_ab_magnitude
from skyloom.images.projection import pixel_scale

if TYPE_CHECKING:
    from astropy.table import Table
    from lsst.images import BackgroundMap

    from skyloom.calibrate import CalibratedFrame
    from skyloom.images import Exposure, PhotoCalib

__all__ = ["FrameProducts"]

_MAG = 2.5 / np.log(10.0)
"""Magnitudes of a relative error."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameProducts:
    """The products of one frame; a frame that failed lacks some of them, and nothing here is required."""

    name: str = "frame"
    """Instrument, visit and detector."""
    detector: int | None = None
    exposure: Exposure | None = None
    """Sky subtracted; calibrated, or as far as a frame came that failed."""
    sources: Table | None = None
    """All sources."""
    psf_stars: Table | None = None
    """The candidates of the PSF."""
    astrometry_matches: Table | None = None
    photometry_matches: Table | None = None
    background: BackgroundMap | None = None
    """The sky that was subtracted; None takes that of the exposure."""
    background_unit: u.UnitBase | None = None
    """Unit of the sky where its fields do not tell it."""
    photo_calib: PhotoCalib | None = None
    """None takes that of the exposure."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Figures of the stages, under the names that `skyloom.calibrate.CalibratedFrame` gives them."""
    failure: str = ""
    """Why the frame failed; empty where it did not."""
    log: tuple[str, ...] = ()
    """Warnings and errors of the log."""
    run: str = ""
    """Collection that holds the products."""

    @classmethod
    def of(cls, frame: CalibratedFrame, **others: Any) -> FrameProducts:
        """What a recipe returned, or the ``partial`` of its error."""
        return cls(
            exposure=frame.exposure,
            sources=frame.sources,
            psf_stars=frame.psf_stars,
            astrometry_matches=frame.astrometry_matches,
            photometry_matches=frame.photometry_matches,
            background=frame.background,
            background_unit=frame.exposure.unit,
            photo_calib=frame.photo_calib,
            metadata=frame.metadata,
            **others,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the frame; without pixels those that hold all sources."""
        if self.exposure is not None:
            rows, columns = self.exposure.image.array.shape
            return rows, columns
        if self.sources is None or len(self.sources) == 0:
            return 1, 1
        return tuple(int(np.nanmax(float_column(self.sources, axis))) + 1 for axis in ("y", "x"))  # type: ignore[return-value]

    @property
    def origin(self) -> tuple[int, int]:
        """Position (x, y) of the first pixel."""
        return (0, 0) if self.exposure is None else (self.exposure.bbox.x.start, self.exposure.bbox.y.start)

    @property
    def arcsec_per_pixel(self) -> float | None:
        """Scale at the centre by the WCS; None without one."""
        if self.exposure is None or self.exposure.projection is None:
            return None
        box = self.exposure.bbox
        middle = 0.5 * (box.x.min + box.x.max), 0.5 * (box.y.min + box.y.max)
        return float(pixel_scale(self.exposure.projection, *middle))

    @property
    def calibration(self) -> PhotoCalib | None:
        """What turns electrons into nJy."""
        if self.photo_calib is not None or self.exposure is None:
            return self.photo_calib
        return self.exposure.photo_calib

    @property
    def sky(self) -> BackgroundMap | None:
        """The sky that was subtracted."""
        if self.background is not None or self.exposure is None:
            return self.background
        return self.exposure.backgrounds

    @property
    def candidates(self) -> Table | None:
        """The PSF stars: the table of their own, or those that the source table marks."""
        if self.psf_stars is not None:
            marked = flag_column(self.psf_stars, "calib_psf_candidate")
            return self.psf_stars[marked] if marked.any() else self.psf_stars
        if self.sources is None or "calib_psf_candidate" not in self.sources.colnames:
            return None
        return self.sources[flag_column(self.sources, "calib_psf_candidate")]

    def magnitudes(self, table: Table) -> np.ndarray:
        """AB magnitude of the PSF flux of each source of a table, instrumental before there is a zero point.

        A table without fluxes takes them from the sources with the same ``source_id``; NaN where there is none.
        """
        if "psf_mag" in table.colnames:
            return float_column(table, "psf_mag")
        if "psf_flux" not in table.colnames or "x" not in table.colnames:
            return self._of_sources(table)
        flux = float_column(table, "psf_flux")
        if self.calibration is not None:
            return self.calibration.to_magnitude(flux, float_column(table, "x"), float_column(table, "y"))
        return np.asarray(njy_to_ab_magnitude(flux) - njy_to_ab_magnitude(1.0))

    @property
    def magnitude_label(self) -> str:
        """The name of what `magnitudes` gives, for an axis."""
        return "PSF magnitude (AB)" if self.calibration is not None else "-2.5 log₁₀ of the PSF flux (e⁻)"

    def magnitude_errors(self, table: Table) -> np.ndarray:
        """Error of the magnitude of the source with the same ``source_id`` by its PSF flux; 0 where it is not known."""
        rows, errors = self._rows(table), np.zeros(len(table))
        if self.sources is None or not {"psf_flux", "psf_flux_err"} <= set(self.sources.colnames):
            return errors
        with np.errstate(invalid="ignore", divide="ignore"):
            relative = np.abs(float_column(self.sources, "psf_flux_err") / float_column(self.sources, "psf_flux"))
        errors[rows >= 0] = np.nan_to_num(_MAG * relative, posinf=0.0)[rows[rows >= 0]]
        return errors

    def _of_sources(self, table: Table) -> np.ndarray:
        """Magnitudes of the sources with the same identifiers; NaN where there is none."""
        rows, magnitudes = self._rows(table), np.full(len(table), np.nan)
        if self.sources is not None and (rows >= 0).any() and "psf_flux" in self.sources.colnames:
            magnitudes[rows >= 0] = self.magnitudes(self.sources)[rows[rows >= 0]]
        return magnitudes

    def _rows(self, table: Table) -> np.ndarray:
        """Rows of the sources with the same ``source_id``; -1 where there is none."""
        if self.sources is None or "source_id" not in self.sources.colnames or "source_id" not in table.colnames:
            return np.full(len(table), -1, dtype=np.int64)
        known = {int(number): row for row, number in enumerate(self.sources["source_id"])}
        return np.array([known.get(int(number), -1) for number in table["source_id"]], dtype=np.int64)
