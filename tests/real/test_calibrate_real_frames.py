"""The single-frame recipe on frames of real telescopes, against what their surveys say of them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from real.golden import FIELDS, published_zero_point
from skyloom.astrometry import AstrometrySettings
from skyloom.calibrate import CalibratedFrame, CalibrateSettings, calibrate_frame
from skyloom.catalog.refcat import select_circle
from skyloom.images import RawExposure
from skyloom.instruments import Camera
from skyloom.isr import correct_raw
from skyloom.repo.frame_files import read_pixels
from skyloom.repo.ingest import sort_frames
from skyloom.repo.post_isr import read_post_isr

EVERY_FRAME = [(run, band) for run in FIELDS for band in "gri"]
FRAMES = EVERY_FRAME if os.environ.get("SKYLOOM_ALL_FRAMES") else [(4192, "i"), (6377, "g")]
"""One in each band, unless all are wanted; those in r are calibrated by ``test_sdss_pipeline.py``."""


def _settings(camera: Camera) -> CalibrateSettings:
    return CalibrateSettings(
        astrometry=AstrometrySettings(
            pointing_error_deg=camera.pointing_error_deg,
            scale_error=camera.scale_error,
            rotation_error_deg=camera.rotation_error_deg,
        )
    )


def _calibrate_sdss(data_dir: Path, name: str) -> CalibratedFrame:
    folder = data_dir / "sdss_stripe82"
    listed = Table.read(folder / "reference_stars.fits.gz")
    reference = Table({"id": listed["id"], "ra": np.asarray(listed["ra"]) % 360, "dec": listed["dec"]})
    for band in "gri":
        reference[f"flux_{band}"] = 10 ** (0.4 * (31.4 - np.asarray(listed[band], float)))
        reference[f"flux_{band}_err"] = reference[f"flux_{band}"] * np.asarray(listed[f"{band}_err"], float) / 1.0857
    camera = Camera.read("sdss")
    frames, _ = sort_frames(camera, [folder / "frames" / name], workers=1, advance=lambda: None)
    exposure = read_post_isr(camera, frames[0], folder / "masks")
    return calibrate_frame(exposure, lambda ra, dec, r, _: select_circle(reference, ra, dec, r), _settings(camera))


@pytest.mark.parametrize(("run", "band"), FRAMES)
def test_zero_point_of_sdss_frames_is_that_of_the_survey(data_dir: Path, run: int, band: str) -> None:
    frame = _calibrate_sdss(data_dir, f"fpC-{run:06d}-{band}4-{FIELDS[run]:04d}.fit.gz")
    published = published_zero_point(data_dir / "sdss_stripe82", run, band)
    assert frame.metadata["zero_point_mag"] == pytest.approx(published, abs=0.02)
    assert frame.metadata["astrometry_rms_arcsec"] < 0.06
    assert abs(frame.metadata["psf_fitted_size_residual_median"]) < 0.02


def test_hot_and_undersampled_frame_survives(data_dir: Path) -> None:
    folder = data_dir / "hatp32_raw"
    camera = Camera.read(Path(__file__).parents[2] / "docs" / "examples" / "cecilia.yaml")
    listed = Table.read(folder / "reference_stars.csv")
    reference = Table({"id": np.arange(len(listed)), "ra": listed["ra_deg_J2000"], "dec": listed["dec_deg_J2000"]})
    reference["flux_clear"] = 10 ** (0.4 * (31.4 - np.asarray(listed["MAG_VT"], float)))
    frames, _ = sort_frames(camera, [folder / "HATP-32171220032112.fits.fz"], workers=1, advance=lambda: None)
    counts, header = read_pixels(frames[0].path, frames[0].hdu)
    raw = camera.complete(RawExposure(image=counts, header=header, file=frames[0].path.name))
    assert raw.detector is not None
    exposure = correct_raw(raw, pedestals_adu=camera.bias_levels(raw.detector.id))
    exposure.band = "clear"
    frame = calibrate_frame(exposure, lambda ra, dec, r, _: select_circle(reference, ra, dec, r), _settings(camera))
    assert frame.metadata["n_psf_stars"] > 20
    assert 0.6 < frame.metadata["psf_sigma"] < 1.2
    assert frame.metadata["zero_point_mag"] == pytest.approx(24.5, abs=0.3)
