"""Background, detection and measurement beside source-extractor, `sep` and `photutils`.

Checks the answers first, then times, in processor seconds of one core with warm kernels.  Run ``python
bench/bench_measurement.py [--stars N]``; the frame is simulated, 2048 x 4612 pixels.  source-extractor is left out
where it is not installed; its share counts reading the frame and writing the catalogue.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import sep
from astropy.io import fits
from photutils.aperture import CircularAperture, EllipticalAperture, aperture_photometry

from skyloom.background import fit_background, subtract_background
from skyloom.detection import detect_sources
from skyloom.images.exposure import Exposure
from skyloom.kernels.ellipses import elliptical_sums
from skyloom.measurement import PSF_PASS_PLUGINS, MeasurementSettings, measure_sources
from skyloom.psf import PixelGridPsf

SHAPE = (4612, 2048)
SIGMA = 1.7
NOISE = 20.0
SKY = 800.0
RADII = (3.0, 4.5, 6.0, 9.0, 12.0, 17.0)
REPEATS = 5
PROGRAMS = ("source-extractor", "sex")
COLUMNS = ["NUMBER", "X_IMAGE", "Y_IMAGE", "XWIN_IMAGE", "YWIN_IMAGE", "FLUX_APER(6)", "FLUX_AUTO", "FLAGS"]


def simulate(n_stars: int) -> tuple[Exposure, np.ndarray, np.ndarray, np.ndarray]:
    """A frame of Gaussian stars on a sloping sky, with their PSF, and their x, y and flux."""
    rng = np.random.default_rng(1)
    image = SKY + 0.01 * np.arange(SHAPE[1]) - 0.006 * np.arange(SHAPE[0])[:, None] + rng.normal(0, NOISE, SHAPE)
    x, y = rng.uniform(20, SHAPE[1] - 20, n_stars), rng.uniform(20, SHAPE[0] - 20, n_stars)
    flux = np.minimum(2500.0 / rng.random(n_stars) ** 0.9, 3e6)
    offset = np.arange(-15, 16)
    for sx, sy, sf in zip(x, y, flux, strict=True):
        ix, iy = round(sx), round(sy)
        profile_x, profile_y = (np.exp(-((offset + i - s) ** 2) / (2 * SIGMA**2)) for i, s in ((ix, sx), (iy, sy)))
        star = sf * np.outer(profile_y, profile_x) / (2 * np.pi * SIGMA**2)
        image[iy - 15 : iy + 16, ix - 15 : ix + 16] += star
    exposure = Exposure.from_arrays(image, variance=np.full(SHAPE, NOISE**2), unit=u.electron)
    grid = np.exp(-np.add.outer(offset**2, offset**2) / (2 * SIGMA**2))
    exposure.psf = PixelGridPsf((grid / grid.sum())[None], order=0, bounds=exposure.bbox)
    return exposure, x, y, flux


def validate(frame: Exposure, x: np.ndarray, y: np.ndarray, flux: np.ndarray) -> None:
    """Compare with the truth, sep and photutils; stops at the first disagreement."""
    exposure = frame.copy()
    subtract_background(exposure)
    detect_sources(exposure, SIGMA)
    subtract_background(exposure)
    footprints = detect_sources(exposure, SIGMA)
    table = measure_sources(exposure, footprints)
    isolated = np.asarray(table["is_isolated"] & ~table["flag_edge"])
    pixels = exposure.image.array.astype(np.float64)
    none = np.zeros(SHAPE, bool)
    at = np.asarray(table["x"])[isolated], np.asarray(table["y"])[isolated]
    moments = np.column_stack([np.asarray(table[name], float)[isolated] for name in ("ixx", "iyy", "ixy")])
    shaped = np.isfinite(moments[:, 0])
    ours, _, _ = elliptical_sums(
        pixels, pixels, none, at[0][shaped], at[1][shaped], moments[shaped], np.full(shaped.sum(), 7.0)
    )
    worst = max(abs(a - b) for a, b in zip(ours[:50], ellipses(pixels, at, moments, shaped), strict=True))
    print(f"elliptical sums: largest difference from photutils {worst:.1e} of {np.abs(ours[:50]).max():.1e}")
    assert worst < 1e-7 * np.abs(ours[:50]).max()
    distance = np.hypot(np.subtract.outer(x, at[0]), np.subtract.outer(y, at[1]))
    star, row = distance.argmin(axis=0), np.flatnonzero(isolated)
    near = distance.min(axis=0) < 1
    crowd = np.hypot(np.subtract.outer(x, x), np.subtract.outer(y, y)) + 1e9 * np.eye(x.size)
    alone = near & (crowd.min(axis=1) > 40)[star]
    for name in ("psf_flux", "gaussian_flux", "aperture_flux_12_0", "tophat_flux"):
        pull = (np.asarray(table[name])[row] - flux[star]) / np.asarray(table[f"{name}_err"])[row]
        width = 1.4826 * np.nanmedian(np.abs(pull[alone] - np.nanmedian(pull[alone])))
        print(f"{name}: {alone.sum()} isolated stars, pull {np.nanmedian(pull[alone]):+.3f} +- {width:.3f}")
        assert 0.85 < width < 1.15
    theirs, *_ = sep.sum_circle(pixels, *at, 6.0, subpix=0)
    same = np.abs(np.asarray(table["aperture_flux_6_0"])[row] - theirs)[alone]
    print(f"6-pixel sums of isolated stars: largest difference from sep {same.max():.1e}")
    assert same.max() < 1e-5 * theirs.max()


def ellipses(pixels: np.ndarray, at: Any, moments: np.ndarray, shaped: np.ndarray) -> list[float]:
    """Sums of photutils in the ellipses of the first fifty sources, as large as a circle of 7 px."""
    sums = []
    for x, y, (xx, yy, xy) in zip(at[0][shaped][:50], at[1][shaped][:50], moments[shaped][:50], strict=True):
        values, vectors = np.linalg.eigh([[xx, xy], [xy, yy]])
        axes = 7.0 * np.sqrt(values) / (values[0] * values[1]) ** 0.25
        theta = np.arctan2(vectors[1, 1], vectors[0, 1])
        aperture = EllipticalAperture((x, y), axes[1], axes[0], theta=theta)
        sums.append(float(aperture_photometry(pixels, aperture)["aperture_sum"][0]))
    return sums


def seconds(call: Callable[[], Any]) -> float:
    """Least processor time of a few calls; the first, which may compile, is not counted."""
    call()
    spent = []
    for _ in range(REPEATS):
        start = time.process_time()
        call()
        spent.append(time.process_time() - start)
    return min(spent)


def photutils_measure(pixels: np.ndarray, objects: np.ndarray) -> None:
    """The same circles with photutils."""
    places = np.column_stack([objects["x"], objects["y"]])
    for radius in RADII:
        aperture_photometry(pixels, CircularAperture(places, radius))


def sep_measure(pixels: np.ndarray, objects: np.ndarray) -> None:
    """Windowed centroids, the same circles and Kron fluxes with sep."""
    x, y, _ = sep.winpos(pixels, objects["x"], objects["y"], np.full(len(objects), SIGMA))
    for radius in RADII:
        sep.sum_circle(pixels, x, y, radius, err=NOISE, subpix=0)
    shape = objects["a"], objects["b"], np.clip(objects["theta"], -1.57, 1.57)
    kron, _ = sep.kron_radius(pixels, objects["x"], objects["y"], *shape, 6.0)
    sep.sum_ellipse(pixels, objects["x"], objects["y"], *shape, np.maximum(2.5 * kron, 3.5), subpix=0)


def source_extractor(frame: Exposure) -> tuple[float, int] | None:
    """Processor seconds of source-extractor and the sources that it finds; None where it is not installed."""
    program = next((name for name in PROGRAMS if shutil.which(name)), None)
    if program is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        fits.writeto(work / "frame.fits", frame.image.array)
        (work / "columns.param").write_text("\n".join(COLUMNS))
        kernel = np.exp(-np.add.outer(np.arange(-2, 3) ** 2, np.arange(-2, 3) ** 2) / (2 * SIGMA**2))
        rows = "\n".join(" ".join(f"{value:.6f}" for value in row) for row in kernel)
        (work / "filter.conv").write_text(f"CONV NORM\n{rows}\n")
        apertures = ",".join(str(2 * radius) for radius in RADII)
        command = [program, "frame.fits", "-PARAMETERS_NAME", "columns.param", "-FILTER_NAME", "filter.conv"]
        command += ["-CATALOG_TYPE", "FITS_LDAC", "-CATALOG_NAME", "out.cat", "-PHOT_APERTURES", apertures]
        command += ["-BACK_SIZE", "128", "-DETECT_THRESH", "1.5", "-VERBOSE_TYPE", "QUIET", "-NTHREADS", "1"]
        spent = []
        for _ in range(REPEATS):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, cwd=work, check=True, capture_output=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
        return min(spent), int(fits.getheader(work / "out.cat", 2)["NAXIS2"])


def main() -> None:
    """Validate, then print a table of times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stars", type=int, default=2400)
    frame, x, y, flux = simulate(parser.parse_args().stars)
    validate(frame, x, y, flux)
    exposure = frame.copy()
    subtract_background(exposure)
    footprints = detect_sources(exposure, SIGMA)
    raw, pixels = frame.image.array, exposure.image.array
    kernel = np.exp(-np.add.outer(np.arange(-5, 6) ** 2, np.arange(-5, 6) ** 2) / (2 * SIGMA**2))
    threshold = 5 * np.sqrt(np.sum(kernel**2)) / kernel.sum()  # sep's is in sigma of a pixel, before the filter

    def extract() -> np.ndarray:
        return np.asarray(sep.extract(pixels, threshold, err=NOISE, filter_kernel=kernel))

    objects = extract()
    first = MeasurementSettings(plugins=PSF_PASS_PLUGINS)
    count = sum(len(footprint.peaks) for footprint in footprints)
    print(f"{SHAPE[1]} x {SHAPE[0]} pixels; skyloom {count} sources, sep {len(objects)}")
    times = {
        "background": seconds(lambda: fit_background(raw, frame.bits).render()),
        "detection": seconds(lambda: detect_sources(exposure, SIGMA)),
        "measurement, all": seconds(lambda: measure_sources(exposure, footprints)),
    }
    times["sum"] = sum(times.values())
    times["measurement, first pass"] = seconds(lambda: measure_sources(exposure, footprints, first))
    times["sep: background"] = seconds(lambda: sep.Background(raw, bw=128, bh=128).back())
    times["sep: extract"] = seconds(extract)
    times["sep: positions, circles, Kron"] = seconds(lambda: sep_measure(pixels, objects))
    times["photutils: circles"] = seconds(lambda: photutils_measure(pixels, objects))
    if (peer := source_extractor(frame)) is not None:
        times[f"source-extractor: everything ({peer[1]} sources)"] = peer[0]
    for name, spent in times.items():
        print(f"{name:50s} {spent * 1e3:7.0f} ms")


if __name__ == "__main__":
    main()
