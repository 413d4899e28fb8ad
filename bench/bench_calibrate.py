"""Calibration of a whole CCD, stage by stage, beside SExtractor and PSFEx; validated before it is timed.

Run ``python bench/bench_calibrate.py FRAMES [-n 2]``.  FRAMES is a folder of FITS frames in counts with a sky, a true
WCS (TAN or TPV), ``GAIN`` and ``SATURATE`` in the header, ``frames.csv`` (frame, transparency), and ``truth.npz`` (ra,
dec in degrees, flux in counts at transparency 1).  The peers, where installed, read the same frames: SExtractor, PSFEx,
and SExtractor with that PSF; they have no astrometric or photometric solution then, which SCAMP would add.  All seconds
are CPU seconds of one thread, the peers' with their files.  The parts have benches of their own.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any

os.environ.setdefault("NUMBA_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import Table
from lsst.images import GeneralFrame
from scipy.spatial import cKDTree

import skyloom.calibrate.recipe as recipe
from skyloom.calibrate import CalibratedFrame, CalibrateSettings, calibrate_frame
from skyloom.catalog.refcat import select_circle
from skyloom.images import Exposure, bitmask, radec_to_pixel
from skyloom.images.projection import projection_from_header

NJY = 10 ** (0.4 * (31.4 - 30.0))
"""nJy that a count stands for at transparency 1."""
READ_NOISE = 5.0
GAIN = 1.5
"""Electrons of a count."""
ISOLATED = 30.0
"""Pixels to the next star of those that are compared."""
DETECTABLE = 2000.0
"""Counts of a star that no frame can miss."""
COLUMNS = "NUMBER X_IMAGE Y_IMAGE XWIN_IMAGE YWIN_IMAGE ERRAWIN_IMAGE ERRBWIN_IMAGE ERRTHETAWIN_IMAGE FLUX_AUTO "
COLUMNS += "FLUXERR_AUTO FLUX_APER(1) FLUXERR_APER(1) FLUX_RADIUS ELONGATION SNR_WIN FLAGS X2WIN_IMAGE Y2WIN_IMAGE "
COLUMNS += "XYWIN_IMAGE"


def read_frame(path: Path) -> Exposure:
    """A frame in electrons with its variance, saturated pixels masked."""
    pixels, header = fits.getdata(path, header=True)
    electrons = np.ascontiguousarray(pixels, np.float32) * np.float32(header["GAIN"])
    variance = np.maximum(electrons, 0) + np.float32(READ_NOISE**2)
    exposure = Exposure.from_arrays(electrons, variance=variance, unit=u.electron, band="r")
    exposure.bits[pixels >= header["SATURATE"]] |= bitmask("SAT")
    exposure.projection = projection_from_header(header, GeneralFrame(unit=u.pix))
    return exposure


def read_truth(folder: Path) -> Table:
    """The stars, as a reference catalogue too."""
    truth = np.load(folder / "truth.npz")
    flux = truth["flux"] * NJY
    errors = 0.01 * flux
    return Table(
        {"id": np.arange(flux.size), "ra": truth["ra"], "dec": truth["dec"], "flux_r": flux, "flux_r_err": errors}
    )


def calibrate(exposure: Exposure, truth: Table) -> CalibratedFrame:
    """One frame against the stars brighter than magnitude 20."""
    reference = truth[truth["flux_r"] > 10 ** (0.4 * (31.4 - 20.0))]
    return calibrate_frame(exposure, lambda ra, dec, radius, _: select_circle(reference, ra, dec, radius), SETTINGS)


SETTINGS = CalibrateSettings()


def validate(frame: CalibratedFrame, truth: Table, transparency: float) -> None:
    """Print how far positions, fluxes and the zero point are from the truth; stops where they are wrong."""
    table, projection = frame.sources, frame.exposure.projection
    assert table is not None
    assert projection is not None
    x, y = radec_to_pixel(projection, np.asarray(truth["ra"]), np.asarray(truth["dec"]))
    box = frame.exposure.bbox
    inside = (x > 20) & (x < box.x.max - 20) & (y > 20) & (y < box.y.max - 20)
    place = np.stack([x, y], 1)
    inside &= cKDTree(place).query(place, k=2)[0][:, 1] > ISOLATED
    there = cKDTree(np.stack([table["ra"] * np.cos(np.radians(2.2)), table["dec"]], 1))
    here = np.stack([truth["ra"] * np.cos(np.radians(2.2)), truth["dec"]], 1)[inside]
    distance, row = there.query(here, distance_upper_bound=0.5 / 3600)
    found = np.isfinite(distance)
    stars = table[row[found]]
    true_flux = np.asarray(truth["flux_r"])[inside][found]
    snr = np.asarray(stars["psf_flux"]) / np.asarray(stars["psf_flux_err"])
    good = (snr > 200) & ~np.asarray(stars["flag_blended"]) & ~np.asarray(stars["flag_saturated_center"])
    offset = (
        3.6e6
        * np.stack(
            [
                (stars["ra"] - truth["ra"][inside][found]) * np.cos(np.radians(2.2)),
                stars["dec"] - truth["dec"][inside][found],
            ]
        )[:, good]
    )
    ratio = np.asarray(stars["psf_flux_njy"])[good] / true_flux[good]
    assert frame.photo_calib is not None
    true_zero = 30.0 + 2.5 * np.log10(transparency * GAIN)
    print(
        f"  {found.mean():.3f} of the stars found; {good.sum()} bright ones: astrometry "
        f"{np.std(offset[0]):.1f} x {np.std(offset[1]):.1f} mas, mean {offset.mean(axis=1).round(2)} mas; PSF flux "
        f"{1000 * 2.5 * np.log10(np.median(ratio)):+.2f} mmag, rms {1086 * np.std(ratio):.1f} mmag; zero point "
        f"{1000 * (frame.photo_calib.zero_point_mag - true_zero):+.2f} mmag"
    )
    assert found[np.asarray(truth["flux_r"])[inside] > DETECTABLE * NJY].mean() > 0.98
    assert abs(np.median(ratio) - 1) < 0.01


@contextmanager
def stage_clock(spent: dict[str, float]) -> Iterator[None]:
    """Book the CPU seconds of every function that the recipe calls."""
    own = "skyloom.calibrate."
    originals = {
        name: value
        for name, value in vars(recipe).items()
        if isinstance(value, FunctionType) and value.__module__.startswith(own) and value.__module__ != recipe.__name__
    }

    def timed(name: str, function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            before = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                spent[name] += time.process_time() - before

        return call

    for name, function in originals.items():
        setattr(recipe, name, timed(name, function))
    try:
        yield
    finally:
        for name, function in originals.items():
            setattr(recipe, name, function)


class Peers:
    """SExtractor and PSFEx on the same frames."""

    def __init__(self, folder: Path, work: Path) -> None:
        self.folder, self.work = folder, work
        self.spent: dict[str, float] = defaultdict(float)

    def call(self, step: str, *command: str) -> None:
        """Run one command and book its CPU seconds."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=self.work, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.spent[step] += after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    def extract(self, step: str, frame: str, catalogue: str, columns: list[str], *more: str) -> None:
        (self.work / "columns").write_text("\n".join(columns))
        filters = next(Path("/usr/share").glob("*/default.conv"), None)
        smooth = ["-FILTER", "Y", "-FILTER_NAME", str(filters)] if filters else ["-FILTER", "N"]
        settings = ["-CATALOG_NAME", catalogue, "-CATALOG_TYPE", "FITS_LDAC", "-PARAMETERS_NAME", "columns"]
        settings += ["-DETECT_THRESH", "1.5", "-ANALYSIS_THRESH", "1.5", "-DETECT_MINAREA", "5", "-GAIN", "1.5"]
        settings += ["-SATUR_LEVEL", "60000", "-PHOT_APERTURES", "12", "-BACK_SIZE", "128", "-PIXEL_SCALE", "0.187"]
        self.call(step, "source-extractor", str(self.folder / frame), *settings, *smooth, *more)

    def run(self, frames: list[str]) -> None:
        """Every frame through SExtractor, PSFEx and SExtractor again."""
        quiet = ["-CHECKIMAGE_TYPE", "NONE", "-CHECKPLOT_DEV", "NULL", "-WRITE_XML", "N", "-VERBOSE_TYPE", "QUIET"]
        for frame in frames:
            name = frame.removesuffix(".fits")
            self.extract("SExtractor", frame, f"{name}.stamps.cat", [*COLUMNS.split(), "VIGNET(35,35)"])
            self.call("PSFEx", "psfex", f"{name}.stamps.cat", "-PSFVAR_DEGREES", "2", "-NTHREADS", "1", *quiet)
            psf = [*COLUMNS.split(), "XPSF_IMAGE", "YPSF_IMAGE", "FLUX_PSF", "FLUXERR_PSF"]
            self.extract("SExtractor with PSF", frame, f"{name}.cat", psf, "-PSF_NAME", f"{name}.stamps.psf")


