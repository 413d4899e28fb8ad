"""Frames without instrument signature become electrons with a variance and masks."""

from __future__ import annotations

from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner
from lsst.daf.butler import Butler
from tiny_camera import TINY, tiny_header

from skyloom.cli.ingest import command
from skyloom.images import bitmask, from_post_isr
from skyloom.instruments import Camera
from skyloom.repo.post_isr import ingest_post_isr
from skyloom.repo.setup import initialise

CORRECTED = """
post_isr: true
masks:
  name: "'mask_' + file"
  planes: {S_SATUR: SAT, S_CR: CR}
"""


@pytest.fixture(scope="module")
def camera() -> Camera:
    text = TINY.replace("          box: {x: [0, 24], y: [0, 30]}", "          box: {x: [0, 20], y: [0, 30]}")
    text = text.replace("          serial_overscan: {x: [20, 24], y: [0, 30]}\n", "")
    return Camera.from_yaml(
        text.replace("header:\n", "header:\n  soft_bias: {keyword: SOFTBIAS, default: 0}\n") + CORRECTED
    )


@pytest.fixture
def butler(tmp_path: Path, camera: Camera) -> Butler:
    initialise(str(tmp_path / "repo"), camera)
    return Butler.from_config(str(tmp_path / "repo"), writeable=True)


def write_corrected(path: Path, exposure: int) -> Path:
    """Sky of 200 ADU over a soft bias of 1000, noise as gain 2 and read noise 4 make it; three special pixels."""
    rng = np.random.default_rng(exposure)
    light = rng.poisson(400.0, (30, 20)) + rng.normal(0.0, 4.0, (30, 20))
    counts = (light / 2.0 + 1000.0).astype(np.float32)
    counts[0, 0], counts[1, 1], counts[2, 2] = np.nan, 60000.0, 900.0
    fits.PrimaryHDU(counts, tiny_header(exposure, 0, SOFTBIAS=1000)).writeto(path)
    return path


def write_mask(path: Path) -> None:
    """Spans as the SDSS writes them: one object of two rows for saturation, none for cosmic rays."""
    spans = np.array([[10, 3, 5], [11, 4, 40]], ">i2").tobytes()
    rows = {"nspan": [2], "row0": [0], "col0": [0]}
    columns = [fits.Column(name, "J", array=values) for name, values in rows.items()]
    data = np.empty(1, dtype=object)
    data[0] = np.frombuffer(spans, np.uint8)
    saturated = fits.BinTableHDU.from_columns([*columns, fits.Column("s", "PB()", array=data)])
    empty = fits.BinTableHDU.from_columns([fits.Column(name, "J", array=[]) for name in rows])
    legend = fits.BinTableHDU.from_columns(
        [
            fits.Column("attributeName", "31A", array=["S_SATUR", "S_CR"]),
            fits.Column("Value", "J", array=[0, 1]),
        ]
    )
    fits.HDUList([fits.PrimaryHDU(), saturated, empty, legend]).writeto(path)


def test_counts_become_electrons(butler: Butler, camera: Camera, tmp_path: Path) -> None:
    path = write_corrected(tmp_path / "a.fits", 5)
    result = ingest_post_isr(butler, camera, [path])
    assert (result.ingested, result.visits, result.rejected) == (1, 1, [])
    stored = butler.get("post_isr", instrument="tiny", exposure=5, detector=0, collections="tiny/defaults")
    exposure = from_post_isr(stored)
    image, variance, bits = exposure.image.array, exposure.variance.array, exposure.bits
    counts = fits.getdata(path)
    assert exposure.unit == u.electron
    assert image[5, 5] == pytest.approx(2.0 * (counts[5, 5] - 1000.0))
    assert variance[5, 5] == pytest.approx(image[5, 5] + 16.0)
    assert np.isnan(image[0, 0])
    assert np.isposinf(variance[0, 0])
    assert bits[0, 0] == bitmask("NO_DATA")
    assert bits[1, 1] == bitmask("SAT")
    assert (image[2, 2], variance[2, 2], bits[2, 2]) == (-200.0, 16.0, 0)
    clean = (bits == 0) & (image > 0)
    # 597 pixels: the variance of the pixels is known to 6 per cent.
    assert image[clean].var() == pytest.approx(variance[clean].mean(), rel=0.25)
    assert exposure.detector is not None
    assert exposure.detector.visit == 5
    assert exposure.obs_info is not None
    assert exposure.obs_info.physical_filter == "r"
    assert exposure.projection is not None
    assert exposure.band == "r"


def test_again_brings_nothing_new(butler: Butler, camera: Camera, tmp_path: Path) -> None:
    paths = [write_corrected(tmp_path / f"{number}.fits", number) for number in (5, 6, 7)]
    assert ingest_post_isr(butler, camera, paths[:2], workers=2).ingested == 2
    again = ingest_post_isr(butler, camera, paths)
    assert (again.ingested, again.known, again.visits) == (1, 2, 1)


def test_a_stopped_ingest_loses_no_visit(
    butler: Butler, camera: Camera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write_corrected(tmp_path / f"{number}.fits", number) for number in (5, 6)]
    put, calls = type(butler).put, []

    def fails_later(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise OSError("disk full")
        return put(self, *args, **kwargs)

    monkeypatch.setattr(type(butler), "put", fails_later)
    with pytest.raises(OSError, match="disk full"):
        ingest_post_isr(butler, camera, paths)
    again = ingest_post_isr(butler, camera, paths)
    assert (again.ingested, again.known) == (1, 1)
    assert [record.id for record in butler.query_dimension_records("visit", instrument="tiny")] == [5, 6]


def test_survey_masks(butler: Butler, camera: Camera, tmp_path: Path) -> None:
    path = write_corrected(tmp_path / "a.fits", 5)
    (tmp_path / "masks").mkdir()
    write_mask(tmp_path / "masks" / "mask_a.fits")
    other = write_corrected(tmp_path / "b.fits", 6)
    result = ingest_post_isr(butler, camera, [path, other], masks=tmp_path / "masks")
    assert result.ingested == 1
    assert "mask_b.fits does not exist" in str(result.rejected[0].error)
    stored = from_post_isr(
        butler.get("post_isr", instrument="tiny", exposure=5, detector=0, collections="tiny/post_isr")
    )
    expected = np.zeros((30, 20), bool)
    expected[10, 3:6], expected[11, 4:], expected[1, 1] = True, True, True
    np.testing.assert_array_equal((stored.bits & bitmask("SAT")) != 0, expected)


def test_command(butler: Butler, tmp_path: Path) -> None:
    path = write_corrected(tmp_path / "a.fits", 5)
    result = CliRunner().invoke(command, [str(tmp_path / "repo"), str(path)])
    assert result.exit_code == 0, result.output
    assert "1 frame(s) ingested" in result.output
