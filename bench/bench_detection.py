"""Background, detection and measurement beside `sep`: checks the answers first, then times both.

Run ``python bench/bench_detection.py [--stars N]``; the frame is simulated, 2048 x 1489 pixels.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import astropy.units as u
import numpy as np
import sep

from skyloom.background import fit_background, subtract_background
from skyloom.detection import detect_sources
from skyloom.images.exposure import Exposure
from skyloom.images.footprints import FootprintSet
from skyloom.measurement import measure_sources

SHAPE = (1489, 2048)
SIGMA = 1.5
NOISE = 5.8
SKY = 145.0
RADII = (3.0, 4.5, 6.0, 9.0, 12.0, 17.0)
REPEATS = 5


def simulate(n_stars: int) -> tuple[Exposure, np.ndarray, np.ndarray, np.ndarray]:
    """A frame of Gaussian stars on a sloping sky, and their x, y and flux."""
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = SKY + 0.005 * columns - 0.003 * rows + rng.normal(0, NOISE, SHAPE)
    x, y = rng.uniform(20, SHAPE[1] - 20, n_stars), rng.uniform(20, SHAPE[0] - 20, n_stars)
    flux = 300.0 / rng.random(n_stars) ** 0.8
    offset = np.arange(-12, 13)
    for sx, sy, sf in zip(x, y, flux, strict=True):
        ix, iy = round(sx), round(sy)
        profile_x, profile_y = (np.exp(-((offset + i - s) ** 2) / (2 * SIGMA**2)) for i, s in ((ix, sx), (iy, sy)))
        star = sf * np.outer(profile_y, profile_x) / (2 * np.pi * SIGMA**2)
        image[iy - 12 : iy + 13, ix - 12 : ix + 13] += star
    exposure = Exposure.from_arrays(image, variance=np.full(SHAPE, NOISE**2), unit=u.electron)
    return exposure, x, y, flux


def validate(frame: Exposure, x: np.ndarray, y: np.ndarray, flux: np.ndarray) -> None:
    """Compare with the truth and with sep; stops at the first disagreement."""
    exposure = frame.copy()
    background = subtract_background(exposure)
    theirs = sep.Background(frame.image.array, bw=128, bh=128)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    truth = SKY + 0.005 * columns - 0.003 * rows
    ours_error, their_error = (float(np.std(sky - truth)) for sky in (background.render(), theirs.back()))
    print(f"background error: skyloom {ours_error:.3f}, sep {their_error:.3f} (noise of a pixel {NOISE})")
    assert ours_error < 0.1 * NOISE
    table = measure_sources(exposure, detect_sources(exposure, SIGMA), psf_sigma=SIGMA)
    aperture, *_ = sep.sum_circle(exposure.image.array, table["x"], table["y"], 6.0, subpix=0)
    worst = np.max(np.abs(table["aperture_flux_6_0"] - aperture) / np.maximum(np.abs(aperture), 1.0))
    print(f"aperture sums: largest relative difference from sep {worst:.1e}")
    assert worst < 1e-5
    bright = flux > 20 * NOISE * np.sqrt(4 * np.pi) * SIGMA
    distance = np.hypot(np.subtract.outer(x[bright], table["x"]), np.subtract.outer(y[bright], table["y"]))
    print(f"stars above 20 sigma found within 1 px: {np.mean(distance.min(axis=1) < 1):.1%} of {bright.sum()}")
    assert np.mean(distance.min(axis=1) < 1) > 0.9


def seconds(call: Callable[[], Any]) -> tuple[float, float]:
    """Least wall and processor time of a few calls; the first, which may compile, is not counted."""
    call()
    wall, processor = [], []
    for _ in range(REPEATS):
        start, start_processor = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - start_processor)
    return min(wall), min(processor)


def sep_measure(image: np.ndarray, objects: np.ndarray) -> None:
    """Windowed centroids and the same apertures with sep."""
    x, y, _ = sep.winpos(image, objects["x"], objects["y"], np.full(len(objects), SIGMA))
    for radius in RADII:
        sep.sum_circle(image, x, y, radius, err=NOISE, subpix=0)


Call = Callable[[], Any]


def stages(frame: Exposure, exposure: Exposure, footprints: FootprintSet) -> tuple[list[tuple[str, Call, Call]], int]:
    """Name of each stage, our call and that of sep; and the number of objects that sep finds."""
    pixels, image = frame.image.array, exposure.image.array
    kernel = np.exp(-np.add.outer(np.arange(-5, 6) ** 2, np.arange(-5, 6) ** 2) / (2 * SIGMA**2))
    threshold = 5 * np.sqrt(np.sum(kernel**2)) / kernel.sum()  # sep's is in sigma of a pixel, before the filter

    def extract() -> np.ndarray:
        return np.asarray(sep.extract(image, threshold, err=NOISE, filter_kernel=kernel))

    objects = extract()
    pairs: list[tuple[str, Call, Call]] = [
        (
            "background",
            lambda: fit_background(pixels, frame.bits).render(),
            lambda: sep.Background(pixels, bw=128, bh=128).back(),
        ),
        ("detection", lambda: detect_sources(exposure, SIGMA), extract),
        (
            "measurement",
            lambda: measure_sources(exposure, footprints, psf_sigma=SIGMA),
            lambda: sep_measure(image, objects),
        ),
    ]
    return pairs, len(objects)


def main() -> None:
    """Validate, then print a table of times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stars", type=int, default=700)
    frame, x, y, flux = simulate(parser.parse_args().stars)
    validate(frame, x, y, flux)
    exposure = frame.copy()
    subtract_background(exposure)
    footprints = detect_sources(exposure, SIGMA)
    pairs, their_count = stages(frame, exposure, footprints)
    our_count = sum(len(footprint.peaks) for footprint in footprints)
    print(f"{SHAPE[1]} x {SHAPE[0]} pixels; skyloom {our_count} sources, sep {their_count}")
    print(f"{'stage':12s} {'skyloom ms (cpu)':>20s} {'sep ms (cpu)':>20s}")
    for name, ours, theirs in pairs:
        (wall, cpu), (their_wall, their_cpu) = seconds(ours), seconds(theirs)
        print(f"{name:12s} {wall * 1e3:14.0f} ({cpu * 1e3:3.0f}) {their_wall * 1e3:14.0f} ({their_cpu * 1e3:3.0f})")


if __name__ == "__main__":
    main()
