"""PSF fit of 500 stars, 25 x 25 pixels, order 2, beside PSFEx and Piff: checks the answers first, then times.

Run ``python bench/bench_psf.py [--stars N] [--piff-stars N]``.  PSFEx gets the catalogue that SExtractor makes of the
same frame, Piff (0 stars: not run) the same stamps.  CPU seconds; memory is the peak of a process of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from astropy.io import fits

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "psffit"))

from psf_scenes import Draw, Scene, draw, true_errors

from skyloom.psffit import PsfFitSettings, PsfPiffSettings, fit_psf, fit_psf_with_piff

REPEATS = 3
SETTINGS = PsfFitSettings(size=25, reserve_fraction=0.0)
COLUMNS = "X_IMAGE Y_IMAGE FLUX_APER(1) FLUXERR_APER(1) FLUX_RADIUS ELONGATION FLAGS SNR_WIN VIGNET(35,35)"
OURS = """
import pickle, sys
from pathlib import Path
from skyloom.images.exposure import Exposure
from skyloom.psffit import PsfFitSettings, fit_psf
image, variance, table, stars = pickle.loads(Path(sys.argv[1]).read_bytes())
import astropy.units as u
exposure = Exposure.from_arrays(image, variance=variance, unit=u.electron)
peak = lambda: Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
before = peak()
fit_psf(exposure, table, stars, PsfFitSettings(size=25, reserve_fraction=0.0))
print(before, peak())
"""


def validate(scene: Scene, drawn: Draw, stars: np.ndarray) -> None:
    """Compare with the truth; stops where it differs."""
    psf = fit_psf(drawn.field.exposure, drawn.field.table, stars, SETTINGS).psf
    errors = true_errors(psf, scene, drawn.field.x, drawn.field.y)
    size, shape = (float(np.mean(errors[name])) for name in ("size", "e1"))
    print(f"skyloom against the truth: T {size:+.1e}, e1 {shape:+.1e}, rms of T {np.std(errors['size']):.1e}")
    assert abs(size) < 1e-3
    assert abs(shape) < 3e-4


def cpu_seconds(drawn: Draw, stars: np.ndarray, settings: PsfFitSettings = SETTINGS) -> float:
    """Least processor time of a few fits, kernels warm."""
    spent = []
    for _ in range(REPEATS):
        start = time.process_time()
        fit_psf(drawn.field.exposure, drawn.field.table, stars, settings)
        spent.append(time.process_time() - start)
    return min(spent)


def memory(drawn: Draw, stars: np.ndarray, folder: Path) -> tuple[float, float]:
    """Peak memory of a process that only fits, before and after the fit, MB."""
    import pickle

    exposure = drawn.field.exposure
    stored = folder / "stars.pickle"
    stored.write_bytes(pickle.dumps((exposure.image.array, exposure.variance.array, drawn.field.table, stars)))
    done = subprocess.run([sys.executable, "-c", OURS, str(stored)], capture_output=True, text=True, check=True)
    before, after = (int(word) / 1024 for word in done.stdout.split())
    return before, after


def psfex(drawn: Draw, sky: float, folder: Path) -> tuple[float, int, float]:
    """CPU seconds and stars of PSFEx on the catalogue of the frame, and its peak memory in MB."""
    fits.writeto(folder / "frame.fits", (drawn.field.exposure.image.array + sky).astype(np.float32))
    (folder / "columns").write_text("\n".join(COLUMNS.split()) + "\n")
    program = shutil.which("source-extractor")
    assert program is not None
    share = Path(program).parents[1] / "share" / "source-extractor"
    (folder / "filter").write_text((share / "default.conv").read_text())
    extract = ["source-extractor", "frame.fits", "-c", str(share / "default.sex"), "-PARAMETERS_NAME", "columns"]
    extract += ["-FILTER_NAME", "filter", "-CATALOG_TYPE", "FITS_LDAC", "-CATALOG_NAME", "stars.cat", "-GAIN", "1.0"]
    extract += ["-STARNNW_NAME", str(share / "default.nnw"), "-PHOT_APERTURES", "12", "-SATUR_LEVEL", "1e9"]
    subprocess.run([*extract, "-DETECT_THRESH", "10"], cwd=folder, check=True, capture_output=True)
    command = ["psfex", "stars.cat", "-PSFVAR_DEGREES", "2", "-PSF_SIZE", "25,25", "-CHECKIMAGE_TYPE", "NONE"]
    command += ["-CHECKPLOT_DEV", "NULL", "-WRITE_XML", "N", "-NTHREADS", "1"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    accepted = int(fits.getheader(folder / "stars.psf", 1)["ACCEPTED"])
    script = "import resource as r, subprocess, sys; subprocess.run(sys.argv[1:], capture_output=True);"
    script += "print(r.getrusage(r.RUSAGE_CHILDREN).ru_maxrss)"
    again = [sys.executable, "-c", script, *command]
    measure = subprocess.run(again, cwd=folder, check=True, capture_output=True, text=True)
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return spent, accepted, int(measure.stdout) / 1024


def piff(drawn: Draw, stars: np.ndarray, n_stars: int) -> float:
    """CPU seconds of Piff on the first stars."""
    some = stars & (np.cumsum(stars) <= n_stars)
    start = time.process_time()
    fit_psf_with_piff(drawn.field.exposure, drawn.field.table, some, PsfPiffSettings(size=25, reserve_fraction=0.0))
    return time.process_time() - start


def main() -> None:
    """Validate, then print times and memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stars", type=int, default=500)
    parser.add_argument("--piff-stars", type=int, default=50)
    options = parser.parse_args()
    scene = Scene(fwhm=4.0, gradient=0.1, ellipticity=0.05, n_stars=options.stars, extent=2048)
    drawn = draw(scene)
    stars = drawn.star & ~np.asarray(drawn.field.table["flag_shape"])
    validate(scene, drawn, stars)
    print(f"skyloom     {cpu_seconds(drawn, stars):6.2f} CPU s, {stars.sum()} stars")
    narrow = dataclasses.replace(scene, fwhm=2.2)
    fine = draw(narrow)
    own_size = dataclasses.replace(SETTINGS, size=None)
    print(f"  FWHM 2.2, two points a pixel, stamps of its own size {cpu_seconds(fine, fine.star, own_size):6.2f} CPU s")
    with tempfile.TemporaryDirectory() as name:
        before, after = memory(drawn, stars, Path(name))
        print(f"  peak memory {after:.0f} MB, of which {before:.0f} MB before the fit")
        if shutil.which("psfex"):
            spent, accepted, peak = psfex(drawn, scene.sky, Path(name))
            print(f"PSFEx       {spent:6.2f} CPU s, {accepted} stars, {peak:.0f} MB")
    if options.piff_stars:
        print(f"Piff        {piff(drawn, stars, options.piff_stars):6.2f} CPU s, {options.piff_stars} stars")


if __name__ == "__main__":
    main()
