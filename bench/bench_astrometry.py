"""How often the astrometric solution is found, and how often it is wrong, on simulated star lists.

Run from the root of the checkout: ``python bench/bench_astrometry.py [number of frames]``.  Half of the frames are
matched against the catalogue of their field, half against that of another: all of these must be refused, also where
detections or references crowd in clumps, along columns or on a lattice, which no count of independent stars allows for.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from lsst.images import Box

from skyloom.astrometry import AstrometrySettings, solve_astrometry
from skyloom.errors import FrameError

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "astrometry"))
from simulated_field import camera, error_arcsec, projection, simulate


def draw(seed: int, *, wrong: bool):
    """A frame drawn from a wide range of cameras and fields: what was drawn, the frame, its guess and the settings."""
    rng = np.random.default_rng([seed, int(wrong)])
    box = Box.factory[0 : int(rng.integers(500, 2000)), 0 : int(rng.integers(500, 2000))]
    scale = 10 ** rng.uniform(-0.7, 0.8)
    size_deg = scale * min(box.x.size, box.y.size) / 3600.0
    drawn = {
        "n_stars": int(10 ** rng.uniform(1.2, 2.5)),
        "contamination": rng.uniform(0.0, 0.6),
        "completeness": rng.uniform(0.5, 1.0),
        "depth": 10 ** rng.uniform(0.0, 0.7),
        "noise_px": 10 ** rng.uniform(-1.7, -0.5),
    }
    settings = AstrometrySettings(
        pointing_error_deg=size_deg * rng.uniform(0.05, 1.0),
        scale_error=rng.uniform(0.005, 0.03),
        rotation_error_deg=rng.uniform(0.5, 4.0),
    )
    ra, dec = rng.uniform(0.0, 360.0), np.degrees(np.arcsin(rng.uniform(-1.0, 1.0)))
    rotation, mirrored = rng.uniform(0.0, 360.0), rng.random() < 0.3
    shift, angle = settings.pointing_error_deg * np.sqrt(rng.random()), rng.uniform(0.0, 2.0 * np.pi)
    guess = camera(ra, dec, scale, box=box, rotation=rotation, mirrored=mirrored)
    plane = np.linalg.inv(guess.cd) @ [shift * np.cos(angle), shift * np.sin(angle)]
    true_ra, true_dec = guess.to_sky(guess.crpix[0] + plane[0], guess.crpix[1] + plane[1])
    # North turns with right ascension near the poles; the frame keeps its direction on the sky at the true centre.
    truth = camera(
        float(true_ra),
        float(true_dec),
        scale * (1.0 + 0.9 * settings.scale_error * rng.uniform(-1.0, 1.0)),
        box=box,
        rotation=rotation + 0.9 * settings.rotation_error_deg * rng.uniform(-1.0, 1.0) + _turn(guess, plane),
        mirrored=mirrored,
        distortion_px=rng.uniform(0.0, 3.0),
    )
    field = simulate(rng, truth, box, reach_deg=2.1 * settings.pointing_error_deg, wrong=wrong, **drawn)
    return drawn, field, guess, settings


def crowd(field, seed: int) -> str:
    """Crowd the detections (and for clumps the references) of a frame; every fourth frame is left as it is."""
    rng = np.random.default_rng([seed, 2])
    n, some = len(field.x), rng.random(len(field.x)) < 0.5
    kind = ("plain", "clumps", "columns", "lattice")[seed % 4]
    match kind:
        case "clumps":
            _clump(rng, [field.x, field.y], 8.0, 6)
            sky = [np.asarray(field.reference[name]) for name in ("ra", "dec")]
            scale = np.sqrt(abs(np.linalg.det(field.truth.cd)))
            _clump(rng, sky, 8.0 * scale, max(6, 6 * len(field.reference) // max(n, 1)))
            field.reference["ra"], field.reference["dec"] = sky
        case "columns":
            columns = rng.uniform(field.box.x.start, field.box.x.stop, 3)
            field.x[some] = (rng.choice(columns, n) + rng.normal(0.0, 0.3, n))[some]
        case "lattice":
            field.x[some], field.y[some] = np.round(field.x[some] / 64) * 64, np.round(field.y[some] / 64) * 64
    return kind


def _clump(rng, coordinates, size: float, n_clumps: int) -> None:
    """Move half of the points into clumps of a size, in place."""
    n = len(coordinates[0])
    some, member = rng.random(n) < 0.5, rng.integers(0, n_clumps, n)
    for values in coordinates:
        centre = rng.uniform(values.min(), values.max(), n_clumps)
        values[some] = (centre[member] + rng.normal(0.0, size, n))[some]


def _turn(guess, plane) -> float:
    """How far north turns between the guessed and the true centre, degree."""
    from skyloom.astrometry import LocalPlane

    local = LocalPlane(*guess.crval, guess.cd)
    moved = local.moved(*plane).cd @ np.linalg.inv(guess.cd)
    return float(np.degrees(np.arctan2(moved[1, 0], moved[0, 0])))


def attempt(field, guess, settings):
    """The solution, or None where it was refused; and the seconds it took."""
    start = time.perf_counter()
    try:
        guessed = projection(guess, field.box)
        stars = (field.x, field.y, field.flux)
        found = solve_astrometry(*stars, field.reference, guessed, box=field.box, settings=settings)
    except FrameError:
        found = None
    return found, time.perf_counter() - start


def main(n: int) -> None:
    solved = wrong = false_accepted = 0
    missed, times, wrong_times = [], [], []
    for seed in range(n):
        drawn, field, guess, settings = draw(seed, wrong=False)
        found, seconds = attempt(field, guess, settings)
        times.append(seconds)
        if found is None:
            n_true = int(drawn["n_stars"] * drawn["completeness"])
            missed.append((n_true, round(drawn["contamination"], 2), round(drawn["depth"], 1)))
        else:
            scale = 3600.0 * np.sqrt(abs(np.linalg.det(field.truth.cd)))
            _, largest = error_arcsec(found.projection, field.truth, field.box)
            bad = largest > 3.0 * scale
            solved, wrong = solved + (not bad), wrong + bad
            if bad:
                print(f"WRONG by {largest / scale:.1f} px, seed {seed}: {drawn} {found.verdict}")
        _, field, guess, settings = draw(seed, wrong=True)
        kind = crowd(field, seed)
        found, seconds = attempt(field, guess, settings)
        wrong_times.append(seconds)
        if found is not None:
            false_accepted += 1
            print(f"FALSE ACCEPT, seed {seed}, {kind}: {found.verdict}")
    print(f"true fields: {solved} of {n} solved, {wrong} wrong, {len(missed)} refused")
    print(f"  refused (stars shown, contamination, catalogue depth): {missed[:30]}")
    print(f"wrong fields: {false_accepted} of {n} accepted")
    print(
        f"seconds a frame: median {np.median(times):.3f}, largest {max(times):.2f}; "
        f"wrong fields: median {np.median(wrong_times):.3f}, largest {max(wrong_times):.2f}"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
