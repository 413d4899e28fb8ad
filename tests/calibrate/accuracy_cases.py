"""Fields and seeings from easy to hard, on which the accuracy of the calibration is measured."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.table import Table, vstack
from frame_truth import figures
from scipy.ndimage import gaussian_filter
from simulated_frame import CAMERA, SETTINGS, simulated_frame

from skyloom.calibrate import calibrate_frame

__all__ = ["CASES", "HARD_CASES", "calibrated_figures"]


def _seeing(fwhm_px: float) -> tuple[float, float]:
    return (fwhm_px * CAMERA.pixel_scale, fwhm_px * CAMERA.pixel_scale)


def _nebula(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Filaments up to five times as bright as the sky, on scales from the frame's down to some FWHM."""
    nebula = np.zeros(light.shape)
    for scale in (300.0, 100.0, 30.0, 10.0):
        noise = gaussian_filter(rng.standard_normal(light.shape), scale, mode="wrap")
        nebula += noise / noise.std() * scale**0.7
    nebula = np.exp(nebula / nebula.std())
    return np.asarray(np.minimum(nebula / np.percentile(nebula, 99), 1.0) * 5 * np.median(light))


def _trails(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Five straight trails, 20 to 200 sigma of the sky a pixel, 6 px wide."""
    y, x = np.mgrid[: light.shape[0], : light.shape[1]]
    trails = np.zeros(light.shape)
    for _ in range(5):
        angle, offset = rng.uniform(0, np.pi), rng.uniform(-400, 400)
        distance = (x - light.shape[1] / 2) * np.cos(angle) + (y - light.shape[0] / 2) * np.sin(angle) - offset
        trails += rng.uniform(20, 200) * np.sqrt(np.median(light)) * np.exp(-0.5 * (distance / 2.5) ** 2)
    return trails


def _cluster(sky: Table, middle: tuple[float, float], rng: np.random.Generator) -> Table:
    """4000 stars more, in a core of half a minute of arc."""
    added = sky[rng.integers(0, len(sky), 4000)]
    radius = 30.0 / 3600.0 * np.sqrt(1 / (1 - rng.uniform(0, 0.97, len(added))) - 1)
    angle = rng.uniform(0, 2 * np.pi, len(added))
    added["ra"] = middle[0] + radius * np.cos(angle) / np.cos(np.radians(middle[1]))
    added["dec"] = middle[1] + radius * np.sin(angle)
    added["is_star"], added["id"] = True, sky["id"].max() + 1 + np.arange(len(added))
    return vstack([sky, added])


CASES: dict[str, dict[str, Any]] = {
    "sparse": {"stars_per_square_arcmin": 4.0, "sky": {"mag_faint": 21.0, "galaxies_per_square_arcmin": 1.0}},
    "usual": {"stars_per_square_arcmin": 15.0},
    "crowded": {"stars_per_square_arcmin": 100.0},
    "galaxies": {"stars_per_square_arcmin": 8.0, "sky": {"galaxies_per_square_arcmin": 16.0}},
    "undersampled": {"visits": {"seeing_arcsec": _seeing(1.6)}},
    "poor seeing": {"visits": {"seeing_arcsec": _seeing(7.0)}},
    "steep gradients": {"visits": {"seeing_gradient": 0.2, "ellipticity": 0.1}},
    "vignetting": {"vignetting": 0.15},
}
"""Name and what differs from the usual simulated frame."""
HARD_CASES: dict[str, dict[str, Any]] = {
    "nebula": {"more_light": _nebula},
    "globular cluster": {"more_sources": _cluster},
    "trails": {"more_light": _trails},
    "clouds": {"visits": {"cloud_mag": 3.0, "cloud_gradient": 0.3}},
}
"""Frames that must find their place on the sky, whatever their fluxes."""


def calibrated_figures(case: str, seed: int) -> dict[str, float]:
    """Simulate and calibrate one frame; its figures against truth."""
    simulated = simulated_frame(seed=1000 + seed, **(CASES | HARD_CASES)[case])
    return figures(simulated, calibrate_frame(simulated.exposure.copy(), simulated.loader, SETTINGS))
