"""The true sky of a survey, and the reference catalogue that knows some of its stars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table

from .projection import TrueProjection

if TYPE_CHECKING:
    from .mosaic import Mosaic
    from .settings import SkySettings, SurveySettings

__all__ = ["field_radius_deg", "mag_to_njy", "make_reference_catalogue", "make_sky", "sky_at", "survey_bands"]

_COLOURS = {"u": 2.2, "g": 1.0, "r": 0.0, "i": -0.45, "z": -0.7, "y": -0.85}
"""Magnitude in a band less that in r, for a g - r of one; other bands are taken for r."""

_STREAM_SKY, _STREAM_REFERENCE = 101, 102


def mag_to_njy(mag: np.ndarray | float) -> np.ndarray:
    """Flux density (nJy) of an AB magnitude."""
    return np.asarray(10.0 ** (0.4 * (31.4 - np.asarray(mag, dtype=np.float64))))


def survey_bands(settings: SurveySettings) -> tuple[str, ...]:
    """Passbands in which every source has a flux: g, r, i, and those of the survey."""
    return tuple(dict.fromkeys(("g", "r", "i", *settings.bands)))


def field_radius_deg(settings: SurveySettings, mosaic: Mosaic) -> float:
    """Radius (degrees) of the circle that every visit stays within, with a margin for stars off the edge."""
    return (mosaic.radius * mosaic.pixel_scale + settings.visits.dither_arcsec + 15.0) / 3600.0


def make_sky(settings: SurveySettings, mosaic: Mosaic) -> Table:
    """Draw the sources of a survey.

    Returns
    -------
    table
        One row a source: ``id``, ``ra``, ``dec`` (deg, ICRS, at the settings' epoch), ``pm_ra`` (times cos dec),
        ``pm_dec`` (mas / yr), ``flux_g``, ``flux_r``, ``flux_i``, ... (nJy), ``is_star``, and for galaxies
        ``half_light_radius`` (arcsec), ``sersic_n``, ``shear_1``, ``shear_2`` (0 for stars).
    """
    rng = np.random.default_rng([settings.seed, _STREAM_SKY])
    sky, radius = settings.sky, field_radius_deg(settings, mosaic)
    area = np.pi * (60.0 * radius) ** 2
    n_stars, n_galaxies = (
        round(area * density) for density in (sky.stars_per_square_arcmin, sky.galaxies_per_square_arcmin)
    )
    mag = np.concatenate(
        [
            _magnitudes(rng, n_stars, sky.mag_bright, sky.mag_faint, sky.mag_slope),
            rng.uniform(12.0, 13.0, sky.saturated_stars),
            _magnitudes(rng, n_galaxies, sky.galaxy_mag_bright, sky.galaxy_mag_faint, 0.3),
        ]
    )
    is_star = np.arange(len(mag)) < len(mag) - n_galaxies
    ra, dec = _uniform_in_circle(rng, len(mag), settings, mosaic, radius)
    colour = rng.uniform(0.2, 1.4, len(mag))
    table = QTable()
    table["id"] = np.arange(1, len(mag) + 1, dtype=np.int64)
    table["ra"], table["dec"] = ra * u.deg, dec * u.deg
    for band in survey_bands(settings):
        table[f"flux_{band}"] = mag_to_njy(mag + _COLOURS.get(band, 0.0) * colour) * u.nJy
    table["is_star"] = is_star
    _add_shapes(table, rng, sky)
    for name in ("pm_ra", "pm_dec"):
        motion = sky.proper_motion_mas_yr * rng.standard_normal(len(mag))
        table[name] = np.where(is_star, motion, 0.0) * u.mas / u.yr
    return Table(table)


def sky_at(sky: Table, from_year: float, to_year: float) -> Table:
    """The same sources where they stand at another time (Julian years)."""
    moved, years = sky.copy(), to_year - from_year
    moved["ra"] = sky["ra"] + years * sky["pm_ra"] / 3.6e6 / np.cos(np.radians(sky["dec"]))
    moved["dec"] = sky["dec"] + years * sky["pm_dec"] / 3.6e6
    return moved


def make_reference_catalogue(settings: SurveySettings, sky: Table) -> Table:
    """The stars a survey's reference catalogue lists, at the settings' epoch.

    Columns ``id``, ``ra``, ``dec`` (deg), ``pm_ra``, ``pm_dec`` (mas / yr) and ``mag_g`` ... (AB mag).
    """
    rng = np.random.default_rng([settings.seed, _STREAM_REFERENCE])
    listed = sky[sky["is_star"] & (sky["flux_r"] > mag_to_njy(settings.sky.reference_mag_limit))]
    scatter_deg = settings.sky.reference_scatter_mas / 3.6e6
    table = Table()
    table["id"] = listed["id"]
    table["ra"] = listed["ra"] + scatter_deg * rng.standard_normal(len(listed)) / np.cos(np.radians(listed["dec"]))
    table["dec"] = listed["dec"] + scatter_deg * rng.standard_normal(len(listed))
    table["ra"].unit = table["dec"].unit = u.deg
    table["pm_ra"], table["pm_dec"] = listed["pm_ra"], listed["pm_dec"]
    for band in survey_bands(settings):
        noise = settings.sky.reference_mag_scatter * rng.standard_normal(len(listed))
        table[f"mag_{band}"] = 31.4 - 2.5 * np.log10(listed[f"flux_{band}"]) + noise
        table[f"mag_{band}"].unit = u.mag
    return table


def _magnitudes(rng: np.random.Generator, count: int, bright: float, faint: float, slope: float) -> np.ndarray:
    """Draw from a number density that grows as 10 to the slope times the magnitude."""
    low, high = 10.0 ** (slope * bright), 10.0 ** (slope * faint)
    return np.asarray(np.log10(low + (high - low) * rng.random(count)) / slope)


def _uniform_in_circle(
    rng: np.random.Generator, count: int, settings: SurveySettings, mosaic: Mosaic, radius_deg: float
) -> tuple[np.ndarray, np.ndarray]:
    """Positions (degrees) uniform over a small circle on the sky, laid out on its tangent plane."""
    plane = TrueProjection(mosaic=mosaic, ra_deg=settings.ra_deg, dec_deg=settings.dec_deg)
    radius = np.radians(radius_deg) * np.sqrt(rng.random(count)) * 206264.80624709636 / mosaic.pixel_scale
    angle = 2 * np.pi * rng.random(count)
    return plane.focal_plane_to_sky(radius * np.cos(angle), radius * np.sin(angle))


def _add_shapes(table: Table, rng: np.random.Generator, sky: SkySettings) -> None:
    """Give galaxies a Sersic profile; stars keep zeros."""
    galaxy = ~np.asarray(table["is_star"])
    shear, angle = 0.3 * rng.random(len(table)), 2 * np.pi * rng.random(len(table))
    table["half_light_radius"] = np.where(galaxy, rng.uniform(*sky.half_light_radius_arcsec, len(table)), 0.0)
    table["sersic_n"] = np.where(galaxy, rng.choice([1.0, 1.5, 2.0], len(table)), 0.0)
    table["shear_1"] = np.where(galaxy, shear * np.cos(angle), 0.0)
    table["shear_2"] = np.where(galaxy, shear * np.sin(angle), 0.0)
