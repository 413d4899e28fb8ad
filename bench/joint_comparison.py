"""A joint fit and SCAMP on the same catalogues of one detector: run, timed, and their scatters taken alike."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy.table import Table
from astropy.wcs import WCS
from scipy.spatial import cKDTree

from scamp_peer import ScampSettings, call_scamp, read_heads
from sextractor_peer import read_catalogue
from skyloom.catalog.htm import unit_vectors
from skyloom.images import pixel_to_radec
from skyloom.jointcal import (
    PHOTO_CALIB_COLUMNS,
    WCS_COLUMNS,
    FrameCatalogue,
    JointSettings,
    fit_jointly,
    photo_calib_of,
    photo_calib_rows,
    projection_of,
    table_of,
    wcs_rows,
)

__all__ = [
    "BRIGHT",
    "Field",
    "Solved",
    "alone",
    "by_fit",
    "by_scamp",
    "fit_field",
    "gathered",
    "scatter",
    "seconds_anew",
    "show",
]

type Floats = np.ndarray

BRIGHT, ALONE_ARCSEC = 200.0, 10.0
"""Bright stars have a larger signal-to-noise ratio and no neighbour within so much."""


@dataclass(frozen=True)
class Field:
    """What both start from."""

    paths: Sequence[Path]
    """Catalogues, one a visit, in one folder with ``ref.cat``."""
    references: Table
    flux: str
    """Column of the catalogues."""
    zero_point: float

    def read(self) -> list[FrameCatalogue]:
        return [
            read_catalogue(path, visit=number, flux=self.flux, zero_point=self.zero_point)
            for number, path in enumerate(self.paths, start=1)
        ]


@dataclass(frozen=True)
class Solved:
    """Positions and magnitudes of all measurements by some solution, a list entry a frame."""

    sky: list[tuple[Floats, Floats]]
    mag: list[Floats]


@dataclass(frozen=True)
class Fitted:
    """What is timed: catalogues read, stars associated, fits, tables of WCSs and flux scales."""

    frames: list[FrameCatalogue]
    wcs: list[Table]
    calib: list[Table]
    cpu_s: dict[str, float]
    """By part."""

    @property
    def total_s(self) -> float:
        return sum(self.cpu_s.values())


def fit_field(field: Field, settings: JointSettings | None = None) -> Fitted:
    """Do it all once."""
    clock = [time.process_time()]
    frames = field.read()
    clock.append(time.process_time())
    fit = fit_jointly(frames, field.references, settings, flux="r")
    clock.append(time.process_time())
    wcs = [table_of(wcs_rows(fit, frame.visit), WCS_COLUMNS) for frame in frames]
    calib = [table_of(photo_calib_rows(fit, frame.visit), PHOTO_CALIB_COLUMNS) for frame in frames]
    clock.append(time.process_time())
    return Fitted(frames, wcs, calib, dict(zip(("read", "fit", "tables"), np.diff(clock).tolist(), strict=True)))


def by_fit(field: Field, settings: JointSettings | None = None) -> tuple[Solved, Fitted]:
    """Our solution, by its tables."""
    fitted = fit_field(field, settings)
    sky, mag = [], []
    for frame, maps, scales in zip(fitted.frames, fitted.wcs, fitted.calib, strict=True):
        projection = projection_of(maps, frame.detector, frame.projection.pixel_frame)
        scale = photo_calib_of(scales, frame.detector)
        assert projection is not None
        assert scale is not None
        sky.append(pixel_to_radec(projection, frame.x, frame.y))
        mag.append(scale.to_magnitude(frame.flux, frame.x, frame.y))
    return Solved(sky, mag), fitted


def by_scamp(field: Field, frames: Sequence[FrameCatalogue], settings: ScampSettings) -> tuple[Solved, float]:
    """SCAMP's solution, and the CPU seconds of its process."""
    work = field.paths[0].parent
    cpu = call_scamp([path.name for path in field.paths], work, replace(settings, flux=field.flux))
    heads = [read_heads(path.with_suffix(".head"))[0] for path in field.paths]
    sky = [WCS(head).all_pix2world(frame.x, frame.y, 0) for head, frame in zip(heads, frames, strict=True)]
    mag = [-2.5 * np.log10(frame.flux * head["FLXSCALE"]) for head, frame in zip(heads, frames, strict=True)]
    return Solved(sky, mag), cpu


def seconds_anew(*arguments: str) -> float:
    """CPU seconds of a new Python that runs this script with some arguments."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, sys.argv[0], *arguments], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def alone(ra: Floats, dec: Floats) -> np.ndarray:
    """Which of some stars have none of the others near."""
    tree = cKDTree(unit_vectors(ra, dec))
    counts = tree.query_ball_point(tree.data, np.radians(ALONE_ARCSEC / 3600.0), return_length=True)
    return np.asarray(counts == 1)


def gathered(stars: Sequence[np.ndarray], solved: Solved) -> tuple[np.ndarray, Floats, Floats, Floats]:
    """Stars, right ascensions, declinations and magnitudes of the measurements whose star is not -1, of all frames."""
    chosen = [star >= 0 for star in stars]
    star, ra, dec, mag = (
        np.concatenate([values[use] for values, use in zip(parts, chosen, strict=True)])
        for parts in (stars, [sky[0] for sky in solved.sky], [sky[1] for sky in solved.sky], solved.mag)
    )
    return star, ra, dec, mag


def scatter(stars: Sequence[np.ndarray], solved: Solved, *, robust: bool = False) -> Floats:
    """Standard deviation of single measurements about the means of their stars: mas east, mas north, mmag.

    Parameters
    ----------
    stars
        For each frame the star of every measurement, -1 for those that are left out.
    solved
        Where and how bright they are.
    robust
        Whether it is taken from the median of the absolute deviations.
    """
    star, ra, dec, mag = gathered(stars, solved)
    count = np.bincount(star)
    repeated, result = count[star] > 1, []
    unbiased = np.sqrt(count / np.maximum(count - 1, 1))[star]
    for values in (3.6e6 * ra * np.cos(np.radians(dec.mean())), 3.6e6 * dec, 1e3 * mag):
        mean = np.bincount(star, values) / np.maximum(count, 1)
        off = (unbiased * (values - mean[star]))[repeated]
        result.append(1.4826 * np.median(np.abs(off)) if robust else np.sqrt(np.mean(off**2)))
    return np.array(result)


def show(name: str, values: Floats, note: str = "") -> None:
    """Print a row."""
    print(f"{name:40s} " + " ".join(f"{value:8.2f}" for value in values) + f"   {note}", flush=True)
