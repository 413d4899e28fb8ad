"""`Exposure` to the types on disk and back.  Pixels are shared, not copied."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import astropy.units as u
import numpy as np
from lsst.images import DetectorFrame, Image, Mask, MaskedImage, VisitImage
from lsst.images.psfs import GaussianPointSpreadFunction, PiffWrapper, PointSpreadFunction

from skyloom.errors import BadFrameError, PsfError
from skyloom.psf import CoaddPsf, PixelGridPsf

from .exposure import Exposure
from .fits_wcs import with_fits_form
from .mask_planes import MASK_SCHEMA, bits_of
from .photo_calib import PhotoCalib
from .post_isr_image import PostIsrImage
from .tract_images import CoaddImage, TractImage, WarpImage

if TYPE_CHECKING:
    from lsst.images.serialization import MetadataValue

__all__ = [
    "from_coadd",
    "from_post_isr",
    "from_visit_image",
    "from_warp",
    "plain_metadata",
    "to_coadd",
    "to_post_isr",
    "to_visit_image",
    "to_warp",
]

_CALIBRATION_MEAN, _CALIBRATION_ERR = "skyloom.calibration_mean", "skyloom.calibration_err"
"""Keys of the metadata of a `VisitImage` that hold what its photometric scaling cannot."""


def to_post_isr(exposure: Exposure) -> PostIsrImage:
    """The frame after the removal of the instrument's signature, to be written."""
    image, mask, variance = _planes(exposure)
    return PostIsrImage(
        image,
        mask=mask,
        variance=variance,
        sky_projection=None if exposure.projection is None else with_fits_form(exposure.projection, exposure.bbox),
        detector=exposure.detector,
        obs_info=exposure.obs_info,
        band=exposure.band,
        metadata=plain_metadata(exposure.metadata),
    )


def from_post_isr(frame: PostIsrImage) -> Exposure:
    """The frame as it flows through the stages."""
    return _exposure(frame, detector=frame.detector, obs_info=frame.obs_info, band=frame.band)


def to_visit_image(exposure: Exposure) -> VisitImage:
    """The calibrated frame in its published form, which plain `lsst.images` reads.

    A pixel-grid PSF becomes a Piff PSF; the photometric calibration becomes the photometric scaling; the sky
    projection gets a FITS approximation where FITS has no exact form of it.

    Raises
    ------
    BadFrameError
        If the frame lacks what a published frame must have: projection, PSF, detector, observation and filter, band.
    """
    needed = {name: getattr(exposure, name) for name in ("projection", "psf", "detector", "obs_info", "band")}
    needed["physical_filter"] = exposure.physical_filter
    missing = [name for name, value in needed.items() if value is None]
    if missing:
        raise BadFrameError(
            f"a calibrated frame cannot be published without {', '.join(missing)}.", cure="Calibrate the frame first."
        )
    projection, detector = needed["projection"], needed["detector"]
    if not isinstance(projection.pixel_frame, DetectorFrame):
        raise BadFrameError("the sky projection of a calibrated frame must start from the detector's pixels.")
    image, mask, variance = _planes(exposure)
    metadata = plain_metadata(exposure.metadata)
    calib = exposure.photo_calib
    if calib is not None:
        metadata |= {_CALIBRATION_MEAN: calib.calibration_mean, _CALIBRATION_ERR: calib.calibration_err}
    return VisitImage(
        image,
        mask=mask,
        variance=variance,
        sky_projection=with_fits_form(projection, exposure.bbox),
        obs_info=needed["obs_info"],
        summary_stats=exposure.summary,
        photometric_scaling=None if calib is None else calib.to_field(detector.bbox),
        psf=_published_psf(needed["psf"]),
        detector=detector,
        aperture_corrections=dict(exposure.aperture_corrections),
        backgrounds=exposure.backgrounds,
        band=needed["band"],
        metadata=metadata,
    )


def from_visit_image(frame: VisitImage) -> Exposure:
    """The calibrated frame as it flows through the stages; a Piff pixel grid becomes one of ours again."""
    exposure = _exposure(frame, detector=frame.detector, obs_info=frame.obs_info, band=frame.band)
    exposure.psf = _own_psf(frame.psf)
    exposure.summary = frame.summary_stats
    exposure.aperture_corrections = dict(frame.aperture_corrections)
    exposure.backgrounds = frame.backgrounds
    exposure.photo_calib = _photo_calib(frame, exposure.metadata)
    return exposure


def to_warp(exposure: Exposure) -> WarpImage:
    """The warp of one visit, to be written."""
    return _to_tract_image(WarpImage, exposure)


def from_warp(warp: WarpImage) -> Exposure:
    """The warp as it flows through the stages."""
    return _from_tract_image(warp)


def to_coadd(exposure: Exposure) -> CoaddImage:
    """The coadd, to be written."""
    return _to_tract_image(CoaddImage, exposure)


