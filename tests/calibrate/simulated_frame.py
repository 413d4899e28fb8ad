"""One simulated frame in electrons, its truth, and a loader of its reference stars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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

type Light = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""Light ``[y, x]`` to be added to that of the sky, electrons."""
type Sources = Callable[[Table, tuple[float, float], np.random.Generator], Table]
"""The sources of the sky with others around a place (ra, dec in degrees)."""
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
    detector: int
    beta: float
    """Exponent of the Moffat profile of the PSF."""

    @property
    def projection(self) -> TrueProjection:
        """The true mapping between sky and pixels."""
        return self.visit.projection(self.mosaic)

    def loader(self, ra_deg: float, dec_deg: float, radius_deg: float, epoch_year: float | None) -> Table:
        """Reference stars of a circle; the sky stands still."""
        return select_circle(self.reference, ra_deg, dec_deg, radius_deg)


def simulated_frame(
    *,
    seed: int = 3,
    detector: int = 3,
    stars_per_square_arcmin: float = 15.0,
    vignetting: float = 0.0,
    more_light: Light | None = None,
    more_sources: Sources | None = None,
    sky: dict[str, Any] | None = None,
    visits: dict[str, Any] | None = None,
) -> SimulatedFrame:
    """Draw one frame of the simulated camera without its instrument signature.

    ``vignetting`` is the loss of light at the corners of the detector, divided out again; ``more_light`` and
    ``more_sources`` add to the light and to the sky; ``sky`` and ``visits`` are settings of `SkySettings` and
    `VisitSettings`.
    """
    sky_settings = SkySettings(stars_per_square_arcmin=stars_per_square_arcmin, saturated_stars=0, **(sky or {}))
    settings = SurveySettings(seed=seed, sky=sky_settings, visits=VisitSettings(visits_per_band=1, **(visits or {})))
    mosaic = Mosaic.of(CAMERA)
    sources, visit = make_sky(settings, mosaic), make_visits(settings, mosaic)[0]
    ccd = mosaic.ccds[detector]
    if more_sources is not None:
        middle = visit.projection(mosaic).pixel_to_sky(ccd, np.array([512.0]), np.array([512.0]))
        sources = more_sources(sources, (float(middle[0][0]), float(middle[1][0])), np.random.default_rng([seed, 1]))
    light = draw_sky(visit, mosaic, ccd)
    if more_light is not None:
        light += more_light(light, np.random.default_rng([seed, 2]))
    draw_sources(visit, settings.visits.moffat_beta, mosaic, ccd, sources, light)
    flat = _flat(light.shape, vignetting)
    rng = np.random.default_rng(seed)
    pixels = rng.poisson(light * flat) + READ_NOISE * rng.standard_normal(light.shape)
    exposure = Exposure.from_arrays(
        pixels / flat,
        variance=(np.maximum(pixels, 0.0) + READ_NOISE**2) / flat**2,
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
    return SimulatedFrame(exposure, visit, sources, _reference(sources), mosaic, detector, settings.visits.moffat_beta)


def _flat(shape: tuple[int, int], vignetting: float) -> np.ndarray:
    """Throughput ``[y, x]``: one at the centre, falling with the square of the distance to the corners."""
    y, x = (np.linspace(-1, 1, size) for size in shape)
    return np.asarray(1 - vignetting * (x[None, :] ** 2 + y[:, None] ** 2) / 2)


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
