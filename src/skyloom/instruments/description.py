"""What a camera's YAML file may say: one pydantic model a part, nothing else accepted."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from skyloom.images.mask_planes import MASK_PLANES

from .expressions import Expression
from .parts import BoxDescription, Part
from .processed import CorrectedDescription, MastersDescription, SeparateAmplifierDescription
from .quantities import Degrees, Millimetres, PixelScale

__all__ = [
    "AmplifierDescription",
    "BoxDescription",
    "CameraDescription",
    "ColourTermDescription",
    "DateSource",
    "DetectorDescription",
    "FilterDescription",
    "HeaderDescription",
    "MasksDescription",
    "Source",
]


class RawAmplifierDescription(Part):
    """Where an amplifier lies in the raw image that all amplifiers of the detector share."""

    box: BoxDescription
    """All its pixels, overscan included."""
    data: BoxDescription
    """The pixels that saw light; mirrored as `flip_x` and `flip_y` say they become the amplifier's trimmed box."""
    serial_overscan: BoxDescription | None = None
    parallel_overscan: BoxDescription | None = None
    prescan: BoxDescription | None = None


class AmplifierDescription(Part):
    """One amplifier: geometry and nominal calibration."""

    name: str
    box: BoxDescription
    """Its pixels in the trimmed, assembled detector."""
    raw: RawAmplifierDescription | None = None
    """None: the raw image is the trimmed one, there is no overscan."""
    readout_corner: Literal["LL", "LR", "UL", "UR"] = "LL"
    """Corner of the raw data box from which it is read out."""
    flip_x: bool = False
    """Whether columns are mirrored when the detector is assembled."""
    flip_y: bool = False
    gain: Annotated[float, Field(gt=0)]
    """Electrons an ADU."""
    read_noise: Annotated[float, Field(ge=0)]
    """Electrons."""
    saturation: Annotated[float, Field(gt=0)]
    """ADU of the raw frame; of the counts without soft bias for frames that come without instrument signature."""
    suspect_level: float = math.nan
    """ADU up to which the response is trusted; not a number: as far as saturation."""
    bias_level: Annotated[float, Field(ge=0)] = 0.0
    """ADU to take off where there is neither overscan nor a bias frame."""
    gain_keyword: str | None = None
    """Header keyword that overrides `gain`, where the header has it."""
    read_noise_keyword: str | None = None
    read_noise_limit: Annotated[float, Field(gt=0)] = math.inf
    """Electrons; a header that tells more does not know it, and `read_noise` counts."""
    saturation_keyword: str | None = None
    separate: SeparateAmplifierDescription | None = None
    """How to find it in files of single amplifiers; None: there are none."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.separate is not None and self.raw is None:
            raise ValueError(f"amplifier {self.name}: `separate` tells how to make a raw image, and `raw` is missing")
        for region in ("data", "serial_overscan", "parallel_overscan", "prescan") if self.separate else ():
            one, other = getattr(self.separate, region), getattr(self.raw, region)
            if (one and one.shape) != (other and other.shape):
                raise ValueError(f"amplifier {self.name}: {region} of `separate` and of `raw` differ in size")
        return self

    @model_validator(mode="after")
    def _sizes_agree(self) -> Self:
        if self.raw is not None and self.raw.data.shape != self.box.shape:
            raise ValueError(
                f"amplifier {self.name}: raw data box {self.raw.data.shape} and trimmed box {self.box.shape} "
                "(rows, columns) differ in size"
            )
        return self


class DetectorDescription(Part):
    """One detector: its place in the mosaic and its amplifiers."""

    id: Annotated[int, Field(ge=0)]
    name: Annotated[str, Field(max_length=32)]
    serial: str = ""
    size: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]
    """Columns and rows of the trimmed detector."""
    position: tuple[float, float] = (0.0, 0.0)
    """x, y of the detector's centre in the mosaic, in the camera's `position_unit`; the boresight is at (0, 0)."""
    rotation: Degrees = "0 deg"  # type: ignore[assignment]
    """Counter-clockwise rotation of the detector's pixel axes in the mosaic."""
    hdu: int | str | None = None
    """Number or name of its HDU in a file of several detectors; None: the first HDU that holds an image."""
    purpose: Literal["SCIENCE", "FOCUS", "GUIDER", "WAVEFRONT"] = "SCIENCE"
    physical_type: str = "CCD"
    amplifiers: Annotated[list[AmplifierDescription], Field(min_length=1)]

    @model_validator(mode="after")
    def _amplifiers_tile_the_detector(self) -> Self:
        columns, rows = self.size
        area = 0
        for amplifier in self.amplifiers:
            box = amplifier.box
            if box.x[0] < 0 or box.y[0] < 0 or box.x[1] > columns or box.y[1] > rows:
                raise ValueError(f"detector {self.name}: amplifier {amplifier.name} leaves its {columns}x{rows} pixels")
            area += box.shape[0] * box.shape[1]
        if area != columns * rows:
            raise ValueError(
                f"detector {self.name}: the amplifiers cover {area} pixels, the detector has {columns * rows}"
            )
        return self


