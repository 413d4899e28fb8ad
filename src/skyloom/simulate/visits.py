"""The visits of a survey: where each truly pointed, what its header says, and what the air did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table
from astropy.time import Time, TimeDelta

from .projection import TrueProjection

if TYPE_CHECKING:
    from .mosaic import Mosaic
    from .settings import SurveySettings

__all__ = ["FIRST_NIGHT", "Visit", "make_visits", "visit_table"]

_STREAM_VISIT = 201
FIRST_NIGHT = Time("2026-01-15T04:00:00", scale="utc")
"""Start of the first exposure of the sky."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One pointing in one band, with its truth and its header."""

    visit: int
    band: str
    date_obs: str
    """Start of the exposure, ISO 8601, UTC."""
    exposure_time_s: float
    ra_deg: float
    dec_deg: float
    rotation_deg: float
    """True boresight and position angle of the focal plane's +y."""
    header_ra_deg: float
    header_dec_deg: float
    header_rotation_deg: float
    distortion_pixels: float
    zero_point_mag: float
    """AB magnitude of one electron where the flat field is one and the sky is clear."""
    cloud_mag: float
    """Extinction by clouds at the centre of the field."""
    cloud_gradient: tuple[float, float]
    """Relative change of the transparency over the half width of the focal plane, along its x and y."""
    seeing_arcsec: float
    seeing_gradient: tuple[float, float]
    """Relative change of the FWHM over the half width of the focal plane, along its x and y."""
    ellipticity_gradient: tuple[float, float]
    """Shear (g1, g2) of the PSF in the focal plane at its +x and +y edge."""
    sky_electrons: float
    sky_gradient: tuple[float, float]
    """Relative change of the sky over the half width of the focal plane, along its x and y."""
    airmass: float

    def projection(self, mosaic: Mosaic) -> TrueProjection:
        """The true mapping between sky and focal plane."""
        return TrueProjection(
            mosaic=mosaic,
            ra_deg=self.ra_deg,
            dec_deg=self.dec_deg,
            rotation_deg=self.rotation_deg,
            distortion_pixels=self.distortion_pixels,
        )

    @property
    def middle(self) -> Time:
        """Middle of the exposure."""
        return Time(self.date_obs, scale="utc") + TimeDelta(0.5 * self.exposure_time_s, format="sec")


def make_visits(settings: SurveySettings, mosaic: Mosaic) -> list[Visit]:
    """Draw the visits of a survey, band by band, in the order in which they are taken."""
    bands = [band for band in settings.bands for _ in range(settings.visits.visits_per_band)]
    return [_make_visit(settings, mosaic, index, band) for index, band in enumerate(bands)]


def visit_table(visits: list[Visit]) -> Table:
    """One row a visit; the pairs become two columns each."""
    rows = []
    for visit in visits:
        row: dict[str, object] = {}
        for name, value in vars(visit).items():
            if isinstance(value, tuple):
                row |= {f"{name}_x": value[0], f"{name}_y": value[1]}
            else:
                row[name] = value
        rows.append(row)
    return Table(rows=rows)


def _make_visit(settings: SurveySettings, mosaic: Mosaic, index: int, band: str) -> Visit:
    number, options = settings.visits.first_visit + index, settings.visits
    rng = np.random.default_rng([settings.seed, _STREAM_VISIT, number])
    dither_x, dither_y = _in_disc(rng, options.dither_arcsec)
    error_x, error_y = _in_disc(rng, options.pointing_error_arcsec)
    cos_dec = np.cos(np.radians(settings.dec_deg))
    ra, dec = settings.ra_deg + dither_x / cos_dec / 3600.0, settings.dec_deg + dither_y / 3600.0
    camera_angle = mosaic.camera.description.position_angle
    rotation = camera_angle + rng.uniform(-1, 1) * options.rotation_deg
    told = rotation + rng.uniform(-1, 1) * options.header_rotation_error_deg
    if mosaic.camera.description.header.rotator is None:
        told = camera_angle
    started = FIRST_NIGHT + TimeDelta(index * (options.exposure_time_s + 30.0), format="sec")
    return Visit(
        visit=number,
        band=band,
        date_obs=started.isot,
        exposure_time_s=options.exposure_time_s,
        ra_deg=ra,
        dec_deg=dec,
        rotation_deg=rotation,
        header_ra_deg=ra + error_x / cos_dec / 3600.0,
        header_dec_deg=dec + error_y / 3600.0,
        header_rotation_deg=told,
        distortion_pixels=options.distortion_pixels,
        zero_point_mag=options.zero_point_mag + options.zero_point_scatter_mag * rng.standard_normal(),
        seeing_arcsec=rng.uniform(*options.seeing_arcsec),
        seeing_gradient=_in_disc(rng, options.seeing_gradient),
        ellipticity_gradient=_in_disc(rng, options.ellipticity),
        sky_electrons=rng.uniform(*options.sky_electrons),
        sky_gradient=_in_disc(rng, options.sky_gradient),
        airmass=1.0 + 0.5 * rng.random(),
        cloud_mag=options.cloud_mag * rng.random(),
        cloud_gradient=_in_disc(rng, options.cloud_gradient),
    )


def _in_disc(rng: np.random.Generator, radius: float) -> tuple[float, float]:
    """A point uniform in a disc."""
    distance, angle = radius * np.sqrt(rng.random()), 2 * np.pi * rng.random()
    return float(distance * np.cos(angle)), float(distance * np.sin(angle))
