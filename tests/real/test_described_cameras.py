"""Cameras described in YAML, on frames that real telescopes took."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from lsst.daf.butler import Butler

from skyloom.images import bitmask, from_post_isr, pixel_to_radec
from skyloom.instruments import Camera
from skyloom.repo.frame_check import check_frame
from skyloom.repo.frame_files import find_files, read_pixels
from skyloom.repo.ingest import ingest_raws
from skyloom.repo.post_isr import ingest_post_isr
from skyloom.repo.setup import initialise

CECILIA = Path(__file__).parents[2] / "docs" / "examples" / "cecilia.yaml"


def test_cecilia(data_dir: Path, tmp_path: Path) -> None:
    camera = Camera.read(CECILIA)
    files = find_files([data_dir / "hatp32_raw"])
    assert not [row for row in check_frame(camera, files[0]) if row.essential_gap]
    initialise(str(tmp_path / "repo"), camera)
    with Butler.from_config(str(tmp_path / "repo"), writeable=True) as butler:
        result = ingest_raws(butler, camera, files, workers=2)
        assert (result.ingested, result.visits, len(result.rejected)) == (24, 24, 0)
        records = list(butler.query_dimension_records("exposure", instrument="cecilia", limit=None))
        assert {record.day_obs for record in records} == {20171219}
        first = min(record.id for record in records)
        raw = camera.complete(
            butler.get("raw", instrument="cecilia", exposure=first, detector=0, collections="cecilia/defaults")
        )
    assert raw.obs_info is not None
    assert raw.obs_info.datetime_begin is not None
    assert raw.obs_info.datetime_begin.utc.isot == "2017-12-20T01:33:43.317"
    # +y points south and +x west: the image is mirrored.
    ra, dec = pixel_to_radec(raw.projection, [324.5, 424.5, 324.5], [249.5, 249.5, 349.5])
    assert (ra[0], dec[0]) == pytest.approx((31.312099, 46.769087), abs=1e-9)
    assert ra[1] < ra[0]
    assert dec[2] < dec[0]


FRAMES = [(4192, 300), (6377, 399)]


@pytest.mark.parametrize("band", ["g", "r", "i"])
@pytest.mark.parametrize(("run", "field"), FRAMES)
def test_sdss_gain_and_noise_agree_with_the_survey(data_dir: Path, run: int, field: int, band: str) -> None:
    camera = Camera.read("sdss")
    path = data_dir / "sdss_stripe82" / "calibration" / f"psField-{run:06d}-4-{field:04d}.fit.gz"
    told = fits.getdata(path, 6)
    index = "ugriz".index(band)
    (number,) = (entry.id for entry in camera.description.detectors if entry.name == f"{band}4")
    (amplifier,) = camera.detector(number).amplifiers
    assert amplifier.nominal_calibrations is not None
    assert amplifier.nominal_calibrations.gain == pytest.approx(told["gain"][0][index], rel=1e-6)


@pytest.mark.parametrize(
    ("run", "field", "band", "row"), [(4192, 300, "g", 5), (6377, 399, "r", 1), (4192, 300, "i", 2)]
)
def test_sdss_variance_is_the_noise_of_the_sky(
    data_dir: Path, tmp_path: Path, run: int, field: int, band: str, row: int
) -> None:
    camera = Camera.read("sdss")
    folder = data_dir / "sdss_stripe82"
    path = folder / "frames" / f"fpC-{run:06d}-{band}4-{field:04d}.fit.gz"
    initialise(str(tmp_path / "repo"), camera)
    with Butler.from_config(str(tmp_path / "repo"), writeable=True) as butler:
        result = ingest_post_isr(butler, camera, [path], masks=folder / "masks")
        assert (result.ingested, result.visits, result.rejected) == (1, 1, [])
        (ref,) = butler.query_datasets("post_isr", collections="sdss/post_isr")
        assert ref.dataId["exposure"] == (run * 10000 + field) * 10 + row
        assert ref.dataId["detector"] == 10 * row + 4
        exposure = from_post_isr(butler.get(ref))
    image, variance = exposure.image.array, exposure.variance.array
    counts, header = read_pixels(path)
    assert image[700, 700] == pytest.approx(
        (float(counts[700, 700]) - 1000) * exposure.detector.amplifiers[0].nominal_calibrations.gain, rel=1e-6
    )
    level = float(np.median(variance))
    sky = (exposure.bits == 0) & (image < np.median(image) + 3 * np.sqrt(level))
    pairs = sky[:, 1:] & sky[:, :-1]
    noise = clipped_std((image[:, 1:] - image[:, :-1])[pairs]) / np.sqrt(2)
    assert noise**2 == pytest.approx(level, rel=0.05)
    assert np.count_nonzero(exposure.bits & bitmask("SAT")) > 100
    ra, dec = pixel_to_radec(exposure.projection, header["CRPIX1"] - 1, header["CRPIX2"] - 1)
    assert (float(ra), float(dec)) == pytest.approx((header["CRVAL1"], header["CRVAL2"]), abs=1e-7)


def clipped_std(values: np.ndarray) -> float:
    """Standard deviation after clipping at 3 sigma, corrected for what a Gaussian loses by it."""
    sigma = values.std()
    for _ in range(8):
        sigma = values[np.abs(values) < 3 * sigma].std() / 0.98658
    return float(sigma)
