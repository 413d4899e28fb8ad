"""Products of a calibrated frame of which every figure is known: round Gaussian stars on a tilted sky."""

from __future__ import annotations

import math

import astropy.units as u
import numpy as np
from astropy.table import Table
from lsst.images import BackgroundMap, Box
from lsst.images.fields import ChebyshevField
from lsst.images.psfs import GaussianPointSpreadFunction

from skyloom.catalog.sources import aperture_name, make_source_table
from skyloom.images import Exposure, PhotoCalib, bitmask
from skyloom.instruments import Camera
from skyloom.report.visit_products import FrameProducts

CAMERA = """
name: pair
recognise: {INSTRUME: pair}
position_unit: px
pixel_scale: 0.5 arcsec
pointing_error: 1 arcmin
detectors:
  - &left
    id: 0
    name: left
    size: [200, 160]
    position: [-110, 0]
    amplifiers:
      - {name: A, box: {x: [0, 200], y: [0, 160]}, gain: 1.0, read_noise: 4.0, saturation: 60000}
  - {<<: *left, id: 1, name: right, position: [110, 0]}
filters:
  r: {band: r}
header:
  exposure_id: EXPNUM
  exposure_time: EXPTIME
  date: DATE-OBS
  ra: RA
  dec: DEC
  filter: FILTER
  detector: CCD
"""

SHAPE = (160, 200)
SIGMA = 1.8
"""Width of the PSF, px."""
WIDER = 1.01
"""Width of the stars that were reserved over that of the PSF."""
NOISE = 5.0
ZERO_POINT = 28.0
RADII = (3.0, 6.0, 9.0, 12.0)
REFERENCE_RADIUS = 12.0
SCALE_ARCSEC = 0.5
RESIDUAL_PX = 0.04
"""Length of the astrometric residuals."""
TILT_MAG = 0.2
"""Of the magnitudes along x, from the first star to the last."""
N_STARS = 30


def growth(radius: float, sigma: float = SIGMA) -> float:
    """Share of a Gaussian's light within a radius."""
    return 1.0 - math.exp(-0.5 * (radius / sigma) ** 2)


def camera() -> Camera:
    """Two detectors side by side."""
    return Camera.from_yaml(CAMERA)


def psf() -> GaussianPointSpreadFunction:
    """Round, the same everywhere."""
    return GaussianPointSpreadFunction(SIGMA, bounds=Box.from_shape(SHAPE), stamp_size=25)


def places() -> tuple[np.ndarray, np.ndarray]:
    """Positions of the stars, at various fractions of a pixel."""
    x, y = (part.ravel() for part in np.meshgrid(np.linspace(18.2, 182.7, 6), np.linspace(17.3, 142.6, 5)))
    return x, y


def source_table() -> Table:
    """Stars of 1e4 to 1e5 electrons, the last five reserved, and the moments and aperture fluxes of Gaussians."""
    x, y = places()
    table = make_source_table(N_STARS, u.electron, RADII)
    reserved = np.arange(N_STARS) >= N_STARS - 5
    width = np.where(reserved, SIGMA * WIDER, SIGMA)
    flux = np.geomspace(1e5, 1e4, N_STARS)
    table["source_id"] = 100 + np.arange(N_STARS)
    table["x"], table["y"], table["ixx"], table["iyy"], table["ixy"] = x, y, width**2, width**2, 0.0
    table["x_err"], table["y_err"] = 0.01, 0.01
    table["psf_flux"], table["psf_flux_err"] = flux, 50.0
    table["psf_flux_aperture_correction"] = 1.0
    for radius in RADII:
        name = f"aperture_flux_{aperture_name(radius)}"
        table[name] = flux * np.array([growth(radius, sigma) for sigma in width])
        table[f"{name}_err"] = 60.0
    table["calib_psf_candidate"] = True
    table["calib_psf_used"], table["calib_psf_reserved"] = ~reserved, reserved
    return table


def exposure(**attributes: object) -> Exposure:
    """The stars drawn with noise; a column is bad, and the sky is taken off."""
    table, rng = source_table(), np.random.default_rng(8)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = rng.normal(0.0, NOISE, SHAPE)
    bits = np.zeros(SHAPE, np.int32)
    for x, y, flux, square in zip(table["x"], table["y"], table["psf_flux"], table["ixx"], strict=True):
        squared = (columns - x) ** 2 + (rows - y) ** 2
        image += flux / (2 * np.pi * square) * np.exp(-0.5 * squared / square)
        bits[squared < 10.0**2] |= bitmask("DETECTED")
    bits[:, 60] |= bitmask("BAD")
    image[:, 60] = 1e4
    return Exposure.from_arrays(
        image,
        bits,
        np.full(SHAPE, NOISE**2),
        unit=u.electron,
        psf=psf(),
        **attributes,  # type: ignore[arg-type]
    )


def sky() -> BackgroundMap:
    """200 electrons in the middle, rising by 10 from there to the right edge."""
    found = BackgroundMap()
    box = Box.from_shape(SHAPE)
    field = ChebyshevField(box, np.array([[200.0, 10.0]]), unit=u.electron)
    found.add("sky", field, "Sky.", is_subtracted=True)
    return found


def astrometry_matches() -> Table:
    """All stars, the residuals in all directions; the first was left out."""
    x, y = places()
    angle = 2.0 * np.pi * np.arange(N_STARS) / N_STARS
    table = Table(
        {"x": x, "y": y, "x_residual": RESIDUAL_PX * np.cos(angle), "y_residual": RESIDUAL_PX * np.sin(angle)}
    )
    table["separation"] = np.full(N_STARS, SCALE_ARCSEC * RESIDUAL_PX)
    table["fitted"] = np.arange(N_STARS) > 0
    table["source_id"] = 100 + np.arange(N_STARS)
    return table


def photometry_matches() -> Table:
    """All stars, their residuals a plane in x; the last is off by a magnitude and was clipped."""
    x, y = places()
    table = Table({"x": x, "y": y, "source_id": 100 + np.arange(N_STARS)})
    residual = TILT_MAG * ((x - x.min()) / np.ptp(x) - 0.5)
    residual[-1] += 1.0
    calib = PhotoCalib.from_zero_point(ZERO_POINT, 0.004)
    table["reference_flux"] = calib.to_njy(np.asarray(source_table()["psf_flux"])) * 10 ** (0.4 * residual)
    table["magnitude_residual"] = residual
    table["used"] = np.arange(N_STARS) < N_STARS - 1
    return table


def products(**others: object) -> FrameProducts:
    """All of it."""
    known = {
        "exposure": exposure(),
        "sources": source_table(),
        "psf_stars": source_table(),
        "astrometry_matches": astrometry_matches(),
        "photometry_matches": photometry_matches(),
        "background": sky(),
        "photo_calib": PhotoCalib.from_zero_point(ZERO_POINT, 0.004),
        "metadata": {"reference_aperture": "aperture_flux_12_0", "n_psf_stars": 25.0},
    }
    return FrameProducts(**(known | others))  # type: ignore[arg-type]
