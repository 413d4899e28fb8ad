"""How often the astrometric solution is found, and how often it is wrong, on simulated star lists.

Run from the root of the checkout: ``python bench/bench_astrometry.py [number of frames]``.  Half of the frames are
matched against the catalogue of their field, half against that of another: all of these must be refused.
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
    missed, times, wrong_times, chances = [], [], [], []
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
        found, seconds = attempt(field, guess, settings)
        wrong_times.append(seconds)
        if found is not None:
            false_accepted += 1
            chances.append(found.log10_chance)
            print(f"FALSE ACCEPT, seed {seed}: {found.verdict}")
    print(f"true fields: {solved} of {n} solved, {wrong} wrong, {len(missed)} refused")
    print(f"  refused (stars shown, contamination, catalogue depth): {missed[:30]}")
    print(f"wrong fields: {false_accepted} of {n} accepted")
    print(
        f"seconds a frame: median {np.median(times):.3f}, largest {max(times):.2f}; "
        f"wrong fields: median {np.median(wrong_times):.3f}, largest {max(wrong_times):.2f}"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
