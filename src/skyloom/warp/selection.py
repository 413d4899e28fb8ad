"""Which frames and visits are good enough to be warped onto a patch, and why the others are not.

All functions read tables of the columns of `skyloom.tasks.visit_summary`, one row a detector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from astropy.table import Row, Table
from lsst.sphgeom import ConvexPolygon, Region

from skyloom.errors import BadFrameError
from skyloom.skymap.polygons import convex_polygon

__all__ = ["FALLBACK", "PsfSelectionSettings", "Selection", "overlaps", "select_frames"]

FALLBACK = "fallback"
"""Key of a limit by band for the bands that have none of their own."""
_SIGMA_TO_FWHM = float(np.sqrt(8.0 * np.log(2.0)))


@dataclass(frozen=True, kw_only=True)
class PsfSelectionSettings:
    """Limits on the PSF of a frame; None switches a test off, and what is not a number fails it."""

    max_psf_fwhm: float | None = 1.8
    """Largest full width at half maximum of the PSF at the centre, arcsec."""
    max_ellipticity_residual: float | None = 0.007
    """Largest median ellipticity of the PSF stars less the PSF's."""
    max_size_scatter: float | None = None
    """Largest robust scatter of the sizes of the PSF stars less the PSF's, pixels."""
    max_scaled_size_scatter: float | None = 0.019
    """Largest scatter of the same over the median size."""
    max_psf_trace_radius_range: float | None = 0.7
    """Largest difference of the PSF's size over the frame, pixels."""
    max_psf_aperture_flux_range: float | None = 0.24
    """Largest difference over the frame of the PSF's light within three sigma."""
    max_aperture_correction_range: float | None = 0.22
    """Largest difference over the frame of the correction of PSF fluxes, over the PSF's sigma in pixels."""
    max_star_unnormalized_ellipticity: float | None = None
    """Largest median of the PSF stars' hypot(Ixx - Iyy, 2 Ixy), pixels squared; 2.8 suits pixels of 0.2 arcsec."""
    min_psf_stars: Mapping[str, int] | None = field(default_factory=lambda: MappingProxyType({FALLBACK: 6}))
    """Fewest stars that the PSF was fitted to, by band."""
    max_star_ellipticity: Mapping[str, float] | None = field(default_factory=lambda: MappingProxyType({FALLBACK: 0.4}))
    """Largest median ellipticity of the PSF stars, by band."""
    exclude_detectors: tuple[int, ...] = ()
    """Detectors that are left out in any case."""

    def __post_init__(self) -> None:
        for name in ("min_psf_stars", "max_star_ellipticity"):
            limits = getattr(self, name)
            if limits is not None and FALLBACK not in limits:
                raise ValueError(f"{name} needs an entry {FALLBACK!r} for the bands that it does not name.")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What passed, and what did not."""

    kept: tuple[int, ...]
    """Detectors or visits, in order."""
    left_out: Mapping[int, str]
    """Detector or visit to the reason."""


@dataclass(frozen=True)
class _Test:
    """One limit: of what, in words, and in which direction."""

    setting: str
    words: str
    value: Callable[[Row], float]
    at_least: bool = False


def _value(row: Row, name: str) -> float:
    """A number of a row."""
    if name not in row.colnames:
        raise BadFrameError(
            f"the visit's summary has no column {name}.", cure="Make it anew, or set that limit to None.", keyword=name
        )
    return float(row[name])


def _column(name: str) -> Callable[[Row], float]:
    return lambda row: _value(row, name)


def _psf_fwhm(row: Row) -> float:
    """Full width at half maximum of a Gaussian of the PSF's determinant radius, arcsec."""
    return _value(row, "psf_sigma") * _value(row, "pixel_scale") * _SIGMA_TO_FWHM


def _ellipticity_residual(row: Row) -> float:
    return float(np.hypot(_value(row, "psf_e1_residual"), _value(row, "psf_e2_residual")))


