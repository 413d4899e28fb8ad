"""Read master frames from files that other programs wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from lsst.images import MaskedImage

from skyloom.calibs import master_image
from skyloom.errors import BadFrameError
from skyloom.instruments import Camera
from skyloom.instruments.expressions import is_true
from skyloom.instruments.header import find_filter

from .calibration_kinds import Calibration, ImportOptions, Item
from .detector_hdus import DetectorImage, Found, find_detectors, one_error_a_cause
from .frame_files import check_whole, find_image, image_shape, merged_header, open_unpacked
from .header_dates import validity_of
from .trim import trimmed

__all__ = ["lookup_filter", "read_masters"]

_VARIANCE_NAMES = ("VARIANCE", "VAR")
_SIGMA_NAMES = ("UNCERT", "ERR", "SIGMA")
_DEFAULT_UNITS = {
    "bias": u.adu,
    "flat": u.dimensionless_unscaled,
    "fringe": u.adu,
    "illum": u.dimensionless_unscaled,
    "photometric_flat": u.dimensionless_unscaled,
}
_BY_FILTER = ("flat", "fringe", "illum", "photometric_flat")
_RESPONSES = ("flat", "illum", "photometric_flat")
_NO_RESPONSE = 1e-3
"""Pixels of less than this part of the median of a flat are masked ones, but for rounding."""
_SPELLINGS = {"adus": "adu", "counts": "adu", "count": "adu", "dn": "adu", "e-": "electron", "e": "electron"}


def read_masters(path: Path, camera: Camera, kind: str, options: ImportOptions) -> Iterator[Item]:
    """The master frames of a file, one a detector, as they are asked for.

    Images are of the trimmed detector; those of masters that the camera's description recognises may be as large as
    raw frames.  Pixels that are not numbers become BAD, and those of flats without response.  An extension named
    VARIANCE or VAR, or one with standard deviations named UNCERT, ERR or SIGMA, gives the variance of the only image
    of a file; without one a master counts as exact.  A dark that is not per second is divided by the dark time of its
    header, after the bias was taken off it where it holds one.

    Parameters
    ----------
    path
        FITS file.
    camera
        The camera.
    kind
        ``bias``, ``dark``, ``flat``, ``fringe``, ``illum`` or ``photometric_flat``.
    options
        What the headers do not tell.  With a detector, no other one of the file is read.

    Raises
    ------
    BadFrameError
        If the file cannot be read; an image that has the wrong shape or lacks what is needed is handed over as error.
    """
    with open_unpacked(path) as hdus:
        found = _detectors(camera, hdus, path, options.detector)
        errors = list(found.errors)
        for number, place in enumerate(found.images):
            try:
                yield _read(hdus, place, path, camera, kind, options, alone=len(found.images) == 1)
            except BadFrameError as error:
                errors.append((place.hdu if isinstance(place.hdu, int) else number, error))
        yield from one_error_a_cause(errors, len(found.images) + len(found.errors))


def _detectors(camera: Camera, hdus: fits.HDUList, path: Path, given: int | None) -> Found:
    """The images to read: those of all detectors, or of the given one, which an only image is taken to be."""
    if given is None:
        return find_detectors(camera, hdus, path, of_camera=False)
    camera.lookup_detector(given, str(path))
    try:
        found = find_detectors(camera, hdus, path, of_camera=False)
    except BadFrameError:
        return Found([DetectorImage(given, None)], [])
    if len(found.images) == 1:
        return Found([DetectorImage(given, found.images[0].hdu)], [])
    images = [image for image in found.images if image.detector == given]
    if not images:
        raise BadFrameError(f"it has no image of detector {given}.", file=str(path), cure="Give another --detector.")
    return Found(images, [])


def _read(
    hdus: fits.HDUList,
    place: DetectorImage,
    path: Path,
    camera: Camera,
    kind: str,
    options: ImportOptions,
    *,
    alone: bool,
) -> Calibration:
    """The master of one detector."""
    if isinstance(place.hdu, tuple):
        raise BadFrameError("a master in parts, an amplifier each.", file=str(path), cure="Put it together.")
    image = find_image(hdus, path, place.hdu)
    header = merged_header(hdus, image)
    recognised = camera.is_master(header, str(path))
    if recognised:
        _check_kind(camera, header, kind, path)
    _check_shape(camera, place.detector, image_shape(image), path, as_raw=recognised)
    check_whole(image, path)
    detector = camera.detector(place.detector)
    pixels = np.asarray(image.data, np.float32).reshape(image_shape(image))
    variance = _variance(hdus, pixels.shape) if alone else np.zeros(pixels.shape, np.float32)
    pixels, variance = trimmed(pixels, detector, str(path)), trimmed(variance, detector, str(path))
    data_id: dict[str, Any] = {"detector": place.detector}
    if kind in _BY_FILTER:
        data_id["physical_filter"] = _filter(camera, header, path, options.physical_filter)
    given, note = _unit(kind, header, options.unit, path, camera if recognised else None), ""
    validity = validity_of(camera, header, path) if options.header_dates else None
    if kind == "dark":
        if recognised and _holds_bias(camera, header, path):
            pixels, note = _without_bias(pixels, options.bias_of(place.detector, validity))
        seconds, given = _rate(camera, header, given, path)
        pixels, variance = pixels / np.float32(seconds), variance / np.float32(seconds**2)
    if kind in _RESPONSES:
        pixels = _without_dead(pixels, path)
    master = master_image(pixels, variance, given)
    master.metadata["SKYLOOM FILE"] = path.name
    return Calibration(data_id=data_id, dataset=master, validity=validity, note=note)


def _check_kind(camera: Camera, header: fits.Header, kind: str, path: Path) -> None:
    """Refuse a master of another kind."""
    told = camera.reader(header, str(path)).observation_type()
    if kind in ("bias", "dark", "flat", "fringe") and told != kind:
        raise BadFrameError(f"a master {told}, no {kind}.", file=str(path), cure=f"Import it as {told}, or not at all.")


def _holds_bias(camera: Camera, header: fits.Header, path: Path) -> bool:
    """Whether a master dark was made without taking the bias off."""
    masters = camera.description.masters
    if masters is None or masters.includes_bias is None:
        return False
    return is_true(masters.includes_bias, header, str(path))


def _without_bias(pixels: np.ndarray, bias: MaskedImage | None) -> tuple[np.ndarray, str]:
    """The pixels less the bias, if there is one, and what to say of it."""
    if bias is None:
        return pixels, "its bias is still in it: there is none for these dates to take off"
    return pixels - bias.image.array, "the bias was taken off it"


def _without_dead(pixels: np.ndarray, path: Path) -> np.ndarray:
    """A flat whose pixels without response are not numbers."""
    level = float(np.nanmedian(pixels)) if np.isfinite(pixels).any() else 0.0
    if level <= 0:
        raise BadFrameError("half of its pixels have no response.", file=str(path), cure="Leave it out.")
    return np.where(pixels > _NO_RESPONSE * level, pixels, np.float32(np.nan))


def _variance(hdus: fits.HDUList, shape: tuple[int, ...]) -> np.ndarray:
    """Variance of the pixels; zero where the file does not tell it."""
    for names, power in ((_VARIANCE_NAMES, 1), (_SIGMA_NAMES, 2)):
        for name in names:
            if name in hdus and tuple(hdus[name].shape) == shape:
                return np.asarray(hdus[name].data, np.float32) ** power
    return np.zeros(shape, np.float32)


def _check_shape(camera: Camera, number: int, shape: tuple[int, ...], path: Path, *, as_raw: bool) -> None:
    columns, rows = camera.description_of(number).size
    if shape != (rows, columns) and not (as_raw and shape == camera.raw_shape(number)):
        raise BadFrameError(
            f"it has {shape} pixels (rows, columns), the trimmed detector has {(rows, columns)}.",
            file=str(path),
            cure="Give a master without overscan, of this detector.",
        )


def _filter(camera: Camera, header: fits.Header, path: Path, given: str | None) -> str:
    if given is not None:
        return lookup_filter(camera, given, path)
    name = camera.reader(header, str(path)).filter_name()
    assert name is not None  # flats need a filter, and the reader says so
    return name


def lookup_filter(camera: Camera, given: str, path: Path) -> str:
    """The camera's name of a filter.

    Raises
    ------
    BadFrameError
        If the camera has none of that name.
    """
    found = find_filter(camera.filters, given)
    if found is None:
        raise BadFrameError(
            f"{given!r} is none of the camera's filters {', '.join(camera.filters)}.",
            file=str(path),
            keyword="--filter",
            cure="Give one of them.",
        )
    return found


def _unit(kind: str, header: fits.Header, given: str | None, path: Path, camera: Camera | None) -> u.UnitBase:
    """Unit of the pixels: as given, as the header or the camera's description of masters says, or the usual one."""
    text = given if given is not None else str(header.get("BUNIT", "")).strip()
    masters = None if camera is None else camera.description.masters
    if not text and masters is not None:
        text = masters.units.get(kind, "")
    if not text:
        if kind in _DEFAULT_UNITS:
            return _DEFAULT_UNITS[kind]
        raise BadFrameError(
            f"the header does not tell the unit of the {kind}.",
            file=str(path),
            keyword="BUNIT",
            cure="Give --unit adu, adu/s, electron or electron/s.",
        )
    try:
        unit = u.Unit("/".join(_SPELLINGS.get(part.strip().lower(), part.strip()) for part in text.split("/")))
    except ValueError as error:
        raise BadFrameError(
            f"unknown unit {text!r}.", file=str(path), keyword="BUNIT", cure="Give another with --unit."
        ) from error
    if kind == "bias" and unit != u.adu:
        raise BadFrameError(
            f"the bias is in {text}, not in ADU.", file=str(path), keyword="BUNIT", cure="Give a bias in ADU."
        )
    return unit


def _rate(camera: Camera, header: fits.Header, unit: u.UnitBase, path: Path) -> tuple[float, u.UnitBase]:
    """What to divide a dark by so that it is per second, and its unit then."""
    for counted in (u.electron, u.adu):
        if unit == counted / u.s:
            return 1.0, unit
        if unit == counted:
            seconds = camera.reader(header, str(path)).dark_time()
            if seconds <= 0:
                raise BadFrameError(
                    "its dark time is zero.", file=str(path), cure="Divide it by its dark time, and give --unit."
                )
            return seconds, counted / u.s
    raise BadFrameError(
        f"the dark is in {unit}.", file=str(path), keyword="BUNIT", cure="Give one in ADU or electrons (a second)."
    )
