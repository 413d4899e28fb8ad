"""A detector for a frame of which nothing is known but its pixels: one amplifier that fills it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import yaml

from skyloom.instruments import Camera

if TYPE_CHECKING:
    from lsst.images.cameras import Detector

__all__ = ["whole_frame_detector"]


def whole_frame_detector(shape: tuple[int, int], *, gain: float, read_noise: float, saturation: float) -> Detector:
    """A detector without overscan.

    Parameters
    ----------
    shape
        Rows and columns.
    gain
        Electrons an ADU; 1 where it is not a number.
    read_noise
        Electrons.
    saturation
        ADU; none where it is not a number.
    """
    box = {"x": [0, shape[1]], "y": [0, shape[0]]}
    amplifier = {
        "name": "whole",
        "box": box,
        "gain": gain if math.isfinite(gain) else 1.0,
        "read_noise": read_noise,
        "saturation": saturation if math.isfinite(saturation) else 1e30,
    }
    description = {
        "name": "unknown",
        "recognise": {"INSTRUME": "unknown"},
        "position_unit": "px",
        "pixel_scale": "1 arcsec",
        "pixel_size": "10 um",
        "pointing_error": "1 deg",
        "detectors": [{"id": 0, "name": "whole", "size": [shape[1], shape[0]], "amplifiers": [amplifier]}],
        "filters": {"unknown": {"band": "unknown"}},
        "header": {"exposure_id": "EXPNUM", "exposure_time": "EXPTIME", "date": "DATE-OBS", "ra": "RA", "dec": "DEC"},
    }
    return Camera.from_yaml(yaml.safe_dump(description)).detector(0)
