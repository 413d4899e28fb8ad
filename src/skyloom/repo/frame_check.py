"""What a camera understands of one frame: a row a quantity, with its value or what is wrong, and its origin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from skyloom.errors import BadFrameError
from skyloom.images.projection import pixel_to_radec
from skyloom.images.raw import RawExposure
from skyloom.instruments import Camera
from skyloom.instruments.header import ON_SKY, HeaderReader
from skyloom.instruments.separate import AmplifierImages, join_amplifiers

from .detector_hdus import find_detectors
from .frame_files import open_frame
from .raw_files import read_raw

__all__ = ["CheckRow", "check_frame"]


@dataclass(frozen=True)
class CheckRow:
    """One quantity of a frame."""

    quantity: str
    value: str
    origin: str
    status: Literal["ok", "missing", "optional"]
    """``missing``: essential and not to be had; ``optional``: not told, and not needed."""

    @property
    def essential_gap(self) -> bool:
        """Whether the frame cannot be used for want of it."""
        return self.status == "missing"


def check_frame(camera: Camera, path: Path, hdu: int | str | None = None) -> list[CheckRow]:
    """Rows for every quantity, the pixels, and the first guess of where the frame points.

    Raises
    ------
    BadFrameError
        If the file cannot be read at all.
    """
    raw = _read(camera, path, hdu)
    header, file = raw.header, raw.file
    reader = camera.reader(header, file)
    rows = [_row("camera", lambda: _recognised(camera, reader), "recognise")]
    for quantity, read in _essential(camera, reader):
        rows.append(_row(quantity, read, reader.origin(quantity)))
    rows.append(_row("detector", lambda: _detector(camera, header, file), reader.origin("detector")))
    if _quiet(reader.observation_type) in ON_SKY:
        rows.extend(_pointing_rows(camera, reader))
    rows.extend(_optional_rows(reader))
    rows.extend(_amplifier_rows(camera, header, file))
    rows.append(_row("whole frame", lambda: _complete(camera, raw), ""))
    return rows


def _read(camera: Camera, path: Path, hdu: int | str | None) -> RawExposure:
    """The frame of an HDU, or that of the first detector whose image the file has, put together if it is in parts."""
    if hdu is not None:
        return read_raw(path, hdu, str(path))
    try:
        with open_frame(path) as hdus:
            (place, *_) = find_detectors(camera, hdus, path, of_camera=False).images
    except (BadFrameError, ValueError):
        return read_raw(path, None, str(path))  # the rows tell what is wrong
    raw = read_raw(path, place.hdu, str(path))
    return join_amplifiers(camera.description_of(place.detector), raw) if isinstance(raw, AmplifierImages) else raw


def _row(quantity: str, read: Callable[[], Any], origin: str) -> CheckRow:
    words = quantity.replace("_", " ")
    try:
        return CheckRow(words, str(read()), origin, "ok")
    except BadFrameError as error:
        return CheckRow(
            words, f"{error.keyword + ': ' if error.keyword else ''}{error.cause} {error.cure}", origin, "missing"
        )


def _quiet(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except BadFrameError:
        return None


def _recognised(camera: Camera, reader: HeaderReader) -> str:
    reader.check_camera()
    return camera.name


def _essential(camera: Camera, reader: HeaderReader) -> list[tuple[str, Callable[[], Any]]]:
    return [
        ("exposure_id", reader.exposure_id),
        ("observation_type", reader.observation_type),
        ("exposure_time", lambda: f"{reader.exposure_time():g} s"),
        ("dark_time", lambda: f"{reader.dark_time():g} s"),
        ("date", lambda: f"begins {reader.begin().utc.isot} UTC, night {reader.night()}"),
        ("filter", lambda: _filter(camera, reader)),
    ]


def _filter(camera: Camera, reader: HeaderReader) -> str:
    name = reader.filter_name()
    if name is None:
        return "none"
    entry = camera.filters[name]
    return f"{name}, band {entry.band}, calibrated against {entry.reference}"


def _pointing_rows(camera: Camera, reader: HeaderReader) -> list[CheckRow]:
    if camera.description.header.ra is None:
        return []
    return [
        _row("ra", lambda: _coordinate(reader, 0), reader.origin("ra")),
        _row("dec", lambda: _coordinate(reader, 1), reader.origin("dec")),
        _row("rotator", lambda: f"{reader.rotator():g} deg", reader.origin("rotator")),
        _row("position angle", lambda: f"{reader.position_angle():g} deg, +y east of north", "position_angle"),
    ]


def _coordinate(reader: HeaderReader, axis: int) -> str:
    pointing = reader.pointing()
    assert pointing is not None  # only asked for frames of the sky, whose camera names ra and dec
    return f"{pointing[axis]:.5f} deg"


def _detector(camera: Camera, header: Any, file: str) -> str:
    number = camera.detector_id(header, file)
    return f"{number} ({camera.description_of(number).name})"


def _optional_rows(reader: HeaderReader) -> list[CheckRow]:
    rows = []
    for quantity in ("object", "airmass", "altitude", "azimuth", "temperature", "program"):
        value = reader.optional_text(quantity)
        status: Literal["ok", "optional"] = "optional" if value is None else "ok"
        rows.append(CheckRow(quantity, "not told" if value is None else value, reader.origin(quantity), status))
    mode = reader.mode()
    told = ", ".join(f"{keyword} {value}" for keyword, value in mode.items())
    origin = f"keywords {', '.join(mode)}" if mode else "not described"
    rows.append(CheckRow("read-out mode", told or "not told", origin, "ok" if mode else "optional"))
    return rows


def _amplifier_rows(camera: Camera, header: Any, file: str) -> list[CheckRow]:
    try:
        number = camera.detector_id(header, file)
    except BadFrameError:
        return []
    detector = camera.description_of(number)
    rows = []
    for amplifier in detector.amplifiers:
        keywords = [amplifier.gain_keyword, amplifier.read_noise_keyword, amplifier.saturation_keyword]
        used = [keyword for keyword in keywords if keyword is not None and keyword in header]
        rows.append(
            _row(
                f"amplifier {amplifier.name}",
                lambda name=amplifier.name: _amplifier(camera, number, name, header, file),  # type: ignore[misc]
                f"description{', keywords ' + ', '.join(used) if used else ''}",
            )
        )
    return rows


def _amplifier(camera: Camera, number: int, name: str, header: Any, file: str) -> str:
    for amplifier in camera.detector(number, header=header, file=file).amplifiers:
        nominal = amplifier.nominal_calibrations
        if amplifier.name == name and nominal is not None:
            return (
                f"gain {nominal.gain:g} e/ADU, read noise {nominal.read_noise:g} e, "
                f"saturation {nominal.saturation:g} ADU"
            )
    return ""


def _complete(camera: Camera, raw: RawExposure) -> str:
    full = camera.complete(raw)
    rows, columns = raw.image.shape
    text = f"{columns}x{rows} pixels"
    if full.projection is None or full.detector is None:
        return f"{text}, not of the sky"
    box = full.detector.bbox
    ra, dec = pixel_to_radec(full.projection, box.x.center, box.y.center)
    return f"{text}, centre {float(ra):.4f} {float(dec):+.4f} deg by the first guess"
