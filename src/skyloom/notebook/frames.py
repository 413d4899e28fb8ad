"""Frames from arrays and files, and back to files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import astropy.units as u
import numpy as np
import pyarrow.parquet as pq
from astropy.table import Table
from astropy.wcs import WCS
from lsst.daf.butler.formatters.parquet import astropy_to_arrow
from lsst.images import GeneralFrame, Image, MaskedImage, SkyProjection, VisitImage
from lsst.images.fits import JSON_EXTNAME
from lsst.images.serialization import read_archive

from skyloom.errors import BadFrameError
from skyloom.files import write_beside
from skyloom.images import (
    CoaddImage,
    Exposure,
    PostIsrImage,
    WarpImage,
    bitmask,
    from_coadd,
    from_post_isr,
    from_visit_image,
    from_warp,
    is_mask_plane,
    plain_metadata,
    projection_from_header,
)
from skyloom.repo.export import write_plain
from skyloom.repo.frame_files import find_image, merged_header, open_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from astropy.io.fits import Header

__all__ = ["as_projection", "read", "wrap", "write"]

_PIXELS = GeneralFrame(unit=u.pix)
_CONVERSIONS: tuple[tuple[type, Callable[[Any], Exposure]], ...] = (
    (VisitImage, from_visit_image),
    (CoaddImage, from_coadd),
    (WarpImage, from_warp),
    (PostIsrImage, from_post_isr),
)
_UNITS = {"adu": u.adu, "counts": u.adu, "dn": u.adu, "electron": u.electron, "electrons": u.electron, "e-": u.electron}
_FORMATS = {".fits": "fits", ".fit": "fits", ".csv": "csv", ".ecsv": "csv", ".vot": "votable", ".xml": "votable"}
_BESIDE = ("WHT", "VAR", "VARIANCE", "MASK")
_REMARKS = ("COMMENT", "HISTORY")
_BIT_CARD = "MP_"
"""Prefix of the cards that tell the bits of mask planes."""
_QUARTILES_TO_SIGMA = 0.7413


def wrap(
    image: np.ndarray,
    *,
    variance: np.ndarray | None = None,
    mask: np.ndarray | Mapping[str, np.ndarray] | None = None,
    unit: str | u.UnitBase = "electron",
    gain: float | None = None,
    read_noise: float = 0.0,
    saturation: float | None = None,
    wcs: Header | WCS | SkyProjection[Any] | None = None,
    band: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Exposure:
    """Make an exposure of an array.

    Parameters
    ----------
    image
        ``[y, x]``; the sky still in it, unless ``variance`` is given.  Pixels that are not a number are missing.
    variance
        ``[y, x]``, in the unit of the image squared.  Without it, that of photons and ``read_noise``; in nJy, the
        scatter of the pixels, one number for all.
    mask
        ``[y, x]``: pixels that are not to be used, or such an array a mask plane (``{"CR": ..., "SAT": ...}``).
    unit
        "adu" (which needs ``gain``), "electron" or "nJy".  ADU become electrons.
    gain
        Electrons an ADU.
    read_noise
        Electrons.
    saturation
        Pixels at this value or above it, in the unit of the image, are SAT.
    wcs
        Where the pixels lie on the sky, or are thought to: a FITS header, an `astropy.wcs.WCS` or a projection.
    band
        Short name of the passband, which chooses the fluxes of references.
    metadata
        What else is to be kept.

    Returns
    -------
    skyloom.images.Exposure
        In electrons or nJy; the centre of the first pixel is (0, 0).

    Raises
    ------
    skyloom.errors.BadFrameError
        If the image is no picture, the planes have other shapes, or an image in ADU comes without a gain.
    """
    values = np.array(image, dtype=np.float32)
    if values.ndim != 2 or min(values.shape) < 1:
        raise BadFrameError(f"The image has the shape {values.shape}.", cure="Give a picture, [y, x].")
    unit = _unit(unit)
    saturated = np.zeros(values.shape, bool) if saturation is None else values >= saturation
    spread = None if variance is None else _of_shape(np.array(variance, np.float32), values, "variance")
    if unit == u.adu:
        if gain is None or not gain > 0.0:
            raise BadFrameError("The image is in ADU.", cure="Give its gain, electrons an ADU.", keyword="gain")
        values *= np.float32(gain)
        spread = None if spread is None else spread * np.float32(gain**2)
        unit = u.electron
    missing = ~np.isfinite(values)
    if spread is None:
        spread = _photon_noise(values, read_noise) if unit == u.electron else _scatter(values)
    values[missing] = np.nan
    spread[missing | ~(spread >= 0.0)] = np.inf
    exposure = Exposure.from_arrays(
        values,
        _bits(mask, values) | np.where(missing, bitmask("NO_DATA"), 0) | np.where(saturated, bitmask("SAT"), 0),
        spread,
        unit=unit,
        band=band,
        metadata=dict(metadata or {}),
    )
    exposure.projection = None if wcs is None else as_projection(wcs)
    return exposure


def read(
    file: str | Path,
    *,
    hdu: int | str | None = None,
    unit: str | u.UnitBase | None = None,
    gain: float | None = None,
    read_noise: float = 0.0,
    saturation: float | None = None,
    band: str | None = None,
) -> Exposure:
    """Read a frame, warp or coadd.

    Files that skyloom or `lsst.images` wrote come with all that is in them.  Of other FITS files the image is read, its
    WCS, and the extensions WHT (inverse variance), VAR or VARIANCE, and MASK, as far as they are there: `write` names
    them so.
    The centre of the first pixel is (0, 0).

    Parameters
    ----------
    file
        FITS file; also packed (.gz, .fz).
    hdu
        Number or name of the HDU; without it SCI, or the first that holds an image.
    unit, gain
        As of `wrap`; without them, what BUNIT and GAIN say.  An image that says nothing is in ADU.
    read_noise, saturation, band
        As of `wrap`.

    Raises
    ------
    skyloom.errors.BadFrameError
        If the file is not whole, or holds no image.
    """
    path = Path(file)
    with open_frame(path) as hdus:
        names = [one.name for one in hdus]
        if hdu is None and JSON_EXTNAME in names:
            return _own_exposure(read_archive(str(path)), path)
        chosen = find_image(hdus, path, hdu if hdu is not None or "SCI" not in names else "SCI")
        header = merged_header(hdus, chosen)
        told = header.get("BUNIT", "adu") if unit is None else unit
        beside = {} if hdu is not None else {name: hdus[name] for name in _BESIDE if name in names}
        mask = beside.pop("MASK", None)
        return wrap(
            chosen.data,
            variance=_variance(beside),
            mask=None if mask is None else _planes_of(mask),
            unit=told,
            gain=header.get("GAIN") if gain is None else gain,
            read_noise=read_noise,
            saturation=saturation,
            wcs=header if "CTYPE1" in header else None,
            band=header.get("BAND") if band is None else band,
            metadata=plain_metadata({key: header[key] for key in header if key and key not in _REMARKS}),
        )


def write(thing: Exposure | Table, file: str | Path) -> Path:
    """Write an exposure as plain FITS (SCI, WHT, MASK), or a table as FITS, CSV, VOTable or Parquet, by the suffix.

    Raises
    ------
    skyloom.errors.BadFrameError
        If the suffix names no format.
    skyloom.errors.RepositoryError
        If the thing cannot be written in that format.
    """
    path = Path(file)
    if path.suffix in (".parquet", ".parq") and isinstance(thing, Table):
        return write_beside(path, lambda part: pq.write_table(astropy_to_arrow(thing), part))
    if path.suffix not in _FORMATS:
        raise BadFrameError("no such format.", file=str(path), cure=f"Use {', '.join(sorted(_FORMATS))} or .parquet.")
    picture = _picture(thing) if isinstance(thing, Exposure) else thing
    written = write_plain(picture, path.with_suffix(""), {}, _FORMATS[path.suffix])  # type: ignore[arg-type]
    return written.rename(path)


def as_projection(wcs: Header | WCS | SkyProjection[Any]) -> SkyProjection[Any]:
    """Where pixels lie on the sky, from whatever says it.

    Raises
    ------
    skyloom.errors.BadFrameError
        If the header holds no celestial WCS that can be read.
    """
    if isinstance(wcs, SkyProjection):
        return wcs
    header = wcs.to_header(relax=True) if isinstance(wcs, WCS) else wcs
    return projection_from_header(header, _PIXELS)


def _unit(told: str | u.UnitBase) -> u.UnitBase:
    """The unit of the pixels: ADU, electron or nJy."""
    known = _UNITS.get(str(told).strip().lower())
    if known is not None:
        return known
    try:
        unit = u.Unit(told)
    except ValueError:
        unit = None
    if unit not in (u.adu, u.electron, u.nJy):
        raise BadFrameError(f"The unit of the image is {told!r}.", cure="Say adu, electron or nJy.", keyword="BUNIT")
    return unit


def _bits(mask: np.ndarray | Mapping[str, np.ndarray] | None, image: np.ndarray) -> np.ndarray:
    """Mask bits ``[y, x]``."""
    planes = mask if isinstance(mask, Mapping) else {} if mask is None else {"BAD": mask}
    bits = np.zeros(image.shape, np.int32)
    for name, where in planes.items():
        if not is_mask_plane(name):
            raise BadFrameError(f"There is no mask plane {name}.", cure="See skyloom.images.MASK_PLANES.")
        bits |= np.where(_of_shape(np.asarray(where, bool), image, f"mask {name}"), bitmask(name), 0).astype(np.int32)
    return bits


def _of_shape(plane: np.ndarray, image: np.ndarray, name: str) -> np.ndarray:
    if plane.shape != image.shape:
        raise BadFrameError(
            f"The {name} has the shape {plane.shape}, the image {image.shape}.", cure="Give equal ones."
        )
    return plane


def _photon_noise(electrons: np.ndarray, read_noise: float) -> np.ndarray:
    return np.asarray(np.maximum(electrons, 0.0) + np.float32(read_noise**2), np.float32)


def _scatter(image: np.ndarray) -> np.ndarray:
    """The variance of the pixels by their quartiles, the same for all."""
    finite = image[np.isfinite(image)]
    low, high = np.percentile(finite, (25.0, 75.0)) if finite.size else (np.nan, np.nan)
    return np.full(image.shape, (_QUARTILES_TO_SIGMA * (high - low)) ** 2, np.float32)


def _variance(beside: Mapping[str, Any]) -> np.ndarray | None:
    """The variance from the extensions that tell it."""
    if "WHT" in beside:
        weight = np.asarray(beside["WHT"].data, np.float32)
        return np.divide(1.0, weight, out=np.full(weight.shape, np.inf, np.float32), where=weight > 0.0)
    return next((np.asarray(hdu.data, np.float32) for hdu in beside.values()), None)


def _planes_of(hdu: Any) -> dict[str, np.ndarray]:
    """The planes that a mask's header names and we know; of other masks all that is not 0 is BAD."""
    told = {str(key).removeprefix(_BIT_CARD): int(hdu.header[key]) for key in hdu.header if key.startswith(_BIT_CARD)}
    if not told:
        return {"BAD": hdu.data != 0}
    return {name: (hdu.data >> bit) & 1 != 0 for name, bit in told.items() if is_mask_plane(name)}


def _own_exposure(thing: Any, path: Path) -> Exposure:
    for kind, convert in _CONVERSIONS:
        if isinstance(thing, kind):
            return convert(thing)
    raise BadFrameError(f"it holds a {type(thing).__name__}.", file=str(path), cure="Read it with lsst.images.")


def _picture(exposure: Exposure) -> MaskedImage:
    """What `write_plain` takes."""
    unit = exposure.unit
    return MaskedImage(
        Image(exposure.image.array, bbox=exposure.bbox, unit=unit),
        mask=exposure.mask.view(sky_projection=None),
        variance=Image(exposure.variance.array, bbox=exposure.bbox, unit=cast(u.UnitBase, unit**2)),
        sky_projection=exposure.projection,
        metadata=plain_metadata(exposure.metadata),
    )
