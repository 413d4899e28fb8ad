"""Peak memory and time of a coadd made straight from frames, beside warps that are kept; the pixels are compared.

Run from the root of the checkout: ``python bench/bench_coadd_from_frames.py``.  The work: frames of 1024 x 2048 pixels,
16 visits and then four times as many, each turned and shifted, onto a patch of 2200 x 2200 pixels, clipped.  Frames
come from files, as memory maps, so that what is counted is ours.  Each row runs in a process of its own: its peak is
the largest resident size less that before the work began.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.wcs import WCS
from lsst.images import Box, GeneralFrame, SkyProjection, TractFrame
from lsst.images.psfs import GaussianPointSpreadFunction

from skyloom.coadd import CoaddSettings, ExposureHandle, assemble_coadd, prepare_inputs
from skyloom.images import Exposure
from skyloom.warp import StreamedWarp, VisitWarp, overlap_box

SHAPE = (2048, 1024)
PATCH = Box.factory[0:2200, 0:2200]
SETTINGS = CoaddSettings(max_memory_mb=64.0)


def projection(number: int) -> SkyProjection:
    """Of the patch (-1), or of a frame that is turned by up to a degree and shifted by up to 500 pixels."""
    rng = np.random.default_rng(number + 1)
    angle = np.radians(rng.uniform(-1.0, 1.0)) if number >= 0 else 0.0
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    wcs.wcs.crval = [214.9, 52.7]
    shift = rng.uniform(-500.0, 500.0, 2)
    wcs.wcs.crpix = (512.0 + shift[0], 1024.0 + shift[1]) if number >= 0 else (1100.0, 1100.0)
    c, s = np.cos(angle), np.sin(angle)
    wcs.wcs.cd = 0.2 / 3600 * np.array([[-c, s], [s, c]])
    frame = GeneralFrame(unit=u.pix) if number >= 0 else TractFrame(skymap="", tract=0, bbox=PATCH)
    return SkyProjection.from_fits_wcs(wcs, frame)


TRACT = projection(-1)


def write_frames(folder: Path, count: int) -> None:
    for number in range(count):
        image = np.random.default_rng([7, number]).normal(0.0, 5.0, SHAPE).astype(np.float32)
        image[::97, ::89] += 300.0
        np.save(folder / f"{number}.npy", image)


def frames(folder: Path, number: int, box: Box) -> Iterator[tuple[int, Exposure]]:
    """The part of a frame that falls on a box."""
    own = projection(number)
    part = overlap_box(TRACT, own, box, Box.from_shape(SHAPE), 16)
    if part is None:
        return
    image = np.array(np.load(folder / f"{number}.npy", mmap_mode="r")[part.slice_within(Box.from_shape(SHAPE))])
    exposure = Exposure.from_arrays(
        image,
        variance=np.full(image.shape, 25.0, np.float32),
        x0=part.x.start,
        y0=part.y.start,
        unit=u.nJy,
        projection=own,
        psf=GaussianPointSpreadFunction(1.8, Box.from_shape(SHAPE), 25),
    )
    yield 0, exposure


def stored_warps(folder: Path, count: int) -> Iterator[ExposureHandle]:
    for number in range(count):
        warp = VisitWarp(number, PATCH, TRACT)
        for detector, exposure in frames(folder, number, PATCH):
            warp.add(detector, exposure)
        yield ExposureHandle(warp.finish(), number)


def streamed_warps(folder: Path, count: int) -> Iterator[StreamedWarp]:
    for number in range(count):
        yield StreamedWarp(number, lambda box, n=number: frames(folder, n, box), PATCH, TRACT)


def work(kind: str, folder: Path, count: int) -> None:
    """One row: prints seconds and peak memory, and keeps the coadd."""
    make = {"stored": stored_warps, "streamed": streamed_warps}[kind]
    list(make(folder, 1))
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    inputs, _ = prepare_inputs(make(folder, count), SETTINGS.bad_planes)
    coadd, _ = assemble_coadd(inputs, PATCH, TRACT, SETTINGS)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    np.savez(folder / f"{kind}_{count}.npz", image=coadd.image.array, variance=coadd.variance.array, bits=coadd.bits)
    print(f"{kind:9s} {count:4d} visits {time.process_time() - start:8.1f} CPU s {peak:8.0f} MB", flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_frames(folder, 64)
        for count in (16, 64):
            for kind in ("stored", "streamed"):
                subprocess.run([sys.executable, __file__, kind, scratch, str(count)], check=True)
            stored, streamed = (np.load(folder / f"{kind}_{count}.npz") for kind in ("stored", "streamed"))
            for name in stored.files:
                np.testing.assert_array_equal(stored[name], streamed[name])
            print(f"the two coadds of {count} visits are the same to the last bit")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        work(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
