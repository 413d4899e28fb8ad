"""Images of single amplifiers are put together to the raw image that the description has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import yaml
from astropy.io.fits import Header

from skyloom.errors import BadFrameError, CameraError
from skyloom.instruments import Camera
from skyloom.instruments.separate import AmplifierImages, join_amplifiers

ROWS, COLUMNS, OVERSCAN = 3, 4, 2


def box(x: tuple[int, int], y: tuple[int, int] = (0, ROWS)) -> dict[str, list[int]]:
    return {"x": list(x), "y": list(y)}


def amplifier(name: str, **raw: Any) -> dict[str, Any]:
    left = name == "L"
    start = 0 if left else COLUMNS
    return {
        "name": name,
        "box": box((start, start + COLUMNS)),
        "gain": 1.0,
        "read_noise": 1.0,
        "saturation": 1000.0,
        "gain_keyword": f"GAIN{name}",
        "raw": {
            "box": box((0, 6) if left else (6, 12)),
            "data": box((2, 6) if left else (6, 10)),
            "serial_overscan": box((0, 2) if left else (10, 12)),
        },
        "separate": {
            "recognise": f"AMP == '{name}'",
            "data": box((0, COLUMNS)),
            "serial_overscan": box((COLUMNS, COLUMNS + OVERSCAN)),
            "cards": {f"GAIN{name}": "GAIN"},
            **raw,
        },
    }


def camera(**right: Any) -> Camera:
    description = {
        "name": "split",
        "pixel_scale": "1 arcsec",
        "pointing_error": "1 arcmin",
        "detectors": [
            {"id": 0, "name": "a", "size": [8, 3], "amplifiers": [amplifier("L"), amplifier("R", flip_x=True, **right)]}
        ],
        "filters": {"r": {"band": "r"}},
        "header": {"exposure_id": "N", "exposure_time": "T", "date": "D", "ra": "RA", "dec": "DEC"},
    }
    return Camera.from_yaml(yaml.safe_dump(description))


def images(*names: str) -> AmplifierImages:
    """Pixels that count columns from 10 a hundred up for L, 20 for R; rows by thousands."""
    parts = [
        (
            Header({"AMP": name, "GAIN": {"L": 1.5, "R": 2.5}[name]}),
            (np.arange(6) + 100 * "LR".index(name) + 1000 * np.arange(3)[:, None]).astype(np.int32),
        )
        for name in names
    ]
    return AmplifierImages(image=np.hstack([pixels for _, pixels in parts]), header=Header(), file="f", parts=parts)


def test_amplifiers_in_any_order() -> None:
    for names in (("L", "R"), ("R", "L")):
        raw = join_amplifiers(camera().description_of(0), images(*names))
        # Overscan 4, 5 follows data 0-3 in the order of the read-out; what came first lies next to the data.
        assert raw.image[0].tolist() == [5, 4, 0, 1, 2, 3, 103, 102, 101, 100, 104, 105]
        assert raw.image[2].tolist() == [2000 + value for value in raw.image[0]]
        assert (raw.header["GAINL"], raw.header["GAINR"]) == (1.5, 2.5)


def test_rows_are_mirrored_too() -> None:
    raw = join_amplifiers(camera(flip_y=True).description_of(0), images("L", "R"))
    assert raw.image[:, 6].tolist() == [2103, 1103, 103]
    assert raw.image[:, 10].tolist() == [2104, 1104, 104]


@pytest.mark.parametrize("names", [("L",), ("L", "L"), ("L", "R", "R")])
def test_each_amplifier_has_to_be_there_once(names: tuple[str, ...]) -> None:
    with pytest.raises(BadFrameError, match="single amplifiers of detector a"):
        join_amplifiers(camera().description_of(0), images(*names))


def test_too_small_images_are_refused() -> None:
    raw = images("L", "R")
    raw.parts = [(header, pixels[:, :5]) for header, pixels in raw.parts]
    with pytest.raises(BadFrameError, match="serial_overscan reaches to"):
        join_amplifiers(camera().description_of(0), raw)


def test_regions_of_other_sizes_are_refused_in_the_description() -> None:
    with pytest.raises(CameraError, match="serial_overscan of `separate` and of `raw` differ"):
        camera(serial_overscan=box((4, 5)))
