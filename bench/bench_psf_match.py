"""Time of PSF matching and of coadd PSFs, one thread; validated before they are timed.

Run from the root of the checkout: ``python bench/bench_psf_match.py``.  The work: the warp of a frame of 2048 x 4612
pixels, turned by 2 degrees on a patch of 2400 x 5100, whose PSF (FWHM 3.4 to 4.1 px, order 2) becomes a Gaussian of
7.7 px; without mask bits, and with 2,000 cosmic rays, bad columns and a tenth of the pixels in footprints.  Then stamps
of the PSF of a coadd of 20 such frames.  CPU seconds, the first call apart.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Any

import astropy.units as u
import numpy as np
from astropy.wcs import WCS
from lsst.images import Box, GeneralFrame, SkyProjection, TractFrame
from scipy.signal import oaconvolve

from skyloom.images import Exposure, bitmask
from skyloom.psf import CoaddPsf, CoaddPsfComponent, PixelGridPsf, psf_stamps
from skyloom.warp import PsfMatchSettings, VisitWarp, map_positions, match_visit_warp

FRAME = (4612, 2048)
PATCH = Box.factory[-240:4860, -170:2230]
FLUX = 1e6


def projection(frame: Any, angle_deg: float = 0.0, shift: float = 0.0) -> SkyProjection:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    wcs.wcs.crval, wcs.wcs.crpix = [214.9, 52.7], [1024.0 + shift, 2306.0 - shift]
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    wcs.wcs.cd = 0.187 / 3600 * np.array([[-c, s], [s, c]])
    return SkyProjection.from_fits_wcs(wcs, frame)


TRACT = projection(TractFrame(skymap="s", tract=0, bbox=PATCH))


def frame_psf(fwhm: float = 3.4) -> PixelGridPsf:
    """A Moffat profile that widens by a fifth over the frame."""
    y, x = np.mgrid[-12:13, -12:13].astype(float)

    def stamp(width: float) -> np.ndarray:
        profile = (1 + (1.05 * x**2 + 0.95 * y**2) / (0.5 * width / np.sqrt(2 ** (1 / 3.5) - 1)) ** 2) ** -3.5
        return np.asarray(profile / profile.sum())

    narrow, wide = stamp(fwhm), stamp(1.1 * fwhm)
    zero, change = np.zeros_like(narrow), wide - narrow
    terms = [narrow, change / FRAME[0], zero, zero, zero, change / FRAME[1] ** 2]
    return PixelGridPsf(np.array(terms), order=2, bounds=Box.from_shape(FRAME))


def star_warp() -> tuple[Exposure, np.ndarray, np.ndarray]:
    """The warp, and the positions of its stars."""
    rng = np.random.default_rng(1)
    psf, source = frame_psf(), projection(GeneralFrame(unit=u.pix), 2.0)
    x, y = (grid.ravel() for grid in np.meshgrid(np.arange(150, 1950, 180.0), np.arange(150, 4500, 180.0)))
    x, y = x + rng.uniform(-0.5, 0.5, x.size), y + rng.uniform(-0.5, 0.5, x.size)
    image = rng.normal(0.0, 1.0, FRAME).astype(np.float32)
    stamps, x0, y0 = psf_stamps(psf, x, y)
    for star, left, bottom in zip(stamps, x0, y0, strict=True):
        image[bottom : bottom + 25, left : left + 25] += FLUX * star
    exposure = Exposure.from_arrays(image, variance=np.ones(FRAME), unit=u.nJy, projection=source, psf=psf)
    warp = VisitWarp(1, PATCH, TRACT)
    warp.add(0, exposure)
    return warp.finish(), *map_positions(TRACT, source, x, y)


def with_artifacts(warp: Exposure) -> Exposure:
    """Cosmic rays and bad columns, interpolated; footprints."""
    dirty = warp.copy()
    rng = np.random.default_rng(2)
    height, width = dirty.bbox.shape
    for y, x in zip(rng.integers(10, height - 10, 2000), rng.integers(10, width - 10, 2000), strict=True):
        dirty.bits[y : y + 3, x : x + 2] |= bitmask("CR", "INTRP")
        dirty.variance.array[y : y + 3, x : x + 2] = np.inf
    for x in rng.integers(10, width - 10, 5):
        dirty.bits[:, x : x + 2] |= bitmask("BAD", "INTRP")
        dirty.variance.array[:, x : x + 2] = np.inf
    for y, x in zip(rng.integers(10, height - 40, 3000), rng.integers(10, width - 40, 3000), strict=True):
        dirty.bits[y : y + 20, x : x + 20] |= bitmask("DETECTED")
    return dirty


def timed(name: str, work: Callable[[], Any], repeats: int = 3) -> Any:
    """Print the first and the fastest later call."""
    times = []
    for _ in range(repeats + 1):
        start = time.process_time()
        result = work()
        times.append(1000 * (time.process_time() - start))
    print(f"{name:55s} {min(times[1:]):8.0f} ms   (first call {times[0]:.0f} ms)")
    return result


def worst_star(matched: Exposure, x: np.ndarray, y: np.ndarray) -> float:
    """Largest difference of a star from the model, in units of the model's peak."""
    assert matched.psf is not None
    stamps, x0, y0 = psf_stamps(matched.psf, x, y)
    size, box, worst = stamps.shape[1], matched.bbox, 0.0
    for stamp, left, bottom in zip(stamps, x0 - box.x.start, y0 - box.y.start, strict=True):
        star = matched.image.array[bottom : bottom + size, left : left + size] / FLUX
        worst = max(worst, float(np.nanmax(np.abs(star - stamp)) / stamp.max()))
    return worst


