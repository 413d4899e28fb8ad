"""Headers of real MegaCam files: each is read as what it is, or refused by name."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from astropy.io.fits import Header

from skyloom.errors import BadFrameError
from skyloom.instruments import Camera

REFUSED = {
    "02Bm05.scatter.g.36.00": "INSTRUME",
    "2003A.frpts.z.36.00": "INSTRUME",
    "2004B.mask.0.36.01": "EXPNUM",
    "675258o": "INSTRUME",
    "676000o": "FILTER",
    "695816p_diag": "INSTRUME",
}
"""Products that are no exposures, and engineering frames of before the first light; and the keyword that tells."""
TYPES = {"o": "science", "p": "science", "b": "bias", "d": "dark", "l": "led", "x": "focus"}
"""What the last letter of a file's name says, where it stands for one observation type."""


@pytest.fixture(scope="module")
def camera() -> Camera:
    return Camera.read("megaprime")


@pytest.fixture(scope="module")
def headers(data_dir: Path) -> dict[str, list[Header]]:
    """Headers of the detectors' HDUs by file."""
    found = {}
    for path in sorted((data_dir / "megacam_headers").glob("*.header.gz")):
        hdus: list[list[str]] = []
        for line in gzip.decompress(path.read_bytes()).decode("ascii", "replace").splitlines():
            if line.startswith(("SIMPLE  =", "XTENSION=")):
                hdus.append([])
            if hdus and not line.startswith("#"):
                hdus[-1].append(line[:80])
        found[path.name.removesuffix(".fits.header.gz")] = [
            Header.fromstring("\n".join(cards), sep="\n") for cards in hdus[1:]
        ]
    assert len(found) > 25
    return found


def test_every_exposure_is_read_and_the_rest_refused_by_name(camera: Camera, headers: dict[str, list[Header]]) -> None:
    for name, hdus in headers.items():
        for header in hdus:
            if name in REFUSED:
                with pytest.raises(BadFrameError) as caught:
                    camera.translate(header, name)
                assert caught.value.keyword == REFUSED[name]
                assert caught.value.cure
            else:
                info = camera.translate(header, name)
                assert info.exposure_id == header["EXPNUM"]
                assert info.observation_type == TYPES.get(name[-1], info.observation_type)
                assert info.exposure_time is not None
                assert (info.tracking_radec is not None) == (info.observation_type == "science")


def test_detectors_gains_and_noises_are_those_of_the_header(camera: Camera, headers: dict[str, list[Header]]) -> None:
    for name in ("979412o", "1257365o", "1927963o", "2463796o"):
        assert [camera.detector_id(header, name) for header in headers[name]] == list(range(len(headers[name])))
        for number, header in enumerate(headers[name]):
            assert camera.description_of(number).serial == header["CCDNAME"].strip()
            for amplifier in camera.detector(number, header=header, file=name).amplifiers:
                nominal = amplifier.nominal_calibrations
                assert nominal is not None
                assert nominal.gain == header[f"GAIN{amplifier.name}"]
                assert nominal.read_noise == header[f"RDNOISE{amplifier.name}"]


def test_the_boxes_are_those_of_the_header(camera: Camera, headers: dict[str, list[Header]]) -> None:
    for number, header in enumerate(headers["979412o"]):
        for amplifier in camera.detector(number).amplifiers:
            raw = amplifier.assembled_raw_geometry
            assert raw is not None
            for box, keyword in ((raw.data_bbox, "DSEC"), (raw.serial_overscan_bbox, "BSEC")):
                columns = header[f"{keyword}{amplifier.name}"].strip("[]").split(",")[0]
                assert columns == f"{box.x.start + 1}:{box.x.stop}"
