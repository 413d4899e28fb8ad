"""Sixteen amplifiers of a real e2v CCD, assembled by their DATASEC and DETSEC as another pipeline assembled them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import yaml
from astropy.io import fits

from skyloom.images.raw import RawExposure
from skyloom.instruments import Camera
from skyloom.isr import IsrSettings, OverscanSettings, correct_raw


def _section(text: str) -> tuple[int, int, int, int]:
    """x first, x last, y first, y last of an IRAF section, counted from 1."""
    first_x, last_x, first_y, last_y = (int(number) for number in re.findall(r"\d+", text))
    return first_x, last_x, first_y, last_y


def _interval(first: int, last: int, offset: int = 0) -> list[int]:
    return [min(first, last) - 1 + offset, max(first, last) + offset]


def _amplifier(header: fits.Header, offset: int) -> dict[str, object]:
    """An amplifier whose segment starts at column ``offset`` of the raw image."""
    x0, x1, y0, y1 = _section(header["DATASEC"])
    to_x0, to_x1, to_y0, to_y1 = _section(header["DETSEC"])
    return {
        "name": header["EXTNAME"],
        "box": {"x": _interval(to_x0, to_x1), "y": _interval(to_y0, to_y1)},
        "raw": {
            "box": {"x": [offset, offset + header["NAXIS1"]], "y": [0, header["NAXIS2"]]},
            "data": {"x": _interval(x0, x1, offset), "y": _interval(y0, y1)},
        },
        "flip_x": to_x0 > to_x1,
        "flip_y": to_y0 > to_y1,
        "gain": 1.0,
        "read_noise": 0.0,
        "saturation": 1e6,
    }


def test_assembled_exactly_as_elsewhere(data_dir: Path) -> None:
    folder = data_dir / "assembly_e2v"
    with fits.open(folder / "e2v_spot.fits.gz") as hdus:
        segments = [hdu for hdu in hdus[1:] if isinstance(hdu, fits.ImageHDU)]
        starts = np.cumsum([0] + [segment.header["NAXIS1"] for segment in segments])
        amplifiers = [_amplifier(segment.header, int(x)) for segment, x in zip(segments, starts[:-1], strict=True)]
        raw = np.hstack([segment.data for segment in segments])
    assert len(amplifiers) == 16
    camera = Camera.from_yaml(
        yaml.safe_dump(
            {
                "name": "e2v",
                "recognise": {"INSTRUME": "e2v"},
                "position_unit": "px",
                "pixel_scale": "0.2 arcsec",
                "pixel_size": "10 um",
                "pointing_error": "10 arcsec",
                "detectors": [{"id": 0, "name": "only", "size": [4096, 4004], "amplifiers": amplifiers}],
                "filters": {"r": {"band": "r"}},
                "header": {
                    "exposure_id": "N",
                    "exposure_time": "T",
                    "date": "D",
                    "ra": "RA",
                    "dec": "DEC",
                    "filter": "F",
                },
            }
        )
    )
    frame = RawExposure(image=raw, header=fits.Header(), file="e2v_spot.fits.gz", detector=camera.detector(0))
    settings = IsrSettings(serial_overscan=OverscanSettings(method="NONE"))
    exposure = correct_raw(frame, settings=settings)
    expected = fits.getdata(folder / "e2v_expected_assembled.fits.gz")
    assert expected.sum() > 100
    # That pipeline counts rows from the other end than DETSEC.
    np.testing.assert_array_equal(exposure.image.array, expected[::-1])
    assert not exposure.bits.any()
