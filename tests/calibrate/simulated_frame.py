"""One simulated frame in electrons, its truth, and a loader of its reference stars."""

from __future__ import annotations

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astro_metadata_translator import ObservationInfo
from astropy.table import Table
from astropy.time import Time

from skyloom.astrometry import AstrometrySettings
from skyloom.calibrate import CalibrateSettings
from skyloom.catalog.refcat import select_circle
from skyloom.images import Exposure
from skyloom.instruments import Camera
from skyloom.simulate import (
    Mosaic,
    SkySettings,
    SurveySettings,
    TrueProjection,
    Visit,
    VisitSettings,
    make_sky,
    make_visits,
)
from skyloom.simulate.scene import draw_sky, draw_sources

READ_NOISE = 5.0
CAMERA = Camera.read("simulated")
SETTINGS = CalibrateSettings(
    astrometry=AstrometrySettings(
        pointing_error_deg=CAMERA.pointing_error_deg,
        scale_error=CAMERA.scale_error,
        rotation_error_deg=CAMERA.rotation_error_deg,
    )
)


@dataclass
class SimulatedFrame:
    """A frame before calibration, and what is true of it."""

    exposure: Exposure
    visit: Visit
    sky: Table
    reference: Table
    mosaic: Mosaic

    @property
    def projection(self) -> TrueProjection:
        """The true mapping between sky and pixels."""
        return self.visit.projection(self.mosaic)

    def loader(self, ra_deg: float, dec_deg: float, radius_deg: float, epoch_year: float | None) -> Table:
        """Reference stars of a circle; the sky stands still."""
        return select_circle(self.reference, ra_deg, dec_deg, radius_deg)


def simulated_frame(*, seed: int = 3, detector: int = 3, stars_per_square_arcmin: float = 15.0) -> SimulatedFrame:
    """Draw one frame of the simulated camera without its instrument signature."""
    sky_settings = SkySettings(stars_per_square_arcmin=stars_per_square_arcmin, saturated_stars=0)
    settings = SurveySettings(seed=seed, sky=sky_settings, visits=VisitSettings(visits_per_band=1))
    mosaic = Mosaic.of(CAMERA)
    sky, visit = make_sky(settings, mosaic), make_visits(settings, mosaic)[0]
    ccd = mosaic.ccds[detector]
    light = draw_sky(visit, mosaic, ccd)
    draw_sources(visit, settings.visits.moffat_beta, mosaic, ccd, sky, light)
    rng = np.random.default_rng(seed)
    pixels = rng.poisson(light) + READ_NOISE * rng.standard_normal(light.shape)
    exposure = Exposure.from_arrays(
        pixels,
        variance=np.maximum(pixels, 0.0) + READ_NOISE**2,
        unit=u.electron,
        detector=CAMERA.detector(detector, visit.visit),
        obs_info=_observation(visit),
        band=visit.band,
        projection=CAMERA.projection(
            detector,
            ra=visit.header_ra_deg,
            dec=visit.header_dec_deg,
            rotation_deg=visit.header_rotation_deg,
            visit=visit.visit,
        ),
    )
    return SimulatedFrame(exposure, visit, sky, _reference(sky), mosaic)


def _observation(visit: Visit) -> ObservationInfo:
    begin = Time(visit.date_obs, scale="utc")
    return ObservationInfo.makeObservationInfo(
        instrument="simulated",
        telescope="simulated",
        physical_filter=visit.band,
        exposure_id=visit.visit,
        visit_id=visit.visit,
        exposure_time=visit.exposure_time_s * u.s,
        boresight_airmass=float(visit.airmass),
        datetime_begin=begin,
        datetime_end=begin + visit.exposure_time_s * u.s,
    )


def _reference(sky: Table) -> Table:
    """Stars brighter than 21 mag with positions and fluxes in nJy."""
    listed = sky[sky["is_star"] & (sky["flux_r"] > 10 ** (0.4 * (31.4 - 21.0)))]
    return Table({name: np.asarray(listed[name]) for name in ("id", "ra", "dec", "flux_g", "flux_r", "flux_i")})
