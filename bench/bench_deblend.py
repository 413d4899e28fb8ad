"""The deblender on a crowded frame: checks the fluxes first, then times it.

Run ``python bench/bench_deblend.py [--stars N]``; the frame is simulated, 2048 x 4612 pixels.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time

import astropy.units as u
import numpy as np
from lsst.images import Box
from scipy.spatial import cKDTree

from skyloom.deblend import Deblended, deblend_sources
from skyloom.detection import detect_sources
from skyloom.images.exposure import Exposure
from skyloom.images.footprints import PEAK_DTYPE, Footprint, FootprintSet
from skyloom.images.spans import SpanSet
from skyloom.kernels.apertures import aperture_sums
from skyloom.psf import PixelGridPsf, psf_sigma

SHAPE = (4612, 2048)
FWHM = 4.0
BETA = 3.0
NOISE = 10.0
RADIUS = 6.0
REPEATS = 3


def moffat(dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """A star of unit flux at offsets from its centre, px (Moffat 1969, A&A 3, 455)."""
    alpha2 = (FWHM / 2) ** 2 / (2 ** (1 / BETA) - 1)
    return np.asarray((BETA - 1) / (np.pi * alpha2) * (1 + (dx**2 + dy**2) / alpha2) ** -BETA)


def simulate(n_stars: int) -> tuple[Exposure, np.ndarray, np.ndarray, np.ndarray]:
    """A frame of stars, and their x, y and flux."""
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, SHAPE[1] - 1, n_stars), rng.uniform(0, SHAPE[0] - 1, n_stars)
    flux = np.minimum(300.0 / rng.random(n_stars) ** 0.9, 1e6)
    truth = np.zeros(SHAPE)
    for sx, sy, sf in zip(x, y, flux, strict=True):
        reach = int(np.clip(25 * (sf / 1e4) ** (1 / 6), 15, 80))
        rows = np.arange(max(0, int(sy) - reach), min(SHAPE[0], int(sy) + reach + 1))
        columns = np.arange(max(0, int(sx) - reach), min(SHAPE[1], int(sx) + reach + 1))
        truth[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += sf * moffat(
            columns[None, :] - sx, rows[:, None] - sy
        )
    variance = NOISE**2 + truth
    image = truth + rng.normal(size=SHAPE) * np.sqrt(variance)
    exposure = Exposure.from_arrays(image, variance=variance, unit=u.electron)
    offset = np.arange(-11, 12)
    grid = moffat(offset[None, :], offset[:, None])[None]
    exposure.psf = PixelGridPsf(grid, order=0, bounds=Box.from_shape(SHAPE))
    return exposure, x, y, flux


def aperture_of_light(found: Deblended, row: int, x: float, y: float) -> float:
    """Flux of one source's light in a circle."""
    pixels = found.pixels
    spans = range(pixels.span_start[row], pixels.span_start[row + 1])
    size = int(2 * RADIUS) + 5
    x0, y0 = round(x) - size // 2, round(y) - size // 2
    image = np.zeros((size, size))
    for k in spans:
        if y0 <= pixels.y[k] < y0 + size:
            first, last = max(pixels.x0[k], x0), min(pixels.x1[k], x0 + size)
            if last > first:
                start = pixels.value_start[k] + first - pixels.x0[k]
                image[pixels.y[k] - y0, first - x0 : last - x0] = pixels.values[start : start + last - first]
    nothing = np.zeros(image.shape, bool)
    flux, _, _ = aperture_sums(image, image, nothing, np.array([x - x0]), np.array([y - y0]), np.array([RADIUS]))
    return float(flux[0, 0])