class ColourTermDescription(Part):
    """How the camera's magnitudes differ from the catalogue's: `m = p + c0 + c1 (p - s) + c2 (p - s)^2`.

    p is the filter's reference, s the secondary.
    """

    secondary: str
    """Filter of the reference catalogue that gives the colour."""
    c0: float = 0.0
    c1: float = 0.0
    c2: float = 0.0


class FilterDescription(Part):
    """One filter of the camera."""

    band: Annotated[str, Field(max_length=32)]
    """Short name that filters of different cameras share; coadds are made a band."""
    reference: str | None = None
    """Filter of the reference catalogue that it is calibrated against; None: that of the same name as the band."""
    colour_term: ColourTermDescription | None = None
    """From the reference to the camera's own system; None: they are taken as one."""
    aliases: list[str] = Field(default_factory=list)
    """Other names under which headers know it."""


def _as_source(value: Any) -> Any:
    """A bare keyword, or a list of keywords of which the first that is present counts, is short for a source."""
    return {"keyword": value} if isinstance(value, str | list) else value


class Source(Part):
    """Where a quantity comes from: exactly one of a keyword, a fixed value or an expression."""

    keyword: str | list[str] | None = None
    value: Any = None
    expression: str | None = None
    unit: str | None = None
    """Unit of the value, where it is not the one that the quantity has by default."""
    values: dict[Any, Any] = Field(default_factory=dict)
    """What the camera's own words mean: header value to ours."""
    default: Any = None
    """Used where the header lacks the keyword."""

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        given = [name for name in ("keyword", "value", "expression") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of keyword, value, expression; here are {given or 'none'}")
        if self.expression is not None:
            Expression(self.expression)
        return self

    @property
    def keywords(self) -> list[str]:
        """The header keywords concerned."""
        if self.expression is not None:
            return Expression(self.expression).keywords
        return [self.keyword] if isinstance(self.keyword, str) else list(self.keyword or [])


class DateSource(Source):
    """Where the date comes from."""

    format: Literal["iso", "mjd", "jd", "unix"] = "iso"
    scale: Literal["utc", "tai", "tt", "tdb"] = "utc"
    time_keyword: str | None = None
    """Keyword of the time of day, where the date's keyword holds the day alone."""
    refers_to: Literal["begin", "middle", "end"] = "begin"
    """The moment of the exposure that the date tells."""


AnySource = Annotated[Source, BeforeValidator(_as_source)]
AnyDateSource = Annotated[DateSource, BeforeValidator(_as_source)]


class HeaderDescription(Part):
    """Where each quantity of an exposure comes from."""

    exposure_id: AnySource
    """Positive integer, one an exposure, shared by its detectors."""
    exposure_time: AnySource
    """Seconds."""
    date: AnyDateSource
    detector: AnySource | None = None
    """Id or name of the detector; not needed with one detector, or with one HDU a detector."""
    dark_time: AnySource | None = None
    """Seconds; the exposure time if not given."""
    ra: AnySource | None = None
    """Of the boresight, ICRS: degrees, or sexagesimal hours."""
    dec: AnySource | None = None
    rotator: AnySource | None = None
    """Rotator angle in degrees; see `CameraDescription.rotator_sign`."""
    filter: AnySource | None = None
    """Name or alias of a filter; not needed where the camera has but one."""
    observation_type: AnySource = Source(value="science")
    """science, bias, dark, flat, ..."""
    object: AnySource | None = None
    airmass: AnySource | None = None
    azimuth: AnySource | None = None
    altitude: AnySource | None = None
    observation_id: AnySource | None = None
    group: AnySource | None = None
    program: AnySource | None = None
    reason: AnySource | None = None
    temperature: AnySource | None = None
    """Of the air, kelvin unless a unit is given."""
    simulated: AnySource = Source(value=False)
    soft_bias: AnySource | None = None
    """ADU added to the pixels of post-ISR frames."""
    mode: list[str] = Field(default_factory=list)
    """Keywords that tell how the detector was read out (gain setting, speed, binning): frames that differ in one of
    them are not calibrated with each other.  Where none is given, the amplifiers' gain keywords."""


class LocationDescription(Part):
    """Where the telescope stands."""

    longitude: Degrees
    """East positive."""
    latitude: Degrees
    height: float = 0.0
    """Metres."""


class MasksDescription(Part):
    """Masks that a survey published beside its frames, as lists of spans."""

    name: str
    """Expression that makes the name of the mask file from ``file``, the name of the frame."""
    planes: Annotated[dict[str, str], Field(min_length=1)]
    """Their mask planes, and ours."""

    @field_validator("name")
    @classmethod
    def _is_an_expression(cls, text: str) -> str:
        Expression(text)
        return text

    @field_validator("planes")
    @classmethod
    def _planes_exist(cls, planes: dict[str, str]) -> dict[str, str]:
        unknown = sorted(set(planes.values()) - set(MASK_PLANES))
        if unknown:
            raise ValueError(f"no mask plane {unknown[0]}; there are {', '.join(MASK_PLANES)}")
        return planes

    def name_of(self, frame: str) -> str:
        """Name of the mask file of a frame."""
        return str(Expression(self.name).evaluate({}, frame))


class CameraDescription(Part):
    """The whole file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=32)]
    """The instrument's name in repositories."""
    telescope: str = ""
    location: LocationDescription | None = None
    recognise: dict[str, Any] = Field(default_factory=dict)
    """Keywords and the values that a frame of this camera has."""
    detectors: Annotated[list[DetectorDescription], Field(min_length=1)]
    position_unit: Literal["px", "mm"] = "px"
    """Unit of the detectors' positions."""
    pixel_scale: PixelScale
    pixel_size: Millimetres = "10 um"  # type: ignore[assignment]
    """Side of a pixel: turns pixels into focal-plane millimetres, nothing else."""
    position_angle: Degrees = "0 deg"  # type: ignore[assignment]
    """Angle of the mosaic's +y on the sky, east of north, where the rotator is at 0."""
    rotator_sign: Literal[-1, 0, 1] = 1
    """The position angle grows by this times the rotator angle."""
    flipped: bool = False
    """False: east is counter-clockwise of north, as seen on the sky; true: mirrored."""
    guess: Literal["pointing", "header"] = "pointing"
    """First guess of the WCS: from the pointing and this file, or the WCS of the header."""
    pointing_error: Degrees
    """How far the guess may be off."""
    scale_error: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """Relative uncertainty of the pixel scale."""
    rotation_error: Degrees = "1 deg"  # type: ignore[assignment]
    filters: Annotated[dict[str, FilterDescription], Field(min_length=1)]
    header: HeaderDescription
    post_isr: bool = False
    """Frames come without instrument signature: they are ingested as `post_isr`."""
    masks: MasksDescription | None = None
    """How to find and read the masks of post-ISR frames."""
    corrected: CorrectedDescription | None = None
    """Frames without instrument signature that come beside the raw ones: they are ingested as `post_isr`."""
    masters: MastersDescription | None = None
    """Masters of another pipeline, which are imported, never ingested."""
    day_offset_hours: float = 0.0
    """Taken from the time (TAI) of an exposure before its date becomes that of the night."""
    exposure_max: Annotated[int, Field(gt=0)] = 2**31
    """One more than the largest exposure id; small ids leave more bits to the ids of sources."""

    @property
    def mode_keywords(self) -> list[str]:
        """Keywords that tell the read-out mode."""
        gains = {amp.gain_keyword for detector in self.detectors for amp in detector.amplifiers if amp.gain_keyword}
        return self.header.mode or sorted(gains)

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        for what in ("id", "name"):
            seen = [getattr(detector, what) for detector in self.detectors]
            double = sorted({value for value in seen if seen.count(value) > 1})
            if double:
                raise ValueError(f"two detectors have the {what} {double[0]}")
        if len(self.detectors) > 1 and self.header.detector is None and any(d.hdu is None for d in self.detectors):
            raise ValueError("with several detectors, give header.detector or the hdu of every detector")
        if len(self.filters) > 1 and self.header.filter is None:
            raise ValueError("with several filters, give header.filter")
        if self.guess == "pointing" and (self.header.ra is None or self.header.dec is None):
            raise ValueError("give header.ra and header.dec, or `guess: header` if frames have a WCS")
        return self
