"""Frames under the headers of real MegaCam files: raw and corrected ones side by side, single CCDs and amplifiers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.io.fits import Header
from click.testing import CliRunner
from lsst.daf.butler import Butler

from skyloom.cli.ingest import command
from skyloom.images import bitmask, from_post_isr
from skyloom.instruments import Camera
from skyloom.isr import IsrSettings, OverscanSettings, correct_raw
from skyloom.repo.frames import Frame, Rejection, describe_files
from skyloom.repo.incoming import ingest
from skyloom.repo.raw_files import read_raw
from skyloom.repo.setup import initialise

from .megacam_files import read_headers, write_file

SHAPE = (4644, 2112)
GAIN = 1.585


@pytest.fixture(scope="module")
def camera() -> Camera:
    return Camera.read("megaprime")


@pytest.fixture
def butler(tmp_path: Path, camera: Camera) -> Any:
    initialise(str(tmp_path / "repo"), camera)
    with Butler.from_config(str(tmp_path / "repo"), writeable=True) as butler:
        yield butler


def corrected_image() -> np.ndarray:
    """Sky of 1400 ADU with the noise of its photons, a masked column, a saturated pixel; no counts in the overscan."""
    image = np.zeros(SHAPE, np.float32)
    rng = np.random.default_rng(7)
    image[:4612, 32:2080] = np.round(rng.normal(1400.0, np.sqrt(1400.0 / 1.55), (4612, 2048)))
    image[1000:3000, 532] = 0.0
    image[50, 1200] = 65000.0
    return image


def both(data_dir: Path, folder: Path) -> list[Path]:
    """A raw file of three CCDs, and the corrected file of two of them."""
    raw = write_file(folder / "979412o.fits", read_headers(data_dir, "979412o"), dict.fromkeys((1, 13, 36)))
    headers = read_headers(data_dir, "979412p")
    return [raw, write_file(folder / "979412p.fits", headers, {1: corrected_image(), 13: None})]


def test_raw_and_corrected_frames_of_one_exposure(
    data_dir: Path, tmp_path: Path, camera: Camera, butler: Butler
) -> None:
    paths = both(data_dir, tmp_path)
    result = ingest(butler, camera, paths)
    assert (result.ingested, result.visits, result.rejected) == (5, 1, [])
    again = ingest(butler, camera, paths)
    assert (again.ingested, again.known) == (0, 5)
    found = {
        kind: {ref.dataId["detector"] for ref in butler.query_datasets(kind, collections="MegaPrime/defaults")}
        for kind in ("raw", "post_isr")
    }
    assert found == {"raw": {0, 12, 35}, "post_isr": {0, 12}}
    raw = butler.get("raw", instrument="MegaPrime", exposure=979412, detector=12, collections="MegaPrime/defaults")
    assert camera.complete(raw).detector.id == 12
    stored = butler.get(
        "post_isr", instrument="MegaPrime", exposure=979412, detector=0, collections="MegaPrime/defaults"
    )
    check_corrected(from_post_isr(stored))


def check_corrected(exposure: Any) -> None:
    """Electrons of one gain, a variance that the noise confirms, and masked pixels that are interpolated."""
    image, variance, bits = exposure.image.array, exposure.variance.array, exposure.bits
    assert exposure.unit == u.electron
    assert image.shape == (4612, 2048)
    assert exposure.metadata["IMRED_MK"] == "2003A.mask.0.36.01.fits[ccd00]"
    half = slice(100, 1000)
    for columns, gain, noise in ((slice(0, 400), 1.54, 3.0), (slice(1100, 2000), 1.63, 6.0)):
        assert np.mean(image[half, columns]) == pytest.approx(GAIN * 1400.0, rel=1e-3)
        expected = (GAIN / gain) ** 2 * (gain * 1400.0 + noise**2)
        assert np.mean(variance[half, columns]) == pytest.approx(expected, rel=1e-3)
        assert np.var(image[half, columns]) == pytest.approx(expected, rel=0.07)  # the gain that made it is another
    masked = np.zeros(image.shape, bool)
    masked[1000:3000, 500] = True
    np.testing.assert_array_equal((bits & bitmask("BAD")) != 0, masked)
    assert ((bits[masked] & bitmask("INTRP")) != 0).all()
    np.testing.assert_allclose(image[masked], GAIN * 1400.0, rtol=0.2)
    assert bits[50, 1168] & bitmask("SAT")
    assert exposure.obs_info.physical_filter == "r.MP9601"
    assert exposure.projection is not None


def test_zeros_of_a_dark_sky_are_counts(data_dir: Path, tmp_path: Path, camera: Camera, butler: Butler) -> None:
    image = np.zeros(SHAPE, np.float32)
    image[:4612, 32:2080] = np.round(np.random.default_rng(3).normal(2.0, 2.5, (4612, 2048)))
    path = write_file(tmp_path / "2452990p.fits", read_headers(data_dir, "2452990p"), {40: image})
    assert ingest(butler, camera, [path]).ingested == 1
    stored = butler.get(
        "post_isr", instrument="MegaPrime", exposure=2452990, detector=39, collections="MegaPrime/post_isr"
    )
    assert not from_post_isr(stored).bits.any()


def test_a_file_of_one_ccd(data_dir: Path, tmp_path: Path, camera: Camera) -> None:
    """With the image in the primary HDU, or in the first extension, wherever the CCD lies in the whole file."""
    headers = read_headers(data_dir, "1927963o")
    extension = write_file(tmp_path / "a.fits", headers, {18: None})
    with fits.open(extension) as hdus:
        fits.PrimaryHDU(hdus[1].data, hdus[1].header).writeto(tmp_path / "b.fits")
    for path in (extension, tmp_path / "b.fits"):
        (frame,) = describe_files(camera, [path])
        assert isinstance(frame, Frame)
        assert (frame.detector, frame.exposure, frame.corrected) == (17, 1927963, False)
        assert read_raw(path, frame.hdu, "x").header["CCDNAME"] == camera.description_of(17).serial


def amplifier(rng: np.random.Generator, level: float) -> np.ndarray:
    """A single amplifier in the order of its read-out: data, then overscan that rises by a count a column."""
    image = np.zeros((4644, 1056), np.int32)
    image[:4612, :1024] = rng.integers(0, 100, (1, 1024)) + 1000 + int(level)
    image[:4612, 1024:] = 1000 + np.arange(32)
    return image


def test_a_file_of_single_amplifiers(data_dir: Path, tmp_path: Path, camera: Camera, butler: Butler) -> None:
    headers, rng = read_headers(data_dir, "688231o"), np.random.default_rng(5)
    b, a = amplifier(rng, 500.0), amplifier(rng, 300.0)
    path = write_file(tmp_path / "688231o.fits", headers, {1: b, 2: a, 41: None, 42: None})
    result = ingest(butler, camera, [path])
    assert (result.ingested, result.rejected) == (2, [])
    assert {ref.dataId["detector"] for ref in butler.query_datasets("raw", collections="MegaPrime/raw/all")} == {0, 20}
    raw = camera.complete(
        butler.get("raw", instrument="MegaPrime", exposure=688231, detector=0, collections="MegaPrime/raw/all")
    )
    assert raw.image.shape == SHAPE
    # DETSEC has the first pixel of 00a at the far end in x, that of 00b at the near end, A being the left one.
    np.testing.assert_array_equal(raw.image[:4612, 32:1056], a[:4612, :1024])
    np.testing.assert_array_equal(raw.image[:4612, 1056:2080], b[:4612, 1023::-1])
    # What was read first of the overscan lies next to the data.
    assert raw.image[0, 31] == raw.image[0, 2080] == 1000
    assert raw.image[0, 0] == raw.image[0, 2111] == 1031
    assert (raw.header["GAINA"], raw.header["GAINB"], raw.header["RDNOISEA"]) == (1.54, 1.63, 3.9)
    exposure = correct_raw(raw, settings=IsrSettings(serial_overscan=OverscanSettings(method="MEDIAN")))
    assert np.mean(exposure.image.array[:, :1024]) == pytest.approx(1.54 * (a[0, :1024].mean() - 1015.5), rel=1e-3)
    assert np.mean(exposure.image.array[:, 1024:]) == pytest.approx(1.63 * (b[0, :1024].mean() - 1015.5), rel=1e-3)


def test_an_amplifier_without_the_other(data_dir: Path, tmp_path: Path, camera: Camera) -> None:
    headers = read_headers(data_dir, "688231o")
    pair = write_file(tmp_path / "a.fits", headers, {1: None, 2: None, 3: None})
    frame, rejection = describe_files(camera, [pair])
    assert isinstance(frame, Frame)
    assert frame.detector == 0
    assert isinstance(rejection, Rejection)
    assert "single amplifier" in rejection.error.cause
    single = write_file(tmp_path / "b.fits", headers, {2: None})
    (rejection,) = describe_files(camera, [single])
    assert isinstance(rejection, Rejection)
    assert "single amplifier" in rejection.error.cause


def broken_header(headers: list[Header], number: int, keyword: str, value: Any) -> list[Header]:
    changed = [header.copy() for header in headers]
    changed[number][keyword] = value
    return changed


@pytest.mark.parametrize(("keyword", "value"), [("CCDNAME", "0000-0-0"), ("EXPTIME", "long"), ("GAINA", -1.0)])
def test_a_bad_extension_loses_its_own_ccd_only(
    data_dir: Path, tmp_path: Path, camera: Camera, keyword: str, value: Any
) -> None:
    headers = broken_header(read_headers(data_dir, "2463796o"), 2, keyword, value)
    path = write_file(tmp_path / "x.fits", headers, dict.fromkeys((1, 2, 3)))
    good = [one for one in describe_files(camera, [path]) if isinstance(one, Frame)]
    bad = [one for one in describe_files(camera, [path]) if isinstance(one, Rejection)]
    assert [frame.detector for frame in good] == [0, 2]
    (rejection,) = bad
    assert rejection.error.cause.startswith("HDU 2: ")
    assert keyword in str(rejection.error)


def test_a_file_that_ends_early_keeps_its_whole_ccds(data_dir: Path, tmp_path: Path, camera: Camera) -> None:
    path = write_file(tmp_path / "x.fits", read_headers(data_dir, "979412o"), dict.fromkeys(range(1, 5)))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 30_000_000)
    found = list(describe_files(camera, [path]))
    assert [one.detector for one in found if isinstance(one, Frame)] == [0, 1]
    told = [str(one.error) for one in found if isinstance(one, Rejection)]
    assert "HDU 3: the file is truncated" in told[0]
    assert "3 of 4 extensions" in told[1]


def test_command_takes_both(data_dir: Path, tmp_path: Path, butler: Butler) -> None:
    result = CliRunner().invoke(command, [str(tmp_path / "repo"), *map(str, both(data_dir, tmp_path))])
    assert result.exit_code == 0, result.output
    assert "5 frame(s) ingested, 0 known already, 1 visit(s) defined, 0 left out." in result.output
