from __future__ import annotations

from collections.abc import Callable

import astropy.units as u
import numpy as np
import pytest
from astropy.io.fits import Header
from lsst.images import Box, Image, Mask, MaskedImage

from skyloom.images.mask_planes import MASK_SCHEMA
from skyloom.images.raw import RawExposure
from skyloom.instruments import Camera


@pytest.fixture(scope="session")
def camera() -> Camera:
    return Camera.read("simulated")


@pytest.fixture(scope="session")
def make_raw(camera: Camera) -> Callable[..., RawExposure]:
    """A raw frame of CCD 0 with a header as the simulator writes it."""

    def build(pixels: np.ndarray, detector: int = 0, **keywords: object) -> RawExposure:
        header = Header(
            {
                "INSTRUME": "simulated",
                "EXPNUM": 7,
                "DETNUM": detector,
                "FILTER": "r",
                "EXPTIME": 60.0,
                "DATE-OBS": "2026-01-15T04:00:00",
                "RA": 150.0,
                "DEC": 2.2,
                "ROTANG": 0.0,
                "IMGTYPE": "science",
                "OBJECT": "field",
                "AIRMASS": 1.1,
            }
            | keywords
        )
        return camera.complete(RawExposure(image=pixels, header=header, file="frame.fits"))

    return build


def _master(
    pixels: np.ndarray, unit: u.UnitBase | None = None, *, variance: float = 0.0, bad: np.ndarray | None = None
) -> MaskedImage:
    box = Box.from_shape(pixels.shape)
    mask = Mask(0, schema=MASK_SCHEMA, bbox=box)
    if bad is not None:
        mask.set("BAD", bad)
    spread = Image(np.full(pixels.shape, variance, np.float32), bbox=box, unit=None if unit is None else unit**2)
    return MaskedImage(Image(pixels.astype(np.float32), bbox=box, unit=unit), mask=mask, variance=spread)


@pytest.fixture(scope="session")
def master() -> Callable[..., MaskedImage]:
    """Makes a calibration frame of pixels, with a unit or none."""
    return _master