def report(ours: dict[str, float], peers: dict[str, float], n: int) -> None:
    """The two tables and the ratio."""
    print(f"\n{'skyloom, a CCD':34s} CPU s")
    for name, seconds in ours.items():
        print(f"{name:34s} {seconds / n:5.2f}")
    total = sum(ours.values()) / n
    print(f"{'in all':34s} {total:5.2f}")
    if peers:
        print(f"\n{'peers, a CCD':34s} CPU s")
        for name, seconds in peers.items():
            print(f"{name:34s} {seconds / n:5.2f}")
        theirs = sum(peers.values()) / n
        print(f"{'in all':34s} {theirs:5.2f}\n{'ratio':34s} {total / theirs:5.2f}")


def main() -> None:
    """Validate, time, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames", type=Path)
    parser.add_argument("-n", type=int, default=2, help="frames to time")
    options = parser.parse_args()
    truth = read_truth(options.frames)
    rows = list(csv.DictReader((options.frames / "frames.csv").open()))[: options.n]
    before = time.process_time()
    calibrate(read_frame(options.frames / rows[0]["frame"]), truth)
    print(f"first frame, kernels from the cache or compiled: {time.process_time() - before:.2f} CPU s")
    ours: dict[str, float] = defaultdict(float)
    for row in rows:
        exposure = read_frame(options.frames / row["frame"])
        with stage_clock(ours):
            frame = calibrate(exposure, truth)
        print(f"{row['frame']}: {frame.metadata['n_sources']} sources")
        validate(frame, truth, float(row["transparency"]))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    peers: dict[str, float] = {}
    if shutil.which("source-extractor") and shutil.which("psfex"):
        with tempfile.TemporaryDirectory() as work:
            beside = Peers(options.frames.resolve(), Path(work))
            beside.run([row["frame"] for row in rows])
            peers = beside.spent
    report(ours, peers, len(rows))


if __name__ == "__main__":
    main()
