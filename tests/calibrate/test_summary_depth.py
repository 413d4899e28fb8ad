"""Magnitude limits, effective times and zenith distances are those that can be computed by hand or were published."""

from __future__ import annotations

import math

import astropy.units as u
import numpy as np
import pytest
from astro_metadata_translator import ObservationInfo
from astropy.coordinates import AltAz, EarthLocation
from astropy.time import Time

from skyloom.calibrate.depth import effective_time_s, effective_time_scales, limiting_flux, magnitude_limit
from skyloom.calibrate.summary_settings import FiducialObservation
from skyloom.calibrate.zenith import zenith_distance_deg

PACHON = EarthLocation.from_geodetic(-70.7366 * u.deg, -30.2407 * u.deg, 2650 * u.m)
DATE = Time(59234.7083333334, format="mjd", scale="utc")


def test_signal_to_noise_at_the_limit_is_the_wanted_one() -> None:
    flux = limiting_flux(30.0, 400.0, 7.0, 5.0)
    assert flux / math.sqrt(flux + (400 + 49) * 30) == pytest.approx(5.0)
    assert limiting_flux(30.0, 400.0, math.nan, 5.0) == limiting_flux(30.0, 400.0, 0.0, 5.0)


@pytest.mark.parametrize(
    ("fwhm_arcsec", "sky", "zero_point", "expected"),
    [(0.87, 463.634122, 28.508375, 24.90), (0.83, 988.626863, 28.360838, 24.48), (0.80, 1588.280513, 28.171396, 24.10)],
)
def test_limits_of_the_rubin_observatory(fwhm_arcsec: float, sky: float, zero_point: float, expected: float) -> None:
    # g, r, i in 30 s of two read-outs of 9 e-: sky, zero points of 1 s and limits as the observatory states them.
    area = 2.266 * (fwhm_arcsec / 0.2) ** 2
    found = magnitude_limit(zero_point + 2.5 * np.log10(30), area, sky, 9 * math.sqrt(2))
    assert found == pytest.approx(expected, abs=0.01)


def test_limit_of_what_is_unknown_is_unknown() -> None:
    assert math.isnan(magnitude_limit(math.nan, 20.0, 100.0, 5.0))
    assert math.isnan(magnitude_limit(27.0, math.nan, 100.0, 5.0))
    assert math.isnan(magnitude_limit(27.0, 20.0, -1e5, 5.0))


def test_effective_time_counts_fiducial_exposures() -> None:
    fiducial = FiducialObservation(magnitude_limit=24.0)
    assert effective_time_s(24.0, fiducial) == pytest.approx(30.0)
    assert effective_time_s(24.4, fiducial) == pytest.approx(30.0 * 2.09, rel=1e-3)


def test_effective_time_is_that_of_the_sky_limited_frame() -> None:
    fiducial = FiducialObservation(
        magnitude_limit=magnitude_limit(25 + 2.5 * np.log10(30), 4 * np.pi, 30 * 1e6, 0.0), sky_electron_per_s=1e6
    )
    # Twice the width, half the light, twice the sky, four times the time: a scale each, and their product.
    limit = magnitude_limit(25 + 2.5 * np.log10(60), 16 * np.pi, 2 * 120 * 1e6, 0.0)
    scales = effective_time_scales(2.0, 2 * 120 * 1e6, 25 + 2.5 * np.log10(60), 120.0, fiducial)
    assert scales == pytest.approx(
        {"effTimePsfSigmaScale": 0.25, "effTimeZeroPointScale": 0.25, "effTimeSkyBgScale": 0.5}
    )
    assert effective_time_s(limit, fiducial) == pytest.approx(120.0 * 0.25 * 0.25 * 0.5, rel=1e-3)


def test_transparency_may_be_limited() -> None:
    scales = effective_time_scales(1.0, 30.0, 27.0 + 2.5 * np.log10(30), 30.0, FiducialObservation(), 1.05)
    assert scales["effTimeZeroPointScale"] == 1.05


def observation(**more: object) -> ObservationInfo:
    known = {"instrument": "simulated", "datetime_begin": DATE, "location": PACHON}
    return ObservationInfo.makeObservationInfo(**(known | more))


def test_zenith_distance_is_computed_from_place_and_time() -> None:
    assert zenith_distance_deg(observation(), 300.0, 0.0) == pytest.approx(30.57112, abs=1e-5)
    # The middle of the exposure counts.
    middle = observation(datetime_begin=DATE - 300 * u.s, datetime_end=DATE + 300 * u.s)
    assert zenith_distance_deg(middle, 300.0, 0.0) == pytest.approx(30.57112, abs=1e-5)


def test_zenith_distance_of_the_header_comes_first_and_the_airmass_last() -> None:
    altaz = AltAz(alt=50 * u.deg, az=10 * u.deg, obstime=DATE, location=PACHON)
    assert zenith_distance_deg(observation(altaz_begin=altaz), 300.0, 0.0) == pytest.approx(40.0)
    lost = observation(location=None, boresight_airmass=2.0)
    assert zenith_distance_deg(lost, 300.0, 0.0) == pytest.approx(60.0)
    assert math.isnan(zenith_distance_deg(observation(datetime_begin=None), 300.0, 0.0))
    assert math.isnan(zenith_distance_deg(observation()))
