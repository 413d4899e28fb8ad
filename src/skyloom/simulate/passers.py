"""What passes through the field: satellite trails that cross one visit, asteroids that move from visit to visit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table

from .scene import add_point, electrons_per_njy, transparency
from .sky import field_radius_deg, mag_to_njy
from .visits import FIRST_NIGHT

if TYPE_CHECKING:
    from .mosaic import Ccd, Mosaic
    from .settings import SurveySettings
    from .visits import Visit

__all__ = ["draw_asteroids", "draw_trails", "make_asteroids", "make_trails"]

_STREAM_TRAILS, _STREAM_ASTEROIDS = 501, 502


def make_trails(settings: SurveySettings, mosaic: Mosaic, visits: list[Visit]) -> Table:
    """Draw the satellite trails.

    Returns
    -------
    table
        One row a trail: ``visit``; ``angle`` (deg) of its normal and ``distance`` (pix) of the line from the boresight,
        in the focal plane; ``peak`` (electrons a pixel).
    """
    rows = []
    for visit in visits:
        rng = np.random.default_rng([settings.seed, _STREAM_TRAILS, visit.visit])
        for _ in range(rng.poisson(settings.visits.trails)):
            angle, distance = rng.uniform(0, 360), rng.uniform(0, 0.8) * mosaic.half_width
            rows.append((visit.visit, angle, distance, rng.uniform(*settings.visits.trail_electrons)))
    names, types = ("visit", "angle", "distance", "peak"), (np.int64, float, float, float)
    table = Table(rows=rows or None, names=names, dtype=types)
    for name, unit in (("angle", "deg"), ("distance", "pix")):
        table[name].unit = unit
    return table


def draw_trails(visit: Visit, mosaic: Mosaic, ccd: Ccd, trails: Table, image: np.ndarray) -> np.ndarray:
    """Add the trails of a visit to ``image`` (electrons ``[y, x]``) in place: Gaussian across, as wide as the seeing.

    Returns
    -------
    touched
        Bool ``[y, x]``: pixels within two widths of a trail.
    """
    touched = np.zeros(image.shape, dtype=bool)
    sigma = visit.seeing_arcsec / mosaic.pixel_scale / 2.3548
    for trail in trails[np.asarray(trails["visit"]) == visit.visit]:
        u, v = ccd.grid()
        across = u * np.cos(np.radians(trail["angle"])) + v * np.sin(np.radians(trail["angle"])) - trail["distance"]
        image += trail["peak"] * np.exp(-0.5 * (across / sigma) ** 2)
        touched |= np.abs(across) < 2 * sigma
    return touched


def make_asteroids(settings: SurveySettings, mosaic: Mosaic) -> Table:
    """Draw the asteroids.

    Returns
    -------
    table
        One row a body: ``id``, ``ra``, ``dec`` (deg, ICRS, at the start of the first visit), ``rate_ra`` (times cos
        dec) and ``rate_dec`` (arcsec / h), ``mag`` (AB, in every band).
    """
    options = settings.sky
    rng = np.random.default_rng([settings.seed, _STREAM_ASTEROIDS])
    count, radius = options.asteroids, 0.7 * field_radius_deg(settings, mosaic)
    distance, angle = radius * np.sqrt(rng.random(count)), 2 * np.pi * rng.random(count)
    rate, heading = rng.uniform(*options.asteroid_arcsec_per_hour, count), 2 * np.pi * rng.random(count)
    table = Table()
    table["id"] = np.arange(1, count + 1, dtype=np.int64)
    table["ra"] = settings.ra_deg + distance * np.cos(angle) / np.cos(np.radians(settings.dec_deg))
    table["dec"] = settings.dec_deg + distance * np.sin(angle)
    table["rate_ra"], table["rate_dec"] = rate * np.cos(heading), rate * np.sin(heading)
    table["mag"] = rng.uniform(*options.asteroid_mag, count)
    units = {"ra": "deg", "dec": "deg", "rate_ra": "arcsec/h", "rate_dec": "arcsec/h", "mag": "mag"}
    for name, unit in units.items():
        table[name].unit = unit
    return table


def draw_asteroids(visit: Visit, beta: float, mosaic: Mosaic, ccd: Ccd, asteroids: Table, image: np.ndarray) -> None:
    """Add the asteroids, smeared by their motion during the exposure, to ``image`` (electrons ``[y, x]``) in place."""
    hours = (visit.middle - FIRST_NIGHT).to_value("h")
    exposed = visit.exposure_time_s / 3600.0
    for body in asteroids:
        length = float(np.hypot(body["rate_ra"], body["rate_dec"])) * exposed / mosaic.pixel_scale
        steps = int(np.ceil(2 * length)) + 1
        times = hours + exposed * ((np.arange(steps) + 0.5) / steps - 0.5)
        ra = body["ra"] + times * body["rate_ra"] / 3600.0 / np.cos(np.radians(body["dec"]))
        x, y = visit.projection(mosaic).sky_to_pixel(ccd, ra, body["dec"] + times * body["rate_dec"] / 3600.0)
        light = mag_to_njy(body["mag"]) * electrons_per_njy(visit) / steps * transparency(visit, mosaic, ccd, x, y)
        for at, electrons in zip(zip(x, y, strict=True), light, strict=True):
            add_point(visit, beta, mosaic, ccd, (float(at[0]), float(at[1])), float(electrons), image)
