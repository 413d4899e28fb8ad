"""Joint fit of two real frames, beside SCAMP on the same catalogues: how well bright stars repeat.

Run from the root of the checkout, where SExtractor, PSFEx and SCAMP are installed:
``python bench/bench_jointcal_pair.py DATA DEFAULTS WORK [--band r]``.  DATA holds corrected frames of 53.9 s with a
soft bias of 1000 and a WCS in ``frames`` (``fpC-*.fit.gz``) and ``reference_stars.fits.gz`` (ra, dec, magnitudes,
errors, starnotgal); DEFAULTS is where SExtractor's default.sex, .conv and .nnw are, without their endings.  Catalogues
are made in WORK once, and taken from there the next time.

Stars that are looked at are point sources of the reference catalogue on both frames, with a signal-to-noise ratio above
200, no flag, and no other object of the catalogue within 10 arcsec.  All numbers are standard deviations of one
measurement about the mean of the star: of all, and from the median deviation, for in the years between the frames some
stars move.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numpy as np
from astropy.io import fits
from astropy.table import Table

from joint_comparison import BRIGHT, Field, Solved, alone, by_fit, by_scamp, scatter, show
from scamp_peer import ScampSettings, write_references
from sextractor_peer import extract
from skyloom.catalog.matching import match_sky
from skyloom.catalog.refcat import reference_table
from skyloom.images import ab_magnitude_to_njy, pixel_to_radec
from skyloom.jointcal import FrameCatalogue, JointPhotometrySettings, JointSettings

BIAS, EXPOSURE_S = 1000.0, 53.907
GAIN, SATURATION, ZERO_POINT = 4.7, 40000.0, 28.0
REFERENCE_ERROR_MAS = 50.0
LIMIT = 20.0
"""Of the scatter from median deviations, mas and mmag."""
OURS = {
    "skyloom": JointSettings(),
    "skyloom, fluxes good to 5 mmag": JointSettings(photometry=JointPhotometrySettings(error_pedestal=0.005)),
    "skyloom, one factor a frame": JointSettings(photometry=JointPhotometrySettings(model="simpleMagnitude")),
}
SCAMP = {
    "SCAMP, patterns matched": ScampSettings(stability="INSTRUMENT", match=True),
    "SCAMP": ScampSettings(stability="INSTRUMENT"),
    "SCAMP, a polynomial an exposure": ScampSettings(stability="EXPOSURE"),
}


def catalogues(folder: Path, defaults: Path, work: Path, band: str) -> list[Path]:
    """Catalogues of both frames, made where they are missing."""
    work.mkdir(parents=True, exist_ok=True)
    paths = []
    for path in sorted((folder / "frames").glob(f"fpC-*-{band}4-*.fit.gz")):
        name = path.name.removesuffix(".fit.gz")
        paths.append(work / f"{name}.cat")
        if paths[-1].exists():
            continue
        pixels, header = fits.getdata(path, header=True)
        header["EXPTIME"], header["FILTER"] = EXPOSURE_S, band
        fits.writeto(work / f"{name}.fits", pixels.astype(np.float32) - BIAS, header, overwrite=True)
        extract(work / f"{name}.fits", work, defaults, gain=GAIN, saturation=SATURATION)
    return paths


def references(table: Table, band: str) -> Table:
    """Point sources of some brightness."""
    mag = np.asarray(table[band], float)
    rows = np.flatnonzero((mag > 14.0) & (mag < 21.0) & (np.asarray(table["starnotgal"]) == 1))
    flux, error = ab_magnitude_to_njy(mag[rows]), np.full(len(rows), REFERENCE_ERROR_MAS)
    columns = {"id": rows, "ra": np.asarray(table["ra"])[rows] % 360.0, "dec": np.asarray(table["dec"])[rows]}
    columns |= {"epoch": np.full(len(rows), np.nan), "ra_err": error, "dec_err": error, "flux_r": flux}
    columns |= {"flux_r_err": np.asarray(table[f"{band}_err"], float)[rows] / 1.0857 * flux}
    return reference_table(columns, filters=["r"])


def bright_stars(frames: Sequence[FrameCatalogue], table: Table) -> list[np.ndarray]:
    """Row in the reference catalogue of each measurement that is looked at, -1 for others."""
    ra, dec = np.asarray(table["ra"], float) % 360.0, np.asarray(table["dec"], float)
    good = alone(ra, dec) & (np.asarray(table["starnotgal"]) == 1)
    stars = []
    for frame in frames:
        star = np.full(len(frame.x), -1)
        rows, true, _ = match_sky(*pixel_to_radec(frame.projection, frame.x, frame.y), ra, dec, 1.0)
        star[rows] = np.where(good[true], true, -1)
        stars.append(np.where(frame.flux > BRIGHT * frame.flux_err, star, -1))
    both = np.intersect1d(*stars)
    return [np.where(np.isin(star, both), star, -1) for star in stars]


def compare(field: Field, table: Table) -> None:
    frames = field.read()
    stars = bright_stars(frames, table)
    print(f"{field.flux}: {sum(len(frame.x) for frame in frames)} measurements, {(stars[0] >= 0).sum()} bright stars")
    print(f"{'mas, mas, mmag':40s} {'of all':>26s} {'from the median':>26s}")
    for name, settings in SCAMP.items():
        solved, cpu = by_scamp(field, frames, settings)
        show_both(name, stars, solved, cpu)
    by_fit(field)
    for name, mine in OURS.items():
        solved, fitted = by_fit(field, mine)
        assert (show_both(name, stars, solved, fitted.total_s) <= LIMIT).all()


def show_both(name: str, stars: Sequence[np.ndarray], solved: Solved, cpu: float) -> np.ndarray:
    """Print both scatters, and whether one is too large; the one from the median."""
    values, robust = scatter(stars, solved), scatter(stars, solved, robust=True)
    large = [what for what, value in zip(("east", "north", "fluxes"), values, strict=True) if value > LIMIT]
    note = f", of all beyond {LIMIT:.0f}: {', '.join(large)}" if large else ""
    show(name, np.append(values, robust), f"{cpu:6.2f} CPU s{note}")
    return robust


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("defaults", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--band", default="r")
    parser.add_argument("--flux", nargs="+", default=["FLUX_AUTO", "FLUX_APER", "FLUX_PSF"])
    arguments = parser.parse_args()
    table = Table.read(arguments.data / "reference_stars.fits.gz")
    paths = catalogues(arguments.data, arguments.defaults, arguments.work, arguments.band)
    bright = references(table, arguments.band)
    write_references(arguments.work / "ref.cat", bright, "r")
    for flux in arguments.flux:
        compare(Field(paths, bright, flux, ZERO_POINT), table)


if __name__ == "__main__":
    main()
