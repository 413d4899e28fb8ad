"""The sky of the coadd of a simulated survey, and the halo of a galaxy in it, with and without background matching.

    python bench/accuracy_background_matching.py FOLDER [-j 2] [--visits 6] [--seed 4]

Raw frames of the simulated camera with wide dithers: each visit has a sky of its own level and slope, and shows an
exponential galaxy whose halo is wider than the cells of the background of a frame.  Coadds are made of them by the
commands that a user types, which are printed:

* ``subtracted``: the background of each frame is subtracted, as `drp` does it;
* ``unmatched``: warps with the sky of their frames put back (``make_direct_warp:do_revert_background=True``);
* ``matched``: the same warps after `MatchBackgroundsTask`, each visit against the reference;
* ``joint``: the same, all visits together;
* ``mean``: the same, all get the mean sky of all visits.

Printed is, of each coadd, the rms of its sky in squares of 128 px beyond 75 arcsec from the galaxy, less a constant,
less a plane, and less a surface of second order, with all true sources masked; and the light of the galaxy over the
true one in rings, after a plane through those squares is taken off, the only background that a matched coadd needs.
Ends with status 1 where matching does not lower the rms, less a constant or less a plane, at least five times, or a
ring of a coadd with the sky of the reference is off by more than 2 %; the mean sky has that of the brightest visits in
it, and may miss that.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
from lsst.daf.butler import Butler

from skyloom.images import from_coadd, radec_to_pixel
from skyloom.simulate import (
    CalibrationSettings,
    Mosaic,
    SkySettings,
    Survey,
    SurveySettings,
    Visit,
    VisitSettings,
    frames,
    simulate_survey,
)
from skyloom.simulate.mosaic import Ccd
from skyloom.simulate.scene import draw_sky, electrons_per_njy

GALAXY_RA, GALAXY_DEC = 150.0 + 60.0 / 3600, 2.2 + 45.0 / 3600
PEAK_NJY, SCALE_ARCSEC = 9000.0, 8.0
RINGS = ((0.0, 5.0), (5.0, 10.0), (10.0, 15.0), (15.0, 20.0), (20.0, 25.0), (25.0, 30.0), (0.0, 30.0))
SQUARE = 128
FREE_OF_GALAXY = 75.0
"""Arcsec."""
MATCHED = {
    "matched": {},
    "joint": {"solution": "JOINT"},
    "mean": {"solution": "JOINT", "jointSky": "MEAN"},
}
"""Settings of the task."""
RUNS = ("subtracted", "unmatched", *MATCHED)


def draw_sky_and_galaxy(visit: Visit, mosaic: Mosaic, ccd: Ccd) -> np.ndarray:
    """The sky, and the galaxy, for whose halo the stamps of sources are too small; electrons ``[y, x]``.

    Both are even over the sky, so that pixels receive less where the distortion lets them see less of it.
    """
    x0, y0 = visit.projection(mosaic).sky_to_pixel(ccd, np.array([GALAXY_RA]), np.array([GALAXY_DEC]))
    y, x = np.mgrid[: ccd.shape[0], : ccd.shape[1]]
    radius = np.hypot(x - x0, y - y0) * mosaic.pixel_scale
    galaxy = PEAK_NJY * electrons_per_njy(visit) * np.exp(-radius / SCALE_ARCSEC)
    u, v = ccd.grid()
    stretch = visit.distortion_pixels / mosaic.radius**3 * (u**2 + v**2)
    return (draw_sky(visit, mosaic, ccd) + galaxy) / ((1.0 + stretch) * (1.0 + 3.0 * stretch))


def simulate(folder: Path, visits: int, seed: int) -> Survey:
    """The raws; in this process, for those of others would lack the galaxy."""
    settings = SurveySettings(
        seed=seed,
        sky=SkySettings(stars_per_square_arcmin=20.0, saturated_stars=0),
        visits=VisitSettings(visits_per_band=visits, dither_arcsec=90.0, sky_gradient=0.1),
        calibrations=CalibrationSettings(flats=8),
    )
    with mock.patch.object(frames, "draw_sky", draw_sky_and_galaxy):
        return simulate_survey(folder / "sky", settings)


def commands(folder: Path, survey: Survey, jobs: int) -> list[list[str]]:
    """From raws to the four coadds."""
    repo, many = str(folder / "repo"), ["-j", str(jobs), "-q"]
    refcat = ["--name", "truth", "--system", "ab", "--epoch", "2016.0", "--mag", "r=mag_r", "--replace"]
    deep = ["run", "deep", repo, "-i", "unmatched,simulated/defaults", *many]
    settings = {
        run: [part for name, value in changes.items() for part in ("-c", f"match_backgrounds:{name}={value}")]
        for run, changes in MATCHED.items()
    }
    return [
        ["init", repo, "--camera", "simulated"],
        ["ingest", repo, str(folder / "sky" / "raw"), "-j", str(jobs)],
        ["calibs", "build", repo, *many],
        ["refcat", "import", repo, str(survey.reference_file), *refcat],
        ["run", "drp", repo, "-o", "subtracted", *many],
        [
            *("run", "drp#coadd", repo, "-i", "subtracted,simulated/defaults", "-o", "unmatched", *many),
            *("-c", "make_direct_warp:do_revert_background=True"),
        ],
        *([*deep, "-o", run, *settings[run]] for run in MATCHED),
    ]


def call(arguments: list[str]) -> None:
    """One of our commands, in a process of its own as a user has it."""
    print("$ skyloom", " ".join(arguments), flush=True)
    code = "from skyloom.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *arguments], text=True, capture_output=True, check=False)
    if done.returncode:
        print(f"status {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}", flush=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sky:
    """A coadd over its tract, ``[y, x]``, nJy."""

    pixels: np.ndarray
    """NaN where there is none, or a source."""
    radius: np.ndarray
    """Arcsec from the galaxy."""

    def squares(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, y (px) and level of the squares without galaxy, of which a third can be used."""
        ny, nx = (n // SQUARE for n in self.pixels.shape)

        def cut(plane: np.ndarray) -> np.ndarray:
            whole = plane[: ny * SQUARE, : nx * SQUARE].reshape(ny, SQUARE, nx, SQUARE)
            return whole.swapaxes(1, 2).reshape(ny, nx, -1)

        pixels = cut(np.where(self.radius > FREE_OF_GALAXY, self.pixels, np.nan))
        y, x = np.indices((ny, nx))
        use = np.isfinite(pixels).sum(axis=2) > SQUARE**2 / 3
        middle = (SQUARE - 1) / 2
        return x[use] * SQUARE + middle, y[use] * SQUARE + middle, np.nanmean(pixels[use], axis=1)

    def surface(self, order: int) -> tuple[np.ndarray, float]:
        """Coefficients of the surface through the squares (terms x^i y^j, i + j <= order), and the rms about it."""
        x, y, level = self.squares()
        terms = powers(x, y, order)
        found, *_ = np.linalg.lstsq(terms, level, rcond=None)
        return found, float(np.std(level - terms @ found))

    def galaxy_over_truth(self, order: int) -> list[float]:
        """Light in the rings over the true one, on the same pixels, less the surface."""
        at = self.radius < RINGS[-1][1]
        y, x = np.nonzero(at)
        light = self.pixels[at] - powers(x, y, order) @ self.surface(order)[0]
        radius, found = self.radius[at], []
        truth = PEAK_NJY * np.exp(-radius / SCALE_ARCSEC)
        for inner, outer in RINGS:
            ring = (radius >= inner) & (radius < outer) & np.isfinite(light)
            found.append(float(light[ring].sum() / truth[ring].sum()))
        return found


def powers(x: np.ndarray, y: np.ndarray, order: int) -> np.ndarray:
    """``[place, term]``; x and y in units of 1000 px."""
    x, y = np.asarray(x) / 1000.0, np.asarray(y) / 1000.0
    return np.stack([x**i * y**j for i in range(order + 1) for j in range(order + 1 - i)], axis=-1)


def read_sky(repo: Path, run: str, survey: Survey) -> Sky:
    """The coadd of a run, with all true sources masked."""
    with Butler.from_config(str(repo), collections=[run]) as butler:
        refs = butler.query_datasets("deep_coadd", limit=None)
        sky_map = butler.get("sky_map", skymap=str(refs[0].dataId["skymap"]), collections="skymaps")
        tract = sky_map.tract(int(refs[0].dataId["tract"]))
        pixels = np.full(tract.bbox.shape, np.nan)
        for ref in refs:
            exposure = from_coadd(butler.get(ref))
            box = tract.patch(int(ref.dataId["patch"])).inner_bbox.intersection(exposure.bbox)
            pixels[box.slice_within(tract.bbox)] = exposure[box].image.array
    scale, origin = tract.grid.pixel_scale, (tract.bbox.x.start, tract.bbox.y.start)
    y, x = np.indices(pixels.shape)
    x0, y0 = radec_to_pixel(tract.projection, np.array([GALAXY_RA]), np.array([GALAXY_DEC]))
    radius = np.hypot(x + origin[0] - x0, y + origin[1] - y0) * scale
    sky = survey.sky_now
    places = radec_to_pixel(tract.projection, np.asarray(sky["ra"]), np.asarray(sky["dec"]))
    mask_sources(pixels, places[0] - origin[0], places[1] - origin[1], np.asarray(sky["flux_r"]), scale)
    return Sky(pixels=pixels, radius=radius)


def mask_sources(pixels: np.ndarray, x: np.ndarray, y: np.ndarray, flux: np.ndarray, scale: float) -> None:
    """NaN within 3 arcsec of a source, and where one of this flux has more than 2 nJy a pixel in its wings."""
    wings = (flux * scale**2 / 2.0) ** 0.2 * 0.9
    for cx, cy, radius in zip(x, y, np.maximum(3.0, wings) / scale, strict=True):
        y0, y1 = (int(np.clip(cy + sign * radius + (sign > 0), 0, pixels.shape[0])) for sign in (-1, 1))
        x0, x1 = (int(np.clip(cx + sign * radius + (sign > 0), 0, pixels.shape[1])) for sign in (-1, 1))
        if y0 < y1 and x0 < x1:
            rows, columns = np.ogrid[y0:y1, x0:x1]
            pixels[y0:y1, x0:x1][(columns - cx) ** 2 + (rows - cy) ** 2 < radius**2] = np.nan


def main() -> None:
    """Simulate, process, tell the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-j", type=int, default=2)
    parser.add_argument("--visits", type=int, default=6)
    parser.add_argument("--seed", type=int, default=4)
    options = parser.parse_args()
    survey = simulate(options.folder, options.visits, options.seed)
    for arguments in commands(options.folder, survey, options.j):
        call(arguments)
    for visit in survey.visits:
        level, (dx, dy) = visit.sky_electrons / electrons_per_njy(visit), visit.sky_gradient
        print(f"visit {visit.visit}: sky {level:.0f} nJy, {100 * dx:+.1f} %, {100 * dy:+.1f} % over half the camera")
    skies = {run: read_sky(options.folder / "repo", run, survey) for run in RUNS}
    rms = {run: [sky.surface(order)[1] for order in (0, 1, 2)] for run, sky in skies.items()}
    print(f"\nrms of the sky in squares of {SQUARE} px, nJy, less a constant, a plane, a second-order surface")
    for run, values in rms.items():
        print(f"{run:<12}" + "".join(f"{value:10.2f}" for value in values))
    light = {run: sky.galaxy_over_truth(1) for run, sky in skies.items()}
    print("\ngalaxy over truth in rings, arcsec\n" + " " * 12 + "".join(f"{a:6.0f}-{b:2.0f}" for a, b in RINGS))
    for run, values in light.items():
        print(f"{run:<12}" + "".join(f"{value:9.3f}" for value in values))
    missed = [
        f"{run}: rms less {name} falls {rms['unmatched'][order] / rms[run][order]:.1f} times"
        for run in MATCHED
        for order, name in enumerate(("a constant", "a plane"))
        if rms["unmatched"][order] < 5.0 * rms[run][order]
    ]
    missed += [f"{run}: a ring is off" for run in ("matched", "joint") if np.abs(np.array(light[run]) - 1).max() > 0.02]
    if missed:
        sys.exit("\n".join(["", "missed:", *missed]))


if __name__ == "__main__":
    main()
