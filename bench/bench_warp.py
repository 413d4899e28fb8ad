"""Time of the warp and of the stack, one thread; validated before they are timed.

Run from the root of the checkout: ``python bench/bench_warp.py [PEERS [FRAME]]``.  The work: a frame of 2048 x 4612
pixels, turned by 0.3 degrees, image, variance and mask, with each kernel; a stack of 20 x 2048 x 2048.  CPU seconds, so
that other work on the machine shows less; the first call, with compilation or loading from the cache, is a row of its
own.  PEERS is a folder into which ``reproject`` was installed (``pip install --target``): it then warps the image,
alone.  With FRAME, a FITS frame with a distorted WCS, that frame is warped by both to a tangent plane without
distortion, and both agree to a part of the noise.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from lsst.images import Box, GeneralFrame, SkyProjection, TractFrame

from skyloom.images import Exposure, projection_from_header
from skyloom.kernels.stack import combine_stack
from skyloom.warp import KERNELS, WarpSettings, map_positions, warp_exposure

FRAME = (4612, 2048)
STACK = (20, 2048, 2048)
FLAGS = (1, 2, 4, 8, 16)


def projection(angle: float, frame: Any) -> SkyProjection:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    wcs.wcs.crval, wcs.wcs.crpix = [214.9, 52.7], [1024.0, 2306.0]
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    wcs.wcs.cd = 0.187 / 3600 * np.array([[-c, s], [s, c]])
    return SkyProjection.from_fits_wcs(wcs, frame)


def timed(name: str, work: Callable[[], Any], repeats: int = 5) -> Any:
    """Print the first and the fastest later call."""
    times = []
    for _ in range(repeats + 1):
        start = time.process_time()
        result = work()
        times.append(1000 * (time.process_time() - start))
    print(f"{name:55s} {min(times[1:]):8.0f} ms   (first call {times[0]:.0f} ms)")
    return result


def lanczos_sum(image: np.ndarray, x: float, y: float, order: int) -> float:
    """The definition of the kernels, written out."""
    i, j = int(np.floor(x)), int(np.floor(y))
    columns, rows = np.arange(i - order + 1, i + order + 1), np.arange(j - order + 1, j + order + 1)
    along, across = y - rows, x - columns
    if order == 1:
        wx, wy = 1 - np.abs(across), 1 - np.abs(along)
    else:
        wx, wy = (np.sinc(d) * np.sinc(d / order) for d in (across, along))
    return float(wy @ image[np.ix_(rows, columns)].astype(float) @ wx / (wx.sum() * wy.sum()))


def bench_warp() -> None:
    box = Box.from_shape(FRAME)
    source, tract = projection(0.3, GeneralFrame(unit=u.pix)), projection(0.0, TractFrame(skymap="", tract=0, bbox=box))
    rng = np.random.default_rng(1)
    pattern = rng.normal(1000.0, 50.0, FRAME).astype(np.float32)
    exposure = Exposure.from_arrays(pattern, variance=np.full(FRAME, 2500.0), unit=u.nJy, projection=source)
    rows, columns = rng.integers(200, 1800, (2, 3000))
    x, y = map_positions(source, tract, columns.astype(float), rows.astype(float))
    for kernel, order in KERNELS.items():
        settings = WarpSettings(kernel=kernel)
        warped = warp_exposure(exposure, box, tract, settings)
        truth = np.array([lanczos_sum(pattern, *at, order) for at in zip(x, y, strict=True)])
        error = (warped.image.array[rows, columns] - truth) / 50.0
        print(f"{kernel}: rms {np.sqrt(np.mean(error**2)):.1e} of the noise from the kernel itself, ", end="")
        print(f"largest {np.abs(error).max():.1e}")
        assert np.abs(error).max() < 1e-3
        timed(f"warp, {kernel}, no mask bits set", partial(warp_exposure, exposure, box, tract, settings))
    exposure.bits[np.random.default_rng(2).random(FRAME) < 0.002] = 32
    timed("warp, lanczos3, bits at every 500th pixel", lambda: warp_exposure(exposure, box, tract))
    exposure.variance.array[np.random.default_rng(3).random(FRAME) < 0.002] = np.inf
    timed("the same, every 500th pixel interpolated", lambda: warp_exposure(exposure, box, tract))


def load_peer(peers: str) -> Any:
    """``reproject``, or None with a line where it is not installed."""
    sys.path.append(peers)
    try:
        return importlib.import_module("reproject")
    except ImportError as error:
        print(f"reproject: left out, {error}")
        return None


def bench_reproject(reproject: Any) -> None:
    """The image alone, by the peer: its fastest interpolation, and its resampling with a Hann kernel."""
    box = Box.from_shape(FRAME)
    wcs = [projection(angle, GeneralFrame(unit=u.pix)).as_fits_wcs(box) for angle in (0.3, 0.0)]
    image = np.random.default_rng(1).normal(1000.0, 50.0, FRAME).astype(np.float32)
    for name, function, options in peer_calls(reproject):
        timed(name, partial(function, (image, wcs[0]), wcs[1], shape_out=FRAME, **options), 1)


def peer_calls(reproject: Any) -> list[tuple[str, Callable[..., Any], dict[str, Any]]]:
    return [
        ("reproject: image, bicubic", reproject.reproject_interp, {"order": "bicubic"}),
        ("reproject: image, adaptive", reproject.reproject_adaptive, {"kernel": "hann"}),
    ]


def bench_frame(reproject: Any, path: Path) -> None:
    """A frame from a file, by both, to the tangent plane in its middle."""
    pixels, header = fits.getdata(path, header=True)
    pixels = np.ascontiguousarray(pixels, np.float32)
    exposure = Exposure.from_arrays(pixels, variance=np.abs(pixels) + 1.0, unit=u.nJy)
    exposure.projection = projection_from_header(header, GeneralFrame(unit=u.pix))
    plain = WCS(naxis=2)
    plain.wcs.ctype, plain.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    plain.wcs.crval, plain.wcs.crpix = WCS(header).wcs.crval, WCS(header).wcs.crpix
    scale = np.sqrt(abs(np.linalg.det(WCS(header).pixel_scale_matrix)))
    plain.wcs.cd = scale * np.diag([-1.0, 1.0])
    box = Box.from_shape(pixels.shape)
    tract = SkyProjection.from_fits_wcs(plain, TractFrame(skymap="", tract=0, bbox=box))
    settings = WarpSettings(kernel="lanczos3", conserve_flux=False)
    warped = timed(f"{path.name}: warp, lanczos3", partial(warp_exposure, exposure, box, tract, settings))
    for name, function, options in peer_calls(reproject) if reproject else []:
        call = partial(function, (pixels, WCS(header)), plain, shape_out=pixels.shape, **options)
        theirs, _ = timed(name.replace("reproject:", f"{path.name}: reproject,"), call, 1)
        difference = (warped.image.array - theirs)[100:-100, 100:-100]
        spread = float(np.nanmedian(np.abs(difference)) / np.sqrt(np.median(pixels)))
        print(f"  median difference from ours {spread:.3f} of the square root of the sky")
        assert spread < 0.5, spread


def bench_stack() -> None:
    rng = np.random.default_rng(3)
    image = rng.normal(100.0, 5.0, STACK).astype(np.float32)
    variance, bits = np.full(STACK, 25.0, np.float32), np.zeros(STACK, np.int32)
    weights = np.full(STACK[0], 1 / 25.0)

    def combine(iterations: int) -> tuple[np.ndarray, ...]:
        clip = (4.0, iterations, 1.0)
        return combine_stack(image, variance, bits, weights, 1, FLAGS, np.full(20, 2.0), clip, (0, STACK[1]))

    np.testing.assert_allclose(combine(0)[0], image.mean(axis=0), rtol=1e-5)
    assert abs(combine(2)[0].std() * np.sqrt(20) / 5 - 1) < 0.01
    timed("mean of 20 x 2048 x 2048", lambda: combine(0), 3)
    timed("clipped mean of 20 x 2048 x 2048, of noise", lambda: combine(2), 3)
    image[0, 500:520] += 100.0
    image[:, 1000:1500, 1000:1500] += 1e4 * np.linspace(0.8, 1.2, STACK[0], dtype=np.float32)[:, None, None]
    timed("the same, a trail and 6 % of the pixels in sources", lambda: combine(2), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peers", nargs="?")
    parser.add_argument("frame", nargs="?", type=Path)
    arguments = parser.parse_args()
    bench_warp()
    reproject = load_peer(arguments.peers) if arguments.peers else None
    if reproject:
        bench_reproject(reproject)
    if arguments.frame:
        bench_frame(reproject, arguments.frame)
    bench_stack()


if __name__ == "__main__":
    main()
