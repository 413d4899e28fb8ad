"""Cosmic rays of one CCD beside astroscrappy: compares both with the truth first, then times both.

Run ``python bench/bench_cosmic_rays.py [--hits N]``; the frame is simulated, 2048 x 4612 pixels.  astroscrappy takes
part where it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import astropy.units as u
import galsim
import numpy as np
from lsst.images import Box
from lsst.images.psfs import GaussianPointSpreadFunction
from scipy import ndimage

from skyloom.cosmic_rays import find_cosmic_rays, repair_cosmic_rays
from skyloom.images.exposure import Exposure
from skyloom.images.mask_planes import bitmask
from skyloom.simulate.charge import add_cosmic_rays

SHAPE = (4612, 2048)
SKY = 500.0
READ_NOISE = 5.0
STARS = 2600
TOUCHING = np.ones((3, 3))


def simulate(fwhm: float, hits: int) -> tuple[Exposure, np.ndarray, np.ndarray]:
    """A frame above its sky, the charge that cosmic rays left, and the rows and columns of stars ``[star, 2]``."""
    rng = np.random.default_rng(1)
    electrons = np.full(SHAPE, SKY)
    places = np.column_stack([rng.uniform(20, size - 20, STARS) for size in SHAPE])
    star = galsim.Moffat(beta=3.5, fwhm=np.sqrt(fwhm**2 - 0.64))
    half = int(8 * fwhm) + 8
    for (y, x), flux in zip(places, np.exp(rng.uniform(np.log(500.0), np.log(5e5), STARS)), strict=True):
        stamp = (flux * star).drawImage(
            nx=2 * half + 1, ny=2 * half + 1, scale=1.0, offset=(x - round(x), y - round(y))
        )
        box = galsim.BoundsI(round(x) - half, round(x) + half, round(y) - half, round(y) + half)
        inside = box & galsim.BoundsI(0, SHAPE[1] - 1, 0, SHAPE[0] - 1)
        stamp.setOrigin(box.xmin, box.ymin)
        electrons[inside.ymin : inside.ymax + 1, inside.xmin : inside.xmax + 1] += stamp[inside].array
    charge = np.zeros(SHAPE)
    add_cosmic_rays(charge, hits / (charge.size / 1e6), 1.0, rng)
    image = rng.poisson(electrons) + charge + rng.normal(0, READ_NOISE, SHAPE)
    variance = np.maximum(image, 0.5 * SKY) + READ_NOISE**2
    exposure = Exposure.from_arrays(image - SKY, variance=variance, unit=u.electron)
    exposure.psf = GaussianPointSpreadFunction(fwhm / 2.355, bounds=Box.from_shape(SHAPE), stamp_size=25)
    return exposure, charge, places


def score(name: str, flagged: np.ndarray, charge: np.ndarray, places: np.ndarray) -> dict[str, float]:
    """Completeness and false flags, printed and returned."""
    hits, number = ndimage.label(charge > 3 * np.sqrt(SKY + READ_NOISE**2), TOUCHING)
    found = ndimage.maximum(flagged, hits, np.arange(1, number + 1))
    false = flagged & ~ndimage.binary_dilation(charge > 0, TOUCHING)
    near = ndimage.maximum_filter(false, 5)
    y, x = np.round(places).astype(int).T
    result = {
        "hits found": float(np.mean(found)),
        "charge found": float(charge[flagged].sum() / charge.sum()),
        "false groups": float(ndimage.label(false, TOUCHING)[1]),
        "stars flagged": float(near[y, x].sum()),
    }
    print(f"  {name:13s} " + ", ".join(f"{key} {value:.4g}" for key, value in result.items()))
    return result


def flags_of_astroscrappy(exposure: Exposure) -> np.ndarray:
    import astroscrappy

    inverse = exposure.variance.array
    mask, _ = astroscrappy.detect_cosmics(
        exposure.image.array, invar=inverse, gain=1.0, readnoise=READ_NOISE, satlevel=np.inf
    )
    return np.asarray(mask)


def validate(exposure: Exposure, charge: np.ndarray, places: np.ndarray, peer: bool) -> None:
    """Compare with the truth; stops where ours misses hits or flags stars."""
    ours = exposure.copy()
    find_cosmic_rays(ours)
    assert np.array_equal(ours.image.array, exposure.image.array)
    found = score("skyloom", (ours.bits & bitmask("CR")) != 0, charge, places)
    if peer:
        score("astroscrappy", flags_of_astroscrappy(exposure), charge, places)
    assert found["stars flagged"] <= 0.002 * STARS
    assert found["charge found"] > 0.9


def processor_seconds(call: Callable[[], Any], repeats: int) -> float:
    """Least processor time of a few calls."""
    spent = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        spent.append(time.process_time() - start)
    return min(spent)


def main() -> None:
    """Validate at three widths of the PSF, then print a table of times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hits", type=int, default=2000)
    hits = parser.parse_args().hits
    peer = importlib.util.find_spec("astroscrappy") is not None
    for fwhm in (1.8, 3.5, 6.0):
        print(f"FWHM {fwhm} px, {hits} hits, {STARS} stars")
        frame = simulate(fwhm, hits)
        validate(*frame, peer)
    exposure = frame[0]
    without_psf = exposure.copy()
    without_psf.psf = None
    print(f"{SHAPE[1]} x {SHAPE[0]} pixels, CPU seconds")
    print(f"  mark               {processor_seconds(lambda: find_cosmic_rays(exposure.copy()), 5):6.2f}")
    print(f"  mark, no PSF known {processor_seconds(lambda: find_cosmic_rays(without_psf.copy()), 5):6.2f}")
    print(f"  repair             {processor_seconds(lambda: repair_cosmic_rays(exposure.copy()), 5):6.2f}")
    if peer:
        print(f"  astroscrappy       {processor_seconds(lambda: flags_of_astroscrappy(exposure), 1):6.2f}")


if __name__ == "__main__":
    main()
