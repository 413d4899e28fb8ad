"""A frame of stars of known magnitudes, under a Moffat PSF whose width varies over it, with its reference catalogue."""

from __future__ import annotations

from dataclasses import dataclass, field

import astropy.units as u
import galsim
import numpy as np
from astropy.io.fits import Header
from astropy.table import Table
from lsst.images import Box, DetectorFrame
from scipy.spatial import cKDTree

from skyloom.catalog.refcat import select_circle
from skyloom.images import Exposure, pixel_to_radec, projection_from_header

_ACCURACY = galsim.GSParams(folding_threshold=1e-4, maxk_threshold=1e-4)


@dataclass(frozen=True, kw_only=True)
class MoffatFrame:
    """How a frame is drawn."""

    n_stars: int
    shape: tuple[int, int] = (1000, 1000)
    fwhm: float = 4.0
    gradient: tuple[float, float] = (0.0, 0.0)
    """Relative change of the width from the middle to the right and the upper edge."""
    beta: float = 3.5
    sky: float = 500.0
    faintest: float = 5e3
    brightest: float = 8e5
    separation: float = 30.0
    zero_point_mag: float = 31.0
    cloud_mag: float = 0.0
    """Extinction at the right edge less that at the left, its mean being zero."""
    colour_term: float = 0.0
    """Camera's magnitude is r + colour_term (r - g)."""
    catalogue_noise_mag: float = 0.01
    seed: int = 1

    def draw(self) -> DrawnFrame:
        """Draw the frame in electrons."""
        rng = np.random.default_rng(self.seed)
        x, y = self._places(rng)
        truth = Table({"x": x, "y": y})
        light = np.exp(rng.uniform(np.log(self.faintest), np.log(self.brightest), x.size))
        truth["magnitude"] = self.zero_point_mag - 2.5 * np.log10(light)
        truth["flux"] = light * 10 ** (-0.4 * self.cloud_mag * (x / self.shape[1] - 0.5))
        pixels = rng.poisson(self._light(truth)) + 5.0 * rng.standard_normal(self.shape)
        exposure = Exposure.from_arrays(pixels, variance=np.maximum(pixels, 0.0) + 25.0, unit=u.electron, band="r")
        exposure.projection = _projection(self.shape)
        return DrawnFrame(drawn=self, exposure=exposure, truth=truth, reference=self._catalogue(truth, exposure, rng))

    def _places(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Random places, no two of them closer than the separation."""
        height, width = self.shape
        chosen = np.empty((0, 2))
        while len(chosen) < self.n_stars:
            tried = np.concatenate([chosen, rng.uniform([20, 20], [width - 20, height - 20], (self.n_stars, 2))])
            close = cKDTree(tried).query_pairs(self.separation, output_type="ndarray")
            chosen = np.delete(tried, np.unique(close.max(axis=1)), axis=0)[: self.n_stars]
        return chosen[:, 0], chosen[:, 1]

    def _light(self, truth: Table) -> np.ndarray:
        """Expected electrons ``[y, x]``."""
        height, width = self.shape
        image = np.full(self.shape, self.sky)
        for at_x, at_y, light in zip(truth["x"], truth["y"], truth["flux"], strict=True):
            dilation = 1 + self.gradient[0] * (2 * at_x / width - 1) + self.gradient[1] * (2 * at_y / height - 1)
            profile = galsim.Moffat(beta=self.beta, fwhm=self.fwhm * dilation, flux=light, gsparams=_ACCURACY)
            half = int(25 * max(1.0, (light / 1e5) ** (1 / 7)))
            column, row = round(at_x), round(at_y)
            stamp = profile.shift(at_x - column, at_y - row).drawImage(nx=2 * half + 1, ny=2 * half + 1, scale=1.0)
            left, right = max(column - half, 0), min(column + half + 1, width)
            bottom, top = max(row - half, 0), min(row + half + 1, height)
            image[bottom:top, left:right] += stamp.array[
                bottom - row + half : top - row + half, left - column + half : right - column + half
            ]
        return image

    def _catalogue(self, truth: Table, exposure: Exposure, rng: np.random.Generator) -> Table:
        """The stars as a catalogue has them: r and g, with noise."""
        table = Table({"id": np.arange(len(truth))})
        table["ra"], table["dec"] = pixel_to_radec(exposure.projection, truth["x"], truth["y"])
        colour = rng.normal(0.8, 0.3, len(truth))
        r_mag = truth["magnitude"] + self.colour_term * colour
        for name, magnitude in (("r", r_mag), ("g", r_mag + colour)):
            noisy = magnitude + self.catalogue_noise_mag * rng.normal(size=len(truth))
            table[f"flux_{name}"] = 10 ** (0.4 * (31.4 - noisy))
            table[f"flux_{name}_err"] = table[f"flux_{name}"] * self.catalogue_noise_mag / 1.0857
        return table


@dataclass(kw_only=True)
class DrawnFrame:
    """A frame, its truth, and its catalogue."""

    drawn: MoffatFrame
    exposure: Exposure
    truth: Table = field(repr=False)
    """x, y, true magnitude in the camera's filter, and electrons that were drawn."""
    reference: Table = field(repr=False)

    def loader(self, ra_deg: float, dec_deg: float, radius_deg: float, epoch_year: float | None) -> Table:
        """Reference stars of a circle."""
        return select_circle(self.reference, ra_deg, dec_deg, radius_deg)


def flux_errors(stars: Table, truth: Table, name: str = "psf_flux") -> Table:
    """Truth, relative error of a flux, and its standard error, of the stars that were found."""
    distance, row = cKDTree(np.stack([stars["x"], stars["y"]], axis=1)).query(
        np.stack([truth["x"], truth["y"]], axis=1)
    )
    found = distance < 1.0
    matched = truth[found]
    value, error = (np.asarray(stars[column], dtype=float)[row[found]] for column in (name, f"{name}_err"))
    matched["error"], matched["sigma"] = value / matched["flux"] - 1, error / matched["flux"]
    return matched[np.isfinite(matched["error"])]


def weighted_bias(errors: Table, floor: float = 0.003) -> float:
    """Mean relative error, weighted by the errors, of stars within 5 sigma."""
    sigma = np.hypot(errors["sigma"], floor)
    weight = (np.abs(errors["error"]) < 0.02 + 5 * sigma) / sigma**2
    return float(np.sum(weight * errors["error"]) / np.sum(weight))


def _projection(shape: tuple[int, int]) -> object:
    """A plain TAN projection of 0.187 arcsec a pixel."""
    scale = 0.187 / 3600
    header = Header({"NAXIS": 2, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0})
    header.update({"CRPIX1": shape[1] / 2, "CRPIX2": shape[0] / 2, "CUNIT1": "deg", "CUNIT2": "deg"})
    header.update({"CD1_1": -scale, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": scale})
    frame = DetectorFrame(instrument="drawn", detector=1, visit=1, bbox=Box.from_shape(shape))
    return projection_from_header(header, frame)
