"""Headers of simulated frames, written by the camera's own description so that it can read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import astropy.units as u
from astropy.io import fits
from astropy.time import Time, TimeDelta

from skyloom.errors import BadFrameError, CameraError
from skyloom.instruments import Camera
from skyloom.instruments.description import DateSource, Source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .mosaic import Ccd, Mosaic

__all__ = ["Exposure", "check_header", "exposure_id_of", "make_header"]


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """What a header tells of an exposure."""

    number: int
    observation_type: str
    begin: str
    """ISO 8601, UTC."""
    seconds: float
    band: str | None = None
    ra_deg: float | None = None
    dec_deg: float | None = None
    position_angle_deg: float | None = None
    airmass: float | None = None


def make_header(
    exposure: Exposure, mosaic: Mosaic, ccd: Ccd, cards: Mapping[str, str], template: fits.Header | None = None
) -> fits.Header:
    """The header of one frame.

    Quantities that the description takes from a keyword are written under it; those that it works out, or knows, need
    nothing.  What it works out from keywords that none of these writes has to come from ``cards``.

    Parameters
    ----------
    exposure
        What to tell.
    mosaic, ccd
        Whose frame it is.
    cards
        Further cards: text with ``{visit}``, ``{date_obs}``, ``{exposure_time_s}``, ``{kind}`` in it.
    template
        What the header begins with; all that is told here takes the place of what it says.
    """
    camera = mosaic.camera
    header = fits.Header() if template is None else template.copy()
    header.update(camera.description.recognise)
    fields = {
        "visit": exposure.number,
        "date_obs": exposure.begin,
        "exposure_time_s": exposure.seconds,
        "kind": exposure.observation_type,
    }
    for card, text in cards.items():
        header[card] = _value(text.format(**fields))
    told = _quantities(exposure, mosaic, ccd)
    if template is not None:
        del told["detector"]  # the template is that of the detector, and names it in its own way
    for quantity, value in told.items():
        source = getattr(camera.description.header, quantity)
        if source is not None and source.keywords and source.expression is None:
            _write(header, source, value, exposure)
    for amplifier in camera.description_of(ccd.id).amplifiers:
        for keyword, number in (
            (amplifier.gain_keyword, amplifier.gain),
            (amplifier.read_noise_keyword, amplifier.read_noise),
            (amplifier.saturation_keyword, amplifier.saturation),
        ):
            if keyword is not None:
                header[keyword] = number
    header["BUNIT"] = "adu"
    return header


def exposure_id_of(camera: Camera, header: fits.Header) -> int:
    """The id that the camera gives the exposure of a header."""
    return camera.reader(header, "a simulated frame").exposure_id()


def _quantities(exposure: Exposure, mosaic: Mosaic, ccd: Ccd) -> dict[str, Any]:
    """Quantities of the description and their values; what is not told is left out."""
    description = mosaic.camera.description
    told: dict[str, Any] = {
        "exposure_id": exposure.number,
        "exposure_time": exposure.seconds,
        "dark_time": exposure.seconds,
        "date": exposure.begin,
        "detector": ccd.id,
        "observation_type": exposure.observation_type,
        "object": "simulated field" if exposure.ra_deg is not None else exposure.observation_type,
        "filter": None if exposure.band is None else mosaic.filter_of(exposure.band),
        "ra": exposure.ra_deg,
        "dec": exposure.dec_deg,
        "airmass": exposure.airmass,
    }
    if exposure.position_angle_deg is not None and description.rotator_sign:
        angle = (exposure.position_angle_deg - description.position_angle) * description.rotator_sign
        told["rotator"] = angle
    return {name: value for name, value in told.items() if value is not None}


def _write(header: fits.Header, source: Source, value: Any, exposure: Exposure) -> None:
    """Write a value in the camera's own words and unit."""
    keyword = source.keywords[0]
    if isinstance(source, DateSource):
        _write_date(header, source, exposure)
        return
    value = next((theirs for theirs, ours in source.values.items() if ours == value), value)
    if source.unit is not None and isinstance(value, float):
        base = u.deg if u.Unit(source.unit).is_equivalent(u.deg) else u.s
        value = float((value * base).to_value(source.unit))
    header[keyword] = value


def _write_date(header: fits.Header, source: DateSource, exposure: Exposure) -> None:
    fraction = {"begin": 0.0, "middle": 0.5, "end": 1.0}[source.refers_to]
    time = Time(exposure.begin, scale="utc") + TimeDelta(fraction * exposure.seconds, format="sec")
    time = getattr(time, source.scale)
    keyword = source.keywords[0]
    if source.format != "iso":
        header[keyword] = float(getattr(time, source.format))
    elif source.time_keyword is not None:
        header[keyword], header[source.time_keyword] = time.isot.split("T")
    else:
        header[keyword] = time.isot
    if source.scale == "utc" and "TIMESYS" not in header:
        header["TIMESYS"] = "UTC"


def _value(text: str) -> int | float | str:
    """A number where the text is one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def check_header(camera: Camera, header: fits.Header) -> fits.Header:
    """See that a camera can read the header of a frame, and return it.

    Raises
    ------
    CameraError
        If it cannot.
    """
    try:
        camera.translate(header, "a simulated frame")
    except BadFrameError as error:
        raise CameraError(
            f"{camera.name} cannot read the header of a simulated frame: {error.cause}",
            keyword=error.keyword,
            cure="Give the keywords that its expressions use under `cards`, such as DATE: '{date_obs}'.",
        ) from error
    return header
