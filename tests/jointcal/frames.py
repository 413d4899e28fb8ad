"""Frames of stars for the joint fits, without pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.io.fits import Header
from lsst.images import Box, DetectorFrame

from skyloom.images import PhotoCalib, projection_from_header
from skyloom.jointcal.catalogues import FrameCatalogue


def tan_header(
    ra: float = 30.0, dec: float = 10.0, scale: float = 0.2, middle: tuple[float, float] = (500.0, 500.0)
) -> Header:
    header = Header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CRVAL1"], header["CRVAL2"] = ra, dec
    header["CRPIX1"], header["CRPIX2"] = middle[0] + 1.0, middle[1] + 1.0
    header["CD1_1"], header["CD1_2"], header["CD2_1"], header["CD2_2"] = -scale / 3600, 0.0, 0.0, scale / 3600
    return header


def flat_frame(
    *,
    visit: int,
    x: Sequence[float],
    y: Sequence[float],
    flux: Sequence[float],
    flux_err: Sequence[float],
    scale: float,
    detector: int = 0,
) -> FrameCatalogue:
    """A frame of 1000 x 1000 pixels with a plain tangent plane and a constant flux scale."""
    box = Box.from_shape((1000, 1000))
    frame = DetectorFrame(instrument="test", visit=visit, detector=detector, bbox=box)
    return FrameCatalogue(
        visit=visit,
        detector=detector,
        box=box,
        projection=projection_from_header(tan_header(), frame),
        photo_calib=PhotoCalib(scale, 0.0),
        focal_plane=lambda x, y: (0.01 * np.asarray(x), 0.01 * np.asarray(y)),
        epoch_year=2020.0,
        x=np.array(x, float),
        y=np.array(y, float),
        covariance=np.tile(np.eye(2) * 1e-4, (len(x), 1, 1)),
        flux=np.array(flux, float),
        flux_err=np.array(flux_err, float),
        source_id=np.arange(len(x), dtype=np.int64),
    )
