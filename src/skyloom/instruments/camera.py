"""`Camera`: everything skyloom knows of an instrument, from one YAML file and no code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import astropy.units as u
import yaml
from astro_metadata_translator import ObservationInfo
from astropy.coordinates import EarthLocation
from astropy.io.fits import Header
from lsst.images import SkyProjection
from lsst.images.cameras import CameraFrameSet, Detector
from pydantic import ValidationError

from skyloom.errors import BadFrameError, CameraError
from skyloom.images.projection import projection_from_header
from skyloom.images.raw import RawExposure

from .description import CameraDescription, DetectorDescription, FilterDescription
from .expressions import is_true
from .geometry import camera_frames, make_detector, pointing_wcs, raw_shape
from .given_pointing import given_pointing
from .header import ON_SKY, HeaderReader
from .separate import AmplifierImages, join_amplifiers
from .translator import DescribedTranslator, make_translator

__all__ = ["Camera"]

_NO_FILE = "(no file)"


class Camera:
    """An instrument: detectors, filters, pointing, and what its headers mean.

    Made by `read` or `from_yaml`.  A camera is immutable, compares by its text and can be sent to other processes.
    """

    def __init__(self, description: CameraDescription, text: str) -> None:
        self.description = description
        self._text = text

    @classmethod
    def from_yaml(cls, text: str, *, file: str | None = None) -> Camera:
        """A camera from the text of its YAML description.

        Top-level keys that begin with ``x-`` are ignored: they are the place for YAML anchors.

        Raises
        ------
        CameraError
            If the text is no YAML or no valid description; the message names every field that is wrong.
        """
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise CameraError(
                f"not valid YAML: {error}", file=file, cure="Correct the indentation or quotes."
            ) from error
        if not isinstance(content, dict):
            raise CameraError("holds no mapping of fields.", file=file, cure="See docs/cameras.md for an example.")
        content = {key: value for key, value in content.items() if not str(key).startswith("x-")}
        try:
            return cls(CameraDescription.model_validate(content), text)
        except ValidationError as error:
            raise _camera_error(error, file) from error

    @classmethod
    def read(cls, path_or_name: str | Path) -> Camera:
        """A camera from a YAML file, or one that comes with skyloom by its name.

        Raises
        ------
        CameraError
            If there is no such file or name, or the description is not valid.
        """
        path = Path(path_or_name)
        if path.is_file():
            return cls.from_yaml(path.read_text(encoding="utf-8", errors="replace"), file=str(path))
        shipped = files(__package__) / f"{path_or_name}.yaml"
        if "/" not in str(path_or_name) and shipped.is_file():
            return cls.from_yaml(shipped.read_text(encoding="utf-8"), file=str(path_or_name))
        raise CameraError(
            f"no camera file or shipped camera {str(path_or_name)!r}.",
            cure=f"Give the path of a YAML file, or one of {', '.join(cls.shipped())}.",
        )

    @staticmethod
    def shipped() -> list[str]:
        """Names of the cameras that come with skyloom."""
        names = (entry.name for entry in files(__package__).iterdir())
        return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))

    def to_yaml(self) -> str:
        """The description's text, as it was read."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Camera) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Camera.from_yaml, (self._text,))

    def __repr__(self) -> str:
        return f"Camera({self.name!r}, {len(self.detector_ids)} detectors)"

    @property
    def name(self) -> str:
        """The instrument's name in repositories."""
        return self.description.name

    @property
    def filters(self) -> dict[str, FilterDescription]:
        """Filters by name: each has a ``band`` and a ``reference``, the filter of the reference catalogue."""
        return {
            name: entry if entry.reference else entry.model_copy(update={"reference": entry.band})
            for name, entry in self.description.filters.items()
        }

    @property
    def detector_ids(self) -> list[int]:
        """Ids of the detectors, in the description's order."""
        return [detector.id for detector in self.description.detectors]

    @property
    def detector_max(self) -> int:
        """One more than the largest detector id."""
        return max(self.detector_ids) + 1

    @property
    def pixel_scale(self) -> float:
        """Arcsec that a pixel spans."""
        return self.description.pixel_scale

    @property
    def pointing_error_deg(self) -> float:
        """How far the first guess of the pointing may be off, degrees."""
        return self.description.pointing_error

    @property
    def scale_error(self) -> float:
        """Relative uncertainty of the pixel scale."""
        return self.description.scale_error

    @property
    def rotation_error_deg(self) -> float:
        """Uncertainty of the position angle, degrees."""
        return self.description.rotation_error

    @property
    def post_isr(self) -> bool:
        """Whether its frames come without instrument signature."""
        return self.description.post_isr

    @cached_property
    def location(self) -> EarthLocation | None:
        """Where the telescope stands."""
        place = self.description.location
        if place is None:
            return None
        return EarthLocation.from_geodetic(place.longitude * u.deg, place.latitude * u.deg, place.height * u.m)

    @cached_property
    def frames(self) -> CameraFrameSet:
        """Focal plane (mm), field angle (rad) and the detectors' pixels, with the maps between them."""
        return camera_frames(self.description)

    @cached_property
    def translator(self) -> type[DescribedTranslator]:
        """Translator class for ``ObservationInfo(header, translator_class=...)``."""
        return make_translator(self)

    def description_of(self, detector_id: int) -> DetectorDescription:
        """The description of one detector.

        Raises
        ------
        CameraError
            If the camera has no such detector.
        """
        for detector in self.description.detectors:
            if detector.id == detector_id:
                return detector
        raise CameraError(f"{self.name} has no detector {detector_id}.", cure=f"It has {self.detector_ids}.")

    def detector(
        self,
        detector_id: int,
        visit: int | None = None,
        *,
        header: Mapping[str, Any] | None = None,
        file: str = _NO_FILE,
    ) -> Detector:
        """A detector with its amplifiers.

        The raw boxes are the amplifiers' ``assembled_raw_geometry``; an overscan box that lies outside the
        amplifier's own raw box means that there is none.

        Parameters
        ----------
        detector_id
            Id of the detector.
        visit
            Visit that its frame belongs to.
        header, file
            Header whose gains, read noises and saturation levels override the nominal ones where the description
            names keywords for them, and the file's name for messages.
        """
        description = self.description_of(detector_id)
        return make_detector(self.description, description, self.frames, visit=visit, header=header, file=file)

    def bias_levels(self, detector_id: int) -> dict[str, float]:
        """Nominal bias in ADU by amplifier name, for detectors with neither overscan nor bias frames."""
        return {amplifier.name: amplifier.bias_level for amplifier in self.description_of(detector_id).amplifiers}

    def raw_shape(self, detector_id: int) -> tuple[int, int]:
        """Rows and columns of a detector's raw image."""
        return raw_shape(self.description_of(detector_id))

    def reader(self, header: Mapping[str, Any], file: str = _NO_FILE) -> HeaderReader:
        """Reads single quantities of a header."""
        return HeaderReader(self.description, header, file)

    def is_corrected(self, header: Mapping[str, Any], file: str = _NO_FILE) -> bool:
        """Whether a frame comes without instrument signature."""
        corrected = self.description.corrected
        return self.post_isr or (corrected is not None and is_true(corrected.recognise, header, file))

    def is_master(self, header: Mapping[str, Any], file: str = _NO_FILE) -> bool:
        """Whether an image is a master calibration of another pipeline, by its header."""
        masters = self.description.masters
        return masters is not None and is_true(masters.recognise, header, file)

    def translate(self, header: Mapping[str, Any], file: str = _NO_FILE) -> ObservationInfo:
        """What a header says of its exposure.

        Raises
        ------
        BadFrameError
            If the frame is of another camera, or an essential quantity is missing or senseless.
        """
        self.reader(header, file).check_camera()
        translator = self.translator(header, file)
        values = {name: getattr(translator, f"to_{name}")() for name in translator.all_properties}
        told = {name: value for name, value in values.items() if value is not None}
        return ObservationInfo.makeObservationInfo(**told)

    def lookup_detector(self, told: int | str, file: str = _NO_FILE) -> int:
        """Id of the detector that a header tells by id, name or serial number.

        Raises
        ------
        BadFrameError
            If the camera has no such detector.
        """
        for detector in self.description.detectors:
            if told in (detector.id, detector.name) or (told and told == detector.serial):
                return detector.id
        source = self.description.header.detector
        raise BadFrameError(
            f"the detector {told!r} is none of {self.name}.",
            file=file,
            keyword=" or ".join(source.keywords) if source else None,
            cure="Add it to the camera's description, or leave the file out.",
        )

    def detector_id(self, header: Mapping[str, Any], file: str = _NO_FILE) -> int:
        """Id of the detector of a frame.

        Raises
        ------
        BadFrameError
            If neither the header nor the camera's description tells it.
        """
        told = self.reader(header, file).detector()
        if told is not None:
            return self.lookup_detector(told, file)
        if len(self.detector_ids) == 1:
            return self.detector_ids[0]
        extension = header.get("EXTNAME")
        for detector in self.description.detectors:
            if extension is not None and extension == detector.hdu:
                return detector.id
        raise BadFrameError(
            "the header does not tell its detector.",
            file=file,
            cure="Give header.detector in the camera's description.",
        )

    def projection(
        self, detector_id: int, *, ra: float, dec: float, rotation_deg: float = 0.0, visit: int | None = None
    ) -> SkyProjection[Any]:
        """The TAN projection of a detector's trimmed pixels.

        Parameters
        ----------
        detector_id
            Id of the detector.
        ra, dec
            Boresight, ICRS degrees: what falls on the mosaic's (0, 0).
        rotation_deg
            Rotator angle, as the header tells it; the description adds its position angle and sign.
        visit
            Visit that the pixel frame belongs to.
        """
        wcs = pointing_wcs(self.description, self.description_of(detector_id), ra, dec, rotation_deg)
        return SkyProjection.from_fits_wcs(wcs, self.frames.detector(detector_id, visit=visit))

    def complete(self, raw: RawExposure, *, detector_id: int | None = None) -> RawExposure:
        """The same frame with its detector, observation info and, for a frame of the sky, its first projection.

        Images of single amplifiers are put together.

        Raises
        ------
        BadFrameError
            If the header lacks what is essential, or the image has the wrong shape.
        """
        info = self.translate(raw.header, raw.file)
        number = self.detector_id(raw.header, raw.file) if detector_id is None else detector_id
        if isinstance(raw, AmplifierImages):
            raw = join_amplifiers(self.description_of(number), raw)
        self._check_shape(raw, number)
        detector = self.detector(number, info.visit_id, header=raw.header, file=raw.file)
        projection = self.guess_projection(raw.header, raw.file, detector, info)
        mode = self.reader(raw.header, raw.file).mode()
        return replace(raw, detector=detector, obs_info=info, projection=projection, mode=mode)

    def _check_shape(self, raw: RawExposure, detector_id: int) -> None:
        expected = self.raw_shape(detector_id)
        if raw.image.shape != expected:
            raise BadFrameError(
                f"the image has {raw.image.shape} pixels (rows, columns), raw frames of detector {detector_id} of "
                f"{self.name} have {expected}.",
                file=raw.file,
                cure="Leave the file out, or correct the amplifiers in the camera's description.",
            )

    def guess_projection(
        self, header: Header | Mapping[str, Any], file: str, detector: Detector, info: ObservationInfo
    ) -> SkyProjection[Any] | None:
        """The first guess of a frame's projection; None for frames that do not show the sky."""
        if info.observation_type not in ON_SKY:
            return None
        if self.description.guess == "header" and not (given_pointing(header) and "CTYPE1" not in header):
            return self._header_projection(header, file, detector)
        pointing = self.reader(header, file).pointing()
        assert pointing is not None  # a description with this guess names ra and dec, or they are given
        rotation = self.reader(header, file).rotator()
        return self.projection(
            detector.id, ra=pointing[0], dec=pointing[1], rotation_deg=rotation, visit=detector.visit
        )

    def _header_projection(
        self, header: Header | Mapping[str, Any], file: str, detector: Detector
    ) -> SkyProjection[Any]:
        cards = header.copy() if isinstance(header, Header) else Header(header)
        if "RADECSYS" in cards and "RADESYS" not in cards:
            # The old name of the keyword: astropy heeds it, but warns for every frame.
            cards.rename_keyword("RADECSYS", "RADESYS")
        try:
            return projection_from_header(cards, detector.frame)
        except BadFrameError as error:
            error.file = file
            raise


def _camera_error(error: ValidationError, file: str | None) -> CameraError:
    """One error that names every wrong field."""
    problems = [
        (".".join(str(part) for part in entry["loc"]) or "(whole file)", entry["msg"].removeprefix("Value error, "))
        for entry in error.errors()
    ]
    text = "; ".join(f"{where}: {what}" for where, what in problems)
    return CameraError(
        f"{text}.",
        file=file,
        keyword=problems[0][0],
        cure="Correct the camera's description; docs/cameras.md lists its fields.",
    )
