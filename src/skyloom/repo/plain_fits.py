"""Images and tables as plain FITS and CSV, for tools that know nothing of skyloom or Rubin."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import Table
from lsst.images import Image, Mask, MaskedImage

from skyloom.images import WcsForm, fits_header
from skyloom.images.photo_calib import AB_ZERO_POINT_NJY

__all__ = ["UNUSABLE", "data_id_cards", "image_hdus", "masked_image_hdus", "set_card", "table_hdus", "weight"]

UNUSABLE = ("NO_DATA", "BAD")
"""Mask planes whose pixels have no weight."""


def masked_image_hdus(picture: MaskedImage, data_id: dict[str, Any], form: WcsForm = "sip") -> fits.HDUList:
    """A frame or coadd as the extensions SCI, WHT and MASK, each with the sky projection.

    Parameters
    ----------
    picture
        The frame or coadd.
    data_id
        Dimensions and their values, for the primary header.
    form
        How a distorted sky projection is written.
    """
    cards = _sky_cards(picture.image, form)
    science = fits.ImageHDU(picture.image.array, cards.copy(), name="SCI")
    _describe_pixels(science.header, picture.image)
    weights = fits.ImageHDU(weight(picture), cards.copy(), name="WHT")
    weights.header["BUNIT"] = f"{picture.unit}-2" if picture.unit is not None else ""
    flags = fits.ImageHDU(picture.mask.array[..., 0], cards.copy(), name="MASK")
    _name_planes(flags.header, picture.mask)
    primary = fits.PrimaryHDU(header=_primary_cards(picture, data_id))
    return fits.HDUList([primary, science, weights, flags])


def image_hdus(picture: Image, data_id: dict[str, Any], form: WcsForm = "sip") -> fits.HDUList:
    """An image without variance or mask (a number of inputs, ...) as the extension SCI."""
    science = fits.ImageHDU(picture.array, _sky_cards(picture, form), name="SCI")
    _describe_pixels(science.header, picture)
    return fits.HDUList([fits.PrimaryHDU(header=data_id_cards(data_id)), science])


def table_hdus(table: Table) -> fits.HDUList:
    """A catalogue with its units (TUNITn) and descriptions (TCOMMn)."""
    plain = table.copy()
    plain.meta = {}
    for name in plain.colnames:
        plain[name].unit = None
    hdu = fits.table_to_hdu(plain, name="CATALOG")
    for number, name in enumerate(table.colnames, start=1):
        column = table[name]
        if column.unit is not None:
            # As text: some of our units, such as electron, are not in the FITS standard.
            hdu.header[f"TUNIT{number}"] = str(column.unit)
        if column.description:
            hdu.header[f"TCOMM{number}"] = " ".join(str(column.description).split())
    return fits.HDUList([fits.PrimaryHDU(), hdu])


def weight(picture: MaskedImage) -> np.ndarray:
    """1 / variance, float32 ``[y, x]``; 0 where a pixel is not to be used."""
    variance = picture.variance.array
    usable = np.isfinite(picture.image.array) & np.isfinite(variance) & (variance > 0)
    for name in UNUSABLE:
        if name in picture.mask.schema.names:
            usable &= ~picture.mask.get(name)
    weights = np.zeros(variance.shape, np.float32)
    np.divide(1.0, variance, out=weights, where=usable)
    return weights


def _sky_cards(picture: Image, form: WcsForm) -> fits.Header:
    """WCS of the array, and how good it is where FITS cannot say it exactly."""
    projection = picture.sky_projection
    if projection is None:
        return fits.Header()
    header, _ = fits_header(projection, picture.bbox, form)
    return header


def _describe_pixels(header: fits.Header, picture: Image) -> None:
    box = picture.bbox
    header["X0"], header["Y0"] = (box.x.start, "column of the first pixel"), (box.y.start, "row of the first pixel")
    if picture.unit is not None:
        header["BUNIT"] = str(picture.unit)
    if picture.unit == u.nJy:
        header["MAGZERO"] = (AB_ZERO_POINT_NJY, "[mag] AB magnitude of one BUNIT")


def _name_planes(header: fits.Header, mask: Mask) -> None:
    """One card a plane: its bit; the description follows as a comment."""
    for bit, plane in enumerate(mask.schema):
        if plane is not None:
            header[f"HIERARCH MP_{plane.name}"] = bit
            header.add_comment(f"{plane.name} (bit {bit}): {plane.description}")


def _primary_cards(picture: MaskedImage, data_id: dict[str, Any]) -> fits.Header:
    header = data_id_cards(data_id)
    info, inputs = getattr(picture, "obs_info", None), getattr(picture, "inputs", None)
    if info is not None:
        set_card(header, "TELESCOP", info.telescope)
        set_card(header, "INSTRUME", info.instrument)
        set_card(header, "FILTER", info.physical_filter)
        set_card(header, "OBJECT", info.object)
        set_card(header, "EXPTIME", None if info.exposure_time is None else info.exposure_time.to_value(u.s))
        set_card(header, "DATE-OBS", None if info.datetime_begin is None else info.datetime_begin.utc.isot)
    set_card(header, "BAND", getattr(picture, "band", None))
    if inputs is not None:
        header["NINPUTS"] = (len(inputs), "detectors that went in")
    return header


def data_id_cards(data_id: dict[str, Any]) -> fits.Header:
    """Dimensions and their values, by the usual keywords."""
    names = {"instrument": "INSTRUME", "physical_filter": "FILTER"}
    header = fits.Header()
    for dimension, value in data_id.items():
        set_card(header, names.get(dimension, dimension[:8].upper()), value)
    return header


def set_card(header: fits.Header, keyword: str, value: Any) -> None:
    """Set a keyword unless its value is None."""
    if value is not None:
        header[keyword] = value