def from_coadd(coadd: CoaddImage) -> Exposure:
    """The coadd as it flows through the stages."""
    return _from_tract_image(coadd)


def plain_metadata(metadata: Mapping[str, Any]) -> dict[str, MetadataValue]:
    """Metadata as archives hold them: numbers, texts, truth values, None.

    Nested mappings are flattened with dots; other values become text, lists as JSON.
    """
    plain: dict[str, MetadataValue] = {}
    for key, value in metadata.items():
        if isinstance(value, Mapping):
            plain |= {f"{key}.{inner}": content for inner, content in plain_metadata(value).items()}
        else:
            plain[str(key)] = _plain_value(value)
    return plain


def _plain_value(value: Any) -> MetadataValue:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value) in (bool, int, float, str):
        return cast("MetadataValue", value)
    if isinstance(value, (list, tuple, np.ndarray)):
        return json.dumps(np.asarray(value).tolist())
    return str(value)


def _planes(exposure: Exposure) -> tuple[Image, Mask, Image]:
    """The planes with their units, as views of the same pixels."""
    unit = exposure.unit
    image = Image(exposure.image.array, bbox=exposure.bbox, unit=unit)
    variance = Image(exposure.variance.array, bbox=exposure.bbox, unit=cast(u.UnitBase, unit**2))
    return image, exposure.mask.view(sky_projection=None), variance


def _exposure(frame: MaskedImage, **attributes: Any) -> Exposure:
    """An exposure that shares the frame's pixels."""
    if frame.unit is None:
        raise BadFrameError("the pixels of the image have no unit.", cure="Write it through skyloom.")
    return Exposure(
        image=frame.image,
        mask=_own_mask(frame.mask),
        variance=frame.variance,
        unit=frame.unit,
        projection=frame.sky_projection,
        metadata=dict(frame.metadata.native),
        **attributes,
    )


def _own_mask(mask: Mask) -> Mask:
    """The mask in our schema: as it is where it has it, else copied plane by plane by name."""
    if mask.schema == MASK_SCHEMA:
        return mask
    own = Mask(0, schema=MASK_SCHEMA, bbox=mask.bbox)
    bits = bits_of(own)
    for name in set(mask.schema.names) & set(MASK_SCHEMA.names):
        bits[mask.get(name)] |= MASK_SCHEMA.bit(name).mask
    return own


def _published_psf(psf: PointSpreadFunction) -> PointSpreadFunction:
    """The PSF in a form that `VisitImage` can write."""
    if isinstance(psf, PixelGridPsf):
        return psf.to_piff()
    if isinstance(psf, (PiffWrapper, GaussianPointSpreadFunction)):
        return psf
    raise BadFrameError(f"a {type(psf).__name__} cannot be published.", cure="Fit a pixel-grid PSF.")


def _own_psf(psf: PointSpreadFunction) -> PointSpreadFunction:
    """The PSF evaluated by our kernels, where it is one of ours."""
    if not isinstance(psf, PiffWrapper):
        return psf
    try:
        return PixelGridPsf.from_piff(psf)
    except PsfError:
        return psf


def _photo_calib(frame: VisitImage, metadata: dict[str, Any]) -> PhotoCalib | None:
    """The calibration from the photometric scaling; takes its own keys out of ``metadata``."""
    mean, error = metadata.pop(_CALIBRATION_MEAN, None), metadata.pop(_CALIBRATION_ERR, float("nan"))
    scaling = frame.photometric_scaling
    if scaling is None or scaling.unit is None:
        return None
    to_njy = (scaling.unit * u.electron).to(u.nJy)
    if scaling.is_constant:
        box = scaling.bounds.bbox
        return PhotoCalib(float(scaling(x=box.x.start, y=box.y.start)) * to_njy, error)
    if mean is None:
        mean = float(np.mean(scaling.render(frame.bbox).array, dtype=np.float64)) * to_njy
    return PhotoCalib(mean, error, scaling / u.Quantity(mean / to_njy, scaling.unit))


def _to_tract_image[T: TractImage](kind: type[T], exposure: Exposure) -> T:
    psf = exposure.psf
    if exposure.projection is None:
        raise BadFrameError("a warp or coadd cannot be written without a sky projection.")
    if psf is not None and not isinstance(psf, CoaddPsf):
        raise BadFrameError(f"the PSF of a warp or coadd must be a CoaddPsf; got {type(psf).__name__}.")
    image, mask, variance = _planes(exposure)
    return kind(
        image,
        mask=mask,
        variance=variance,
        sky_projection=exposure.projection,
        psf=psf,
        inputs=exposure.inputs,
        band=exposure.band,
        obs_info=exposure.obs_info,
        metadata=plain_metadata(exposure.metadata),
    )


def _from_tract_image(picture: TractImage) -> Exposure:
    exposure = _exposure(picture, obs_info=picture.obs_info, band=picture.band)
    exposure.psf, exposure.inputs = picture.psf, picture.inputs
    return exposure
