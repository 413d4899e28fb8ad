"""Accuracy of PSF matching: stars of many profiles against the model that they are matched to.

Run from the root of the checkout: ``python bench/accuracy_psf_match.py``.  A frame of 700 x 1000 pixels holds 54 stars
at random places of their pixels.  Its PSF changes over the frame: the width by 12 %, the ellipticity from 0 to 0.1.
For each profile and width: the largest difference of a matched star from the model (in units of the model's peak) of
the worst star and of the median one, the error of the fluxes, the largest change of the variance of white noise, and
the side of the kernel.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import astropy.units as u
import galsim
import numpy as np
from lsst.images import Box

from skyloom.images import Exposure
from skyloom.psf import ModelPsfSettings, PixelGridPsf, model_psf, polynomial_terms, psf_stamps
from skyloom.warp import PsfMatchSettings, match_psf

SHAPE = (1000, 700)
BOX = Box.from_shape(SHAPE)
FLUX = 1e5
PROFILES = ("gaussian", "moffat 4.5", "moffat 3.5", "moffat 2.5", "kolmogorov")


def profile(kind: str, fwhm: float) -> galsim.GSObject:
    name, _, beta = kind.partition(" ")
    if name == "moffat":
        return galsim.Moffat(beta=float(beta), fwhm=fwhm)
    return galsim.Gaussian(fwhm=fwhm) if name == "gaussian" else galsim.Kolmogorov(fwhm=fwhm)


def frame_psf(kind: str, fwhm: float, order: int = 2) -> PixelGridPsf:
    """A pixel grid through stamps of a profile that changes over the frame."""
    size = 2 * round(6 * fwhm / 2.3548 * 1.06) + 1
    nodes = [(x, y) for x in np.linspace(0, SHAPE[1] - 1, 5) for y in np.linspace(0, SHAPE[0] - 1, 5)]
    stamps = []
    for x, y in nodes:
        a, b = x / (SHAPE[1] - 1), y / (SHAPE[0] - 1)
        light = profile(kind, fwhm * (0.94 + 0.12 * a * b)).shear(g=0.1 * b, beta=(30 + 40 * a) * galsim.degrees)
        stamp = light.drawImage(nx=size, ny=size, scale=1.0, method="no_pixel", dtype=float).array
        stamps.append(stamp / stamp.sum())
    terms = polynomial_terms(order)
    design = np.array([[x**i * y**j for i, j in terms] for x, y in nodes])
    coefficients = np.linalg.lstsq(design, np.reshape(stamps, (len(nodes), -1)), rcond=None)[0]
    return PixelGridPsf(coefficients.reshape(len(terms), size, size), order=order, bounds=BOX)


def star_positions(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(np.arange(60, SHAPE[1] - 59, 115.0), np.arange(60, SHAPE[0] - 59, 109.0))
    rng = np.random.default_rng(seed)
    return x.ravel() + rng.uniform(-0.5, 0.5, x.size), y.ravel() + rng.uniform(-0.5, 0.5, x.size)


def star_frame(psf: PixelGridPsf) -> Exposure:
    image = np.zeros(SHAPE)
    stamps, x0, y0 = psf_stamps(psf, *star_positions())
    for stamp, left, bottom in zip(stamps, x0, y0, strict=True):
        image[bottom : bottom + stamp.shape[0], left : left + stamp.shape[1]] += FLUX * stamp
    return Exposure.from_arrays(image, variance=np.ones(SHAPE), unit=u.nJy, psf=psf)


def measure(kind: str, fwhm: float, settings: PsfMatchSettings) -> str:
    matched, kernel = match_psf(star_frame(frame_psf(kind, fwhm)), settings)
    assert matched.psf is not None
    x, y = star_positions()
    model = replace(settings.model, size=101)
    truth, x0, y0 = psf_stamps(model_psf(model, BOX), x, y)
    errors, fluxes = [], []
    for stamp, left, bottom in zip(truth, x0, y0, strict=True):
        part = matched.image.array[max(bottom, 0) : bottom + 101, max(left, 0) : left + 101].astype(float)
        stamp = stamp[max(-bottom, 0) :, max(-left, 0) :][: part.shape[0], : part.shape[1]]
        known = np.isfinite(part)
        errors.append(np.abs(part - FLUX * stamp)[known].max() / FLUX / stamp.max())
        fluxes.append(part[known].sum() / FLUX - 1.0)
    worst, typical = max(errors), np.median(errors)
    return f"{worst:.4f} {typical:.4f}   {np.abs(fluxes).max():.1e}   {kernel.noise_gain:.3f}   {kernel.size}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--basis", default="pixels", choices=("pixels", "gaussians"))
    parser.add_argument("--penalty", type=float, default=1e-6)
    parser.add_argument("--order", type=int, default=3)
    parser.add_argument("--size", type=int, default=None)
    args = parser.parse_args()
    print(args)
    print("worst, median residual / largest flux error / noise gain / kernel size")
    for kind in PROFILES:
        for fwhm in (3.2, 4.5, 6.0):
            for target in (7.7, 1.25 * fwhm):
                settings = PsfMatchSettings(
                    model=ModelPsfSettings(fwhm=target, wing=False),
                    basis=args.basis,
                    roughness_penalty=args.penalty,
                    spatial_order=args.order,
                    kernel_size=args.size,
                    max_residual=1.0,
                    max_noise_gain=100.0,
                )
                print(f"{kind:12s} {fwhm:.1f} to {target:.2f} px: {measure(kind, fwhm, settings)}")


if __name__ == "__main__":
    main()
