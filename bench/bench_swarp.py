"""Warp and clipped coadd of a set of frames, beside SWarp on the same frames; validated before they are timed.

Run from the root of the checkout, where SWarp is installed: ``python bench/bench_swarp.py FRAMES``.  FRAMES is a folder
of FITS frames with a sky and a WCS that both read (TAN or TPV), ``frames.csv`` (frame, transparency), and ``truth.npz``
(ra, dec in degrees, flux in counts at transparency 1).  Both get the same frames, sky taken off and scaled to one zero
point, and fill the same pixels with Lanczos-3, on one thread.  SWarp resamples image and weight; skyloom image,
variance and mask.  SWarp's seconds include reading and writing its files; skyloom's are given with and without.
"""

from __future__ import annotations

import csv
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import astropy.units as u
import numpy as np
import sep
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from lsst.images import Box, GeneralFrame, SkyProjection, TractFrame
from scipy.spatial import cKDTree

from skyloom.coadd import CoaddSettings, ExposureHandle, assemble_coadd, prepare_inputs
from skyloom.images import Exposure
from skyloom.images.projection import projection_from_header
from skyloom.warp import WarpSettings, warp_exposure

APERTURE = 8.0
GAIN = 1.5
BRIGHT = 5e4


class Clock:
    """CPU and wall seconds by step."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float, float]] = []

    @contextmanager
    def step(self, name: str, count: int = 1) -> Iterator[None]:
        """Time a block that does ``count`` equal pieces of work; CPU seconds of children included."""
        cpu, wall = _cpu(), time.perf_counter()
        yield
        self.rows.append((name, (_cpu() - cpu) / count, (time.perf_counter() - wall) / count))
        print(f"{name:58s} {self.rows[-1][1]:8.2f} {self.rows[-1][2]:8.2f}", flush=True)

    def cpu(self, name: str) -> float:
        """CPU seconds of a step."""
        return next(cpu for other, cpu, _ in self.rows if other == name)


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def prepare(folder: Path, work: Path) -> list[Path]:
    """Write the frames without sky and on one zero point, each with its weight map."""
    scale = {row["frame"]: 1.0 / float(row["transparency"]) for row in csv.DictReader((folder / "frames.csv").open())}
    paths = []
    for path in sorted(folder.glob("*.fits")):
        pixels, header = fits.getdata(path, header=True)
        pixels = np.ascontiguousarray(pixels, np.float32)
        sky = sep.Background(pixels, bw=128, bh=128)
        factor = scale[path.name]
        paths.append(work / path.name)
        fits.writeto(paths[-1], (pixels - sky.back()) * np.float32(factor), header, overwrite=True)
        variance = np.float32(factor**2 / GAIN) * sky.back().astype(np.float32)
        fits.writeto(work / f"{path.stem}.weight.fits", 1.0 / variance, header, overwrite=True)
    return paths


def run_swarp(clock: Clock, work: Path, paths: list[Path]) -> tuple[np.ndarray, WCS]:
    """Resample, then combine; returns the coadd."""
    common = ["-WEIGHT_TYPE", "MAP_WEIGHT", "-SUBTRACT_BACK", "N", "-FSCALASTRO_TYPE", "NONE", "-NTHREADS", "1"]
    common += ["-WRITE_XML", "N", "-VERBOSE_TYPE", "QUIET", "-DELETE_TMPFILES", "N", "-RESAMPLING_TYPE", "LANCZOS3"]
    common += ["-PIXELSCALE_TYPE", "MANUAL", "-PIXEL_SCALE", "0.187", "-COMBINE_TYPE", "CLIPPED"]

    def call(*more: str) -> None:
        subprocess.run(["SWarp", *(path.name for path in paths), *common, *more], cwd=work, check=True)

    with clock.step("SWarp: one frame, image and weight, files included", len(paths)):
        call("-COMBINE", "N")
    names = [path.name.replace(".fits", ".resamp.fits") for path in paths]
    with clock.step("SWarp: clipped coadd, files included"):
        subprocess.run(["SWarp", *names, *common, "-RESAMPLE", "N"], cwd=work, check=True)
    pixels, header = fits.getdata(work / "coadd.fits", header=True)
    return np.ascontiguousarray(pixels, np.float32), WCS(header)


def read_frame(path: Path) -> Exposure:
    """A frame with its variance and an empty mask."""
    pixels, header = fits.getdata(path, header=True)
    weight = fits.getdata(path.with_name(f"{path.stem}.weight.fits"))
    exposure = Exposure.from_arrays(
        np.ascontiguousarray(pixels, np.float32), variance=(1.0 / weight).astype(np.float32), unit=u.nJy
    )
    exposure.projection = projection_from_header(header, GeneralFrame(unit=u.pix))
    return exposure


def warp_all(clock: Clock, paths: list[Path], box: Box, tract: SkyProjection[Any], work: Path) -> list[ExposureHandle]:
    """Warp every frame; the warps stay in memory, and the first is also written and read, for the time of that."""
    frames = [read_frame(path) for path in paths[:2]]
    for frame in frames:
        warp_exposure(frame, box, tract)
    with clock.step("skyloom: one frame, image, variance and mask", len(frames)):
        for frame in frames:
            warp_exposure(frame, box, tract)
    handles = []
    with clock.step("skyloom: the same, files included", len(paths)):
        for number, path in enumerate(paths):
            warp = warp_exposure(read_frame(path), box, tract)
            np.savez(work / "warp.npz", image=warp.image.array, variance=warp.variance.array, bits=warp.bits)
            warp.inputs = Table({"visit": [0], "detector": [0], "weight": [1.0], "n_pixels": [1]})
            handles.append(ExposureHandle(warp, number))
    return handles


def compare_pixels(work: Path, path: Path) -> None:
    """Our warp of one frame on the grid of SWarp's, pixel by pixel: the difference is small beside the noise."""
    theirs, header = fits.getdata(work / f"{path.stem}.resamp.fits", header=True)
    weight = fits.getdata(work / f"{path.stem}.resamp.weight.fits")
    frame, box = read_frame(path), Box.from_shape(theirs.shape)
    tract = SkyProjection.from_fits_wcs(WCS(header), TractFrame(skymap="", tract=0, bbox=box))
    for kernel in ("lanczos3", "lanczos5"):
        # With no astrometric flux scale, SWarp keeps surface brightness.
        settings = WarpSettings(kernel=kernel, conserve_flux=False)
        ours = warp_exposure(frame, box, tract, settings)
        both = np.isfinite(ours.image.array) & (weight > 0)
        noise = float(np.sqrt(np.median(frame.variance.array)))
        difference = (ours.image.array - theirs)[both] / noise
        rms, middle = float(np.sqrt(np.mean(difference**2))), float(np.median(np.abs(difference)))
        print(f"{kernel} against SWarp's Lanczos-3: rms {rms:.4f}, median {middle:.4f} of the noise, ", end="")
        print(f"{np.mean(np.abs(difference) > 0.05):.1e} of the pixels beyond 0.05")
        if kernel == "lanczos3":
            assert rms < 0.01, rms


