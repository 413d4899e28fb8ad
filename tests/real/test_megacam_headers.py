"""Headers of real MegaCam files: each is read as what it is, or refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from astropy.io.fits import Header

from skyloom.errors import BadFrameError
from skyloom.instruments import Camera
from skyloom.repo.frames import Frame, Rejection, describe_files

from .megacam_files import read_headers, write_file

SUFFIX = ".fits.header.gz"
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


LEFT_OUT = {
    "02AE10.bias.0.36.00": "a master calibration",
    "03Am02.dark.1800.36.00": "a master calibration",
    "03Am05.fringe.z.36.00": "a master calibration",
    "07Bm06.flat.z.36.02": "a master calibration",
    "1013552p_flag": "a master calibration",
    "11Bm04.flat.z.36.02": "a master calibration",
    "19BMfr.fringe.gri.40.00": "a master calibration",
    "19Bm03.bias.0.40.00": "a master calibration",
    "02Bm05.scatter.g.36.00": "INSTRUME",
    "2003A.frpts.z.36.00": "no two-dimensional image",
    "2004B.mask.0.36.01": "EXPNUM",
    "675258o": "INSTRUME",
    "676000o": "FILTER",
    "695816p_diag": "no two-dimensional image",
}
"""What ingest leaves out, and what its reason says."""


@pytest.fixture(scope="module")
def camera() -> Camera:
    return Camera.read("megaprime")


@pytest.fixture(scope="module")
def files(data_dir: Path) -> dict[str, list[Header]]:
    """Headers of all HDUs by file."""
    names = sorted(path.name.removesuffix(SUFFIX) for path in (data_dir / "megacam_headers").glob(f"*{SUFFIX}"))
    assert len(names) > 25
    return {name: read_headers(data_dir, name) for name in names}


@pytest.fixture(scope="module")
def headers(files: dict[str, list[Header]]) -> dict[str, list[Header]]:
    """Headers of the detectors' HDUs by file."""
    return {name: hdus[1:] for name, hdus in files.items()}


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


def test_ingest_takes_every_exposure_and_leaves_the_rest_out_with_a_reason(
    camera: Camera, files: dict[str, list[Header]], tmp_path: Path
) -> None:
    for name, hdus in files.items():
        images = {} if name in ("2003A.frpts.z.36.00", "695816p_diag") else dict.fromkeys((1, 2))
        path = write_file(tmp_path / f"{name}.fits", hdus, images)
        found = list(describe_files(camera, [path]))
        if name in LEFT_OUT:
            (rejection,) = found
            assert isinstance(rejection, Rejection)
            assert LEFT_OUT[name] in str(rejection.error)
            assert rejection.error.cure
        else:
            assert [one.detector for one in found if isinstance(one, Frame)] == ([0] if name == "688231o" else [0, 1])
            assert {one.corrected for one in found if isinstance(one, Frame)} == {name.endswith("p")}
            assert len(found) == (1 if name == "688231o" else 2)


def test_cut_outs_are_left_out(data_dir: Path, camera: Camera) -> None:
    paths = sorted((data_dir / "megacam_headers").glob("cutout*"))
    assert len(paths) == 3
    for found in describe_files(camera, paths):
        assert isinstance(found, Rejection)
        assert "pixels (rows, columns)" in found.error.cause