def bench_match() -> None:
    warp, x, y = star_warp()
    settings = PsfMatchSettings()
    result = match_visit_warp(warp, settings)
    worst = worst_star(result.warp, x, y)
    assert worst < 0.01, worst
    kernel = result.kernels[0]
    print(f"warp of {warp.bbox.shape}, kernel {kernel.size}, order {kernel.order}, {kernel.n_cells} cells")
    print(f"{x.size} stars against the model: within {worst:.4f} of its peak")
    timed("match a warp", lambda: match_visit_warp(warp, settings))
    constant = kernel.at(1000.0, 2300.0).astype(np.float32)
    planes = [np.nan_to_num(plane.array, posinf=0.0) for plane in (warp.image, warp.variance)]
    timed(
        "peer: scipy.signal.oaconvolve, one constant kernel, no mask",
        lambda: [
            oaconvolve(plane, part, mode="same") for plane, part in zip(planes, (constant, constant**2), strict=True)
        ],
    )
    dirty = with_artifacts(warp)
    timed("match a warp with artefacts and footprints", lambda: match_visit_warp(dirty, settings))
    print(
        f"planes read and written: {2 * 3 * 4 * warp.bbox.area / 1e6:.0f} MB; peak memory of the process "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB"
    )


def bench_coadd_psf() -> None:
    parts = [
        CoaddPsfComponent(
            visit=visit,
            detector=0,
            weight=1.0,
            psf=frame_psf(3.2 + 0.05 * visit),
            projection=projection(GeneralFrame(unit=u.pix), 3.0 * visit, 5.3 * visit),
            bbox=Box.from_shape(FRAME),
        )
        for visit in range(20)
    ]
    psf = CoaddPsf(parts, TRACT, PATCH)
    rng = np.random.default_rng(3)
    x, y = rng.uniform(300, 1700, 1000), rng.uniform(500, 4000, 1000)
    together = psf.stamps(x[:20], y[:20])[0]
    assert np.array_equal(together[7], psf.stamps(x[7], y[7])[0][0])
    assert np.abs(together.sum(axis=(1, 2)) - 1.0).max() < 1e-12
    timed("1000 stamps of a coadd PSF of 20 inputs", lambda: psf.stamps(x, y))
    timed(
        "the same, 100 one by one",
        lambda: [psf.compute_stellar_image(x=a, y=b) for a, b in zip(x[:100], y[:100], strict=True)],
    )


if __name__ == "__main__":
    bench_match()
    bench_coadd_psf()
