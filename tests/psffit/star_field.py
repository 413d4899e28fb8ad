"""Star fields with known answers: positions, fluxes and PSF are given, only noise is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import astropy.units as u
import galsim
import numpy as np
from astropy.table import Table

from skyloom.images.exposure import Exposure
from skyloom.kernels.apertures import aperture_sums
from skyloom.kernels.moments import centroids, shapes

RADII = np.array([3.0, 4.5, 6.0, 9.0, 12.0, 17.0])

type Profile = Callable[[float, float], galsim.GSObject]


@dataclass
class StarField:
    """A frame, its source table, and the truth along the table's rows."""

    exposure: Exposure
    table: Table
    flux: np.ndarray
    x: np.ndarray
    y: np.ndarray
    profile: Profile

    def true_stamp(self, x: float, y: float, size: int) -> np.ndarray:
        """The true PSF centred on a pixel, flux 1 over the whole plane."""
        return np.asarray(self.profile(x, y).drawImage(nx=size, ny=size, scale=1.0).array, dtype=np.float64)


def constant_moffat(fwhm: float = 3.6, beta: float = 3.5, g1: float = 0.03, g2: float = -0.02) -> Profile:
    """The same sheared Moffat profile everywhere."""
    return lambda x, y: galsim.Moffat(beta=beta, fwhm=fwhm).shear(g1=g1, g2=g2)


def linear_moffat(extent: float, fwhm: float = 3.6, change: float = 0.08) -> Profile:
    """A Moffat profile whose FWHM and ellipticity change linearly over the frame."""

    def profile(x: float, y: float) -> galsim.GSObject:
        u_, v_ = 2 * x / extent - 1, 2 * y / extent - 1
        return galsim.Moffat(beta=3.5, fwhm=fwhm * (1 + change * u_ - 0.5 * change * v_)).shear(
            g1=0.04 * u_, g2=0.02 - 0.03 * v_
        )

    return profile


def star_field(
    profile: Profile,
    *,
    n: int = 80,
    extent: int = 600,
    sky: float = 300.0,
    flux_range: tuple[float, float] = (2e4, 4e5),
    seed: int = 1,
    noise: bool = True,
    sigma: float = 1.7,
) -> StarField:
    """Draw ``n`` stars at random places and fluxes on a square frame in electrons, sky subtracted."""
    rng = np.random.default_rng(seed)
    image = galsim.ImageD(extent, extent, xmin=0, ymin=0)
    margin = 25
    x, y = rng.uniform(margin, extent - margin, (2, n))
    flux = np.exp(rng.uniform(*np.log(flux_range), n))
    for xi, yi, fi in zip(x, y, flux, strict=True):
        stamp = (profile(xi, yi) * fi).drawImage(
            nx=101, ny=101, scale=1.0, center=galsim.PositionD(xi, yi), dtype=float
        )
        bounds = stamp.bounds & image.bounds
        image[bounds] += stamp[bounds]
    truth = image.array + sky
    pixels = truth if not noise else rng.poisson(truth) + rng.normal(0, 5.0, truth.shape)
    exposure = Exposure.from_arrays(pixels - sky, variance=np.maximum(pixels, 1.0) + 25.0, unit=u.electron)
    return StarField(exposure, measure(exposure, x, y, sigma), flux, x, y, profile)


def measure(exposure: Exposure, x: np.ndarray, y: np.ndarray, sigma: float) -> Table:
    """A source table at known positions, with the columns that the PSF and photometry stages read."""
    image = exposure.image.array.astype(np.float64)
    variance = exposure.variance.array.astype(np.float64)
    position, _ = centroids(image, variance, np.rint(x), np.rint(y), sigma, 3.0)
    moments, failed = shapes(image, variance, position[:, 0], position[:, 1], sigma, 2.0)
    table = Table({"source_id": np.arange(1, len(x) + 1), "x": position[:, 0], "y": position[:, 1]})
    table["ixx"], table["iyy"], table["ixy"] = moments.T
    table["flag_shape"] = failed
    table["peak_value"] = image[np.rint(y).astype(int), np.rint(x).astype(int)]
    unusable = np.zeros(image.shape, dtype=bool)
    flux, error, flag = aperture_sums(image, variance, unusable, position[:, 0], position[:, 1], RADII)
    for k, radius in enumerate(RADII):
        name = f"{radius:.1f}".replace(".", "_")
        table[f"aperture_flux_{name}"], table[f"aperture_flux_{name}_err"] = flux[:, k], error[:, k]
        table[f"aperture_flag_{name}"] = flag[:, k]
    return table