_TESTS = (
    _Test("max_psf_fwhm", "PSF width (arcsec)", _psf_fwhm),
    _Test("max_ellipticity_residual", "residual ellipticity", _ellipticity_residual),
    _Test("max_size_scatter", "scatter of sizes (px)", _column("psf_size_scatter")),
    _Test("max_scaled_size_scatter", "relative scatter of sizes", _column("psf_scaled_size_scatter")),
    _Test("max_psf_trace_radius_range", "range of PSF sizes (px)", _column("psf_trace_radius_range")),
    _Test("max_psf_aperture_flux_range", "range of PSF aperture fluxes", _column("psf_aperture_flux_range")),
    _Test("max_aperture_correction_range", "range of aperture corrections", _column("aperture_correction_range")),
    _Test("min_psf_stars", "number of PSF stars", _column("n_psf_stars"), at_least=True),
    _Test("max_star_ellipticity", "ellipticity of stars", _column("star_ellipticity")),
    _Test(
        "max_star_unnormalized_ellipticity",
        "unnormalized ellipticity of stars (px^2)",
        _column("star_unnormalized_ellipticity"),
    ),
)


def select_frames(
    summary: Table,
    detectors: Iterable[int],
    region: Region | None = None,
    settings: PsfSelectionSettings | None = None,
    *,
    band: str | None = None,
) -> Selection:
    """Choose the detectors of a visit that lie on a patch and whose PSF is good enough.

    The tests come in the order of the settings, overlap before all others; the first that fails is the reason.

    Parameters
    ----------
    summary
        The summary of the visit.
    detectors
        Detectors to choose from; one without a row in the summary is left out.
    region
        The patch on the sky; None to take every place.
    settings
        Limits; None for the overlap alone.
    band
        Band of the visit, for the limits that depend on it.

    Raises
    ------
    BadFrameError
        If the summary lacks the column of a limit.
    """
    rows = {int(row["detector"]): row for row in summary}
    kept, left_out = [], {}
    for detector in detectors:
        reason = _reason(rows.get(detector), detector, region, settings, band)
        if reason:
            left_out[detector] = reason
        else:
            kept.append(detector)
    return Selection(kept=tuple(kept), left_out=MappingProxyType(left_out))


def overlaps(row: Row, region: Region) -> bool:
    """Whether the convex hull of a detector's corners touches a region; not where a corner is not finite."""
    corners = _outline(row)
    return corners is not None and region.overlaps(corners) is not False


def _reason(
    row: Row | None, detector: int, region: Region | None, settings: PsfSelectionSettings | None, band: str | None
) -> str:
    """Why a detector is left out; empty if it is not."""
    if settings is not None and detector in settings.exclude_detectors:
        return "excluded by the configuration"
    if row is None:
        return "no row in the visit's summary"
    if region is not None:
        if _outline(row) is None:
            return "no finite position of its corners"
        if not overlaps(row, region):
            return "does not overlap the patch"
    return "" if settings is None else _failed_test(row, settings, band)


def _failed_test(row: Row, settings: PsfSelectionSettings, band: str | None) -> str:
    """The first test of the PSF that a detector fails; empty if none."""
    for test in _TESTS:
        limit = getattr(settings, test.setting)
        if isinstance(limit, Mapping):
            limit = limit.get(band or FALLBACK, limit[FALLBACK])
        if limit is None:
            continue
        value = test.value(row)
        # Written so that NaN fails.
        passed = value >= limit if test.at_least else value <= limit
        if not passed:
            return f"{test.words} {value:.4g} is {'below' if test.at_least else 'above'} {limit:g}"
    return ""


def _outline(row: Row) -> ConvexPolygon | None:
    """The convex hull of a detector's corners on the sky; None where one is not finite."""
    ra, dec = np.asarray(row["ra_corners"], float), np.asarray(row["dec_corners"], float)
    if not (np.isfinite(ra).all() and np.isfinite(dec).all()):
        return None
    return convex_polygon(ra, dec)
