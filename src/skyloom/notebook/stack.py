"""Frames onto other pixels, and coadds of them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io.fits import Header
from astropy.wcs import WCS
from lsst.images import Box, SkyProjection

from skyloom.coadd import CoaddInput, ExposureHandle, masked_mean, prepare_inputs, safe_clip
from skyloom.errors import AstrometryError, BadFrameError, NoOverlapError
from skyloom.images import Exposure, corner_polygon, pixel_scale, radec_to_pixel
from skyloom.skymap import unit_vectors
from skyloom.warp import VisitWarp, WarpSettings, warp_exposure

from .frames import as_projection

if TYPE_CHECKING:
    from skyloom.coadd import AlternateMasks

__all__ = ["make_coadd", "warp_to"]

_BAD = ("BAD", "SAT", "CR", "NO_DATA", "STREAK")

type Grid = Exposure | Header | WCS
"""What tells pixels and where they lie on the sky."""


def warp_to(exposure: Exposure, onto: Grid, *, settings: WarpSettings | None = None) -> Exposure:
    """Resample a frame onto other pixels; flux is conserved.

    Parameters
    ----------
    exposure
        A frame with a projection.
    onto
        An exposure, a FITS header with NAXIS1 and NAXIS2, or an `astropy.wcs.WCS` with an array shape.
    settings
        The kernel and more; Lanczos-3 without it.

    Returns
    -------
    skyloom.images.Exposure
        Over all pixels of the grid, NaN where the frame does not reach; with the PSF as seen on them.

    Raises
    ------
    skyloom.errors.AstrometryError
        If the frame has no projection.
    skyloom.errors.NoOverlapError
        If it does not touch the grid.
    """
    return warp_exposure(exposure, *_grid(onto), settings)


def make_coadd(
    exposures: Sequence[Exposure],
    onto: Grid | None = None,
    *,
    clip: bool = True,
    settings: WarpSettings | None = None,
) -> Exposure:
    """Combine calibrated frames into their weighted mean.

    Parameters
    ----------
    exposures
        In nJy, with projections; each counts as a visit of its own.
    onto
        The pixels, as of `warp_to`.  Without it a tangent plane with north up that holds all frames, in the finest of
        their pixel scales.
    clip
        Whether artifacts (trails, asteroids, hits that are left) are looked for, and masked in the frames that they
        come from; this takes three frames or more, with PSFs.
    settings
        Of the warps.

    Returns
    -------
    skyloom.images.Exposure
        In nJy, with the table of its inputs and their PSF; clipped pixels are CLIPPED in the mask.

    Raises
    ------
    skyloom.errors.BadFrameError, skyloom.errors.NoOverlapError
        If no frame can be used: not in nJy, without a value, away from the grid.
    """
    box, projection = _grid(onto) if onto is not None else _grid_of_all(exposures)
    handles = [
        ExposureHandle(warp, visit)
        for visit, exposure in enumerate(exposures)
        if (warp := _warped(exposure, visit, box, projection, settings)) is not None
    ]
    inputs, skipped = prepare_inputs(handles, _BAD)
    for visit, reason in skipped.items():
        warnings.warn(f"frame {visit} is left out: {reason}", stacklevel=2)
    if not inputs:
        reasons = "; ".join(sorted(set(skipped.values()))) or "none touches the grid"
        raise NoOverlapError(f"No frame can be used: {reasons}.", cure="Give calibrated frames (calibrate_frame).")
    band = {exposure.band for exposure in exposures}
    masks = _artifacts(inputs, box, projection) if clip else {}
    coadd, _ = masked_mean(inputs, box, projection, masks, band=band.pop() if len(band) == 1 else None)
    return coadd


def _artifacts(inputs: Sequence[CoaddInput], box: Box, projection: SkyProjection[Any]) -> AlternateMasks:
    """What is masked in single frames."""
    found = safe_clip(inputs, box, projection)
    for remark in found.remarks:
        warnings.warn(remark, stacklevel=3)
    return found.masks


def _warped(
    exposure: Exposure, visit: int, box: Box, projection: SkyProjection[Any], settings: WarpSettings | None
) -> Exposure | None:
    """The frame as the warp of a visit; None where it does not touch the grid."""
    warp = VisitWarp(visit, box, projection, settings)
    return warp.finish() if warp.add(0, exposure) else None


def _grid(onto: Grid) -> tuple[Box, SkyProjection[Any]]:
    """Pixels, and where they lie."""
    if isinstance(onto, Exposure):
        if onto.projection is None:
            raise AstrometryError("The grid's exposure has no projection.", cure="Calibrate it first.")
        return onto.bbox, onto.projection
    shape = onto.array_shape if isinstance(onto, WCS) else (onto.get("NAXIS2"), onto.get("NAXIS1"))
    if shape is None or None in shape:
        raise BadFrameError("The grid tells no shape.", cure="Give NAXIS1 and NAXIS2, or the WCS's array_shape.")
    return Box.from_shape((int(shape[0]), int(shape[1]))), as_projection(onto)


def _grid_of_all(exposures: Sequence[Exposure]) -> tuple[Box, SkyProjection[Any]]:
    """A tangent plane with north up that holds all frames."""
    corners, scales = [], []
    for number, exposure in enumerate(exposures):
        if exposure.projection is None:
            raise AstrometryError(f"Frame {number} has no projection.", cure="Calibrate it first.")
        corners.append(np.stack(corner_polygon(exposure.projection, exposure.bbox)))
        middle = exposure.bbox.x.center, exposure.bbox.y.center
        scales.append(float(pixel_scale(exposure.projection, *middle)))
    if not corners:
        raise NoOverlapError("There is no frame.", cure="Give some.")
    ra, dec = np.concatenate(corners, axis=1)
    x, y, z = unit_vectors(ra, dec).mean(axis=0)
    header = Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 1.0, "CRPIX2": 1.0, "RADESYS": "ICRS"})
    header["CRVAL1"] = float(np.degrees(np.arctan2(y, x)) % 360.0)
    header["CRVAL2"] = float(np.degrees(np.arctan2(z, np.hypot(x, y))))
    header["CDELT1"], header["CDELT2"] = -min(scales) / 3600.0, min(scales) / 3600.0
    projection = as_projection(header)
    columns, rows = radec_to_pixel(projection, ra, dec)
    left, bottom = int(np.floor(columns.min())), int(np.floor(rows.min()))
    shape = int(np.ceil(rows.max())) - bottom + 1, int(np.ceil(columns.max())) - left + 1
    return Box.from_shape(shape, start=(bottom, left)), projection
