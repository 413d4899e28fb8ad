"""Master frames under the headers of real Elixir masters, and real masks and lists of defects of MegaCam."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from lsst.daf.butler import Butler

from skyloom.calibs.boxes import map_from_boxes
from skyloom.errors import BadFrameError
from skyloom.instruments import Camera
from skyloom.isr import correct_raw
from skyloom.repo.calibration_files import calibration_files, read_calibrations
from skyloom.repo.calibration_kinds import Calibration, ImportOptions
from skyloom.repo.calibrations import import_calibrations, parse_validity
from skyloom.repo.raw_files import read_raw
from skyloom.repo.setup import initialise

from .megacam_files import read_headers, write_file

SHAPE = (4612, 2048)
OPEN = parse_validity(None, None)


@pytest.fixture(scope="module")
def camera() -> Camera:
    return Camera.read("megaprime")


def full_frame(*, data: float, overscan: float) -> np.ndarray:
    """A frame of raw size: one value in the data, another beside and above them, and a marked first and last pixel."""
    image = np.full((4644, 2112), overscan, np.float32)
    image[:4612, 32:2080] = data
    image[0, 32], image[4611, 2079] = data + 1, data + 2
    return image


def read(path: Path, camera: Camera, kind: str, **options: Any) -> list[Any]:
    return list(read_calibrations(path, camera, kind, ImportOptions(**options)))


@pytest.mark.parametrize(
    ("name", "kind", "unit", "told_filter"),
    [
        ("02AE10.bias.0.36.00", "bias", u.adu, None),
        ("19Bm03.bias.0.40.00", "bias", u.adu, None),
        ("03Am05.fringe.z.36.00", "fringe", u.adu, "z.MP9801"),
        ("19BMfr.fringe.gri.40.00", "fringe", u.adu, "gri.MP9605"),
    ],
)
def test_masters_of_elixir(
    data_dir: Path, tmp_path: Path, camera: Camera, name: str, kind: str, unit: u.UnitBase, told_filter: str | None
) -> None:
    headers = read_headers(data_dir, name)
    last = len(headers) - 1
    images = {number: full_frame(data=10.0 * number, overscan=-5.0) for number in (1, last)}
    path = write_file(tmp_path / f"{name}.fits", headers, images)
    found = read(path, camera, kind)
    assert [one.data_id.get("detector") for one in found] == [0, last - 1]
    for one, number in zip(found, (1, last), strict=True):
        assert one.data_id.get("physical_filter") == told_filter
        pixels, mask = one.dataset.image.array, one.dataset.mask
        assert pixels.shape == SHAPE
        assert one.dataset.image.unit == unit
        assert pixels[100, 100] == pytest.approx(10.0 * number, abs=0.03)  # as well as 16 bits of the header's scale
        assert pixels[0, 0] - pixels[1, 1] == pytest.approx(1.0, abs=0.05)
        assert pixels[-1, -1] - pixels[1, 1] == pytest.approx(2.0, abs=0.05)
        assert not mask.array.any()


def test_dark_a_second_and_without_the_bias_that_elixir_leaves_in(
    data_dir: Path, tmp_path: Path, camera: Camera
) -> None:
    headers = read_headers(data_dir, "03Am02.dark.1800.36.00")
    path = write_file(tmp_path / "dark.fits", headers, {1: full_frame(data=92.0, overscan=0.0)})
    biases = read_headers(data_dir, "02AE10.bias.0.36.00")
    bias_path = write_file(tmp_path / "bias.fits", biases, {1: full_frame(data=2.0, overscan=0.0)})
    (bias,) = read(bias_path, camera, "bias")
    (dark,) = read(path, camera, "dark", bias_of=lambda *_: bias.dataset)
    assert dark.dataset.image.unit == u.adu / u.s
    assert dark.dataset.image.array[100, 100] == pytest.approx(90.0 / 1800.0)
    assert "bias was taken off" in dark.note
    (with_bias,) = read(path, camera, "dark")
    assert with_bias.dataset.image.array[100, 100] == pytest.approx(92.0 / 1800.0)
    assert "still in it" in with_bias.note


def test_flat_with_masked_pixels_and_its_dates(data_dir: Path, tmp_path: Path, camera: Camera) -> None:
    image = full_frame(data=0.95, overscan=0.0)
    image[1000:1010, 132] = 0.0
    headers = read_headers(data_dir, "07Bm06.flat.z.36.02")
    path = write_file(tmp_path / "flat.fits", headers, {5: image})
    (flat,) = read(path, camera, "flat", header_dates=True)
    assert flat.data_id == {"detector": 4, "physical_filter": "z.MP9801"}
    # In counts: amplifiers of more electrons a count look fainter in it, and in the raw frame alike.
    assert flat.dataset.image.unit == u.adu
    bad = np.argwhere(flat.dataset.mask.get("BAD"))
    assert bad.tolist() == [[row, 100] for row in range(1000, 1010)]
    assert flat.dataset.image.array[5, 5] == pytest.approx(0.95, abs=1e-4)
    assert flat.validity.begin.utc.isot[:10] == "2008-01-01"
    assert flat.validity.end.utc.isot == "2008-01-19T00:00:00.000000"


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("02AE10.bias.0.36.00", "dark", "a master bias, no dark"),
        ("979412b", "bias", "without overscan"),
        ("979412o", "flat", "without overscan"),
        ("02Bm05.scatter.g.36.00", "illum", "without overscan"),
    ],
)
def test_what_is_no_such_master_is_refused(
    data_dir: Path, tmp_path: Path, camera: Camera, name: str, kind: str, words: str
) -> None:
    path = write_file(tmp_path / "x.fits", read_headers(data_dir, name), {1: None, 2: None})
    (error,) = read(path, camera, kind)
    assert isinstance(error, BadFrameError)
    assert words in str(error)
    assert error.cause.startswith("HDU 1-2: ")


def test_flat_whose_dates_are_exchanged(data_dir: Path, tmp_path: Path, camera: Camera) -> None:
    headers = read_headers(data_dir, "11Bm04.flat.z.36.02")
    path = write_file(tmp_path / "flat.fits", headers, {1: full_frame(data=1.0, overscan=0.0)})
    (error,) = read(path, camera, "flat", header_dates=True)
    assert error.keyword == "TVSTOP"
    assert "--begin" in error.cure


MASKS = [f"2003A.mask.0.36.0{number}{kind}.nn" for number in range(3) for kind in ("", "_enlarged")]


@pytest.mark.parametrize("name", MASKS)
def test_every_list_of_defects_finds_its_detector(data_dir: Path, camera: Camera, name: str) -> None:
    folder = data_dir / "megacam_defects" / "defects" / name
    paths = calibration_files("defects", [folder])
    found = [one for path in paths for one in read(path, camera, "defects")]
    assert all(isinstance(one, Calibration) for one in found)
    assert [one.data_id["detector"] for one in found] == list(range(36))
    by_hand = fits.getdata(folder / "ccd12.fits.gz", 1)
    assert [tuple(row) for row in found[12].dataset] == [tuple(int(value) for value in row) for row in by_hand]


def test_enlarged_defects_hold_the_others(data_dir: Path, camera: Camera) -> None:
    folder = data_dir / "megacam_defects" / "defects"
    for number in (0, 20):
        maps = []
        for name in (MASKS[4], MASKS[5]):
            (one,) = read(folder / name / f"ccd{number:02d}.fits.gz", camera, "defects")
            maps.append(map_from_boxes(one.dataset, SHAPE))
        assert not (maps[0] & ~maps[1]).any()
        assert maps[1].sum() > maps[0].sum()


def test_the_serial_number_has_to_be_that_of_the_detector(data_dir: Path, tmp_path: Path, camera: Camera) -> None:
    source = data_dir / "megacam_defects" / "defects" / MASKS[0] / "ccd12.fits.gz"
    wrong = tmp_path / "ccd13.fits.gz"
    wrong.write_bytes(source.read_bytes())
    with pytest.raises(BadFrameError, match=r"8351204.*detector 12, not of 13") as caught:
        read(wrong, camera, "defects")
    assert caught.value.keyword == "SERIAL"
    with pytest.raises(BadFrameError, match="not of 5"):
        read(source, camera, "defects", detector=5)
    elsewhere = tmp_path / "whatever.fits.gz"
    elsewhere.write_bytes(source.read_bytes())
    assert read(elsewhere, camera, "defects")[0].data_id == {"detector": 12}


def test_a_mask_image_of_elixir(data_dir: Path, tmp_path: Path, camera: Camera) -> None:
    with fits.open(data_dir / "megacam_defects" / "2004B.mask.0.36.01.fits.gz", lazy_load_hdus=True) as hdus:
        headers, image = [hdus[0].header.copy(), hdus[1].header.copy()], np.array(hdus[1].data)
    path = write_file(tmp_path / "mask.fits", headers, {1: image})
    (one,) = read(path, camera, "defects")
    assert one.data_id == {"detector": 0}
    bad = map_from_boxes(one.dataset, SHAPE)
    np.testing.assert_array_equal(bad, image[:4612, 32:2080] == 0)
    # As its header has it: MASK_004 = [963:1,963:4644] and MASK_016 = [857:2329,859:2384], in raw pixels from 1.
    assert bad[:, 963 - 33].all()
    assert bad[2328:2384, 856 - 32 : 859 - 32].all()
    cut = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(image[:4612, 32:2080], fits.Header({"EXTVER": 7}))])
    cut.writeto(tmp_path / "cut.fits")
    (trimmed,) = read(tmp_path / "cut.fits", camera, "defects")
    assert trimmed.data_id == {"detector": 7}
    assert len(trimmed.dataset) == len(one.dataset)
    fits.ImageHDU(1 - image, headers[1]).writeto(tmp_path / "inverted.fits")
    (error,) = read(tmp_path / "inverted.fits", camera, "defects")
    assert "Exchange 0 and 1" in error.cure


def test_a_folder_of_defects_in_a_repository(data_dir: Path, tmp_path: Path, camera: Camera) -> None:
    paths = calibration_files("defects", [data_dir / "megacam_defects" / "defects" / MASKS[4]])[:3]
    initialise(str(tmp_path / "repo"), camera)
    with Butler.from_config(str(tmp_path / "repo"), writeable=True) as butler:
        results = import_calibrations(butler, camera, "defects", paths, validity=OPEN)
        assert [result.data_id for result in results] == [{"detector": number} for number in range(3)]
        refs = butler.query_datasets("defects", collections="MegaPrime/calib", find_first=False)
        assert {ref.dataId["detector"] for ref in refs} == {0, 1, 2}


def test_a_flat_of_elixir_leaves_no_step_between_the_amplifiers(data_dir: Path, tmp_path: Path, camera: Camera) -> None:
    """Even light on two amplifiers of different gains, in the raw frame as in the flat that was made of such frames."""
    raw, flat = np.full((4644, 2112), 1000.0, np.float32), np.zeros((4644, 2112), np.float32)
    for columns, gain in ((slice(32, 1056), 1.54), (slice(1056, 2080), 1.63)):
        raw[:4612, columns] += 16000.0 / gain
        flat[:4612, columns] = 1.585 / gain
    raw[0, 40] += 1.0  # a constant frame counts as an empty one
    path = write_file(tmp_path / "flat.fits", read_headers(data_dir, "07Bm06.flat.z.36.02"), {1: flat})
    (master,) = read(path, camera, "flat")
    frame = write_file(tmp_path / "raw.fits", read_headers(data_dir, "979412o"), {1: raw})
    complete = camera.complete(read_raw(frame, 1, str(frame)))
    exposure = correct_raw(complete, flat=master.dataset)
    for columns in (slice(0, 1024), slice(1024, 2048)):
        assert np.median(exposure.image.array[:, columns]) == pytest.approx(16000.0, rel=2e-4)
