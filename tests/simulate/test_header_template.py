"""Simulated frames under the headers of real ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from astropy.io import fits

from skyloom.errors import SkyloomError
from skyloom.instruments import Camera
from skyloom.simulate import Mosaic
from skyloom.simulate.header_template import read_templates
from skyloom.simulate.headers import Exposure, make_header

TOLD = Exposure(number=9, observation_type="science", begin="2026-01-15T04:05:06", seconds=30.0, band="i", ra_deg=150.0)


@pytest.fixture(scope="module")
def mosaic() -> Mosaic:
    return Mosaic.of(Camera.read("megaprime"))


def real_file(folder: Path, suffix: str) -> Path:
    """Two HDUs as a camera writes them: FITS, or their text."""
    header = fits.Header(
        {"CCDNAME": "8341-7-5", "WEATHER": "clear", "CRVAL1": 12.0, "CD1_1": 5e-5, "EXPNUM": 1, "BZERO": 32768.0}
    )
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(header=header)])
    path = folder / f"real{suffix}"
    if suffix == ".fits":
        hdus.writeto(path)
    else:
        path.write_text("\n".join(f"# HDU {n}\n{hdu.header.tostring(sep='\n')}" for n, hdu in enumerate(hdus)))
    return path


@pytest.mark.parametrize("suffix", [".fits", ".txt"])
def test_real_cards_stay_and_simulated_ones_take_their_place(tmp_path: Path, mosaic: Mosaic, suffix: str) -> None:
    templates = read_templates(real_file(tmp_path, suffix), mosaic)
    assert list(templates) == [0]
    header = make_header(TOLD, mosaic, mosaic.ccds[0], {}, templates[0])
    assert header["WEATHER"] == "clear"
    assert header["CCDNAME"] == "8341-7-5"
    assert (header["EXPNUM"], header["FILTER"], header["UTC-OBS"]) == (9, "i.MP9701", "04:05:06.000")
    assert not {"CRVAL1", "CD1_1", "BZERO", "XTENSION", "NAXIS"} & set(header)


def test_a_file_without_a_detector_of_the_camera_is_refused(tmp_path: Path, mosaic: Mosaic) -> None:
    path = tmp_path / "other.fits"
    fits.PrimaryHDU().writeto(path)
    with pytest.raises(SkyloomError, match="no header of a detector of MegaPrime"):
        read_templates(path, mosaic)
    with pytest.raises(SkyloomError, match="cannot be read"):
        read_templates(tmp_path / "none.fits", mosaic)