def coadd_all(clock: Clock, handles: list[ExposureHandle], box: Box, tract: SkyProjection[Any]) -> np.ndarray:
    """The clipped coadd."""

    def combine() -> tuple[Exposure, np.ndarray]:
        settings = CoaddSettings()
        inputs, _ = prepare_inputs(handles, settings.bad_planes)
        return assemble_coadd(inputs, box, tract, settings)

    combine()
    with clock.step("skyloom: clipped coadd"):
        coadd, _ = combine()
    return coadd.image.array


def validate(folder: Path, ours: np.ndarray, theirs: np.ndarray, wcs: WCS) -> None:
    """Isolated bright stars have their true fluxes in our coadd; those of SWarp's are shown beside it."""
    truth = np.load(folder / "truth.npz")
    x, y = wcs.world_to_pixel_values(truth["ra"], truth["dec"])
    alone = np.array([len(near) == 1 for near in cKDTree(np.c_[x, y]).query_ball_point(np.c_[x, y], 20.0)])
    inside = (x > 60) & (x < ours.shape[1] - 60) & (y > 60) & (y < ours.shape[0] - 60)
    stars = np.flatnonzero(alone & inside & (truth["flux"] > BRIGHT))
    for name, image in (("skyloom", ours), ("SWarp", theirs)):
        pixels = np.where(np.isfinite(image), image, 0.0).astype(np.float32)
        ratio = sep.sum_circle(pixels, x[stars], y[stars], APERTURE)[0] / truth["flux"][stars]
        low, middle, high = np.percentile(ratio, [16, 50, 84])
        print(
            f"{name}: flux over truth of {len(stars)} stars {middle:.5f}, half the central 68 % {(high - low) / 2:.5f}"
        )
        if name == "skyloom":
            assert abs(middle - 1.0) < 2e-3, middle


def main(folder: Path) -> None:
    clock = Clock()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        paths = prepare(folder, work)
        print(f"{'step':58s} {'CPU s':>8s} {'wall s':>8s}")
        theirs, wcs = run_swarp(clock, work, paths)
        box = Box.from_shape(theirs.shape)
        tract = SkyProjection.from_fits_wcs(wcs, TractFrame(skymap="", tract=0, bbox=box))
        compare_pixels(work, paths[0])
        handles = warp_all(clock, paths, box, tract, work)
        ours = coadd_all(clock, handles, box, tract)
        validate(folder, ours, theirs, wcs)
    pairs = (
        ("warp", "skyloom: the same, files included", "SWarp: one frame, image and weight, files included"),
        ("coadd", "skyloom: clipped coadd", "SWarp: clipped coadd, files included"),
    )
    for name, mine, other in pairs:
        print(f"{name}: {clock.cpu(mine) / clock.cpu(other):.2f} of SWarp's CPU time")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
