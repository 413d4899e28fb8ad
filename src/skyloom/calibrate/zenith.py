"""How far from the zenith a frame looks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import astropy.units as u
from astropy.coordinates import AltAz, SkyCoord
from astropy.utils import iers

if TYPE_CHECKING:
    from astro_metadata_translator import ObservationInfo
    from astropy.time import Time

__all__ = ["middle_of_exposure", "zenith_distance_deg"]


def zenith_distance_deg(info: ObservationInfo, ra_deg: float = math.nan, dec_deg: float = math.nan) -> float:
    """Distance from the zenith, degrees, without refraction; NaN where it cannot be told.

    The altitude that the header tells comes first; then that of a position (ICRS) at the middle of the exposure, as
    seen from where the header says the telescope stands; then what the airmass means.
    """
    if info.altaz_begin is not None:
        return 90.0 - float(info.altaz_begin.alt.to_value("deg"))
    time = middle_of_exposure(info)
    if info.location is not None and time is not None and math.isfinite(ra_deg) and math.isfinite(dec_deg):
        # The table that comes with astropy: beyond its end, without a download, the Earth is off by a second at most.
        degraded = iers.conf.set_temp("iers_degraded_accuracy", "ignore")
        with iers.earth_orientation_table.set(iers.IERS_B.open()), degraded:
            sky = SkyCoord(ra_deg * u.deg, dec_deg * u.deg, frame="icrs")
            return 90.0 - float(sky.transform_to(AltAz(obstime=time, location=info.location)).alt.to_value("deg"))
    if info.boresight_airmass is not None and info.boresight_airmass >= 1.0:
        return math.degrees(math.acos(1.0 / info.boresight_airmass))
    return math.nan


def middle_of_exposure(info: ObservationInfo) -> Time | None:
    """The middle of the exposure, or None where its date is not known."""
    begin, end = info.datetime_begin, info.datetime_end
    if begin is None:
        return None
    if end is not None:
        return begin + 0.5 * (end - begin)
    return begin if info.exposure_time is None else begin + 0.5 * info.exposure_time