def validate(
    exposure: Exposure, footprints: FootprintSet, found: Deblended, x: np.ndarray, y: np.ndarray, flux: np.ndarray
) -> None:
    """Compare aperture fluxes of blended stars with the truth, with and without the deblender."""
    peaks = np.concatenate([footprint.peaks for footprint in footprints])
    offset = np.arange(-40, 41)
    star = moffat(offset[None, :], offset[:, None])
    nothing = np.zeros(star.shape, bool)
    centre = np.array([40.0])
    enclosed = aperture_sums(star, star, nothing, centre, centre, np.array([RADIUS]))[0][0, 0]
    unusable = np.zeros(SHAPE, bool)
    image, variance = exposure.image.array, exposure.variance.array
    raw = aperture_sums(image, variance, unusable, x, y, np.array([RADIUS]))[0][:, 0]
    bright = flux / np.sqrt(4 * np.pi * (FWHM / 2.355) ** 2 * NOISE**2 + flux) > 50
    distance, row = cKDTree(np.column_stack([peaks["x"], peaks["y"]])).query(np.column_stack([x, y]))
    apart = cKDTree(np.column_stack([x, y])).query(np.column_stack([x, y]), k=2)[0][:, 1] > FWHM
    blended = np.asarray(found.table["deblend_n_peaks"])[row] > 1
    chosen = np.flatnonzero(bright & apart & blended & (distance < 1.5))
    ours = np.array([aperture_of_light(found, row[i], x[i], y[i]) for i in chosen]) / enclosed / flux[chosen]
    for name, ratio in (("deblended", ours), ("as they are", raw[chosen] / enclosed / flux[chosen])):
        low, median, high = np.percentile(ratio, [16, 50, 84])
        print(
            f"{chosen.size} blended stars of S/N > 50, {RADIUS:g} px fluxes {name:12s}: median {median:.4f}, "
            f"scatter {(high - low) / 2:.4f}, off by over 10 %: {np.mean(np.abs(ratio - 1) > 0.1):.1%}"
        )
    low, median, high = np.percentile(ours, [16, 50, 84])
    assert abs(median - 1) < 0.01
    assert high - low < 0.06


def seconds(exposure: Exposure, footprints: FootprintSet) -> float:
    """Least processor time of a few calls, kernels warm."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        deblend_sources(exposure, footprints)
        times.append(time.process_time() - start)
    return min(times)


def one_blend(n_peaks: int) -> tuple[Exposure, FootprintSet]:
    """A single footprint of so many peaks, eight pixels apart."""
    side = int(np.ceil(np.sqrt(n_peaks)))
    exposure, *_ = simulate(0)
    rng = np.random.default_rng(2)
    places = np.arange(side) * 8 + 8
    peaks = np.zeros(side * side, PEAK_DTYPE)
    peaks["x"], peaks["y"] = (axis.ravel() for axis in np.meshgrid(places, places))
    stars = moffat(*np.meshgrid(np.arange(-11, 12), np.arange(-11, 12)))
    for peak in peaks:
        x, y = max(int(peak["x"]) - 11, 0), max(int(peak["y"]) - 11, 0)
        shape = exposure.image.array[y : peak["y"] + 12, x : peak["x"] + 12].shape
        exposure.image.array[y : peak["y"] + 12, x : peak["x"] + 12] += (
            rng.uniform(2e3, 2e4) * stars[-shape[0] :, -shape[1] :]
        )
    peaks["value"] = exposure.image.array[peaks["y"], peaks["x"]]
    box = Box.factory[0 : side * 8 + 16, 0 : side * 8 + 16]
    chosen = peaks[np.argsort(-peaks["value"], kind="stable")][:n_peaks]
    return exposure, FootprintSet([Footprint(SpanSet.from_box(box), chosen)], exposure.bbox)


def main() -> None:
    """Validate, then print times and the profile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stars", type=int, default=20_000)
    exposure, x, y, flux = simulate(parser.parse_args().stars)
    assert exposure.psf is not None
    footprints = detect_sources(exposure, psf_sigma(exposure.psf))
    found = deblend_sources(exposure, footprints)
    n_peaks = np.asarray(found.table["deblend_n_peaks"])
    blended = np.sum(n_peaks > 1)
    print(f"{len(found.table)} peaks in {len(footprints)} footprints, {blended} blended, at most {n_peaks.max()}")
    validate(exposure, footprints, found, x, y, flux)
    print(f"deblend_sources: {seconds(exposure, footprints):.2f} CPU s")
    profile = cProfile.Profile()
    profile.runcall(deblend_sources, exposure, footprints)
    pstats.Stats(profile).sort_stats("cumulative").print_stats(16)
    for count in (500, 2000):
        blend = one_blend(count)
        deblend_sources(*blend)
        print(f"one footprint of {count} peaks: {seconds(*blend):.2f} CPU s")


if __name__ == "__main__":
    main()
