"""Astrometry of SDSS frames against SDSS's own catalogue."""

from __future__ import annotations

from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from lsst.images import DetectorFrame

from skyloom.astrometry import AstrometrySettings, solve_astrometry
from skyloom.background import subtract_background
from skyloom.detection import detect_sources
from skyloom.errors import AstrometryError
from skyloom.images import Exposure, pixel_to_radec, projection_from_header
from skyloom.measurement import measure_sources


@pytest.fixture(scope="module")
def reference(data_dir: Path) -> Table:
    table = Table.read(data_dir / "sdss_stripe82" / "reference_stars.fits.gz")
    table["flux"] = 10.0 ** (-0.4 * table["r"])
    return table


@pytest.mark.parametrize("name", ["fpC-004192-r4-0300", "fpC-006377-r4-0399"])
def test_residuals_and_convergence(data_dir: Path, reference: Table, name: str) -> None:
    path = data_dir / "sdss_stripe82" / "frames" / f"{name}.fit.gz"
    header, image = fits.getheader(path), fits.getdata(path).astype(np.float32) - 1000
    header["RADESYS"] = header.pop("RADECSYS", "ICRS")
    exposure = Exposure.from_arrays(image, variance=np.full(image.shape, np.var(image[image < 250])), unit=u.adu)
    subtract_background(exposure)
    stars = measure_sources(exposure, detect_sources(exposure, 1.5), psf_sigma=1.5)
    stars = stars[~(stars["flag_centroid"] | stars["flag_edge"])]
    frame = DetectorFrame(instrument="sdss", visit=1, detector=4, bbox=exposure.bbox)
    centres = []
    for shift_arcsec in (0.0, 60.0, -60.0):
        moved = header.copy()
        moved["CRVAL1"] += shift_arcsec / 3600.0
        moved["CRVAL2"] -= 0.7 * shift_arcsec / 3600.0
        stars_and_flux = (stars["x"], stars["y"], stars["aperture_flux_6_0"])
        guess = projection_from_header(moved, frame)
        settings = AstrometrySettings(pointing_error_deg=90.0 / 3600.0, scale_error=0.01, rotation_error_deg=1.0)
        found = solve_astrometry(*stars_and_flux, reference, guess, box=exposure.bbox, settings=settings)
        assert found.rms_arcsec < 0.060
        assert found.n_matches > 60
        centres.append([float(angle) for angle in pixel_to_radec(found.projection, 1023.5, 744.0)])
    # All guesses end at one place.
    assert np.ptp(centres, axis=0).max() * 3.6e6 < 1.0
    narrow = AstrometrySettings(pointing_error_deg=20.0 / 3600.0)
    with pytest.raises(AstrometryError):
        solve_astrometry(*stars_and_flux, reference, guess, box=exposure.bbox, settings=narrow)
