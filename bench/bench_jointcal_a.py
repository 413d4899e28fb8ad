"""Joint fit of the frames of one detector, beside SCAMP on the same catalogues; validated before its time counts.

Run from the root of the checkout, where SExtractor, PSFEx and SCAMP are installed:
``python bench/bench_jointcal_a.py FRAMES DEFAULTS WORK [--flux FLUX_AUTO]``.  FRAMES is a folder of FITS frames with a
WCS, ``frames.csv`` (frame, transparency) and ``truth.npz`` (ra, dec in degrees, flux in counts at transparency 1);
DEFAULTS is where SExtractor's default.sex, .conv and .nnw are, without their endings.  The catalogues are made in
WORK once, and taken from there the next time.

Bright stars have a signal-to-noise ratio above 200, no flag and no other star within 10 arcsec.  Their scatter about
their means is taken by one function for both, and so is that about the truth.  SCAMP's seconds are those of its
process, which reads the catalogues and writes headers.  Ours are those of a new process that imports, reads the
catalogues, associates, fits and makes all tables, and of the same work where the code is loaded.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numpy as np
from astropy.table import Table

from joint_comparison import (
    BRIGHT,
    Field,
    Solved,
    alone,
    by_fit,
    by_scamp,
    fit_field,
    gathered,
    scatter,
    seconds_anew,
    show,
)
from scamp_peer import ScampSettings, write_references
from sextractor_peer import extract
from skyloom.catalog.matching import match_sky
from skyloom.catalog.refcat import reference_table
from skyloom.images import ab_magnitude_to_njy, pixel_to_radec
from skyloom.jointcal import FrameCatalogue

ZERO_POINT = 30.0
GAIN, SATURATION = 1.5, 60000.0
FAINTEST_REFERENCE = 20.0
LIMITS = (3.0, 3.0, 6.0)
"""Of the scatter of bright stars, mas and mmag, with fluxes by the PSF."""
SCAMP = {
    "SCAMP, patterns matched": ScampSettings(stability="INSTRUMENT", match=True),
    "SCAMP": ScampSettings(stability="INSTRUMENT"),
    "SCAMP, a polynomial an exposure": ScampSettings(stability="EXPOSURE"),
}


@dataclass(frozen=True)
class Truth:
    """The stars of the field."""

    ra: np.ndarray
    dec: np.ndarray
    mag: np.ndarray

    @classmethod
    def read(cls, folder: Path) -> Truth:
        with np.load(folder / "truth.npz") as file:
            return cls(file["ra"], file["dec"], ZERO_POINT - 2.5 * np.log10(file["flux"]))

    def references(self) -> Table:
        """The brighter ones, with errors of 1 mas and 10 mmag."""
        rows = np.flatnonzero(self.mag < FAINTEST_REFERENCE)
        flux, error = ab_magnitude_to_njy(self.mag[rows]), np.ones(len(rows))
        columns = {"id": rows, "ra": self.ra[rows], "dec": self.dec[rows], "epoch": np.full(len(rows), 2016.0)}
        columns |= {"ra_err": error, "dec_err": error, "flux_r": flux, "flux_r_err": 0.01 / 1.0857 * flux}
        return reference_table(columns, filters=["r"])


def catalogues(folder: Path, defaults: Path, work: Path) -> list[Path]:
    """Catalogues of all frames, made where they are missing."""
    work.mkdir(parents=True, exist_ok=True)
    frames = [row["frame"] for row in csv.DictReader((folder / "frames.csv").open())]
    paths = [work / f"{Path(name).stem}.cat" for name in frames]
    for name, path in zip(frames, paths, strict=True):
        if not path.exists():
            extract(folder / name, work, defaults, gain=GAIN, saturation=SATURATION)
    return paths


def true_stars(frames: Sequence[FrameCatalogue], truth: Truth) -> list[np.ndarray]:
    """Row in the truth of each measurement of a bright star that stands alone, -1 for others.

    Stars are found by the true WCSs that the frames come with, so that they are the same for every solution.
    """
    free, stars = alone(truth.ra, truth.dec), []
    for frame in frames:
        star = np.full(len(frame.x), -1)
        rows, true, _ = match_sky(*pixel_to_radec(frame.projection, frame.x, frame.y), truth.ra, truth.dec, 0.5)
        star[rows] = np.where(free[true], true, -1)
        stars.append(np.where(frame.flux > BRIGHT * frame.flux_err, star, -1))
    return stars


def from_truth(stars: Sequence[np.ndarray], solved: Solved, truth: Truth) -> np.ndarray:
    """Root mean square distance from the truth, mas east and north; scatter about the true magnitudes, mmag."""
    star, ra, dec, mag = gathered(stars, solved)
    east = 3.6e6 * (ra - truth.ra[star]) * np.cos(np.radians(truth.dec[star]))
    north = 3.6e6 * (dec - truth.dec[star])
    return np.array([np.sqrt(np.mean(east**2)), np.sqrt(np.mean(north**2)), 1e3 * np.std(mag - truth.mag[star])])


def compare(field: Field, truth: Truth, scamp: dict[str, ScampSettings]) -> list[tuple[str, float]]:
    """Print the scatters; CPU seconds of each."""
    frames = field.read()
    stars = true_stars(frames, truth)
    count = sum(int((star >= 0).sum()) for star in stars)
    total, distinct = sum(len(frame.x) for frame in frames), len(np.unique(np.concatenate(stars))) - 1
    print(f"{field.flux}: {total} measurements; {count} are of {distinct} bright stars that stand alone")
    print(f"{'':40s} {'about the mean: mas, mas, mmag':>26s} {'about the truth':>24s}")
    seconds, best = [], np.full(3, np.inf)
    for name, settings in scamp.items():
        solved, cpu = by_scamp(field, frames, settings)
        values = scatter(stars, solved)
        best = np.minimum(best, values)
        show(name, np.append(values, from_truth(stars, solved, truth)), f"{cpu:6.1f} CPU s")
        seconds.append((name, cpu))
    by_fit(field)
    solved, fitted = by_fit(field)
    ours = scatter(stars, solved)
    parts = ", ".join(f"{part} {cpu:.1f}" for part, cpu in fitted.cpu_s.items())
    show("skyloom", np.append(ours, from_truth(stars, solved, truth)), f"{fitted.total_s:6.1f} CPU s: {parts}")
    print(f"skyloom over the best of SCAMP's, each number apart: {np.round(ours / best, 3)}")
    assert (ours[:2] <= LIMITS[:2]).all()
    assert field.flux != "FLUX_PSF" or ours[2] <= LIMITS[2]
    return [*seconds, ("skyloom, code loaded", fitted.total_s)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("frames", type=Path)
    parser.add_argument("defaults", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--flux", nargs="+", default=["FLUX_AUTO", "FLUX_APER", "FLUX_PSF"])
    parser.add_argument("--once", action="store_true", help="only our fit, for its time")
    arguments = parser.parse_args()
    truth = Truth.read(arguments.frames)
    references = truth.references()
    paths = catalogues(arguments.frames, arguments.defaults, arguments.work)
    fields = [Field(paths, references, flux, ZERO_POINT) for flux in arguments.flux]
    if arguments.once:
        fit_field(fields[0])
        return
    write_references(arguments.work / "ref.cat", references, "r")
    rows = compare(fields[0], truth, SCAMP)
    for field in fields[1:]:
        compare(field, truth, {name: settings for name, settings in SCAMP.items() if not settings.match})
    places = [str(path) for path in (arguments.frames, arguments.defaults, arguments.work)]
    own = rows[-1][1]
    rows.append(("skyloom, a new process", seconds_anew(*places, "--once", "--flux", fields[0].flux)))
    for name, cpu in rows:
        print(f"{name:40s} {cpu:8.2f} CPU s, {cpu / own:6.1f} of ours")


if __name__ == "__main__":
    main()
