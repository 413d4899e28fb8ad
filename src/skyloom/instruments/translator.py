"""A metadata translator generated from a camera's description, so that `ObservationInfo` reads its headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import astropy.units as u
from astro_metadata_translator import MetadataTranslator
from astro_metadata_translator.properties import PROPERTIES
from astropy.coordinates import AltAz, Angle, EarthLocation, SkyCoord

from .header import ON_SKY, HeaderReader

if TYPE_CHECKING:
    from .camera import Camera

__all__ = ["DescribedTranslator", "make_translator"]

_CAN_SEE_SKY = {"science": True, "bias": False, "dark": False}


class DescribedTranslator(MetadataTranslator):
    """Translates the headers of one camera; made by `make_translator`, and registered under no name."""

    camera: Camera

    @classmethod
    def can_translate(cls, header: Mapping[str, Any], filename: str | None = None) -> bool:  # noqa: ARG003
        """Whether the header has the values by which the camera is recognised."""
        recognise = cls.camera.description.recognise
        return bool(recognise) and all(header.get(keyword) == value for keyword, value in recognise.items())

    @property
    def _reader(self) -> HeaderReader:
        return self.camera.reader(self._header, self.filename or "")

    def to_telescope(self) -> str:
        """Name of the telescope."""
        return self.camera.description.telescope or self.camera.name

    def to_instrument(self) -> str:
        """Name of the instrument in repositories."""
        return self.camera.name

    def to_location(self) -> EarthLocation | None:
        """Where the telescope stands."""
        return self.camera.location

    def to_exposure_id(self) -> int:
        """Id of the exposure."""
        return self._reader.exposure_id()

    def to_visit_id(self) -> int:
        """Id of the visit: that of the exposure."""
        return self._reader.exposure_id()

    def to_observation_id(self) -> str:
        """Name of the exposure."""
        return self._reader.optional_text("observation_id") or str(self._reader.exposure_id())

    def to_physical_filter(self) -> Any:
        """Name of the filter."""
        return self._reader.filter_name()

    def to_datetime_begin(self) -> Any:
        """Start of the exposure, TAI."""
        return self._reader.begin()

    def to_datetime_end(self) -> Any:
        """End of the exposure, TAI."""
        return self._reader.end()

    def to_exposure_time(self) -> u.Quantity:
        """Exposure time."""
        return self._reader.exposure_time() * u.s

    def to_exposure_time_requested(self) -> u.Quantity:
        """Exposure time; headers are not expected to tell another."""
        return self.to_exposure_time()

    def to_dark_time(self) -> u.Quantity:
        """Time in which dark current was collected."""
        return self._reader.dark_time() * u.s

    def to_boresight_airmass(self) -> float | None:
        """Airmass."""
        return self._reader.optional_number("airmass")

    def to_boresight_rotation_angle(self) -> Angle | None:
        """Position angle of the mosaic's +y."""
        return Angle(self._reader.position_angle() * u.deg) if self._on_sky() else None

    def to_boresight_rotation_coord(self) -> str:
        """The rotation angle is one on the sky."""
        return "sky" if self._on_sky() else "unknown"

    def to_detector_num(self) -> Any:
        """Id of the detector; None where the header alone does not tell it."""
        told = self._reader.detector()
        return self.camera.lookup_detector(told, self.filename or "") if told is not None else self._only_detector()

    def to_detector_name(self) -> Any:
        """Name of the detector."""
        number = self.to_detector_num()
        return None if number is None else self.camera.description_of(number).name

    def to_detector_unique_name(self) -> Any:
        """Name of the detector."""
        return self.to_detector_name()

    def to_detector_serial(self) -> Any:
        """Serial number of the detector."""
        number = self.to_detector_num()
        return None if number is None else self.camera.description_of(number).serial

    def to_object(self) -> str:
        """What the telescope pointed at."""
        return self._reader.optional_text("object") or "unknown"

    def to_temperature(self) -> u.Quantity | None:
        """Temperature of the air."""
        value = self._reader.optional_number("temperature")
        return None if value is None else value * u.K

    def to_tracking_radec(self) -> SkyCoord | None:
        """Boresight."""
        pointing = self._reader.pointing()
        return None if pointing is None else SkyCoord(*pointing, unit=u.deg)

    def to_altaz_begin(self) -> AltAz | None:
        """Where the telescope pointed above the horizon."""
        azimuth, altitude = (self._reader.optional_number(name) for name in ("azimuth", "altitude"))
        if azimuth is None or altitude is None:
            return None
        return AltAz(azimuth * u.deg, altitude * u.deg, obstime=self._reader.begin(), location=self.to_location())

    def to_science_program(self) -> str:
        """Observing programme."""
        return self._reader.optional_text("program") or "unknown"

    def to_observation_type(self) -> str:
        """science, bias, dark, flat, ..."""
        return self._reader.observation_type()

    def to_observation_reason(self) -> str:
        """Why the frame was taken."""
        return self._reader.optional_text("reason") or self._reader.observation_type()

    def to_exposure_group(self) -> str:
        """Group of exposures that belong together."""
        return self._reader.optional_text("group") or self.to_observation_id()

    def to_observing_day(self) -> int:
        """Date of the night."""
        return self._reader.night()

    def to_observation_counter(self) -> int:
        """Number of the observation."""
        return self._reader.exposure_id()

    def to_group_counter_start(self) -> int:
        """First number of the group."""
        return self._reader.exposure_id()

    def to_group_counter_end(self) -> int:
        """Last number of the group."""
        return self._reader.exposure_id()

    def to_has_simulated_content(self) -> bool:
        """Whether the frame was simulated."""
        return self._reader.simulated()

    def to_can_see_sky(self) -> bool | None:
        """Whether light from the sky reached the detector; None where the type does not tell."""
        return _CAN_SEE_SKY.get(self._reader.observation_type())

    def _on_sky(self) -> bool:
        return self._reader.observation_type() in ON_SKY

    def _only_detector(self) -> int | None:
        ids = self.camera.detector_ids
        return ids[0] if len(ids) == 1 else None


def _unknown(self: MetadataTranslator) -> None:
    """What no camera description tells."""


for _property in PROPERTIES:
    # The base class raises NotImplementedError for what is missing; None is what the property allows instead.
    if f"to_{_property}" not in vars(DescribedTranslator):
        setattr(DescribedTranslator, f"to_{_property}", _unknown)


def make_translator(camera: Camera) -> type[DescribedTranslator]:
    """A translator class for one camera."""
    return type(
        f"{camera.name}Translator", (DescribedTranslator,), {"camera": camera, "supported_instrument": camera.name}
    )
